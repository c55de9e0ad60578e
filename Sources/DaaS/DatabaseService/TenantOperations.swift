import Coordination
import NIOCore
import PostgresDriver
package import SchemaMigration
import StrictJSON
package import TenantRegistry

extension ControllerWork {
    /// Making and removing tenants, and looking for what no tenant owns.
    package static func tenants(
        connections: ClusterConnections, key: RegionKey, schemas: RegionSchemas
    ) -> ControllerWork {
        let pool = connections.provisioningPool(cluster: ClusterConnections.cell)
        let provisioner = TenantProvisioner(pool: pool, key: key)
        let bootstrap = ClusterBootstrap(connections: connections, key: key, schemas: schemas)
        return ControllerWork(
            handlers: [
                TenantCreation(provisioner: provisioner, bootstrap: bootstrap),
                TenantDeletion(provisioner: provisioner),
            ],
            duties: [.orphanReport(provisioner: provisioner)],
            cleanUp: [{ await pool.shutdown() }])
    }
}

/// `tenant.create`: roles, then the database, then its doors. All of it can be taken back, because nobody has entered yet;
/// the tenant becomes ready in the transaction that ends the operation.
struct TenantCreation: OperationHandler {
    let kind = "tenant.create"
    let steps: [OperationStep]

    init(provisioner: TenantProvisioner, bootstrap: ClusterBootstrap) {
        // A controller of an earlier version may have copied the database and died.
        let migrate = OperationStep("migrate-database", percent: 90) { context in
            let database = try context.operation.database.rawValue
            try await context.leader.requireLeadership()
            try await bootstrap.migrateTenant(database, cell: ClusterConnections.cell)
            return .done
        }
        steps = [
            provisioner.step(.createEntryRole, percent: 15, undo: .dropEntryRole),
            provisioner.step(.createGatewayRole, percent: 30, undo: .dropGatewayRole),
            provisioner.step(.createDatabase, percent: 85, undo: .dropDatabase),
            migrate,
            provisioner.step(.closeDatabase, percent: 95),
        ]
    }
}

/// `tenant.delete`: the gateway's door, the database, the roles, and last the tenant's row with its clients and keys.
struct TenantDeletion: OperationHandler {
    let kind = "tenant.delete"
    let steps: [OperationStep]
    let pointOfNoReturn: String? = ProvisioningStep.lockGatewayRole.rawValue

    private static let dependentsStatement = PostgresStatement(
        "select name, is_leaving from control.tenant_dependents($1)")

    /// The row stays for a second, until every worker has forgotten the tenant.
    private static let forgetStatement = PostgresStatement(
        """
        delete from control.tenant
        where id = $1 and database = $2 and state = 'deleting'
          and changed_at < clock_timestamp() - interval '1 second'
        """)
    private static let isThereStatement = PostgresStatement(
        "select 1 from control.tenant where id = $1 and database = $2 and state = 'deleting'")

    init(provisioner: TenantProvisioner) {
        let check = OperationStep("check-dependents", percent: 5) { context in
            let rows = try await context.control.query(
                Self.dependentsStatement, [.text(context.operation.subject)], deadline: .now() + .seconds(10))
            let dependents = try rows.map { (name: try $0.string(0), isLeaving: try $0.bool(1)) }
            let names = dependents.prefix(20).map(\.name).joined(separator: ", ")
            guard dependents.allSatisfy(\.isLeaving) else {
                throw OperationFailure("tenant-in-use", "the tenant still has " + names)
            }
            return dependents.isEmpty ? .done : .waiting(reason: "the tenant still has " + names, after: .seconds(1))
        }
        let forget = OperationStep("forget-tenant", percent: 99) { context in
            let values: [PostgresValue] = [
                .text(context.operation.subject), .text(try context.operation.database.rawValue),
            ]
            return try await context.transaction { connection in
                try await connection.query(Self.forgetStatement, values)
                guard try await !connection.query(Self.isThereStatement, values).isEmpty else { return .done }
                return .waiting(reason: "the gateways are forgetting the tenant", after: .milliseconds(200))
            }
        }
        steps = [
            check,
            provisioner.step(.lockGatewayRole, percent: 20),
            provisioner.step(.dropDatabase, percent: 70),
            provisioner.step(.dropGatewayRole, percent: 80),
            provisioner.step(.dropEntryRole, percent: 90),
            forget,
        ]
    }
}

extension TenantProvisioner {
    /// A provisioning step as one of an operation.
    fileprivate func step(_ step: ProvisioningStep, percent: Int, undo: ProvisioningStep? = nil) -> OperationStep {
        OperationStep(
            step.rawValue, percent: percent,
            run: { context in
                try await act(step, context)
                return .done
            },
            undo: undo.map { taken in { @Sendable context in try await act(taken, context) } })
    }

    private func act(_ step: ProvisioningStep, _ context: OperationContext) async throws {
        try await run(step, for: try context.operation.database) { try await context.leader.requireLeadership() }
    }
}

extension OperationRecord {
    /// The tenant's database, of the operation's input.
    fileprivate var database: DatabaseName {
        get throws(OperationFailure) {
            let name = (try? JSONDocument(Array(input.utf8)))?.root["database"]?.string.flatMap { DatabaseName($0) }
            guard let name else { throw OperationFailure("invalid-input", "the operation names no database") }
            return name
        }
    }
}
