import CloudModel
import Glibc
import NIOCore

/// `medcloud up` in the foreground, from the checks to the end.
struct RegionLaunch: Sendable {
    struct Options: Sendable {
        var state: RegionState
        var host: String
        var port: Int
        var baseURL: String?
        var workers: Int
        /// Manifests that an empty state begins with; nil = it stays empty.
        var tenants: String?
        var compute: ComputeChoice
        /// Certificate chain and key, PEM files; nil = plain HTTP.
        var tls: (certificate: String, key: String)?
        /// The authorities that vouch for the certificate at the region's address, a PEM file; nil = those of the system.
        var authorities: String?
    }

    let options: Options
    private let progress = Progress()

    init(options: Options) {
        self.options = options
    }

    func run() async throws {
        let state = options.state
        umask(0o022)
        let users = try RegionUsers.resolve()
        let directory = StateDirectory(state: state, users: users)
        try directory.checkPlace()
        try checkCertificates(users)
        try directory.makeRoot()
        let lock = try RegionLock(state)
        let content = try directory.content()
        try directory.checkDiskSpace()
        try ExecutableLocation.checkReachable(state, users: users)
        let executables = try ExecutableLocation.find(environment: Environment.current)
        let postgres = try PostgresInstallation.find(
            environment: Environment.current, dataVersion: PostgresInstallation.dataVersion(state))
        let socket = try ListeningSocket.bind(
            host: options.host, port: options.port, patience: content == .empty ? .zero : .seconds(2))

        if content == .empty {
            progress.step("making a new region in \(state.directory)")
            if let tenants = options.tenants { try FirstTenants.request(tenants, in: state) }
            try directory.writeFormat()
        }
        let compute = try compute(executables: executables, users: users)
        try directory.prepare(compute: compute == .private)
        let baseURL = options.baseURL ?? "\(scheme)://\(socket.authority)"
        try RegionSecrets.ensure(state, users: users)
        try RegionSecrets.ensureOperator(state, users: users, baseURL: baseURL, caFile: options.authorities)
        let bootstrap = ClusterBootstrap(state: state, users: users, installation: postgres)
        if !bootstrap.missing.isEmpty {
            progress.step("creating the databases (PostgreSQL \(postgres.majorVersion))")
            try bootstrap.initialize()
        }
        try bootstrap.writeConfiguration()

        let plan = try plan(
            users: users, bootstrap: bootstrap, executables: executables, compute: compute, socket: socket,
            baseURL: baseURL)
        let supervisor = Supervisor(plan: plan)
        let signals = StopSignals { supervisor.requestStop() }
        progress.step("starting Postgres")
        supervisor.start()
        try await follow(supervisor, port: socket.port, baseURL: baseURL, hasCompute: compute != .none)
        withExtendedLifetime(signals) {}
        Self.hold(lock)
    }

    /// The lock is held until here: `deinit` of a value that nobody uses any more could come earlier.
    private static func hold(_ lock: consuming RegionLock) {}

    /// Refuses certificates that no worker could serve with, before anything is made.
    private func checkCertificates(_ users: RegionUsers) throws {
        _ = try Trust(options.authorities).configuration()
        if let tls = options.tls {
            try CertificatePair(certificate: tls.certificate, key: tls.key).check(readableFor: users.gateway)
        }
    }

    private var scheme: String { options.tls == nil ? "http" : "https" }

    /// What compute there will be: what was asked for, or none where this machine cannot.
    private func compute(executables: ExecutableLocation, users: RegionUsers) throws -> ComputeChoice {
        guard options.compute == .private else { return options.compute }
        let missing = try ComputeInstallation(executables: executables).missing()
        guard let first = missing.first else { return .private }
        progress.step("no compute: \(first.found); \(first.advice) (`medcloud doctor` lists what instances need)")
        return .none
    }

    private func plan(
        users: RegionUsers, bootstrap: ClusterBootstrap, executables: ExecutableLocation, compute: ComputeChoice,
        socket: ListeningSocket, baseURL: String
    ) throws -> Supervisor.Plan {
        let state = options.state
        let limit = FileLimit.raise()
        if limit < FileLimit.wanted {
            Terminal.note(
                "         note: only \(limit) open files are allowed, \(FileLimit.wanted) would be better: the gateway "
                    + "caps its connections accordingly (raise it with `ulimit -n`).")
        }
        for name in RegionState.clusters + ["controller", "hypervisor"] { LogTail.rotate(state.logFile(process: name)) }
        let environment = Environment.service()
        var controller = ProcessSpecification(
            name: "controller",
            executable: try executables.path(of: "medcloud-controller", for: users.database, state: state),
            arguments: ["--state", state.directory], environment: environment)
        var hypervisor: ProcessSpecification?
        var configured: String?
        switch compute {
        case .none: break
        case .private:
            hypervisor = ComputeInstallation(executables: executables).hypervisor(
                state: state, socketGroup: users.database?.gid ?? getegid(), environment: environment)
            controller.arguments += [
                "--hypervisor", state.hypervisorURI, "--hypervisor-agent", state.hypervisorAgent,
            ]
        case .configured(let uri):
            configured = uri
            controller.arguments += ["--hypervisor", uri]
        }
        controller.user = users.database
        controller.logFile = state.logFile(process: "controller")
        let gateway = try executables.path(of: "medcloudd", for: users.gateway, state: state)
        let workers = (1...options.workers).map { number in
            var worker = ProcessSpecification(
                name: "gateway-\(number)", executable: gateway,
                arguments: [
                    "--state", state.directory, "--base-url", baseURL, "--worker", String(number),
                    "--listen-fd", String(ProcessSpecification.inheritedNumber),
                ],
                environment: environment)
            if let tls = options.tls {
                worker.arguments += ["--tls-certificate", tls.certificate, "--tls-key", tls.key]
            }
            worker.user = users.gateway
            worker.logFile = state.logFile(process: worker.name)
            worker.inherited = socket.descriptor
            return worker
        }
        let file = RegionFile(
            phase: .starting, supervisor: getpid(), version: Release.version, host: socket.host,
            port: socket.port, baseURL: baseURL, caFile: options.authorities, hypervisor: configured,
            startedAt: Int64(time(nil)), readyAfter: nil, processes: [])
        return Supervisor.Plan(
            state: state, bootstrap: bootstrap, hypervisor: hypervisor, controller: controller, workers: workers,
            file: file)
    }

    /// Shows what the supervisor does until it has stopped everything.
    private func follow(_ supervisor: Supervisor, port: Int, baseURL: String, hasCompute: Bool) async throws {
        var failure: CommandFailure?
        var hypervisorDeaths = 0
        try await RegionConnection.with(trust: Trust(options.authorities)) { connection in
            await withTaskGroup(of: Void.self) { group in
                for await notice in supervisor.notices {
                    switch notice {
                    case .phase(.startingServices):
                        progress.step("starting the controller and \(options.workers) gateway workers")
                        group.addTask { await probe(supervisor, port: port) }
                    case .phase(.serving):
                        progress.step("ready at \(baseURL)")
                        group.addTask {
                            await welcome(connection: connection, baseURL: baseURL, hasCompute: hasCompute)
                        }
                    case .phase(.drainingWorkers):
                        progress.step("stopping the gateway workers")
                        group.cancelAll()
                    case .phase(.stoppingController): progress.step("stopping the controller")
                    case .phase(.stoppingClusters): progress.step("stopping Postgres and the guests")
                    case .phase(.stopped): progress.step("stopped")
                    case .phase(.startingClusters): continue
                    case .died("hypervisor", let reason):
                        hypervisorDeaths += 1
                        // Databases serve without it, so it may die forever; `medcloud status` goes on counting.
                        guard hypervisorDeaths <= 5 else { continue }
                        progress.step(
                            "hypervisor ended (\(reason)); starting it again"
                                + (hypervisorDeaths == 5 ? ", and so on: see `medcloud logs hypervisor`" : ""))
                    case .died(let name, let reason):
                        progress.step("\(name) ended (\(reason)); starting it again")
                    case .gaveUp(let name):
                        failure = Self.explain(name, state: options.state)
                    }
                }
                group.cancelAll()
            }
        }
        if let failure { throw failure }
    }

    private static func explain(_ name: String, state: RegionState) -> CommandFailure {
        let log = state.logFile(process: name)
        let last = LogTail.lines(of: log, count: 5).map { "\n    " + $0 }.joined()
        return CommandFailure(.failed, "\(name) does not start; the end of \(log):\(last.isEmpty ? " (empty)" : last)")
    }

    /// Asks `/readyz` until it answers 200. The certificate is for the name that clients use, not for the socket's own
    /// address, and nothing secret is sent: it is not checked here.
    private func probe(_ supervisor: Supervisor, port: Int) async {
        let host = options.host.contains(":") ? "[\(options.host)]" : options.host
        let url = "\(scheme)://\(host):\(port)/readyz"
        var patience = 0
        while !Task.isCancelled {
            let request = RegionConnection.Request(method: "GET", url: url, timeout: .seconds(2))
            let answer = try? await RegionConnection.with(trust: .unchecked) { try await $0.send(request) }
            if answer?.status == 200 {
                supervisor.servicesReady()
                return
            }
            patience += 1
            if patience % 250 == 0 { progress.step("still waiting for \(url)") }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    private func welcome(connection: RegionConnection, baseURL: String, hasCompute: Bool) async {
        let welcome = Welcome(state: options.state, baseURL: baseURL, caFile: options.authorities)
        do {
            if options.tls != nil { try await checkTrust(connection, baseURL: baseURL) }
            if FirstTenants.isRequested(in: options.state) {
                try await FirstTenants(
                    state: options.state, connection: connection, progress: progress, hasCompute: hasCompute
                ).make()
            }
            welcome.print()
        } catch is CancellationError {
            return
        } catch {
            let isLeft = FirstTenants.isRequested(in: options.state)
            Terminal.error(isLeft ? "The tenants could not be made; the next start tries again. \(error)" : "\(error)")
            welcome.print()
        }
    }

    /// Says it now, and not at the first command, when the commands of this machine do not believe the certificate.
    private func checkTrust(_ connection: RegionConnection, baseURL: String) async throws {
        do {
            _ = try await connection.send(.init(method: "GET", url: baseURL + "/readyz", timeout: .seconds(5)))
        } catch let failure as CommandFailure {
            Terminal.error("The region serves, but commands on this machine cannot use it. \(failure.message)")
        }
    }
}

extension ListeningSocket {
    /// `127.0.0.1:8080`; an address that means "all" is shown as the loopback address.
    var authority: String {
        let shown =
            switch host {
            case "0.0.0.0": "127.0.0.1"
            case "::": "[::1]"
            default: host.contains(":") ? "[\(host)]" : host
            }
        return "\(shown):\(port)"
    }
}
