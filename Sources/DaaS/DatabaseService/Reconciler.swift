import CloudModel
package import Logging
package import TenantRegistry

/// Compares what is asked for with what is, and does the difference.
package struct Reconciler: Sendable {
    private let control: ControllerDatabase
    private let provisioner: TenantProvisioner
    private let parallelTenants: Int
    private let logger: Logger

    package init(control: ControllerDatabase, provisioner: TenantProvisioner, parallelTenants: Int, logger: Logger) {
        self.control = control
        self.provisioner = provisioner
        self.parallelTenants = max(1, parallelTenants)
        self.logger = logger
    }

    /// One look at everything that is not as it was asked for. A tenant that fails does not keep others waiting; its error is
    /// in its row, and it is tried again later.
    ///
    /// - Throws: when the control database does not answer.
    package func pass() async throws(TenantRegistryError) {
        let pending = try await control.pendingTenants()
        guard !pending.isEmpty else { return }
        let failure = await withTaskGroup(of: TenantRegistryError?.self) { group in
            var failure: TenantRegistryError?
            for (index, tenant) in pending.enumerated() {
                if index >= parallelTenants { failure = await group.next() ?? failure }
                group.addTask { await self.settle(tenant) }
            }
            for await outcome in group { failure = outcome ?? failure }
            return failure
        }
        if let failure { throw failure }
    }

    private func settle(_ tenant: TenantRecord) async -> TenantRegistryError? {
        do throws(TenantRegistryError) {
            guard let name = DatabaseName(tenant.database) else {
                try await control.markFailed(tenant.id, error: "the database's name is impossible")
                return nil
            }
            do throws(DatabaseServiceError) {
                try await act(on: tenant, name)
            } catch {
                logger.warning(
                    "tenant step failed", metadata: ["tenant.id": "\(tenant.id)", "error": "\(error)"])
                try await control.markFailed(tenant.id, error: "\(error.message) failed")
            }
            return nil
        } catch {
            return error
        }
    }

    private func act(on tenant: TenantRecord, _ name: DatabaseName) async throws(DatabaseServiceError) {
        let start = ContinuousClock.now
        do {
            switch tenant.state {
            case .provisioning:
                try await provisioner.run(ProvisioningStep.create, for: name)
                try await control.markReady(tenant.id)
            case .deleting:
                try await provisioner.run(ProvisioningStep.delete, for: name)
                // The row stays for a second, until every worker has forgotten the tenant.
                guard try await control.markGone(tenant.id) else { return }
            case .ready, .failed:
                return
            }
        } catch let error as DatabaseServiceError {
            throw error
        } catch {
            throw DatabaseServiceError(.step, "recording the step", cause: error)
        }
        logger.info(
            tenant.state == .deleting ? "tenant removed" : "tenant made",
            metadata: ["tenant.id": "\(tenant.id)", "duration": "\(ContinuousClock.now - start)"])
    }

    /// Databases and roles in the cell that no tenant row names: left by a restore of the control database from an older
    /// backup. They are reported, never removed.
    package func orphans() async throws -> [DatabaseName] {
        let known = Set(try await control.tenants().map(\.database))
        return try await provisioner.namesPresent().filter { !known.contains($0.rawValue) }
            .sorted { $0.rawValue < $1.rawValue }
    }
}
