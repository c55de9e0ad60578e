package import Virtualization

/// A difference between what was asked for and what is.
package struct DriftFinding: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable {
        /// The domain is gone from the hypervisor.
        case missing
        /// It is to run and does not.
        case stopped
        /// It is to be off and runs.
        case running
        /// It has other processors or memory.
        case changed
        /// The host or a cell holds it and no row names it.
        case orphan
    }

    /// Who looks for it: each records what it finds, and leaves the other's alone.
    package enum Area: String, Sendable, Hashable {
        /// The hypervisor.
        case compute
        /// The cells.
        case databases
    }

    package enum Action: String, Sendable, Hashable {
        case reported, repairing
        case givenUp = "given-up"
    }

    /// Nil is the region's.
    package let tenant: String?
    /// The name on the host or in the cell.
    package let resource: String
    package let kind: Kind
    /// The instance's name.
    package let name: String?
    package let expected: String
    package let found: String
    package let action: Action

    package init(
        tenant: String?, resource: String, kind: Kind, name: String?, expected: String, found: String, action: Action
    ) {
        self.tenant = tenant
        self.resource = resource
        self.kind = kind
        self.name = name
        self.expected = expected
        self.found = found
        self.action = action
    }
}

/// Decides what to do about an instance that is not as it was asked for. Looks at values only; ``InstanceReconciler`` acts.
package enum DriftJudge {
    package enum Act: Sendable, Hashable {
        case none
        /// Start it again; it counts against ``maximumRestarts``.
        case start
        /// Define it again as it was asked for, and start it when it is to run.
        case define
        /// Off, defined as it was asked for, and on again when it is to run.
        case redefine
        /// Pull the plug.
        case powerOff
        /// Not started any more by itself.
        case giveUp
    }

    package struct Verdict: Sendable, Hashable {
        package let finding: DriftFinding?
        package let act: Act
    }

    /// A machine that ends again and again is started this often, each time after a longer pause.
    package static let maximumRestarts = 5
    /// One that has run for so long is as good as new.
    package static let settledAfter: Duration = .seconds(300)

    /// The pause before the next start: 1, 2, 4, 8, 16 seconds since the last one.
    package static func pause(before restart: Int) -> Duration {
        restart == 0 ? .zero : .seconds(1 << min(restart - 1, 10))
    }

    /// - Parameters:
    ///   - seen: nil when the hypervisor has no such domain.
    ///   - hasDisk: whether its disk is there.
    package static func judge(_ asked: AskedInstance, seen: InstanceObservation?, hasDisk: Bool) -> Verdict {
        // What an operation is doing is nobody else's to judge, and what was never made is not missing.
        guard !asked.isBusy, asked.state != .failed else { return Verdict(finding: nil, act: .none) }
        guard let seen else { return missing(asked, hasDisk: hasDisk) }
        switch seen.state {
        case .running, .paused, .shuttingDown:
            guard asked.isToRun else {
                return verdict(asked, .running, "stopped", seen.state.rawValue, repair: .powerOff)
            }
            guard !differs(asked, seen) else {
                return verdict(asked, .changed, shape(asked), shape(seen), repair: .redefine)
            }
            return Verdict(finding: nil, act: .none)
        case .shutOff, .crashed:
            if asked.isToRun { return ended(asked, seen) }
            guard !differs(asked, seen) else {
                return verdict(asked, .changed, shape(asked), shape(seen), repair: .define)
            }
            return Verdict(finding: nil, act: .none)
        }
    }

    private static func missing(_ asked: AskedInstance, hasDisk: Bool) -> Verdict {
        let expected = asked.isToRun ? "running" : "stopped"
        guard hasDisk else {
            // A new disk would pass for the old one.
            return Verdict(
                finding: finding(asked, .missing, expected, "neither domain nor disk", .reported), act: .none)
        }
        return verdict(asked, .missing, expected, "no domain", repair: .define)
    }

    private static func ended(_ asked: AskedInstance, _ seen: InstanceObservation) -> Verdict {
        // What a restart of the host has left off nobody has stopped: it goes on whatever the tenant's policy is.
        guard asked.policy == .repair || !seen.hasRun else {
            return Verdict(
                finding: finding(asked, .stopped, "running", seen.state.rawValue, .reported), act: .none)
        }
        if asked.state == .crashed || asked.restarts >= maximumRestarts {
            return Verdict(
                finding: finding(asked, .stopped, "running", seen.state.rawValue, .givenUp),
                act: asked.state == .crashed ? .none : .giveUp)
        }
        let isDue = asked.restartedFor.map { $0 >= pause(before: asked.restarts) } ?? true
        return Verdict(
            finding: finding(asked, .stopped, "running", seen.state.rawValue, .repairing), act: isDue ? .start : .none)
    }

    // MARK: Parts

    private static func differs(_ asked: AskedInstance, _ seen: InstanceObservation) -> Bool {
        asked.specification.virtualCPUs != seen.virtualCPUs || asked.specification.memory != seen.memory
    }

    private static func shape(_ asked: AskedInstance) -> String {
        "\(asked.specification.virtualCPUs) vCPUs, \(asked.specification.memory) bytes"
    }

    private static func shape(_ seen: InstanceObservation) -> String {
        "\(seen.virtualCPUs) vCPUs, \(seen.memory) bytes"
    }

    private static func verdict(
        _ asked: AskedInstance, _ kind: DriftFinding.Kind, _ expected: String, _ found: String, repair act: Act
    ) -> Verdict {
        let isRepaired = asked.policy == .repair
        return Verdict(
            finding: finding(asked, kind, expected, found, isRepaired ? .repairing : .reported),
            act: isRepaired ? act : .none)
    }

    private static func finding(
        _ asked: AskedInstance, _ kind: DriftFinding.Kind, _ expected: String, _ found: String,
        _ action: DriftFinding.Action
    ) -> DriftFinding {
        DriftFinding(
            tenant: asked.tenant, resource: asked.resource.rawValue, kind: kind, name: asked.name, expected: expected,
            found: found, action: action)
    }
}
