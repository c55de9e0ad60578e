package import NIOCore
package import PostgresDriver

/// Where a statement runs: a connection that the caller holds, or any free one of a pool.
package protocol StatementRunner: Sendable {
    func run(_ statement: PostgresStatement, _ values: [PostgresValue]) async throws -> PostgresResult
}

/// Each statement by itself, on any free connection, committed when it returns.
package struct PooledStatements: StatementRunner {
    private let pool: PostgresPool
    private let deadline: NIODeadline?

    package init(_ pool: PostgresPool, deadline: NIODeadline?) {
        self.pool = pool
        self.deadline = deadline
    }

    package func run(_ statement: PostgresStatement, _ values: [PostgresValue]) async throws -> PostgresResult {
        try await pool.query(statement, values, deadline: deadline)
    }
}

extension PostgresConnection: StatementRunner {
    package func run(_ statement: PostgresStatement, _ values: [PostgresValue]) async throws -> PostgresResult {
        try await query(statement, values)
    }
}
