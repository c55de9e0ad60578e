package import PostgresDriver
import StrictJSON

/// Why something could not be asked of a tenant's resource pool.
package struct ResourcePoolError: Error, Sendable, CustomStringConvertible {
    package enum Reason: Sendable, Hashable {
        /// No such tenant, instance or network.
        case notFound
        /// It exists already, or something still uses it.
        case conflict
        /// A member of the request breaks its rule. An empty field is the body as a whole.
        case invalidValue(field: String, rule: String)
        case quotaExceeded(QuotaRefusal)
        case illegalTransition(IllegalTransition)
        /// The region runs without a hypervisor.
        case noCompute
        /// The acting tenant may not do this.
        case denied
        /// The control database, or the controller behind it, does not answer. Try again.
        case unavailable
        /// Anything else; the cause says what.
        case failed
    }

    package let reason: Reason
    /// One sentence for a person. Never SQL, nothing of other tenants.
    package let message: String
    /// What the database said, for the log.
    package let cause: PostgresError?

    package init(_ reason: Reason, _ message: String, cause: PostgresError? = nil) {
        self.reason = reason
        self.message = message
        self.cause = cause
    }

    /// The meaning of a failed call; the SQLSTATEs `MC…` are raised by our own functions, with JSON as their detail.
    package init(_ error: PostgresError) {
        let message = error.serverMessage
        let detail = error.detail.flatMap { try? JSONDocument(Array($0.utf8)).root }
        switch error.sqlState {
        case "MC403", "42501": self.init(.denied, message, cause: error)
        case "MC404": self.init(.notFound, message, cause: error)
        case "MC409", "23505": self.init(.conflict, message, cause: error)
        case "MC422":
            self.init(
                .invalidValue(
                    field: detail?["field"]?.string ?? "", rule: detail?["rule"]?.string ?? message),
                message, cause: error)
        case "MCQTA":
            self.init(detail.flatMap(QuotaRefusal.init).map(Reason.quotaExceeded) ?? .failed, message, cause: error)
        case "MCSTA":
            self.init(
                detail.flatMap(IllegalTransition.init).map(Reason.illegalTransition) ?? .conflict, message, cause: error
            )
        case "MCHST": self.init(.noCompute, message, cause: error)
        case _ where error.condition == .invalidData:
            // A number that no type of ours can hold.
            self.init(
                .invalidValue(field: "", rule: "has a value that is out of range"), "a value is out of range",
                cause: error)
        case _ where error.condition == .serializationFailure:
            // Nothing was done, and the same may succeed when it is done again.
            self.init(.unavailable, "others change the same now; try again", cause: error)
        default:
            let isAway = error.sqlState == nil || error.condition == .unavailable || error.condition == .cancelled
            self.init(
                isAway ? .unavailable : .failed,
                isAway ? "the control database does not answer" : "the control database refused", cause: error)
        }
    }

    package var description: String {
        "\(reason): \(message)" + (cause.map { " (\($0.sqlState ?? "\($0.code)"))" } ?? "")
    }
}

/// A request that would take more than a quota leaves.
package struct QuotaRefusal: Sendable, Hashable {
    package let dimension: String
    package let limit: Int64
    package let used: Int64
    /// How much more was asked for.
    package let requested: Int64
    package let remaining: Int64

    package init(dimension: String, limit: Int64, used: Int64, requested: Int64, remaining: Int64) {
        self.dimension = dimension
        self.limit = limit
        self.used = used
        self.requested = requested
        self.remaining = remaining
    }

    init?(_ detail: JSONNode) {
        guard let dimension = detail["dimension"]?.string, let limit = detail["limit"]?.integer,
            let used = detail["used"]?.integer, let requested = detail["requested"]?.integer,
            let remaining = detail["remaining"]?.integer
        else { return nil }
        self.init(
            dimension: dimension, limit: Int64(limit), used: Int64(used), requested: Int64(requested),
            remaining: Int64(remaining))
    }
}

extension IllegalTransition {
    /// From the state and the event that the database names.
    init?(_ detail: JSONNode) {
        guard let state = detail["from"]?.string.flatMap(InstanceState.init),
            let request = detail["event"]?.string.flatMap(InstanceChangeRequest.init)
        else { return nil }
        self.init(from: state, request: request)
    }
}
