package import CloudHTTP
package import CloudModel
package import NIOCore
import Synchronization
package import TenantRegistry

/// The tenant directory over the control database, remembered for a few seconds so that public routes cost no query each.
package final class CachedTenantDirectory: TenantDirectory {
    private struct Entry: Sendable {
        let origins: Set<String>?
        let hasRecords: Bool
        let until: NIODeadline
    }

    /// How long a tenant is believed to serve.
    package static let lifetime: TimeAmount = .seconds(5)
    /// How long a tenant is believed not to: a new one is seen at once.
    package static let absenceLifetime: TimeAmount = .milliseconds(200)
    /// Answers remembered; asking for more names than this forgets them all.
    private static let capacity = 4096

    private let control: ControlDatabase
    /// The origins that a tenant's applications have registered.
    private let registeredOrigins: @Sendable (TenantID) async throws -> Set<String>
    private let entries = Mutex<[TenantID: Entry]>([:])

    package init(
        control: ControlDatabase, registeredOrigins: @escaping @Sendable (TenantID) async throws -> Set<String>
    ) {
        self.control = control
        self.registeredOrigins = registeredOrigins
    }

    package func origins(of tenant: TenantID) async throws(Problem) -> Set<String>? {
        try await entry(of: tenant).origins
    }

    package func hasRecords(_ tenant: TenantID) async throws(Problem) -> Bool {
        try await entry(of: tenant).hasRecords
    }

    private func entry(of tenant: TenantID) async throws(Problem) -> Entry {
        let now = NIODeadline.now()
        if let entry = entries.withLock({ $0[tenant] }), entry.until > now { return entry }
        let origins: Set<String>?
        let hasRecords: Bool
        do {
            let record = try await control.tenant(tenant)
            origins = record?.state == .ready ? try await registeredOrigins(tenant) : nil
            hasRecords = origins != nil && record?.kind != .partner
        } catch let error as TenantRegistryError {
            throw Problem(error)
        } catch {
            throw Problem(.unavailable, retryAfter: 1)
        }
        let entry = Entry(
            origins: origins, hasRecords: hasRecords,
            until: now + (origins == nil ? Self.absenceLifetime : Self.lifetime))
        entries.withLock { entries in
            if entries.count >= Self.capacity { entries = [:] }
            entries[tenant] = entry
        }
        return entry
    }
}
