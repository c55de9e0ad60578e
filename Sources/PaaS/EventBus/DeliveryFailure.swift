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
            self = Self.isAboutData(error) ? .refused("\(error)") : .unavailable("\(error)")
        case let error as TenantRegistryError:
            self = .unavailable("\(error.code)")
        case is CancellationError:
            self = .unavailable("cancelled")
        default:
            // Its text may hold anything; its type holds nothing of a patient.
            self = .unavailable("\(type(of: error))")
        }
    }

    /// Whether the error comes from what the events say, so that no later try ends otherwise. A full or failing disk, a lock
    /// that is not given, a schema that is older than this process are none of that: parked changes would wait for an operator.
    private static func isAboutData(_ error: PostgresError) -> Bool {
        switch error.code {
        case .decoding: true
        // Cardinality, data, integrity and the limits of Postgres, such as the size of an index row.
        case .server: ["21", "22", "23", "54"].contains(error.sqlState?.prefix(2))
        default: false
        }
    }
}
