import CLibPQ

/// Batches: how they are sent and how their answers are taken in.
extension PostgresSession {
    /// - Returns: false when libpq refused; the connection is to be closed.
    func sendBatch(_ id: UInt64, _ statements: [BoundStatement], _ connection: LibPQConnection) -> Bool {
        var steps: [BatchFlow<PostgresResult, PostgresError>.Step] = []
        steps.reserveCapacity(statements.count)
        var bytes = 0
        for (index, bound) in statements.enumerated() {
            bytes += bound.parameters.bytes.count
            let number: Int
            switch cache.plan(bound.statement, bound.parameters) {
            case .use(let known): number = known
            case .prepare(let new, let types):
                number = new
                steps.append(.prepare(statement: new, query: index))
                guard
                    connection.sendPrepare(name: StatementCache.name(new), sql: bound.statement.sql, types: types)
                else { return false }
            }
            steps.append(.query(index))
            guard connection.sendExecute(name: StatementCache.name(number), parameters: bound.parameters) else {
                return false
            }
        }
        if bytes > Self.maximumKeptBytes { retire() }
        flow.sent(batch: id, steps: steps, queries: statements.count)
        return connection.sendSync()
    }

    /// Frees prepared statements that are no longer wanted, in a batch of its own so that it cannot fail another.
    func sendMaintenance(_ connection: LibPQConnection) {
        let transaction = connection.transactionStatus
        guard transaction == PQTRANS_IDLE || transaction == PQTRANS_ACTIVE else { return }
        let numbers = cache.takeDiscarded()
        if numbers.isEmpty { return }
        var steps: [BatchFlow<PostgresResult, PostgresError>.Step] = []
        for number in numbers where connection.sendUnprepared("deallocate " + StatementCache.name(number)) {
            steps.append(.deallocate(statement: number))
        }
        flow.sent(batch: 0, steps: steps, queries: 0)
        _ = connection.sendSync()
    }

    func drainBatch(
        _ connection: LibPQConnection
    ) throws(BatchFlow<PostgresResult, PostgresError>.Violation) {
        switch connection.nextReply() {
        case nil: try flow.endOfStatement()
        case .result(let handle):
            if handle.memorySize > Self.maximumKeptBytes { retire() }
            try flow.received(.success(PostgresResult(handle)))
        case .failure(let error):
            if error.sqlState == nil, connection.isBad {
                close(error)
            } else {
                try flow.received(.failure(error))
            }
        case .aborted: try flow.received(.aborted)
        case .sync: settle(try flow.sync())
        case .copyIn, .unexpected: close(PostgresError(.protocol, "the statement needs COPY, which a batch cannot do"))
        }
    }

    func settle(_ finished: BatchFlow<PostgresResult, PostgresError>.Finished) {
        for number in finished.notPrepared { cache.remove(number: number) }
        for number in finished.notDeallocated { cache.keepForLater(number: number) }
        guard let entry = inFlight[finished.batch] else { return }
        if case .statements(let statements) = entry.request.work {
            for (index, outcome) in finished.outcomes.enumerated() {
                if case .failure(let error) = outcome, error.isStaleStatement {
                    cache.discard(statements[index].statement)
                }
            }
        }
        answer(
            finished.batch,
            SessionReply(
                outcomes: finished.outcomes, isComplete: finished.isComplete, commitFailed: finished.commitFailed))
    }
}
