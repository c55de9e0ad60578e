package import CloudModel
import Dispatch
import Foundation
import Glibc
import Synchronization

/// The shell around ``SupervisorMachine``: one thread that starts processes, waits for their ends and writes
/// `region.json`.
///
/// All processes are started on that thread, which lives as long as they do, because the kernel ties a parent-death
/// signal to the thread that made the child (see ``ChildProcess``).
package final class Supervisor: Sendable {
    /// What the caller learns.
    package enum Notice: Sendable, Equatable {
        case phase(SupervisorMachine.Phase)
        /// A process ended without being asked.
        case died(name: String, reason: ExitReason)
        /// The first start was given up because of this process.
        case gaveUp(name: String)
    }

    private enum Message: Sendable {
        case machine(SupervisorMachine.Event)
        case ended(name: String, pid: Int32, reason: ExitReason)
    }

    /// What the supervisor's thread alone touches.
    private struct Running {
        var machine: SupervisorMachine
        var pids: [String: Int32] = [:]
        var since: [String: Int64] = [:]
        var file: RegionFile
        var finished = false
    }

    /// What to run, in the order of starting.
    package struct Plan: Sendable {
        package var state: RegionState
        package var bootstrap: ClusterBootstrap
        /// Nil without compute.
        package var hypervisor: ProcessSpecification?
        package var controller: ProcessSpecification
        package var workers: [ProcessSpecification]
        package var file: RegionFile
    }

    private let plan: Plan
    private let specifications: [String: ProcessSpecification]
    private let inbox = Inbox<Message>()
    private let begin = ContinuousClock.now
    package let notices: AsyncStream<Notice>
    private let notify: AsyncStream<Notice>.Continuation

    package init(plan: Plan) {
        self.plan = plan
        var specifications: [String: ProcessSpecification] = [:]
        for cluster in RegionState.clusters { specifications[cluster] = plan.bootstrap.server(cluster: cluster) }
        for process in [plan.hypervisor, plan.controller].compactMap(\.self) + plan.workers {
            specifications[process.name] = process
        }
        self.specifications = specifications
        (notices, notify) = AsyncStream.makeStream()
    }

    /// Starts the thread, and with it the region. Once only. ``notices`` ends when everything has stopped.
    package func start() {
        Thread.detachNewThread { [self] in run() }
    }

    /// The gateway has answered that the region is ready.
    package func servicesReady() { inbox.post(.machine(.servicesReady)) }

    /// Stops everything in order; asked a second time, at once.
    package func requestStop() { inbox.post(.machine(.stopRequested)) }

    // MARK: The thread

    private func run() {
        let roles: [(name: String, role: SupervisorMachine.Role)] =
            RegionState.clusters.map { ($0, .cluster) }
            + [plan.hypervisor].compactMap { $0.map { ($0.name, .hypervisor) } }
            + [(plan.controller.name, .controller)] + plan.workers.map { ($0.name, .worker) }
        var running = Running(machine: SupervisorMachine(children: roles), file: plan.file)
        apply(.begin, to: &running)
        var nextRotation = now + 60_000
        while !running.finished {
            let startingClusters = clusters(startingIn: running)
            var wait = startingClusters.isEmpty ? nextRotation - now : 10
            if let deadline = running.machine.deadline { wait = min(wait, deadline - now) }
            for message in inbox.next(within: wait) {
                switch message {
                case .machine(let event):
                    apply(event, to: &running)
                case .ended(let name, let pid, let reason):
                    guard running.pids[name] == pid else { continue }
                    running.pids[name] = nil
                    if !isExpected(name, in: running) { notify.yield(.died(name: name, reason: reason)) }
                    apply(.exited(name), to: &running)
                }
            }
            for name in clusters(startingIn: running) {
                if let pid = running.pids[name], plan.bootstrap.isReady(cluster: name, pid: pid) {
                    apply(.clusterReady(name), to: &running)
                }
            }
            apply(.tick, to: &running)
            if now >= nextRotation {
                nextRotation = now + 60_000
                for name in specifications.keys { LogTail.rotate(plan.state.logFile(process: name)) }
            }
        }
        notify.finish()
    }

    private var now: Int64 { Int64((ContinuousClock.now - begin) / .milliseconds(1)) }

    private func clusters(startingIn running: Running) -> [String] {
        running.machine.children.compactMap { child in
            if case .starting = child.state { return child.name }
            return nil
        }
    }

    private func isExpected(_ name: String, in running: Running) -> Bool {
        running.machine.children.contains { child in
            if child.name == name, case .stopping = child.state { return true }
            return false
        }
    }

    private func apply(_ event: SupervisorMachine.Event, to running: inout Running) {
        let before = running.machine.children
        let actions = running.machine.handle(event, at: now)
        for action in actions { perform(action, on: &running) }
        if !actions.isEmpty || running.machine.children != before { writeFile(&running) }
    }

    private func perform(_ action: SupervisorMachine.Action, on running: inout Running) {
        switch action {
        case .spawn(let name):
            spawn(name, in: &running)
        case .signal(let name, let signal):
            if let pid = running.pids[name] { kill(pid, number(of: signal, for: name)) }
        case .announce(let phase):
            if phase == .serving, running.file.readyAfter == nil { running.file.readyAfter = Int(now) }
            notify.yield(.phase(phase))
        case .giveUp(let name):
            notify.yield(.gaveUp(name: name))
        case .finish:
            running.finished = true
        }
    }

    private func spawn(_ name: String, in running: inout Running) {
        guard let specification = specifications[name] else { return }
        do {
            let pid = try ChildProcess.spawn(specification)
            running.pids[name] = pid
            running.since[name] = Int64(time(nil))
            let inbox = inbox
            Thread.detachNewThread {
                inbox.post(.ended(name: name, pid: pid, reason: ChildProcess.wait(pid)))
            }
        } catch {
            Terminal.error("\(error)")
            // As if it had died at once, so that the machine tries again with a pause.
            inbox.post(.machine(.exited(name)))
        }
    }

    private func number(of signal: SupervisorMachine.Signal, for name: String) -> Int32 {
        let isCluster = RegionState.clusters.contains(name)
        // Postgres: SIGINT is fast shutdown, SIGQUIT immediate shutdown.
        return switch signal {
        case .stop: isCluster ? SIGINT : SIGTERM
        case .kill: isCluster ? SIGQUIT : SIGKILL
        }
    }

    private func writeFile(_ running: inout Running) {
        running.file.phase =
            switch running.machine.phase {
            case .startingClusters, .startingServices: .starting
            case .serving: .ready
            case .drainingWorkers, .stoppingController, .stoppingClusters: .stopping
            case .stopped: .stopped
            }
        running.file.processes = running.machine.children.map { child in
            RegionFile.Process(
                name: child.name, pid: running.pids[child.name], state: text(of: child.state),
                restarts: child.restarts, since: running.since[child.name])
        }
        do {
            try running.file.write(to: plan.state)
        } catch {
            Terminal.error("\(error)")
        }
    }

    private func text(of state: SupervisorMachine.ChildState) -> String {
        switch state {
        case .idle: "stopped"
        case .starting: "starting"
        case .running: "running"
        case .waiting: "waiting"
        case .stopping: "stopping"
        }
    }
}
