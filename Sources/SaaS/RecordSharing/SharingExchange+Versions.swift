import BookingBlacklist
import ClinicalData
import CloudHTTP
import HTTPTypes
import ModuleKit
import NIOCore
import RegionalRecord

/// What the resources share that the region keeps itself: consents and the entries of the blacklist. Every version is kept.
extension SharingExchange {
    /// Writes, unless the same request did before: then the answer is the same, whatever is true by now.
    ///
    /// - Parameter written: what the request wrote before.
    func once(
        _ request: RepeatableRequest?, of type: ResourceType, creates: Bool,
        written: (RepeatableRequest) async throws -> RecordVersion?,
        write: (RepeatableRequest?) async throws -> RecordVersion
    ) async throws -> ModuleResponse {
        let record: RecordVersion
        do {
            if let request, let before = try await written(request) {
                record = before
            } else {
                record = try await write(request)
            }
        } catch let error as RegionalRecordError where error.code == .keyReused {
            throw Problem(.idempotencyMismatch)
        } catch let error as BlacklistError where error.code == .keyReused {
            throw Problem(.idempotencyMismatch)
        }
        var response = ModuleResponse.resource(
            record.bytes, status: creates ? .created : .ok, version: record.version, lastUpdated: record.recordedAt)
        response.headers[.location] = "\(base)/\(type.name)/\(record.id.text)/_history/\(record.version)"
        return response
    }

    /// The answer to a read; 404 where there is nothing.
    func answer(_ record: RecordVersion?) throws(Problem) -> ModuleResponse {
        guard let record else { throw Problem.nothingShared }
        return .resource(record.bytes, version: record.version, lastUpdated: record.recordedAt)
    }

    /// A page of a search.
    ///
    /// - Parameter found: one more than `count` where there is more.
    func page(of found: [RecordVersion], _ type: ResourceType, count: Int) -> ModuleResponse {
        var bundle = SharedBundle(base: base)
        bundle.link("self", url(type.name))
        if found.count > count {
            bundle.link("next", url(type.name, cursor: found[count - 1].position.text))
        }
        for record in found.prefix(count) {
            bundle.add("\(type.name)/\(record.id.text)", resource: record.bytes.readableBytesView)
        }
        return bundle.response()
    }

    /// The answer to a search that asks only how many there are.
    func counted(_ total: Int64, _ type: ResourceType) -> ModuleResponse {
        var bundle = SharedBundle(base: base)
        bundle.link("self", url(type.name))
        bundle.total = total
        return bundle.response()
    }

    /// Where the page of the cursor begins; nil on the first one.
    func position(_ type: ResourceType) throws(Problem) -> RecordVersion.Position? {
        guard let text = try cursor(type.name) else { return nil }
        guard let position = RecordVersion.Position(text) else { throw .badCursor }
        return position
    }

    /// All versions of a resource, newest first; 404 where there is none.
    func history(of id: RegionID, _ type: ResourceType, _ records: [RecordVersion]) throws(Problem) -> ModuleResponse {
        guard !records.isEmpty else { throw Problem.nothingShared }
        var bundle = SharedBundle(type: "history", base: base)
        bundle.link("self", url("\(type.name)/\(id.text)/_history"))
        bundle.total = Int64(records.count)
        for record in records {
            bundle.addVersion(
                "\(type.name)/\(id.text)", type: type.name, resource: Array(record.bytes.readableBytesView),
                version: record.version, lastUpdated: record.recordedAt, method: record.method,
                isCreated: record.version == 1)
        }
        return bundle.response()
    }

    /// The version that a path names; 404 for what is none.
    func versionNumber(_ text: String) throws(Problem) -> Int32 {
        guard let version = Int32(text), version > 0, String(version) == text else { throw Problem.nothingShared }
        return version
    }
}
