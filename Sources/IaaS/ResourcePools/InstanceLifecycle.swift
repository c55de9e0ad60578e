/// Where an instance is in its life. Whether it serves (`ready`) is another question.
package enum InstanceState: String, Sendable, Hashable, CaseIterable {
    /// Asked for; the controller is making it.
    case requested
    case running
    case stopped
    case starting
    case stopping
    case rebooting
    case updating
    case deleting
    /// It ended again and again and is not started any more by itself.
    case crashed
    /// Its deletion failed half-way; it can be deleted again.
    case failed
}

/// What somebody asks of an instance that exists.
package enum InstanceChangeRequest: String, Sendable, Hashable, CaseIterable {
    case start, stop, reboot, update, delete

    /// The state while it is being done.
    package var transitional: InstanceState {
        switch self {
        case .start: .starting
        case .stop: .stopping
        case .reboot: .rebooting
        case .update: .updating
        case .delete: .deleting
        }
    }
}

/// A request that does not fit the state.
package struct IllegalTransition: Error, Sendable, Hashable {
    package let from: InstanceState
    /// The state that was asked for.
    package let to: InstanceState
    /// The states that can be asked for.
    package let allowed: [InstanceState]

    package init(from: InstanceState, request: InstanceChangeRequest) {
        self.from = from
        to = request.transitional
        allowed = InstanceChangeRequest.allCases.filter { InstanceLifecycle.accepts($0, in: from) }.map(\.transitional)
    }
}

/// The life of an instance: an event goes in, an action comes out, nothing is done inside. The control database makes the
/// same transitions under the row's lock (`control.instance_transition`, `control.settle_instance`).
package struct InstanceLifecycle: Sendable, Hashable {
    package enum Event: Sendable, Hashable {
        case asked(InstanceChangeRequest)
        /// The operation under way has ended well; `running` is what was asked for.
        case succeeded(running: Bool)
        /// The operation under way has failed or was cancelled. What it did is undone, or, when it had gone too far for that,
        /// is as it is.
        case failed(isIrrevocable: Bool)
        /// The hypervisor shows it on or off while nothing is under way.
        case observed(running: Bool)
        /// It was started again as often as it may be.
        case gaveUp
    }

    package enum Action: Sendable, Hashable {
        /// An operation of kind `instance.` and this begins.
        case begin(InstanceChangeRequest)
        /// Nothing is left of it: its row goes, and its reservation.
        case remove
        /// The reservation is brought to what the instance now is.
        case settle
        case none
    }

    package private(set) var state: InstanceState
    /// The state that the operation under way began in.
    private var before: InstanceState

    package init(state: InstanceState = .requested, before: InstanceState = .requested) {
        self.state = state
        self.before = before
    }

    package static func accepts(_ request: InstanceChangeRequest, in state: InstanceState) -> Bool {
        switch state {
        case .running: request != .start
        case .stopped: request == .start || request == .update || request == .delete
        case .crashed: request != .reboot
        case .failed: request == .delete
        case .requested, .starting, .stopping, .rebooting, .updating, .deleting: false
        }
    }

    package mutating func on(_ event: Event) throws(IllegalTransition) -> Action {
        switch event {
        case .asked(let request):
            guard Self.accepts(request, in: state) else { throw IllegalTransition(from: state, request: request) }
            before = state
            state = request.transitional
            return .begin(request)
        case .succeeded(let running): return succeeded(running: running)
        case .failed(let isIrrevocable): return failed(isIrrevocable: isIrrevocable)
        case .observed(let running): return observed(running: running)
        case .gaveUp:
            if state == .running || state == .stopped { state = .crashed }
            return .none
        }
    }

    private mutating func succeeded(running: Bool) -> Action {
        switch state {
        case .requested, .starting, .stopping, .rebooting, .updating:
            state = running ? .running : .stopped
            return .settle
        case .deleting: return .remove
        case .running, .stopped, .crashed, .failed: return .none
        }
    }

    private mutating func failed(isIrrevocable: Bool) -> Action {
        switch state {
        case .requested: return .remove
        case .starting, .stopping, .rebooting, .updating:
            state = before
            return .settle
        case .deleting:
            state = isIrrevocable ? .failed : before
            return .settle
        case .running, .stopped, .crashed, .failed: return .none
        }
    }

    private mutating func observed(running: Bool) -> Action {
        switch state {
        case .running: if !running { state = .stopped }
        case .stopped, .crashed: if running { state = .running }
        case .requested, .starting, .stopping, .rebooting, .updating, .deleting, .failed: break
        }
        return .none
    }
}
