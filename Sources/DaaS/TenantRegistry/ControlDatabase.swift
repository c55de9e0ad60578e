package import CloudModel
package import Coordination
package import NIOCore
package import PostgresDriver

/// The gateway's side of the control database. Its role may only call functions, and each takes the acting tenant, which
/// row security then holds it to.
///
/// Other targets that keep tables in `control` (clients, keys) call their functions through ``call(_:_:)``.
package struct ControlDatabase: Sendable {
    /// The login role of the gateway workers in the cluster of `control` and `region`.
    package static let gatewayRole = "medcloud_gateway"
    /// The acting "tenant" of the operator, and of rows that belong to the region itself.
    package static let region = "region"

    private let pool: PostgresPool
    private let timeout: TimeAmount
    private var request: RequestKey?

    /// - Parameter timeout: how long one call may take.
    package init(pool: PostgresPool, timeout: TimeAmount = .seconds(4)) {
        self.pool = pool
        self.timeout = timeout
    }

    /// The same, where what is begun is noted with the request that began it.
    package func asked(by request: RequestKey) -> ControlDatabase {
        var asked = self
        asked.request = request
        return asked
    }

    /// How a gateway worker connects to `control`.
    package static func configuration(state: RegionState, key: RegionKey) -> PostgresConfiguration {
        var configuration = PostgresConfiguration(
            host: state.socketDirectory(cluster: "control"), database: "control", user: gatewayRole,
            password: key.password(role: gatewayRole))
        configuration.applicationName = "medcloudd"
        return configuration
    }

    /// What is notified on a channel of the control database, on a connection of its own.
    package func notifications(_ channel: String) -> AsyncStream<PostgresListenEvent> {
        pool.listen(channel)
    }

    /// The word for a tenant, or for the region, in the functions' `acting` and in `realm` columns.
    package static func realm(_ tenant: TenantID?) -> String {
        tenant?.rawValue ?? region
    }

    /// Calls one function of the control database.
    ///
    /// - Parameter limit: how long it may take, when that is not what calls usually take.
    package func call(
        _ statement: PostgresStatement, _ values: [PostgresValue], within limit: TimeAmount? = nil
    ) async throws(TenantRegistryError) -> PostgresResult {
        do {
            return try await pool.query(statement, values, for: request, deadline: .now() + (limit ?? timeout))
        } catch let error as PostgresError {
            throw TenantRegistryError(error)
        } catch {
            throw TenantRegistryError(.unavailable, "the control database does not answer")
        }
    }

    // MARK: Tenants

    private static let tenantsStatement = PostgresStatement(
        """
        select \(TenantRecord.columns) from control.tenants($1, $2)
        """)

    /// The tenant as itself sees it, or nil.
    package func tenant(_ id: TenantID) async throws(TenantRegistryError) -> TenantRecord? {
        let result = try await call(Self.tenantsStatement, [.text(id.rawValue), .text(id.rawValue)])
        return try records(result).first
    }

    /// Every tenant of the region, by id.
    package func tenants() async throws(TenantRegistryError) -> [TenantRecord] {
        try records(try await call(Self.tenantsStatement, [.text(Self.region), .null]))
    }

    private static let pageStatement = PostgresStatement(
        """
        select \(TenantRecord.columns) from control.tenants($1, null)
        where $2::text is null or id collate "C" > $2
        order by id collate "C"
        limit $3
        """)

    /// The tenants that the acting one may see, all of them for the region (nil), by id.
    package func tenants(
        _ page: PageRequest, acting: TenantID?
    ) async throws(TenantRegistryError) -> Page<TenantRecord> {
        let result = try await call(
            Self.pageStatement,
            [
                .text(Self.realm(acting)), page.after.map { .text($0[0]) } ?? .null, .int4(page.fetchLimit),
            ])
        return Page(try records(result), of: page) { [$0.id] }
    }

    private func records(_ result: PostgresResult) throws(TenantRegistryError) -> [TenantRecord] {
        var records: [TenantRecord] = []
        for index in 0..<result.count {
            records.append(try TenantRecord(row: result[index]))
        }
        return records
    }

    private static let createStatement = PostgresStatement(
        "select control.create_tenant($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb)")

    /// Asks for a tenant. The controller makes it; one that failed is made again.
    ///
    /// - Parameter actor: the client id of the operator, for the record.
    /// - Returns: the operation's id.
    /// - Throws: `conflict` when it exists, `invalid-value` for a value that breaks its rule.
    @discardableResult
    package func createTenant(_ new: NewTenant, actor: String) async throws(TenantRegistryError) -> String {
        guard TenantID(new.id) != nil else {
            throw TenantRegistryError.invalid(
                "id", "must be a lower-case letter, then up to 30 letters, digits or hyphens, and not \"region\"")
        }
        let result = try await call(
            Self.createStatement,
            [
                .text(Self.region), .text(actor), .text(new.id), .text(new.name), .text(new.timeZone),
                .text(new.language), .text(DatabaseName.random().rawValue), .text("cell-1"), .text(new.kind.rawValue),
                .text(TenantRecord.json(labels: new.labels)),
            ])
        return try Self.operation(result)
    }

    /// The operation's id that a function returned.
    private static func operation(_ result: PostgresResult) throws(TenantRegistryError) -> String {
        do throws(PostgresError) {
            if let id = try result.first?.string(0) { return id }
        } catch {
            throw TenantRegistryError(error)
        }
        throw TenantRegistryError(.failed, "the control database did not begin an operation")
    }

    private static let deleteStatement = PostgresStatement("select control.delete_tenant($1, $2, $3)")

    /// Asks for a tenant to be removed, with everything it has. Asking twice is asking once.
    ///
    /// - Returns: the operation's id.
    /// - Throws: `unknown-tenant`; `conflict` when it still has machines or networks.
    @discardableResult
    package func deleteTenant(_ id: TenantID, actor: String) async throws(TenantRegistryError) -> String {
        try Self.operation(
            try await call(Self.deleteStatement, [.text(Self.region), .text(actor), .text(id.rawValue)]))
    }

    // MARK: What to forget

    private static let invalidationsStatement = PostgresStatement(
        "select seq, at_seconds, kind, realm, client, token, expires_seconds from control.invalidations($1, $2)")

    /// What has been decided since `seq`, oldest first. Zero gives everything that still concerns anyone.
    package func invalidations(after seq: Int64) async throws(TenantRegistryError) -> [Invalidation] {
        let result = try await call(Self.invalidationsStatement, [.text(Self.region), .int8(seq)])
        var found: [Invalidation] = []
        for index in 0..<result.count {
            found.append(try Invalidation(row: result[index]))
        }
        return found
    }

    private static let controllerSeenStatement = PostgresStatement(
        "select seconds from control.leader_prepared($1, $2) as seconds where seconds is not null")

    /// Seconds since the leading controller last said that it lives; nil as long as the databases are of other schemas.
    ///
    /// - Parameter schemas: the caller's own, by their mark.
    package func controllerSeen(schemas: String) async throws(TenantRegistryError) -> Double? {
        let result = try await call(Self.controllerSeenStatement, [.text(Self.region), .text(schemas)])
        guard let row = result.first else { return nil }
        do throws(PostgresError) {
            return try row.float8(0)
        } catch {
            throw TenantRegistryError(error)
        }
    }
}

extension Invalidation {
    /// One row of `control.invalidations`.
    init(row: PostgresRow) throws(TenantRegistryError) {
        let kind: String
        let subject: Subject
        let realm: String
        do throws(PostgresError) {
            kind = try row.string(2)
            realm = try row.string(3)
            switch kind {
            case "token": subject = .token(try row.string(5))
            case "client": subject = .client(try row.string(4))
            default: subject = .tenant
            }
            self.init(
                seq: try row.int8(0), subject: subject, tenant: TenantID(realm), at: try row.int8(1),
                expiresAt: try row.int8(6))
        } catch {
            throw TenantRegistryError(error)
        }
    }
}
