import PostgresDriver
import StrictJSON
package import Virtualization

/// How differences between what is and what was asked for are treated.
package enum DriftPolicy: String, Sendable, Hashable {
    case report, `repair`
}

/// An instance as the control database has it, for the controller.
package struct AskedInstance: Sendable, Hashable {
    /// UUID, also the domain's.
    package let id: String
    package let tenant: String
    package let name: String
    /// What it is to be.
    package let specification: InstanceSpecification
    /// What it was before the operation under way; the same without one.
    package let before: InstanceSpecification
    package let isToRun: Bool
    /// Whether it was to run before the operation under way.
    package let wasToRun: Bool
    package let probe: ReadinessProbe
    /// How long after its start the probe may stay without an answer.
    package let probeDeadline: Duration
    package let state: InstanceState
    /// An operation is under way.
    package let isBusy: Bool
    /// As it was seen last.
    package let isRunning: Bool
    package let isReady: Bool
    package let reason: String?
    /// Since when it runs; nil when it does not.
    package let runningFor: Duration?
    /// When the operation under way was asked for, or the last one ended, in microseconds since 1970: what was read of an
    /// instance holds as long as this stays.
    package let changedAt: Int64
    /// Since the operation under way has last asked the guest to power off; nil when it has not, or it was started since.
    package let shutdownAskedFor: Duration?
    package let restarts: Int
    package let restartedFor: Duration?
    package let policy: DriftPolicy

    package var resource: ResourceName { specification.name }

    static let columns = """
        i.id, i.tenant, i.name, i.resource, n.resource, i.image, i.mac::text, host(i.address),
        i.vcpus, i.memory, i.disk, i.ssh_keys, i.running,
        coalesce((i.previous ->> 'vcpus')::bigint, i.vcpus), coalesce((i.previous ->> 'memory')::bigint, i.memory),
        coalesce((i.previous ->> 'disk')::bigint, i.disk),
        case when i.previous is null then i.ssh_keys
             else array(select jsonb_array_elements_text(i.previous -> 'sshKeys')) end,
        coalesce((i.previous ->> 'running')::boolean, i.running),
        i.probe, i.probe_deadline, i.state, i.operation is not null, i.is_running, i.ready, i.reason,
        extract(epoch from clock_timestamp() - i.started_at)::double precision,
        i.changed_at,
        case when i.shutdown_operation = i.operation and i.shutdown_asked_at >= coalesce(i.started_at, '-infinity')
             then extract(epoch from clock_timestamp() - i.shutdown_asked_at)::double precision end,
        i.restarts, extract(epoch from clock_timestamp() - i.restarted_at)::double precision,
        coalesce(p.drift_policy, 'report')
        """
    static let tables = """
        control.instance i join control.network n on n.id = i.network left join control.pool p on p.tenant = i.tenant
        """

    /// One row of ``columns``.
    init(row: PostgresRow) throws(PostgresError) {
        id = try row.string(0)
        tenant = try row.string(1)
        name = try row.string(2)
        guard let resource = ResourceName(try row.string(3)), let network = ResourceName(try row.string(4)),
            let probe = ReadinessProbe(json: try row.string(18)),
            let state = InstanceState(rawValue: try row.string(20)),
            let policy = DriftPolicy(rawValue: try row.string(30))
        else { throw PostgresError(.decoding, "an instance's row is of another version") }
        var specification = InstanceSpecification(
            name: resource, uuid: id, virtualCPUs: Int(try row.int8(8)), memory: try row.int8(9),
            image: try row.string(5), disk: try row.int8(10), network: network, macAddress: try row.string(6),
            address: try row.string(7), hostName: name, authorizedKeys: try row.textArray(11).compactMap(\.self))
        self.specification = specification
        isToRun = try row.bool(12)
        specification.virtualCPUs = Int(try row.int8(13))
        specification.memory = try row.int8(14)
        specification.disk = try row.int8(15)
        specification.authorizedKeys = try row.textArray(16).compactMap(\.self)
        before = specification
        wasToRun = try row.bool(17)
        self.probe = probe
        probeDeadline = .seconds(Int(try row.int4(19)))
        self.state = state
        isBusy = try row.bool(21)
        isRunning = try row.bool(22)
        isReady = try row.bool(23)
        reason = try row.optionalString(24)
        runningFor = try row.optionalFloat8(25).map { .seconds($0) }
        changedAt = try row.timestamptz(26)
        shutdownAskedFor = try row.optionalFloat8(27).map { .seconds($0) }
        restarts = Int(try row.int4(28))
        restartedFor = try row.optionalFloat8(29).map { .seconds($0) }
        self.policy = policy
    }
}

extension ReadinessProbe {
    /// `{"tcp": {"port": 22}}` or `{"http": {"port": 80, "path": "/"}}`.
    init?(json: String) {
        guard let root = try? JSONDocument(Array(json.utf8)).root else { return nil }
        if let port = root["tcp"]?["port"]?.integer {
            self = .tcp(port: port)
        } else if let http = root["http"], let port = http["port"]?.integer {
            self = .http(port: port, path: http["path"]?.string ?? "/")
        } else {
            return nil
        }
    }

    /// For people: `TCP port 22`, `HTTP port 80 /status`.
    var words: String {
        switch self {
        case .tcp(let port): "TCP port \(port)"
        case .http(let port, let path): "HTTP port \(port) \(path)"
        }
    }
}
