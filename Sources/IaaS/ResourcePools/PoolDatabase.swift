package import CloudModel
package import Coordination
package import NIOCore
package import PostgresDriver

/// The gateway's side of the resource pools: functions of the control database, each with the acting tenant (nil is the
/// region), which row security then holds it to.
package struct PoolDatabase: Sendable {
    private let pool: PostgresPool
    private let timeout: TimeAmount
    private var request: RequestKey?

    /// - Parameters:
    ///   - pool: connections to `control` in the gateway's role.
    ///   - timeout: how long one call may take.
    package init(pool: PostgresPool, timeout: TimeAmount = .seconds(4)) {
        self.pool = pool
        self.timeout = timeout
    }

    /// The same, where what is begun is noted with the request that began it.
    package func asked(by request: RequestKey) -> PoolDatabase {
        var asked = self
        asked.request = request
        return asked
    }

    private static func realm(_ acting: TenantID?) -> PostgresValue { .text(acting?.rawValue ?? "region") }

    private func call(
        _ statement: PostgresStatement, _ values: [PostgresValue]
    ) async throws(ResourcePoolError) -> PostgresResult {
        do {
            return try await pool.query(statement, values, for: request, deadline: .now() + timeout)
        } catch let error as PostgresError {
            throw ResourcePoolError(error)
        } catch {
            throw ResourcePoolError(.unavailable, "the control database does not answer")
        }
    }

    private func rows<Value>(
        _ result: PostgresResult, _ read: (PostgresRow) throws(PostgresError) -> Value
    ) throws(ResourcePoolError) -> [Value] {
        do throws(PostgresError) {
            var values: [Value] = []
            values.reserveCapacity(result.count)
            for row in result { values.append(try read(row)) }
            return values
        } catch {
            throw ResourcePoolError(error)
        }
    }

    // MARK: Requests

    private static let askNetwork = PostgresStatement("select control.ask_network($1, $2, $3, $4, $5, $6::jsonb)")
    private static let askInstance = PostgresStatement("select control.ask_instance($1, $2, $3, $4, $5, $6::jsonb)")
    private static let askQuota = PostgresStatement("select control.ask_quota($1, $2, $3, $4::jsonb)")

    /// What is asked for: with a specification (JSON), or of something that has a name already.
    package enum Request: Sendable, Hashable {
        case create(String)
        case update(String)
        case change(InstanceChangeRequest, name: String)

        fileprivate var values: [PostgresValue] {
            switch self {
            case .create(let json): [.text("create"), .null, .text(json)]
            case .update(let json): [.text("update"), .null, .text(json)]
            case .change(let request, let name): [.text(request.rawValue), .text(name), .null]
            }
        }
    }

    /// - Returns: the operation's id; nil when all is as asked for already.
    package func ask(
        instance request: Request, of tenant: TenantID, acting: TenantID?, actor: String
    ) async throws(ResourcePoolError) -> String? {
        let result = try await call(
            Self.askInstance, [Self.realm(acting), .text(actor), .text(tenant.rawValue)] + request.values)
        return try rows(result) { (row) throws(PostgresError) in try row.optionalString(0) }.first ?? nil
    }

    /// - Returns: the operation's id.
    package func createNetwork(
        _ json: String, of tenant: TenantID, acting: TenantID?, actor: String
    ) async throws(ResourcePoolError) -> String {
        try await ask(network: [.text("create"), .null, .text(json)], tenant, acting, actor)
    }

    /// - Returns: the operation's id.
    package func deleteNetwork(
        _ name: String, of tenant: TenantID, acting: TenantID?, actor: String
    ) async throws(ResourcePoolError) -> String {
        try await ask(network: [.text("delete"), .text(name), .null], tenant, acting, actor)
    }

    private func ask(
        network values: [PostgresValue], _ tenant: TenantID, _ acting: TenantID?, _ actor: String
    ) async throws(ResourcePoolError) -> String {
        let result = try await call(
            Self.askNetwork, [Self.realm(acting), .text(actor), .text(tenant.rawValue)] + values)
        let id = try rows(result) { (row) throws(PostgresError) in try row.string(0) }.first
        guard let id else { throw ResourcePoolError(.failed, "the control database began no operation") }
        return id
    }

    /// - Parameter json: an object of limits; what is not in it is zero.
    package func setQuota(
        _ json: String, of tenant: TenantID, acting: TenantID?, actor: String
    ) async throws(ResourcePoolError) {
        _ = try await call(
            Self.askQuota, [Self.realm(acting), .text(actor), .text(tenant.rawValue), .text(json)])
    }

    private static let operation = PostgresStatement(
        """
        select \(OperationStatus.columns)
        from control.operations($1, $2, null, null, null, null, null, 1)
        """)

    /// The operation that a request has begun, as it is now.
    package func operation(_ id: String, acting: TenantID?) async throws(ResourcePoolError) -> OperationStatus {
        let found = try rows(try await call(Self.operation, [Self.realm(acting), .uuid(id)])) {
            (row) throws(PostgresError) in try OperationStatus(row: row, from: 0)
        }.first
        guard let found else { throw ResourcePoolError(.notFound, "no such operation") }
        return found
    }

    // MARK: What is

    /// The last arguments of lists; no limit is all.
    private static func page(_ name: String?, _ last: String?, _ limit: Int?) -> [PostgresValue] {
        [
            name.map { .text($0) } ?? .null, last.map { .text($0) } ?? .null,
            limit.map { .int4(Int32($0)) } ?? .null,
        ]
    }

    private static let quotas = PostgresStatement("select dimension, maximum, used from control.quotas($1, $2)")

    package func quotas(of tenant: TenantID, acting: TenantID?) async throws(ResourcePoolError) -> [Quota] {
        try rows(try await call(Self.quotas, [Self.realm(acting), .text(tenant.rawValue)])) {
            (row) throws(PostgresError) in
            Quota(dimension: try row.string(0), limit: try row.int8(1), used: try row.int8(2))
        }
    }

    private static let networks = PostgresStatement(
        """
        select name, cidr, state, reason, operation, instances, created_at
        from control.networks($1, $2, $3, $4, $5)
        """)

    /// Networks of a tenant by name: those after `last`, or the one of this name.
    package func networks(
        of tenant: TenantID, name: String? = nil, after last: String? = nil, limit: Int? = nil, acting: TenantID?
    ) async throws(ResourcePoolError) -> [NetworkDescription] {
        let result = try await call(
            Self.networks, [Self.realm(acting), .text(tenant.rawValue)] + Self.page(name, last, limit))
        return try rows(result) { (row) throws(PostgresError) in
            NetworkDescription(
                name: try row.string(0), cidr: try row.string(1), state: try row.string(2),
                reason: try row.optionalString(3), operation: try row.optionalString(4), instances: try row.int8(5),
                createdAt: try row.string(6))
        }
    }

    private static let instances = PostgresStatement(
        """
        select id, name, spec, mac, address, state, observed, ready, reason, restarts, operation, created_at, changed_at,
               seen_at, is_known, has_compute
        from control.instances($1, $2, $3, $4, $5)
        """)

    /// Instances of a tenant by name: those after `last`, or the one of this name.
    package func instances(
        of tenant: TenantID, name: String? = nil, after last: String? = nil, limit: Int? = nil, acting: TenantID?
    ) async throws(ResourcePoolError) -> [InstanceDescription] {
        let result = try await call(
            Self.instances, [Self.realm(acting), .text(tenant.rawValue)] + Self.page(name, last, limit))
        return try rows(result) { (row) throws(PostgresError) in try InstanceDescription(row: row) }
    }

    private static let usage = PostgresStatement(
        """
        select instance, name, begins, ends, reason, is_running, vcpus, memory, storage
        from control.usage_of($1, $2, $3, $4, $5::text[], $6)
        """)
    /// Intervals that one answer has at most.
    package static let maximumIntervals = 10_000

    /// What a tenant's instances used between two times (microseconds since 1970), gone ones too: by name and id of the
    /// instance, those after the key `last`, and in the order of time.
    ///
    /// - Parameter limit: how many instances; nil is all.
    /// - Throws: `invalid-value` when there are more than ``maximumIntervals``.
    package func usage(
        of tenant: TenantID, from begin: Int64, to end: Int64, after last: [String]? = nil, limit: Int? = nil,
        acting: TenantID?
    ) async throws(ResourcePoolError) -> [UsageInterval] {
        let result = try await call(
            Self.usage,
            [
                Self.realm(acting), .text(tenant.rawValue), .int8(begin), .int8(end),
                last.map { .textArray($0) } ?? .null, limit.map { .int4(Int32($0)) } ?? .null,
            ])
        guard result.count <= Self.maximumIntervals else {
            throw ResourcePoolError(
                .invalidValue(field: "query:to", rule: "ask for a shorter time, or for fewer instances by limit"),
                "there are more than \(Self.maximumIntervals) intervals in this time")
        }
        return try rows(result) { (row) throws(PostgresError) in
            UsageInterval(
                instance: try row.string(0), name: try row.string(1), begin: try row.int8(2), end: try row.int8(3),
                reason: try row.string(4), isRunning: try row.bool(5), virtualCPUs: try row.int8(6),
                memory: try row.int8(7), storage: try row.int8(8))
        }
    }

    private static let images = PostgresStatement(
        "select name, disk, memory, sha256 from control.images($1, $2, $3)")

    /// Images by name, those after `last`.
    package func images(
        after last: String? = nil, limit: Int? = nil, acting: TenantID?
    ) async throws(ResourcePoolError) -> [ImageDescription] {
        let page = Self.page(nil, last, limit).dropFirst()
        return try rows(try await call(Self.images, [Self.realm(acting)] + page)) { (row) throws(PostgresError) in
            ImageDescription(
                name: try row.string(0), disk: try row.int8(1), memory: try row.int8(2), sha256: try row.string(3))
        }
    }

    private static let drifts = PostgresStatement(
        """
        select tenant, resource, kind, name, expected, found, action, since
        from control.drifts($1, $2::text[], $3)
        """)

    /// Of all tenants and of the host and the cells for the region; of its own for a tenant. Those after the key `last`.
    package func drifts(
        after last: [String]? = nil, limit: Int? = nil, acting: TenantID?
    ) async throws(ResourcePoolError) -> [DriftDescription] {
        let result = try await call(
            Self.drifts,
            [
                Self.realm(acting), last.map { .textArray($0) } ?? .null, limit.map { .int4(Int32($0)) } ?? .null,
            ])
        return try rows(result) { (row) throws(PostgresError) in
            DriftDescription(
                tenant: try row.optionalString(0), resource: try row.string(1), kind: try row.string(2),
                name: try row.string(3), expected: try row.string(4), found: try row.string(5),
                action: try row.string(6), since: try row.string(7))
        }
    }

    // MARK: The console

    private static let askConsole = PostgresStatement("select control.ask_console($1, $2, $3)")
    private static let consoleLog = PostgresStatement("select log, error from control.console_log($1, $2, $3, $4)")

    /// The end of what the guest wrote to its console, at most 64 KiB. The controller reads it, so this waits for it.
    ///
    /// - Throws: `unavailable` when the controller has not answered within `limit`.
    package func console(
        of name: String, tenant: TenantID, acting: TenantID?, within limit: Duration
    ) async throws(ResourcePoolError) -> [UInt8] {
        let end = ContinuousClock.now + limit
        let asked = try await call(Self.askConsole, [Self.realm(acting), .text(tenant.rawValue), .text(name)])
        let since = try rows(asked) { (row) throws(PostgresError) in try row.int8(0) }.first ?? 0
        while ContinuousClock.now < end {
            let result = try await call(
                Self.consoleLog, [Self.realm(acting), .text(tenant.rawValue), .text(name), .int8(since)])
            let answer = try rows(result) { (row) throws(PostgresError) in
                (log: try row.optionalBytes(0), error: try row.optionalString(1))
            }.first
            if let log = answer?.log { return log }
            if let error = answer?.error { throw ResourcePoolError(.unavailable, error) }
            do {
                try await Task.sleep(for: .milliseconds(50))
            } catch {
                break
            }
        }
        throw ResourcePoolError(.unavailable, "the controller has not read the console yet")
    }
}

extension InstanceDescription {
    /// One row of `control.instances`.
    init(row: PostgresRow) throws(PostgresError) {
        self.init(
            id: try row.string(0),
            name: try row.string(1), specification: try row.string(2), macAddress: try row.string(3),
            address: try row.string(4),
            // A state that only a newer version knows is none to build on.
            state: InstanceState(rawValue: try row.string(5)) ?? .failed, observed: try row.optionalString(6),
            isReady: try row.bool(7), reason: try row.optionalString(8), restarts: Int(try row.int4(9)),
            operation: try row.optionalString(10), createdAt: try row.string(11), changedAt: try row.string(12),
            seenAt: try row.optionalString(13), isKnown: try row.bool(14), hasCompute: try row.bool(15))
    }
}
