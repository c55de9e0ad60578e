import PostgresDriver
import Testing

/// V0023 of the control database: networks that were being replaced when their addresses were not kept.
struct NetworkConversionTests {
    private static let rows = """
        insert into control.tenant (id, name, time_zone, language, state, database, cell, created_by)
        values ('h1', 'A', 'UTC', 'en', 'ready', 't_aaaaaaaaaaaaaaaaaaaaaaaaaa', 'cell-1', 'test');
        insert into control.network (id, tenant, name, resource, cidr, state, is_replaced, created_by)
        values ('00000000-0000-4000-8000-000000000001', 'h1', 'lan', 'n-' || repeat('a', 26), '10.1.0.0/24', 'deleting', true,
                'test'),
               ('00000000-0000-4000-8000-000000000002', 'h1', 'wan', 'n-' || repeat('b', 26), '10.2.0.0/24', 'deleting', true,
                'test'),
               ('00000000-0000-4000-8000-000000000003', 'h1', 'web', 'n-' || repeat('c', 26), '10.1.0.0/24', 'ready', false,
                'test')
        """
    private static let others = PostgresStatement(
        """
        select n.name || ' ' || o.name from control.network n join control.network o on o.id = n.yields_to
        """)

    @Test func `one whose addresses another has meanwhile stays out, the others keep theirs`() async throws {
        try await ControlFixture.run(version: 22) { fixture in
            try await fixture.pool.withConnection { try await $0.execute(Self.rows) }
            try await fixture.migrate()
            #expect(try await fixture.pool.query(Self.others, []).map { try $0.string(0) } == ["lan web"])
            for range in ["10.1.0.0/24", "10.2.0.0/25"] {
                await #expect {
                    try await fixture.pool.query(
                        PostgresStatement(
                            """
                            insert into control.network (tenant, name, resource, cidr, created_by)
                            values ('h1', 'next', 'n-' || repeat('d', 26), '\(range)', 'test')
                            """), [])
                } throws: { ($0 as? PostgresError)?.sqlState == "23P01" }
            }
        }
    }
}
