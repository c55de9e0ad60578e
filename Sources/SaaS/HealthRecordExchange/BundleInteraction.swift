import ClinicalData
import CloudHTTP
import HTTPTypes
import NIOCore
import StrictJSON

/// batch and transaction.
struct BundleInteraction: Sendable {
    let exchange: Exchange

    /// How many entries of a batch are worked on at once.
    static let batchWidth = 4

    /// - Parameter preference: Whether the answers of writes hold the resources; by default they do not.
    func run(
        _ document: JSONDocument, preference: Preferences.Return?, in session: Session
    ) async throws -> Answer {
        let (kind, entries) = try BundleReader(base: exchange.base).read(document)
        var bundle = BundleWriter(
            type: kind.rawValue + "-response", base: exchange.base, capacity: entries.count * 256)
        switch kind {
        case .transaction:
            let entries = try entries.map { try $0.get() }
            for answer in try await transaction(entries, preference ?? .minimal, in: session) {
                bundle.responseEntry(answer)
            }
        case .batch:
            guard case .pool = session else {
                throw FHIRFailure(
                    400, "not-supported", "A batch is many independent requests: it cannot have an Idempotency-Key.")
            }
            for answer in try await batch(entries, preference ?? .minimal) { bundle.responseEntry(answer) }
        }
        var answer = Answer(status: 200)
        answer.resource = ByteBuffer(bytes: bundle.finish())
        return answer
    }

    // MARK: Transaction

    /// All writes at once, then reads and searches, which see them; everything or nothing.
    private func transaction(
        _ entries: [BundleEntry], _ preference: Preferences.Return, in session: Session
    ) async throws -> [Answer] {
        let writes = try entries.map { try $0.write() }
        let execution = WriteExecution(exchange: exchange, requests: writes.compactMap { $0 }, isTransaction: true)
        let hasReads = writes.contains { $0 == nil }
        guard hasReads else {
            return try await answers(entries, try await execution.run(in: session), preference, in: session)
        }
        return try await session.withTransaction { connection in
            let session = Session.transaction(connection)
            return try await answers(entries, try await execution.run(in: session), preference, in: session)
        }
    }

    /// - Parameter results: Of the entries that write, in order.
    private func answers(
        _ entries: [BundleEntry], _ results: [WriteResult], _ preference: Preferences.Return, in session: Session
    ) async throws -> [Answer] {
        var answers: [Answer] = []
        answers.reserveCapacity(entries.count)
        var results = results.makeIterator()
        let interaction = WriteInteraction(exchange: exchange)
        for entry in entries {
            if try entry.write() != nil, let result = results.next() {
                answers.append(try await interaction.answer(result, preference: preference, in: session))
            } else {
                do {
                    answers.append(try await read(entry, in: session))
                } catch let failure as FHIRFailure {
                    throw failure.placed(entry.place)
                }
            }
        }
        return answers
    }

    // MARK: Batch

    /// Each entry by itself; one that fails does not touch the others.
    private func batch(
        _ entries: [Result<BundleEntry, FHIRFailure>], _ preference: Preferences.Return
    ) async throws -> [Answer] {
        try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
            var answers = [Answer](repeating: Answer(status: 500), count: entries.count)
            var next = 0
            while next < min(Self.batchWidth, entries.count) {
                let index = next
                group.addTask { (index, try await answer(entries[index], preference)) }
                next += 1
            }
            while let (index, answer) = try await group.next() {
                answers[index] = answer
                if next < entries.count {
                    let index = next
                    group.addTask { (index, try await self.answer(entries[index], preference)) }
                    next += 1
                }
            }
            return answers
        }
    }

    private func answer(
        _ entry: Result<BundleEntry, FHIRFailure>, _ preference: Preferences.Return
    ) async throws -> Answer {
        do {
            let entry = try entry.get()
            guard let write = try entry.write() else { return try await read(entry, in: exchange.pooled) }
            return try await WriteInteraction(exchange: exchange).run(
                write, preference: preference, in: exchange.pooled)
        } catch let failure as FHIRFailure {
            try await exchange.settle(failure)
            var answer = Answer(status: failure.status)
            answer.outcome = failure.outcome
            return answer
        }
    }

    // MARK: Reads

    private func read(_ entry: BundleEntry, in session: Session) async throws -> Answer {
        var answer = try await found(entry, in: session)
        if entry.method == .head { answer.resource = nil }
        return answer
    }

    private func found(_ entry: BundleEntry, in session: Session) async throws -> Answer {
        let reads = ReadInteraction(exchange: exchange)
        let request = ReadInteraction.Request(conditions: entry.readConditions, query: entry.query)
        switch entry.interaction {
        case .capabilities:
            return exchange.services.capabilities.answer(base: exchange.base, [:])
        case .read(let type, let id):
            return try await reads.read(type, id: id, request, in: session)
        case .readVersion(let type, let id, let version):
            return try await reads.readVersion(type, id: id, version: version, request, in: session)
        case .history(let scope):
            return try await HistoryInteraction(exchange: exchange).run(scope, query: entry.query, in: session)
        case .search(let type, let compartment, isForm: false):
            return try await SearchInteraction(exchange: exchange).run(
                type, compartment: compartment, parameters: entry.query.parameters, handling: .strict, in: session)
        case .search, .bundle, .create, .update, .updateWhere, .patch, .patchWhere, .delete,
            .deleteWhere:
            throw FHIRFailure(400, "not-supported", "A bundle cannot hold this request.", at: entry.place)
        }
    }
}
