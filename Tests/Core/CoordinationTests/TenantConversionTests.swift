import Coordination
import PostgresDriver
import Testing

/// V0007 of the control database: what a version without operations was making or removing gets the operation it lacks.
struct TenantConversionTests {
    private static let halfMade = """
        insert into control.tenant (id, name, time_zone, language, state, database, cell, attempts, error, created_by)
        values ('made', 'A', 'UTC', 'en', 'ready', 't_aaaaaaaaaaaaaaaaaaaaaaaaaa', 'cell-1', 1, null, 'one'),
               ('making', 'B', 'UTC', 'en', 'provisioning', 't_baaaaaaaaaaaaaaaaaaaaaaaaa', 'cell-1', 3, 'late', 'two'),
               ('leaving', 'C', 'UTC', 'en', 'deleting', 't_caaaaaaaaaaaaaaaaaaaaaaaaa', 'cell-1', 0, null, 'three'),
               ('failed', 'D', 'UTC', 'en', 'failed', 't_daaaaaaaaaaaaaaaaaaaaaaaaa', 'cell-1', 9, 'no', 'four')
        """
    private static let operations = PostgresStatement(
        """
        select concat_ws(' ', o.kind, o.tenant, o.subject, o.phase, o.created_by, o.input ->> 'database', o.input ->> 'cell',
                         (t.operation = o.id)::text)
        from control.operation o join control.tenant t on t.id = o.tenant
        order by o.tenant
        """)
    private static let states = PostgresStatement("select concat_ws(' ', id, state) from control.tenant order by id")
    private static let finish = PostgresStatement(
        "select control.finish_operation(t.operation, $2, null, null) from control.tenant t where t.id = $1")

    private func texts(_ fixture: ControlFixture, _ statement: PostgresStatement) async throws -> [String] {
        try await fixture.pool.query(statement, []).map { try $0.string(0) }
    }

    @Test func `half-made tenants of an older version are finished by operations`() async throws {
        try await ControlFixture.run(version: 6) { fixture in
            try await fixture.pool.withConnection { try await $0.execute(Self.halfMade) }
            try await fixture.migrate()
            #expect(
                try await texts(fixture, Self.operations) == [
                    "tenant.delete leaving leaving queued three t_caaaaaaaaaaaaaaaaaaaaaaaaa cell-1 true",
                    "tenant.create making making queued two t_baaaaaaaaaaaaaaaaaaaaaaaaa cell-1 true",
                ])
            try await fixture.pool.query(Self.finish, [.text("making"), .text("succeeded")])
            #expect(
                try await texts(fixture, Self.states) == [
                    "failed failed", "leaving deleting", "made ready", "making ready",
                ])
        }
    }

    @Test func `a removal of an older version that cannot be finished leaves a tenant that can be removed again`()
        async throws
    {
        try await ControlFixture.run(version: 6) { fixture in
            try await fixture.pool.withConnection { try await $0.execute(Self.halfMade) }
            try await fixture.migrate()
            try await fixture.pool.query(Self.finish, [.text("leaving"), .text("cancelled")])
            #expect(try await texts(fixture, Self.states).contains("leaving failed"))
            let again = PostgresStatement("select control.delete_tenant('test', 'leaving', null, null)")
            #expect(try await fixture.pool.query(again, []).count == 1)
        }
    }
}
