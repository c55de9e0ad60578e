import PostgresDriver
import TenantRegistry

/// What an error of a consumer or of a database means for a feed.
enum DeliveryFailure: Sendable, Hashable {
    /// A later lease has taken over. `token` is the highest that is known of it, when the database said so.
    case leaseLost(token: Int64?)
    /// Something is away or busy: the same again later.
    case unavailable(String)
    /// The events themselves cannot be taken in.
    case refused(String)

    init(_ error: any Error) {
        switch error {
        case let error as EventRefusal:
            self = .refused(error.reason)
        case let error as PostgresError where error.sqlState == "MC423":
            self = .leaseLost(token: error.detail.flatMap { Int64($0) })
        case let error as PostgresError:
            let isAnswer = error.code == .server && !error.isRetryable && error.condition != .cancelled
            self = isAnswer || error.code == .decoding ? .refused("\(error)") : .unavailable("\(error)")
        case let error as TenantRegistryError:
            self = .unavailable("\(error.code)")
        case is CancellationError:
            self = .unavailable("cancelled")
        default:
            // Its text may hold anything; its type holds nothing of a patient.
            self = .refused("\(type(of: error))")
        }
    }
}
