package import Coordination
import NIOCore
import PostgresDriver
package import Virtualization

/// The controller's side of the resource pools in the control database: reads what is asked for and writes what is seen.
/// Every write checks that this controller still leads.
package struct PoolStore: Sendable {
    private let leader: LeaderContext

    package init(leader: LeaderContext) {
        self.leader = leader
    }

    private func read(_ statement: PostgresStatement, _ values: [PostgresValue] = []) async throws -> PostgresResult {
        try await leader.control.query(statement, values, deadline: .now() + .seconds(10))
    }

    @discardableResult
    private func write(_ statement: PostgresStatement, _ values: [PostgresValue] = []) async throws -> Int {
        try await leader.transaction { try await $0.query(statement, values).affectedRows }
    }

    // MARK: What is asked for

    private static let instance = PostgresStatement(
        "select \(AskedInstance.columns) from \(AskedInstance.tables) where i.id = $1")
    private static let instances = PostgresStatement(
        "select \(AskedInstance.columns) from \(AskedInstance.tables) order by i.id")
    private static let network = PostgresStatement(
        "select n.resource, n.cidr::text from control.network n where n.id = $1")
    private static let networkNames = PostgresStatement("select n.resource from control.network n")

    /// Nil once its row is gone.
    package func instance(_ id: String) async throws -> AskedInstance? {
        try await read(Self.instance, [.uuid(id)]).first.map { (row) throws(PostgresError) in
            try AskedInstance(row: row)
        }
    }

    package func instances() async throws -> [AskedInstance] {
        try await read(Self.instances).map { (row) throws(PostgresError) in try AskedInstance(row: row) }
    }

    /// Nil once its row is gone.
    package func network(_ id: String) async throws -> NetworkSpecification? {
        guard let row = try await read(Self.network, [.uuid(id)]).first else { return nil }
        guard let name = ResourceName(try row.string(0)) else {
            throw PostgresError(.decoding, "a network's row is of another version")
        }
        return NetworkSpecification(name: name, cidr: try row.string(1))
    }

    package func networkNames() async throws -> Set<ResourceName> {
        Set(try await read(Self.networkNames).compactMap { ResourceName(try $0.string(0)) })
    }

    // MARK: What is seen

    /// Whether nobody has asked for anything since the instance of id $1 was read, with its `changedAt` as $2; always when
    /// that is null.
    private static let isCurrent = """
        i.id = $1 and ($2::timestamptz is null or (i.operation is null and i.changed_at = $2))
        """
    /// The state that an instance has when it runs ($4) or not; what an operation makes of it is the operation's.
    private static let seenState = """
        case when i.operation is not null then i.state
             when $4 and i.state in ('stopped', 'crashed') then 'running'
             when not $4 and i.state = 'running' then 'stopped'
             else i.state end
        """
    private static let observe = PostgresStatement(
        """
        with seen as (
            update control.instance i
            set observed = $3, is_running = $4,
                started_at = case when not $4 then null else coalesce(i.started_at, clock_timestamp()) end,
                ready = i.ready and $4 and i.is_running, reason = case when $4 and i.is_running then i.reason else $5 end,
                state = \(seenState)
            where \(isCurrent)
              and (i.observed is distinct from $3 or i.is_running <> $4 or i.state <> \(seenState)))
        select exists (select from control.instance i where \(isCurrent))
        """)

    private func observe(_ id: String, since changedAt: Int64?, _ state: DomainState?) async throws -> Bool {
        let isRunning = state == .running || state == .paused || state == .shuttingDown
        return try await leader.transaction { connection in
            try await connection.query(
                Self.observe,
                [
                    .uuid(id), changedAt.map { .timestamptz($0) } ?? .null, state.map { .text($0.rawValue) } ?? .null,
                    .bool(isRunning), .text(isRunning ? "it has just started" : "it is stopped"),
                ])[0].bool(0)
        }
    }

    /// What the hypervisor shows to whoever acts on the instance now; nil is no domain at all. From here the use of a running
    /// machine is counted, or no more.
    package func observe(_ id: String, _ state: DomainState?) async throws {
        _ = try await observe(id, since: nil, state)
    }

    /// What a look at the host has shown, which began after `instance` was read.
    ///
    /// - Returns: false when something is under way or was since then: what was seen says nothing then, and is not recorded.
    package func observe(_ instance: AskedInstance, _ state: DomainState?) async throws -> Bool {
        try await observe(instance.id, since: instance.changedAt, state)
    }

    private static let noteShutdown = PostgresStatement(
        """
        update control.instance i set shutdown_asked_at = clock_timestamp(), shutdown_operation = i.operation
        where i.id = $1
        """)

    /// The operation under way asks the guest to power off.
    package func noteShutdown(_ id: String) async throws {
        try await write(Self.noteShutdown, [.uuid(id)])
    }

    private static let setReadiness = PostgresStatement(
        """
        update control.instance i set ready = $3, reason = $4
        where \(isCurrent) and i.is_running and (i.ready <> $3 or i.reason is distinct from $4)
        """)

    private func setReadiness(_ id: String, since changedAt: Int64?, reason: String?) async throws {
        try await write(
            Self.setReadiness,
            [
                .uuid(id), changedAt.map { .timestamptz($0) } ?? .null, .bool(reason == nil),
                reason.map { .text($0) } ?? .null,
            ])
    }

    /// For the operation under way.
    ///
    /// - Parameter reason: why it is not ready; nil is ready.
    package func setReadiness(_ id: String, reason: String?) async throws {
        try await setReadiness(id, since: nil, reason: reason)
    }

    /// What a look at the guest has shown; not recorded when something is under way or was since `instance` was read.
    package func setReadiness(of instance: AskedInstance, reason: String?) async throws {
        try await setReadiness(instance.id, since: instance.changedAt, reason: reason)
    }

    private static let countRestart = PostgresStatement(
        """
        update control.instance i set restarts = i.restarts + 1, restarted_at = clock_timestamp()
        where \(isCurrent)
        """)
    private static let forgetRestarts = PostgresStatement(
        "update control.instance i set restarts = 0 where i.id = $1 and i.restarts > 0")
    private static let giveUp = PostgresStatement(
        """
        update control.instance i set state = 'crashed', reason = $3, changed_at = clock_timestamp()
        where \(isCurrent) and i.state in ('running', 'stopped')
        """)

    /// It is about to be started again. False when somebody has asked for something else meanwhile.
    package func countRestart(of instance: AskedInstance) async throws -> Bool {
        try await write(Self.countRestart, [.uuid(instance.id), .timestamptz(instance.changedAt)]) > 0
    }

    package func forgetRestarts(_ id: String) async throws {
        try await write(Self.forgetRestarts, [.uuid(id)])
    }

    package func giveUp(_ instance: AskedInstance, reason: String) async throws {
        try await write(Self.giveUp, [.uuid(instance.id), .timestamptz(instance.changedAt), .text(reason)])
    }

    // MARK: Drift

    private static let recordDrift = PostgresStatement(
        """
        insert into control.drift as d (tenant, resource, kind, name, expected, found, action, area)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (resource, kind) do update
        set expected = excluded.expected, found = excluded.found, action = excluded.action, seen_at = clock_timestamp()
        """)
    private static let forgetDrift = PostgresStatement(
        """
        delete from control.drift d
        where d.area = $3 and not exists (select from unnest($1::text[], $2::text[]) as s (resource, kind)
                          where s.resource = d.resource and s.kind = d.kind)
        """)
    private static let recordInspection = PostgresStatement(
        """
        insert into control.inspection as i (at) values (clock_timestamp())
        on conflict (one) do update set at = excluded.at where i.at < excluded.at - interval '5 seconds'
        """)

    private static let forgetInspection = PostgresStatement("delete from control.inspection")

    /// What an earlier leader has seen does not count any more: the host may have been off since.
    package func forgetInspection() async throws {
        try await write(Self.forgetInspection)
    }

    /// The differences that there are now in an area, all of which was looked at; others are over.
    package func record(_ findings: [DriftFinding], in area: DriftFinding.Area) async throws {
        try await leader.transaction { connection in
            for finding in findings {
                try await connection.query(
                    Self.recordDrift,
                    [
                        finding.tenant.map { .text($0) } ?? .null, .text(finding.resource),
                        .text(finding.kind.rawValue),
                        finding.name.map { .text($0) } ?? .null, .text(finding.expected), .text(finding.found),
                        .text(finding.action.rawValue), .text(area.rawValue),
                    ])
            }
            try await connection.query(
                Self.forgetDrift,
                [
                    .textArray(findings.map(\.resource)), .textArray(findings.map(\.kind.rawValue)),
                    .text(area.rawValue),
                ])
            if area == .compute { try await connection.query(Self.recordInspection) }
        }
    }

    // MARK: The host

    private static let recordHost = PostgresStatement(
        """
        insert into control.host (hypervisor, cores, memory, is_accelerated) values ($1, $2, $3, $4)
        on conflict (one) do update
        set hypervisor = excluded.hypervisor, cores = excluded.cores, memory = excluded.memory,
            is_accelerated = excluded.is_accelerated, seen_at = clock_timestamp(), is_present = true
        """)
    private static let recordImage = PostgresStatement(
        """
        insert into control.image as m (name, disk, memory, sha256) values ($1, $2, $3, $4)
        on conflict (name) do update
        set disk = excluded.disk, memory = excluded.memory, sha256 = excluded.sha256
        where (m.disk, m.memory, m.sha256) is distinct from (excluded.disk, excluded.memory, excluded.sha256)
        """)
    private static let forgetImages = PostgresStatement("delete from control.image m where m.name <> all ($1::text[])")
    private static let loseHost = PostgresStatement("update control.host set is_present = false where is_present")
    private static let forgetComputeDrift = PostgresStatement("delete from control.drift d where d.area = 'compute'")

    package func record(_ host: HostDescription, _ images: [BaseImage]) async throws {
        try await leader.transaction { connection in
            try await connection.query(
                Self.recordHost,
                [
                    .text(host.hypervisor), .int4(Int32(host.cores)), .int8(host.memory), .bool(host.isAccelerated),
                ])
            for image in images {
                try await connection.query(
                    Self.recordImage,
                    [.text(image.name), .int8(image.disk), .int8(image.memory), .text(image.sha256)])
            }
            try await connection.query(Self.forgetImages, [.textArray(images.map(\.name))])
        }
    }

    /// The region runs without a hypervisor from now on. What is on record of machines was so when they were last seen, and
    /// whether they differ from what was asked for nobody knows.
    package func loseHost() async throws {
        try await leader.transaction { connection in
            try await connection.query(Self.loseHost)
            try await connection.query(Self.forgetComputeDrift)
        }
    }

    // MARK: Consoles

    private static let askedConsoles = PostgresStatement(
        """
        select c.instance, i.resource from control.console c join control.instance i on i.id = c.instance
        where c.read_at is null or c.read_at < c.asked_at
        order by c.asked_at
        limit 32
        """)
    private static let answerConsole = PostgresStatement(
        """
        update control.console c set read_at = clock_timestamp(), log = $2, error = $3 where c.instance = $1
        """)
    private static let purgeConsoles = PostgresStatement(
        "delete from control.console c where c.read_at < clock_timestamp() - interval '1 minute'")

    /// The instances whose console somebody waits for.
    package func askedConsoles() async throws -> [(id: String, resource: ResourceName)] {
        try await read(Self.askedConsoles).compactMap { row in
            guard let resource = ResourceName(try row.string(1)) else { return nil }
            return (try row.string(0), resource)
        }
    }

    package func answerConsole(_ id: String, log: [UInt8]?, error: String?) async throws {
        try await write(
            Self.answerConsole, [.uuid(id), log.map { .bytes($0) } ?? .null, error.map { .text($0) } ?? .null])
    }

    /// Logs that were asked for a while ago are not kept.
    package func purgeConsoles() async throws {
        try await write(Self.purgeConsoles)
    }
}
