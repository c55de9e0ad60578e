import CloudIdentity
import CloudModel
import DatabaseService
import PostgresDriver
import StrictJSON
import TestSupport
import Testing

@testable import ApplicationRegistry

/// An old signing key is replaced while everybody goes on.
@Suite struct KeyRotationTests {
    /// As if the tenant's keys had been made `days` ago.
    private func age(_ tenant: TenantID, days: Int, in region: TestRegion) async throws {
        let pool = region.superuser(cluster: ClusterConnections.control, database: "control", maximumConnections: 1)
        try await pool.withConnection {
            try await $0.execute(
                "update control.signing_key set created_at = now() - interval '\(days) days' where tenant = '\(tenant.rawValue)'"
            )
        }
        await pool.shutdown()
    }

    private func keyIDs(_ worker: Worker, _ tenant: TenantID) async throws -> [String] {
        try await worker.database.signingKeys(of: tenant).map(\.keyID)
    }

    @Test func `an old key is replaced once, and tokens of both are good`() async throws {
        let first = await Worker(try await .shared)
        let region = first.region
        let tenant = try await region.makeTenant()
        let client = try await first.makeClient(in: tenant)
        let before = try await first.token(client)
        let old = try await keyIDs(first, tenant)
        #expect(old.count == 1)
        try await age(tenant, days: 89, in: region)
        _ = try await (await Worker(region)).token(client)
        #expect(try await keyIDs(first, tenant) == old)
        try await age(tenant, days: 91, in: region)

        // Many workers find it old at once.
        let tokens = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<6 { group.addTask { try await (await Worker(region)).token(client) } }
            return try await group.reduce(into: [String]()) { $0.append($1) }
        }
        let present = try await first.database.signingKeys(of: tenant)
        #expect(present.count == 2)
        #expect(present.filter(\.isActive).map(\.keyID) != old)
        #expect(present.filter { !$0.isActive }.map(\.keyID) == old)

        // This worker has not heard of it yet: it signs with the old key, which is good, and believes the new one.
        let late = try await first.token(client)
        let other = await Worker(region)
        for token in [before, late] + tokens {
            _ = try await first.verifier.verify(token)
            _ = try await other.verifier.verify(token)
        }
        let published = try JSONDocument(await other.server.keySet(of: tenant).body).root["keys"]
        #expect(Set(published?.elements.compactMap { $0["kid"]?.string } ?? []) == Set(present.map(\.keyID)))
    }
}
