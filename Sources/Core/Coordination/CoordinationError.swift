package import PostgresDriver

/// Why an operation or the leadership could not be written or read.
package struct CoordinationError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Base: String {
            case lostLeadership = "lost-leadership"
            case unavailable = "control-unavailable"
            case failed
        }
        private let base: Base
        private init(_ base: Base) { self.base = base }

        /// Another controller leads: nothing was written, and nothing more may be done.
        package static let lostLeadership = Code(.lostLeadership)
        /// The control database does not answer; try again.
        package static let unavailable = Code(.unavailable)
        /// Anything else; the cause says what.
        package static let failed = Code(.failed)

        package var description: String { base.rawValue }
    }

    package let code: Code
    /// For the log; no secrets.
    package let message: String
    package let cause: PostgresError?

    package init(_ code: Code, _ message: String, cause: PostgresError? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// The meaning of a failed statement of the controller. `MC423` is raised by `control.require_leader`.
    package init(_ error: PostgresError) {
        switch error.sqlState {
        case "MC423": self.init(.lostLeadership, "another controller leads", cause: error)
        case nil: self.init(.unavailable, "the control database does not answer", cause: error)
        default:
            let isAway = error.condition == .unavailable || error.condition == .cancelled
            self.init(
                isAway ? .unavailable : .failed,
                isAway ? "the control database does not answer" : "the control database refused", cause: error)
        }
    }

    /// Whether `error` says that another controller leads, however it is wrapped.
    package static func isLostLeadership(_ error: any Error) -> Bool {
        switch error {
        case let error as CoordinationError: error.code == .lostLeadership
        case let error as PostgresError: error.sqlState == "MC423"
        default: false
        }
    }

    package var description: String {
        "\(code): \(message)" + (cause.map { " (\($0.sqlState ?? "\($0.code)"))" } ?? "")
    }
}
