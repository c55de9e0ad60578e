import NIOCore
package import PostgresDriver

/// The controller's side of the control database: reads what is asked for. It connects as superuser; what it writes goes
/// through the operations and their leader's term.
package struct ControllerDatabase: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    private static let columns = """
        t.id, t.name, t.time_zone, t.language, t.state, t.database, t.cell, t.error,
        to_char(t.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), t.kind, t.labels::text, t.operation
        """

    private static let allStatement = PostgresStatement("select \(columns) from control.tenant t order by t.id")

    /// Every tenant, by id.
    package func tenants() async throws(TenantRegistryError) -> [TenantRecord] {
        try await records(Self.allStatement)
    }

    private static let servedStatement = PostgresStatement(
        """
        select \(columns)
        from control.tenant t left join control.operation o on o.id = t.operation
        where t.state = 'ready'
           or (t.state = 'deleting' and o.kind = 'tenant.delete' and not o.irrevocable and o.input ->> 'was' = 'ready')
        order by t.id
        """)

    /// Tenants that are ready, and those that are so again when their removal, which has not begun, is refused; by id.
    package func servedTenants() async throws(TenantRegistryError) -> [TenantRecord] {
        try await records(Self.servedStatement)
    }

    private func records(_ statement: PostgresStatement) async throws(TenantRegistryError) -> [TenantRecord] {
        let result: PostgresResult
        do {
            result = try await pool.query(statement, [], deadline: .now() + .seconds(10))
        } catch let error as PostgresError {
            throw TenantRegistryError(error)
        } catch {
            throw TenantRegistryError(.unavailable, "the control database does not answer")
        }
        var records: [TenantRecord] = []
        for row in result { records.append(try TenantRecord(row: row)) }
        return records
    }
}
