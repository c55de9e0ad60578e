import ClinicalData
import CloudHTTP
import CloudIdentity
import CloudModel
import HTTPTypes
import ModuleKit
import NIOCore
import Synchronization
import TenantRegistry

/// Reads by id on the event loop: what ``ReadInteraction`` does, without a task and in shared statements.
final class ResourceHotRead: HotRead {
    /// The readers of one event loop, by the identity of their pipelines.
    ///
    /// `@unchecked Sendable`: only ever touched on its event loop, which `read` is called on.
    private final class LoopReaders: @unchecked Sendable {
        private var readers: [ObjectIdentifier: HotReader] = [:]
        /// A reader more than this makes room: pipelines of closed databases are let go.
        private static let maximum = 128

        func reader(_ database: TenantDatabase, _ eventLoop: any EventLoop) -> HotReader {
            eventLoop.preconditionInEventLoop()
            let pipeline = database.pipeline(on: eventLoop)
            let key = ObjectIdentifier(pipeline)
            if let reader = readers[key] { return reader }
            if readers.count >= Self.maximum { readers = readers.filter { !$0.value.isIdle } }
            let reader = HotReader(pipeline: pipeline, eventLoop: eventLoop)
            readers[key] = reader
            return reader
        }
    }

    private let loops = Mutex<[ObjectIdentifier: LoopReaders]>([:])

    func read(
        _ request: HotReadRequest, in database: TenantDatabase, on eventLoop: any EventLoop
    ) -> EventLoopFuture<ModuleResponse>? {
        guard let type = ResourceType.named(String(request.type)), !type.isAuditEvent,
            ResourceID.isValid(request.id), request.principal.scopes.allows(.read, on: type.name)
        else { return nil }
        let id = String(request.id)
        let audit = AuditContext(
            client: request.principal.clientID, practitioner: request.principal.practitioner,
            purpose: request.principal.purposeOfUse, requestID: request.requestID, source: request.remoteAddress,
            origin: request.access.origin.rawValue)
        let readers = loops.withLock { loops in
            let key = ObjectIdentifier(eventLoop)
            if let readers = loops[key] { return readers }
            let readers = LoopReaders()
            loops[key] = readers
            return readers
        }
        return readers.reader(database, eventLoop).read(type, id: id, audit: audit)
            .map { Self.response($0, type, id) }
    }

    private static func response(_ found: StoredResource?, _ type: ResourceType, _ id: String) -> ModuleResponse {
        do throws(FHIRFailure) {
            // A read by id answers with no location, so no base is needed.
            return try ReadInteraction.answer(found, type, id).response(base: "")
        } catch {
            return error.response
        }
    }
}
