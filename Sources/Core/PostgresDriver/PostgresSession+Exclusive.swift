import NIOCore

/// The simple protocol and COPY, which pipeline mode does not allow.
extension PostgresSession {
    /// - Returns: false when nothing more can be read now.
    func drainExclusive(
        _ connection: LibPQConnection
    ) throws(BatchFlow<PostgresResult, PostgresError>.Violation) -> Bool {
        guard var current = exclusive else { return false }
        if current.copyIsOpen { return false }
        switch connection.nextReply() {
        case nil:
            exclusive = nil
            guard connection.enterPipeline() else {
                close(connection.connectionError())
                return false
            }
            answer(current.id, SessionReply(outcomes: current.outcomes, isComplete: true))
            return true
        case .result(let handle): current.outcomes.append(.success(PostgresResult(handle)))
        case .failure(let error):
            if error.sqlState == nil, connection.isBad {
                close(error)
                return false
            }
            current.outcomes.append(.failure(error))
        case .copyIn:
            current.copyIsOpen = true
            if current.copyData == nil {
                guard connection.putCopyEnd(error: "COPY data must be sent with copyIn") else {
                    close(connection.connectionError())
                    return false
                }
                current.copyIsOpen = false
            }
        case .aborted, .sync, .unexpected:
            close(PostgresError(.protocol, "a reply that the simple protocol does not have"))
            return false
        }
        exclusive = current
        return true
    }

    /// Hands COPY data to libpq as long as it takes some.
    func continueCopy(_ connection: LibPQConnection) {
        guard var current = exclusive, current.copyIsOpen, var data = current.copyData else { return }
        while let chunk = data.first {
            switch unsafe chunk.withUnsafeReadableBytes({ bytes in unsafe connection.putCopyData(bytes) }) {
            case true?: data.removeFirst()
            case nil:
                current.copyData = data
                exclusive = current
                return
            case false?:
                close(connection.connectionError())
                return
            }
        }
        guard connection.putCopyEnd(error: nil) else {
            close(connection.connectionError())
            return
        }
        current.copyData = data
        current.copyIsOpen = false
        exclusive = current
    }
}
