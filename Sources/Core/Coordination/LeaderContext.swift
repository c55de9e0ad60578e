import NIOCore
package import PostgresDriver

/// What the leading controller works with.
package struct LeaderContext: Sendable {
    /// Superuser connections to the control database.
    package let control: PostgresPool
    /// The leader's term: writes check it in their own transaction (``transaction(_:)``).
    package let fencingToken: Int64

    package init(control: PostgresPool, fencingToken: Int64) {
        self.control = control
        self.fencingToken = fencingToken
    }

    private static let fence = PostgresStatement("select control.require_leader($1)")

    /// Runs `body` in a transaction of the control database that fails once another controller leads.
    ///
    /// - Throws: `lost-leadership`, and what `body` throws.
    @discardableResult
    package func transaction<Result: Sendable>(
        _ body: (PostgresConnection) async throws -> Result
    ) async throws -> Result {
        do {
            return try await control.withTransaction(deadline: .now() + .seconds(30)) { connection in
                try await connection.query(Self.fence, [.int8(fencingToken)])
                return try await body(connection)
            }
        } catch let error as PostgresError where error.sqlState == "MC423" {
            throw CoordinationError(error)
        }
    }

    /// Fails once another controller leads. For effects outside the control database, right before each: what was stopped
    /// for a while must not go on where it was.
    package func requireLeadership() async throws {
        do {
            try await control.query(Self.fence, [.int8(fencingToken)], deadline: .now() + .seconds(10))
        } catch let error as PostgresError where error.sqlState == "MC423" {
            throw CoordinationError(error)
        }
    }
}

/// Work of the leading controller that no operation asks for: compares what is with what was asked for, cleans up.
package struct LeaderDuty: Sendable {
    /// For the log.
    package let name: String
    /// The pause after each run, also after one that failed.
    package let interval: Duration
    /// May last as long as the leadership; must end soon when cancelled. An error is logged, and it runs again.
    package let run: @Sendable (LeaderContext) async throws -> Void

    package init(
        _ name: String, every interval: Duration, run: @escaping @Sendable (LeaderContext) async throws -> Void
    ) {
        self.name = name
        self.interval = interval
        self.run = run
    }
}
