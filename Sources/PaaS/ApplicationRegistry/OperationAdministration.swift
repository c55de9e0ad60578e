package import CloudIdentity
package import CloudModel
package import Coordination
import PostgresDriver
package import TenantRegistry

/// What `/v1/operations` does. The operator sees and cancels everything; a tenant's administrator what concerns its tenant;
/// everyone else is denied.
package struct OperationAdministration: Sendable {
    /// Which operations are asked for; nil is all.
    package struct Filter: Sendable, Hashable {
        package var tenant: TenantID?
        package var phase: OperationStatus.Phase?
        package var kind: String?
        /// A UUID.
        package var parent: String?

        package init(
            tenant: TenantID? = nil, phase: OperationStatus.Phase? = nil, kind: String? = nil, parent: String? = nil
        ) {
            self.tenant = tenant
            self.phase = phase
            self.kind = kind
            self.parent = parent
        }
    }

    private let control: ControlDatabase

    package init(control: ControlDatabase) {
        self.control = control
    }

    /// The same, where what is asked for is noted with the request that asked for it.
    package func asked(by request: RequestKey) -> OperationAdministration {
        OperationAdministration(control: control.asked(by: request))
    }

    private static let listStatement = PostgresStatement(
        """
        select seq, \(OperationStatus.columns)
        from control.operations($1, $2::uuid, $3, $4, $5, $6::uuid, $7, $8)
        """)

    /// The newest first; the key is the number of an operation.
    package func operations(
        _ filter: Filter, _ page: PageRequest, as principal: Principal
    ) async throws(TenantRegistryError) -> Page<OperationStatus> {
        let result = try await control.call(
            Self.listStatement,
            [
                .text(try Self.acting(principal)), .null, filter.tenant.map { .text($0.rawValue) } ?? .null,
                filter.phase.map { .text($0.rawValue) } ?? .null, filter.kind.map { .text($0) } ?? .null,
                filter.parent.map { .text($0) } ?? .null,
                page.after.flatMap { Int64($0[0]) }.map { .int8($0) } ?? .null, .int4(page.fetchLimit),
            ])
        do throws(PostgresError) {
            var found: [(number: Int64, operation: OperationStatus)] = []
            for row in result { found.append((try row.int8(0), try OperationStatus(row: row, from: 1))) }
            return Page(found, of: page) { [String($0.number)] }.map(\.operation)
        } catch {
            throw TenantRegistryError(error)
        }
    }

    /// - Parameter id: a UUID.
    /// - Throws: `unknown-tenant`, also for an operation that does not concern the caller's tenant.
    package func operation(
        _ id: String, as principal: Principal
    ) async throws(TenantRegistryError) -> OperationStatus {
        try await operation(id, acting: try Self.acting(principal))
    }

    /// - Parameter acting: the acting tenant, or the region.
    func operation(_ id: String, acting: String) async throws(TenantRegistryError) -> OperationStatus {
        let result = try await control.call(
            Self.listStatement, [.text(acting), .text(id), .null, .null, .null, .null, .null, .int4(1)])
        do throws(PostgresError) {
            if let row = result.first { return try OperationStatus(row: row, from: 1) }
        } catch {
            throw TenantRegistryError(error)
        }
        throw TenantRegistryError(.unknownTenant, "no such operation")
    }

    private static let eventsStatement = PostgresStatement(
        """
        select number, \(OperationStatus.columns)
        from control.operation_events($1, $2::text[]::uuid[], $3)
        """)

    /// The next events of operations, each by its id with the number of the last one known; by operation, then number.
    ///
    /// For callers that have shown before that they may see these operations.
    package func events(after positions: [String: Int32]) async throws(TenantRegistryError) -> [OperationEvent] {
        let pairs = positions.map { ($0.key, $0.value) }
        let result = try await control.call(
            Self.eventsStatement,
            [.text(ControlDatabase.region), .textArray(pairs.map(\.0)), .int4Array(pairs.map(\.1))])
        do throws(PostgresError) {
            var events: [OperationEvent] = []
            for row in result {
                events.append(
                    OperationEvent(number: try row.int4(0), operation: try OperationStatus(row: row, from: 1)))
            }
            return events
        } catch {
            throw TenantRegistryError(error)
        }
    }

    private static let cancelStatement = PostgresStatement("select control.cancel_operation($1, $2, $3::uuid)")

    /// Asks for an operation's end: at once when it waits, after it was undone when it runs.
    ///
    /// - Throws: `conflict` when it is too late, `unknown-tenant`, `denied`.
    package func cancel(_ id: String, as principal: Principal) async throws(TenantRegistryError) {
        _ = try await control.call(
            Self.cancelStatement, [.text(try Self.acting(principal)), .text(principal.clientID), .text(id)])
    }

    private static func acting(_ principal: Principal) throws(TenantRegistryError) -> String {
        switch principal.kind {
        case .operator where principal.tenant == nil: return ControlDatabase.region
        case .tenantAdministrator:
            guard let own = principal.tenant else { break }
            return own.rawValue
        default: break
        }
        throw TenantRegistryError(.denied, "this needs an operator or the tenant's administrator")
    }
}
