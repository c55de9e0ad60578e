import CloudModel
import Coordination
import PostgresDriver
import ResourcePools
import Testing

/// What is asked for of a tenant that is still being made, and what of one whose making did not succeed.
struct TenantOrderTests {
    private static let tenant = TenantID("h3")!

    /// Asks for the tenant, with room for what it is to have; the operation.
    private func makeTenant(_ fixture: PoolFixture, parent: String? = nil) async throws -> String {
        let id = try await fixture.pool.query(
            PostgresStatement(
                """
                select control.create_tenant('test', 'h3', 'C', 'UTC', 'en', 't_caaaaaaaaaaaaaaaaaaaaaaaaa', 'cell-1',
                                             'hospital', '{}', $1::uuid, null)::text
                """), [parent.map { .uuid($0) } ?? .null])[0].string(0)
        try await fixture.gateway.setQuota(PoolFixture.quota, of: Self.tenant, acting: nil, actor: "test")
        return id
    }

    private func makeNetwork(_ fixture: PoolFixture) async throws -> String {
        try await fixture.gateway.createNetwork(
            PoolFixture.network(), of: Self.tenant, acting: nil, actor: "test")
    }

    private func state(_ fixture: PoolFixture) async throws -> String? {
        try await fixture.pool.query(PostgresStatement("select state from control.tenant where id = 'h3'")).first?
            .string(0)
    }

    @Test func `what a tenant is to have waits until the tenant is made`() async throws {
        try await PoolFixture.run { fixture in
            let tenant = try await makeTenant(fixture)
            let network = try await makeNetwork(fixture)
            let instance = try await fixture.ask(.create(PoolFixture.instance("one")), of: Self.tenant)
            let waits = PostgresStatement("select after::text[] from control.operation where id = $1")
            #expect(try await fixture.pool.query(waits, [.uuid(network)])[0].textArray(0) == [tenant])
            #expect(try await fixture.pool.query(waits, [.uuid(instance)])[0].textArray(0) == [tenant, network])
            for id in [tenant, network, instance] { try await fixture.end(id) }
            #expect(try await state(fixture) == "ready")
            #expect(try await fixture.differences() == [])
        }
    }

    @Test func `a tenant whose making is cancelled takes with it what waits for it`() async throws {
        try await PoolFixture.run { fixture in
            let tenant = try await makeTenant(fixture)
            let network = try await makeNetwork(fixture)
            let instance = try await fixture.ask(.create(PoolFixture.instance("one")), of: Self.tenant)
            try await fixture.end(tenant, "cancelled")
            #expect(try await state(fixture) == nil)
            for id in [network, instance] {
                #expect(
                    try await fixture.status(id).error
                        == OperationFailure("dependency-failed", "what it waits for did not succeed: tenant.create h3"))
            }
            #expect(try await fixture.differences() == [])
        }
    }

    @Test func `a plan that makes a tenant with machines can be cancelled while it waits`() async throws {
        try await PoolFixture.run { fixture in
            let whole = try await fixture.pool.query(
                PostgresStatement("select control.begin_operation('test', 'apply', null, '', '{}', null, null, null)"))[
                    0
                ]
                .string(0)
            var parts = [try await makeTenant(fixture, parent: whole)]
            for call in [
                "create_network('test', 'h3', '\(PoolFixture.network())', '\(whole)', '{\(parts[0])}')",
                "create_instance('test', 'h3', '\(PoolFixture.instance("one"))', '\(whole)', '{\(parts[0])}')",
            ] {
                parts.append(
                    try await fixture.pool.query(PostgresStatement("select control.\(call)::text"))[0].string(0))
            }
            try await fixture.pool.query(
                PostgresStatement("select control.cancel_operation('region', 'test', $1)"), [.uuid(whole)])
            for id in parts { #expect(try await fixture.status(id).phase == .cancelled) }
            #expect(try await state(fixture) == nil)
            #expect(try await fixture.differences() == [])
        }
    }

    @Test(arguments: ["failed", "cancelled"])
    func `what a tenant has whose making did not succeed can be removed, and nothing made`(_ end: String) async throws {
        try await PoolFixture.run { fixture in
            let tenant = try await makeTenant(fixture)
            let network = try await makeNetwork(fixture)
            // As an earlier version did it: before its tenant.
            try await fixture.end(network)
            try await fixture.end(tenant, end)
            #expect(try await state(fixture) == "failed")
            await #expect(throws: ResourcePoolError.self) {
                try await fixture.ask(.create(PoolFixture.instance("one")), of: Self.tenant)
            }
            let removal = try await fixture.gateway.deleteNetwork(
                "lan", of: Self.tenant, acting: nil, actor: "test")
            try await fixture.end(removal)
            try await fixture.pool.query(
                PostgresStatement("select control.delete_tenant('region', 'test', 'h3')"))
            #expect(try await fixture.differences() == [])
        }
    }
}
