import CloudHTTP
import ResourcePools

extension Problem {
    /// What a client learns about a request of a resource pool.
    init(_ error: ResourcePoolError) {
        switch error.reason {
        case .notFound: self = .nothingHere
        case .conflict: self.init(.conflict, error.message)
        case .invalidValue(let field, let rule):
            let pointer = field.hasPrefix("query:") || field.isEmpty ? field : "/" + field
            self.init(.invalidInput, error.message, fields: [Field(pointer: pointer, detail: rule)])
        case .quotaExceeded(let refusal):
            self.init(
                .quotaExceeded, error.message,
                extensions: [
                    .text("dimension", refusal.dimension), .integer("limit", refusal.limit),
                    .integer("used", refusal.used), .integer("requested", refusal.requested),
                    .integer("remaining", refusal.remaining),
                ])
        case .illegalTransition(let transition):
            let allowed = transition.allowed.map(\.rawValue)
            self.init(
                .illegalTransition,
                "From \(transition.from.rawValue) it cannot go to \(transition.to.rawValue), but to "
                    + (allowed.isEmpty
                        ? "nothing now; wait for the operation under way." : allowed.joined(separator: ", ") + "."),
                extensions: [
                    .text("from", transition.from.rawValue), .text("to", transition.to.rawValue),
                    .texts("allowed", allowed),
                ])
        case .noCompute: self.init(.noCompute)
        case .denied: self.init(.insufficientScope)
        case .unavailable:
            self.init(.unavailable, "The region's controller or database does not answer now.", retryAfter: 1)
        case .failed: self.init(.internalError)
        }
    }
}
