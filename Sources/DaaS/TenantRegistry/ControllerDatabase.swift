import NIOCore
package import PostgresDriver

/// The controller's side of the control database: reads what is asked for and writes what is. It connects as superuser.
package struct ControllerDatabase: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    private func run(
        _ statement: PostgresStatement, _ values: [PostgresValue]
    ) async throws(TenantRegistryError) -> PostgresResult {
        do {
            return try await pool.query(statement, values, deadline: .now() + .seconds(10))
        } catch let error as PostgresError {
            throw TenantRegistryError(error)
        } catch {
            throw TenantRegistryError(.unavailable, "the control database does not answer")
        }
    }

    private static let columns = """
        id, name, time_zone, language, state, database, cell, error,
        to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        """

    private func records(_ result: PostgresResult) throws(TenantRegistryError) -> [TenantRecord] {
        var records: [TenantRecord] = []
        for row in result { records.append(try TenantRecord(row: row)) }
        return records
    }

    // A step that failed is tried again after 0.2, 0.4, … and at most 10 seconds.
    private static let pendingStatement = PostgresStatement(
        """
        select \(columns)
        from control.tenant
        where state in ('provisioning', 'deleting')
          and (attempts = 0 or changed_at < clock_timestamp()
               - least(power(2, least(attempts, 10)) * interval '100 milliseconds', interval '10 seconds'))
        order by created_at
        """)

    /// Tenants whose database is to be made or removed now.
    package func pendingTenants() async throws(TenantRegistryError) -> [TenantRecord] {
        try records(try await run(Self.pendingStatement, []))
    }

    private static let allStatement = PostgresStatement(
        "select \(columns) from control.tenant order by id")

    package func tenants() async throws(TenantRegistryError) -> [TenantRecord] {
        try records(try await run(Self.allStatement, []))
    }

    private static let readyStatement = PostgresStatement(
        """
        with ready as (
            update control.tenant
            set state = 'ready', attempts = 0, error = null, changed_at = clock_timestamp()
            where id = $1 and state = 'provisioning'
            returning id)
        insert into control.action (actor, action, realm, outcome)
        select 'controller', 'tenant.create', id, 'done' from ready
        """)

    /// The tenant's database is there. Says nothing when the tenant was asked to go away meanwhile.
    package func markReady(_ id: String) async throws(TenantRegistryError) {
        _ = try await run(Self.readyStatement, [.text(id)])
    }

    /// A tenant whose making failed so often is not tried again.
    package static let maximumAttempts: Int32 = 8

    private static let failedStatement = PostgresStatement(
        """
        update control.tenant
        set attempts = attempts + 1, error = $2, changed_at = clock_timestamp(),
            state = case when state = 'provisioning' and attempts + 1 >= $3 then 'failed' else state end
        where id = $1 and state in ('provisioning', 'deleting')
        """)

    /// A step failed; it is tried again later, up to ``maximumAttempts`` times when the tenant is being made.
    package func markFailed(_ id: String, error: String) async throws(TenantRegistryError) {
        _ = try await run(Self.failedStatement, [.text(id), .text(error), .int4(Self.maximumAttempts)])
    }

    private static let goneStatement = PostgresStatement(
        """
        with gone as (
            delete from control.tenant
            where id = $1 and state = 'deleting' and changed_at < clock_timestamp() - interval '1 second'
            returning id)
        insert into control.action (actor, action, realm, outcome)
        select 'controller', 'tenant.delete', id, 'done' from gone
        """)

    /// Forgets a tenant of which nothing is left, with its clients and keys.
    ///
    /// - Returns: false within a second of the request, while workers may still remember it; ask again.
    package func markGone(_ id: String) async throws(TenantRegistryError) -> Bool {
        try await run(Self.goneStatement, [.text(id)]).affectedRows > 0
    }

    private static let seenStatement = PostgresStatement(
        """
        insert into control.controller (version, process, started_at, seen_at)
        values ($1, $2, clock_timestamp(), clock_timestamp())
        on conflict (one) do update
        set seen_at = excluded.seen_at, version = excluded.version, process = excluded.process,
            started_at = case when control.controller.process = excluded.process
                              then control.controller.started_at else excluded.started_at end
        """)

    /// Says that the leading controller lives.
    package func markSeen(version: String, process: Int32) async throws(TenantRegistryError) {
        _ = try await run(Self.seenStatement, [.text(version), .int4(process)])
    }

    private static let purgeInvalidations = PostgresStatement(
        "delete from control.invalidation where expires_at < now() - interval '1 minute'")

    /// Removes what concerns nobody any more.
    package func purge() async throws(TenantRegistryError) {
        _ = try await run(Self.purgeInvalidations, [])
    }
}
