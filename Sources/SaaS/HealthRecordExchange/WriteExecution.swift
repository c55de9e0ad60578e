import ClinicalData
import CloudIdentity
import HTTPTypes
import NIOCore
import PostgresDriver
import StrictJSON

/// Carries out writes: those of one request, or all of a transaction, everything or nothing.
struct WriteExecution: Sendable {
    let exchange: Exchange
    let requests: [WriteRequest]
    /// Whether the requests are the entries of a transaction, which may refer to each other.
    var isTransaction = false

    /// What a request was matched with.
    private enum Target: Sendable {
        case write(WriteOperation.Kind, id: String)
        /// A conditional create whose resource exists, or a conditional delete without a match.
        case none(WriteResult)
    }

    /// - Returns: One result a request, in order.
    /// - Throws: `FHIRFailure`, to be audited; nothing was written then.
    func run(in session: Session) async throws -> [WriteResult] {
        do {
            return try await carriedOut(in: session)
        } catch let failure as FHIRFailure where failure.denial == nil && failure.status < 500 {
            guard let refused = requests.first(where: { failure.isAbout($0.place) }) ?? requests.first else {
                throw failure
            }
            throw exchange.denied(failure, refused.refusal)
        }
    }

    /// One round trip when nothing is conditional; otherwise a transaction that locks the criteria first.
    private func carriedOut(in session: Session) async throws -> [WriteResult] {
        for request in requests {
            do {
                try exchange.require(request.permission, on: request.type, for: request.refusal)
                // A test within a patch discloses what the resource holds.
                if request.hasTest { try exchange.require(.read, on: request.type, for: request.refusal) }
            } catch {
                throw error.placed(request.place)
            }
        }
        let references = try conditionalReferences()
        guard !references.isEmpty || requests.contains(where: { $0.criteria != nil || $0.looksFirst }) else {
            return try await write(try requests.map { try target($0, matches: nil) }, links: [:], on: session.runner)
        }
        return try await session.withTransaction { connection in
            let conditions = Conditions(exchange: exchange)
            let criteria = try conditions.plans(for: requests)
            try await exchange.services.store.lock(criteria.compactMap { $0?.lockKey }, on: connection)
            let targets = try await self.targets(criteria, on: connection)
            let links = try await self.links(references, targets, conditions, on: connection)
            return try await write(targets, links: links, on: connection)
        }
    }

    // MARK: Matching

    /// What each request is matched with. Deletes come first (FHIR R4 http.html#trules), so that the criteria of the others
    /// do not match what they delete.
    private func targets(
        _ criteria: [Conditions.Condition?], on connection: PostgresConnection
    ) async throws -> [Target] {
        var targets: [Int: Target] = [:]
        var deleted: [ResourceType: Set<String>] = [:]
        for (index, request) in requests.enumerated() where request.isDelete {
            let target = try self.target(request, matches: try await criteria[index]?.matches(on: connection))
            if case .write(_, let id) = target { deleted[request.type, default: []].insert(id) }
            targets[index] = target
        }
        var unmatched: Set<String> = []
        for (index, request) in requests.enumerated() where !request.isDelete {
            let matches = try await criteria[index]?.matches(besides: deleted[request.type] ?? [], on: connection)
            targets[index] = try target(request, matches: matches)
            // Both would find nothing and create, although the second one's condition is no longer true.
            if let key = criteria[index]?.lockKey, matches?.isEmpty == true, !unmatched.insert(key).inserted {
                throw FHIRFailure(400, "duplicate", "Two entries have the same criteria.", at: request.place)
            }
        }
        return requests.indices.compactMap { targets[$0] }
    }

    /// `Type?criteria` → `Type/id`. Conditional references are resolved last (FHIR R4 http.html#trules): against what is there
    /// once all entries are carried out.
    private func links(
        _ references: [String: String], _ targets: [Target], _ conditions: Conditions, on connection: PostgresConnection
    ) async throws -> [String: String] {
        var written: Set<ResourceType> = []
        for (request, target) in zip(requests, targets) {
            if case .write = target { written.insert(request.type) }
        }
        guard references.keys.contains(where: { Conditions.isTouched($0, byWriting: written) }) else {
            return try await conditions.resolve(references, on: connection)
        }
        // The database says what the criteria will match: the writes are made, looked at, and taken back.
        try await connection.execute("savepoint provisional")
        _ = try await write(targets, links: [:], on: connection)
        let links = try await conditions.resolve(references, on: connection)
        try await connection.execute("rollback to savepoint provisional")
        return links
    }

    /// - Parameter matches: The ids that the criteria of a conditional request found; nil when it has none.
    private func target(_ request: WriteRequest, matches: [String]?) throws(FHIRFailure) -> Target {
        if let matches, matches.count > 1 {
            throw FHIRFailure(
                412, "multiple-matches", "The criteria match more than one \(request.type.name)."
            ).placed(request.place)
        }
        let match = matches?.first
        switch request.action {
        case .create(let type, _):
            guard let match else {
                try checkMatchesNothing(request)
                return .write(.create, id: ResourceID.make())
            }
            return .none(
                WriteResult(effect: .found, type: type, id: match, version: 0, lastUpdated: 0, content: nil))
        case .update(_, let id):
            try checkID(request, id)
            return .write(request.mustNotExist ? .createOnly : .update, id: id)
        case .updateWhere:
            guard let match else {
                try checkMatchesNothing(request)
                guard let id = try bodyID(request) else { return .write(.create, id: ResourceID.make()) }
                return .write(.createOnly, id: id)
            }
            guard !request.mustNotExist else {
                throw FHIRFailure(412, "conflict", "The criteria match a resource.").placed(request.place)
            }
            if let id = try bodyID(request), id != match {
                throw FHIRFailure(
                    400, "invalid", "The resource's id is not that of the resource which the criteria match.",
                    at: request.place.isEmpty ? "\(request.type.name).id" : request.place + ".resource.id")
            }
            return .write(.update, id: match)
        case .patch(_, let id):
            return .write(.patch, id: id)
        case .patchWhere(let type, _):
            guard let match else {
                throw FHIRFailure(404, "not-found", "The criteria match no \(type.name).").placed(request.place)
            }
            return .write(.patch, id: match)
        case .delete(_, let id):
            return .write(.delete, id: id)
        case .deleteWhere(let type, _):
            guard let match else {
                try checkMatchesNothing(request)
                return .none(
                    WriteResult(effect: .nothing, type: type, id: "", version: 0, lastUpdated: 0, content: nil))
            }
            return .write(.delete, id: match)
        }
    }

    /// Where there is nothing yet, If-Match is false.
    private func checkMatchesNothing(_ request: WriteRequest) throws(FHIRFailure) {
        guard request.match == nil else { throw Self.absent(request) }
    }

    private static func absent(_ request: WriteRequest) -> FHIRFailure {
        FHIRFailure(412, "conflict", "The resource does not exist.").placed(request.place)
    }

    private func bodyID(_ request: WriteRequest) throws(FHIRFailure) -> String? {
        guard let body = request.body else { return nil }
        return try ResourceIntake.id(in: body, place: request.place)
    }

    private func checkID(_ request: WriteRequest, _ id: String) throws(FHIRFailure) {
        guard try bodyID(request) == id else {
            throw FHIRFailure(
                400, "invalid", "The resource's id must be that of the URL.",
                at: request.place.isEmpty ? "\(request.type.name).id" : request.place + ".resource.id")
        }
    }

    /// The conditional references, each with the first entry that holds it. They exist in bundles only; elsewhere a reference
    /// is what it is.
    private func conditionalReferences() throws -> [String: String] {
        var found: [String: String] = [:]
        // The entries of a Bundle that is stored are not carried out.
        for request in requests where !request.place.isEmpty && !request.isPatch && request.type.name != "Bundle" {
            guard let body = request.body else { continue }
            for reference in ReferenceRewriter.conditionalReferences(in: body) where found[reference] == nil {
                found[reference] = request.place
            }
        }
        return found
    }

    // MARK: Writing

    private func write(
        _ targets: [Target], links: [String: String], on runner: any StatementRunner
    ) async throws -> [WriteResult] {
        try checkIdentities(targets)
        let entries = EntryLinks(
            requests: requests, identities: targets.map(Self.identity), others: links, base: exchange.base)
        let intake = ResourceIntake(definitions: exchange.services.definitions, base: exchange.base)
        var operations: [WriteOperation] = []
        /// The request of each operation.
        var origins: [Int] = []
        for index in lookedAtFirst(targets) {
            guard case .write(let kind, let id) = targets[index] else { continue }
            let rewriter = entries.rewriter(for: requests[index])
            operations.append(try await operation(kind, id, requests[index], intake, rewriter, on: runner))
            origins.append(index)
        }
        let outcomes: [WriteOutcome]
        do {
            outcomes = try await exchange.services.store.write(operations, audit: exchange.audit, on: runner)
        } catch let error as StoreError {
            throw Self.failure(error, requests, origins)
        }
        var results = targets.map { target in
            if case .none(let result) = target { return Optional(result) }
            return nil
        }
        for (position, index) in origins.enumerated() {
            results[index] = Self.result(operations[position], outcomes[position])
        }
        return try results.map { result in
            guard let result else { throw FHIRFailure(500, "exception", "A write has no outcome.") }
            return result
        }
    }

    /// Those that look at their rows lock them while they are made, in the order in which `fhir.write` locks.
    private func lookedAtFirst(_ targets: [Target]) -> [Int] {
        func key(_ index: Int) -> (Int, Int16, String) {
            guard requests[index].looksFirst, case .write(_, let id) = targets[index] else { return (1, 0, "") }
            return (0, requests[index].type.code, id)
        }
        return targets.indices.sorted { key($0) < key($1) }
    }

    private func operation(
        _ kind: WriteOperation.Kind, _ id: String, _ request: WriteRequest, _ intake: ResourceIntake,
        _ rewriter: ReferenceRewriter, on runner: any StatementRunner
    ) async throws -> WriteOperation {
        if kind == .delete {
            return WriteOperation(
                delete: request.type, id: id, expectedVersion: try await expectedVersion(request, id, on: runner))
        }
        guard let body = request.body else {
            throw FHIRFailure(400, "structure", "The request has no body.").placed(request.place)
        }
        guard kind == .patch else {
            if isTransaction, request.type.name != "Bundle", let reference = rewriter.unresolved(in: body) {
                throw FHIRFailure(
                    400, "not-found", "The reference '\(reference)' is the fullUrl of no entry of the transaction.",
                    at: request.place + ".resource")
            }
            return try intake.operation(
                kind, request.type, id: id, expectedVersion: try await expectedVersion(request, id, on: runner), body,
                rewriter: rewriter, place: request.place)
        }
        let current = try await exchange.services.store.current(request.type, id: id, locking: true, on: runner)
        guard let current else { throw FHIRFailure.notFound(request.type, id).placed(request.place) }
        guard !current.isDeleted else { throw FHIRFailure.deleted(current).placed(request.place) }
        let expected = try Self.version(of: current, for: request)
        let patched = try Patching.apply(body, to: current, place: request.place)
        return try intake.operation(
            .patch, request.type, id: id, expectedVersion: expected, patched, rewriter: rewriter, place: request.place)
    }

    /// The version that the write must find; nil = any. What fulfils a condition now stays locked until it is written.
    private func expectedVersion(
        _ request: WriteRequest, _ id: String, on runner: any StatementRunner
    ) async throws -> Int32? {
        guard request.looksFirst else {
            if case .version(let version) = request.match { return version }
            return nil
        }
        let current = try await exchange.services.store.current(request.type, id: id, locking: true, on: runner)
        return try Self.version(of: current, for: request)
    }

    /// The version that is there, when it fulfils the conditions of `request` (in the order of RFC 9110 §13.2.2).
    private static func version(
        of stored: StoredResource?, for request: WriteRequest
    ) throws(FHIRFailure) -> Int32? {
        let current = stored.flatMap { $0.isDeleted ? nil : $0 }
        let isFulfilled: Bool
        switch request.match {
        case .any: isFulfilled = current != nil
        case .version(let version): isFulfilled = current?.version == version
        case nil:
            if let current, let time = request.unmodifiedSince {
                isFulfilled = current.lastUpdated / 1_000_000 <= time
            } else {
                isFulfilled = true
            }
        }
        guard isFulfilled, !request.mustNotExist || current == nil else {
            guard let current else { throw absent(request) }
            throw FHIRFailure.precondition(current.version).placed(request.place)
        }
        return current?.version
    }

    /// The id under which a request's resource is stored; nil when it has none.
    private static func identity(_ target: Target) -> String? {
        switch target {
        case .write(_, let id): id
        case .none(let result): result.effect == .found ? result.id : nil
        }
    }

    /// Two writes of one identity have no order within a transaction, so they are refused.
    private func checkIdentities(_ targets: [Target]) throws(FHIRFailure) {
        guard targets.count > 1 else { return }
        var seen: Set<String> = []
        var temporary: Set<String> = []
        for (request, target) in zip(requests, targets) {
            if let fullURL = request.fullURL, !fullURL.isEmpty, !temporary.insert(fullURL).inserted {
                throw FHIRFailure(
                    400, "duplicate", "Two entries have the same fullUrl.", at: request.place + ".fullUrl")
            }
            guard case .write(_, let id) = target else { continue }
            guard seen.insert(request.type.name + "/" + id).inserted else {
                throw FHIRFailure(
                    400, "duplicate", "Two entries write \(request.type.name)/\(id).", at: request.place)
            }
        }
    }

    private static func result(_ operation: WriteOperation, _ outcome: WriteOutcome) -> WriteResult {
        let effect: WriteResult.Effect =
            switch outcome.effect {
            case .created: .created
            case .updated: .updated
            case .deleted: .deleted
            case .alreadyDeleted, .neverExisted: .nothing
            }
        return WriteResult(
            effect: effect, type: operation.type, id: operation.id, version: outcome.version,
            lastUpdated: outcome.lastUpdated, content: operation.kind == .delete ? nil : operation.content)
    }

    private static func failure(_ error: StoreError, _ requests: [WriteRequest], _ origins: [Int]) -> FHIRFailure {
        func request(_ operation: Int) -> WriteRequest? {
            origins.indices.contains(operation) ? requests[origins[operation]] : nil
        }
        switch error {
        case .versionConflict(let operation, let current):
            let request = request(operation)
            let failure =
                current.map { FHIRFailure.precondition($0) }
                ?? FHIRFailure(412, "conflict", "The resource does not exist.")
            return failure.placed(request?.place ?? "")
        case .identityExists(let operation):
            return FHIRFailure(409, "duplicate", "The identity is taken.").placed(request(operation)?.place ?? "")
        case .nothingToPatch(let operation):
            return FHIRFailure(404, "not-found", "The resource does not exist.")
                .placed(request(operation)?.place ?? "")
        }
    }
}
