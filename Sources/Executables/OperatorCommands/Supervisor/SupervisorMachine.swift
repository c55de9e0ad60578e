/// Decides what the supervisor does: an event goes in, actions come out, nothing is done inside.
///
/// Time is milliseconds of any monotonic clock. Start: clusters, then controller and workers together. Stop: workers
/// drain, then the controller, then the clusters and the guests. In between, what dies is started again.
package struct SupervisorMachine: Sendable {
    package enum Role: Sendable, Equatable {
        case cluster, controller, worker
        /// Started with the clusters, waited for by nobody: databases serve without it, however often it dies.
        case hypervisor
    }

    package enum Phase: Sendable, Equatable {
        case startingClusters, startingServices, serving
        case drainingWorkers, stoppingController, stoppingClusters, stopped
    }

    package enum ChildState: Sendable, Equatable {
        case idle
        /// Runs, but has not said that it is ready.
        case starting(since: Int64)
        case running(since: Int64)
        /// Died; will be started again at `until`.
        case waiting(until: Int64)
        /// Asked to stop; killed at `killAt`.
        case stopping(killAt: Int64)
    }

    package struct Child: Sendable, Equatable {
        package let name: String
        package let role: Role
        package var state: ChildState = .idle
        package var restarts = 0
        /// How often in a row it died at once.
        package var quickDeaths = 0

        var isAlive: Bool {
            switch state {
            case .starting, .running, .stopping: true
            case .idle, .waiting: false
            }
        }
    }

    package enum Event: Sendable, Equatable {
        case begin
        /// A cluster accepts connections.
        case clusterReady(String)
        /// The gateway answers that the region is ready.
        case servicesReady
        case exited(String)
        case stopRequested
        /// Time has passed.
        case tick
    }

    package enum Signal: Sendable, Equatable {
        /// Finish what is in hand and stop (Postgres: fast shutdown).
        case stop
        /// Stop at once (Postgres: immediate shutdown).
        case kill
    }

    package enum Action: Sendable, Equatable {
        case spawn(String)
        case signal(String, Signal)
        case announce(Phase)
        /// `name` keeps dying during the first start: give up.
        case giveUp(String)
        case finish
    }

    /// A child that lived shorter than this died "at once".
    package static let quickDeath: Int64 = 2_000
    package static let longestPause: Int64 = 5_000
    /// Deaths at once in a row after which a first start is given up. Postgres is given longer, because the one before
    /// may still be ending (a stale `postmaster.pid`, its shared memory).
    package static let triesOfServices = 5
    package static let triesOfClusters = 12
    package static let workerDrain: Int64 = 15_000
    package static let controllerGrace: Int64 = 10_000
    package static let clusterGrace: Int64 = 60_000
    /// Guests are asked to power off, and have their plugs pulled, well within it.
    package static let hypervisorGrace: Int64 = 45_000

    package private(set) var phase: Phase = .startingClusters
    package private(set) var children: [Child]
    /// Whether the region has answered once; from then on nothing is given up.
    package private(set) var hasServed = false
    /// Set when the first start was given up.
    package private(set) var failed: String?

    package init(children: [(name: String, role: Role)]) {
        self.children = children.map { Child(name: $0.name, role: $0.role) }
    }

    package mutating func handle(_ event: Event, at now: Int64) -> [Action] {
        switch event {
        case .begin:
            return (indices(.cluster) + indices(.hypervisor)).map { spawn($0, at: now) }
        case .clusterReady(let name):
            return clusterReady(name, at: now)
        case .servicesReady:
            return servicesReady()
        case .exited(let name):
            return exited(name, at: now)
        case .stopRequested:
            return stopRequested(at: now)
        case .tick:
            return tick(at: now)
        }
    }

    /// When ``Event/tick`` is due next, or nil.
    package var deadline: Int64? {
        children.compactMap { child -> Int64? in
            switch child.state {
            case .waiting(let until): until
            case .stopping(let killAt): killAt
            case .idle, .starting, .running: nil
            }
        }.min()
    }

    /// How long to wait before the next start after `quickDeaths` deaths at once in a row: not at all at first, then
    /// 0.1 s doubling up to five seconds.
    package static func pause(quickDeaths: Int) -> Int64 {
        guard quickDeaths > 1 else { return 0 }
        return min(longestPause, 100 << min(quickDeaths - 2, 10))
    }

    // MARK: Events

    private mutating func clusterReady(_ name: String, at now: Int64) -> [Action] {
        guard let index = children.firstIndex(where: { $0.name == name }) else { return [] }
        guard case .starting(let since) = children[index].state else { return [] }
        children[index].state = .running(since: since)
        guard phase == .startingClusters, indices(.cluster).allSatisfy({ isRunning(children[$0]) }) else { return [] }
        phase = .startingServices
        return [.announce(phase)] + (indices(.controller) + indices(.worker)).map { spawn($0, at: now) }
    }

    private mutating func servicesReady() -> [Action] {
        guard phase == .startingServices else { return [] }
        phase = .serving
        hasServed = true
        return [.announce(phase)]
    }

    private mutating func exited(_ name: String, at now: Int64) -> [Action] {
        guard let index = children.firstIndex(where: { $0.name == name }) else { return [] }
        let lived: Int64
        switch children[index].state {
        case .idle, .waiting:
            return []
        case .stopping:
            children[index].state = .idle
            return advanceStop(at: now)
        case .starting(let since), .running(let since):
            lived = now - since
        }
        if isStopping {
            // Died by itself while others stop: it is not started again, except that nothing depends on it any more.
            children[index].state = .idle
            return advanceStop(at: now)
        }
        children[index].quickDeaths = lived < Self.quickDeath ? children[index].quickDeaths + 1 : 0
        let tries = children[index].role == .cluster ? Self.triesOfClusters : Self.triesOfServices
        if !hasServed, children[index].role != .hypervisor, children[index].quickDeaths >= tries {
            failed = name
            children[index].state = .idle
            return [.giveUp(name)] + stopRequested(at: now)
        }
        let pause = Self.pause(quickDeaths: children[index].quickDeaths)
        children[index].restarts += 1
        guard pause > 0 else { return [spawn(index, at: now)] }
        children[index].state = .waiting(until: now + pause)
        return []
    }

    private mutating func stopRequested(at now: Int64) -> [Action] {
        if isStopping {
            // Asked twice: somebody is in a hurry.
            return children.indices.compactMap { index in
                guard case .stopping = children[index].state else { return nil }
                return .signal(children[index].name, .kill)
            }
        }
        for index in children.indices {
            if case .waiting = children[index].state { children[index].state = .idle }
        }
        phase = .drainingWorkers
        return [.announce(phase)] + stop(.worker, grace: Self.workerDrain, at: now) + advanceStop(at: now)
    }

    private mutating func tick(at now: Int64) -> [Action] {
        var actions: [Action] = []
        for index in children.indices {
            switch children[index].state {
            case .waiting(let until) where until <= now:
                actions.append(spawn(index, at: now))
            case .stopping(let killAt) where killAt <= now:
                children[index].state = .stopping(killAt: now + Self.workerDrain)
                actions.append(.signal(children[index].name, .kill))
            case .idle, .starting, .running, .waiting, .stopping:
                continue
            }
        }
        return actions
    }

    // MARK: Steps

    private var isStopping: Bool {
        switch phase {
        case .startingClusters, .startingServices, .serving: false
        case .drainingWorkers, .stoppingController, .stoppingClusters, .stopped: true
        }
    }

    /// Goes on to the next stage of stopping when the present one is done.
    private mutating func advanceStop(at now: Int64) -> [Action] {
        var actions: [Action] = []
        if phase == .drainingWorkers, noneAlive(.worker) {
            phase = .stoppingController
            actions += [.announce(phase)] + stop(.controller, grace: Self.controllerGrace, at: now)
        }
        if phase == .stoppingController, noneAlive(.controller) {
            phase = .stoppingClusters
            actions += [.announce(phase)] + stop(.hypervisor, grace: Self.hypervisorGrace, at: now)
            actions += stop(.cluster, grace: Self.clusterGrace, at: now)
        }
        if phase == .stoppingClusters, noneAlive(.cluster), noneAlive(.hypervisor) {
            phase = .stopped
            actions += [.announce(phase), .finish]
        }
        return actions
    }

    private mutating func stop(_ role: Role, grace: Int64, at now: Int64) -> [Action] {
        indices(role).compactMap { index in
            guard children[index].isAlive else { return nil }
            children[index].state = .stopping(killAt: now + grace)
            return .signal(children[index].name, .stop)
        }
    }

    private mutating func spawn(_ index: Int, at now: Int64) -> Action {
        // A cluster says when it is ready; the others are taken for running.
        children[index].state = children[index].role == .cluster ? .starting(since: now) : .running(since: now)
        return .spawn(children[index].name)
    }

    private func indices(_ role: Role) -> [Int] { children.indices.filter { children[$0].role == role } }
    private func noneAlive(_ role: Role) -> Bool { indices(role).allSatisfy { !children[$0].isAlive } }

    private func isRunning(_ child: Child) -> Bool {
        if case .running = child.state { return true }
        return false
    }
}
