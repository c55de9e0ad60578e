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
        _ request: HotReadRequest, in database: TenantDatabase, on eventLoop: any EventLoop,
        completion: @escaping (Result<HotReadAnswer, any Error>) -> Void
    ) -> Bool {
        guard let type = ResourceType.named(request.type), !type.isAuditEvent, ResourceID.isValid(request.id),
            request.principal.scopes.allows(.read, on: type.name)
        else { return false }
        let id = request.id
        let principal = request.principal
        let actor = AuditActor(
            client: principal.clientID, practitioner: principal.practitioner, purpose: principal.purposeOfUse,
            source: request.remoteAddress, origin: request.access.origin.rawValue)
        let readers = loops.withLock { loops in
            let key = ObjectIdentifier(eventLoop)
            if let readers = loops[key] { return readers }
            let readers = LoopReaders()
            loops[key] = readers
            return readers
        }
        return readers.reader(database, eventLoop)
            .read(type, id: id, audit: AuditContext(actor: actor, requestID: request.requestID)) { result in
                completion(result.map { Self.answer($0, type, id) })
            }
    }

    private static func answer(_ found: StoredResource?, _ type: ResourceType, _ id: String) -> HotReadAnswer {
        if let found, !found.isDeleted {
            return .resource(
                HotResource(
                    version: found.version, lastUpdated: found.lastUpdated, mediaType: Answer.mediaType,
                    body: found.bytes))
        }
        do throws(FHIRFailure) {
            // A read by id answers with no location, so no base is needed.
            return .other(try ReadInteraction.answer(found, type, id).response(base: ""))
        } catch {
            return .other(error.response)
        }
    }
}
