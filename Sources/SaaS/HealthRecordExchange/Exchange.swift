import ClinicalData
import CloudIdentity
import CloudModel
import Logging
import NIOCore
import PostgresDriver

/// What all requests share.
struct ExchangeServices: Sendable {
    let definitions: Definitions
    let store: ClinicalStore
    let search: SearchEngine
    let auditLog: AuditLog
    let historyCursors: HistoryCursor
    let capabilities: CapabilityStatement
}

/// One request's world: who asks, on whose records, until when.
struct Exchange: Sendable {
    let services: ExchangeServices
    let pool: PostgresPool
    let tenant: TenantID
    let principal: Principal
    let audit: AuditContext
    /// The absolute URL of the FHIR base, without a trailing slash.
    let base: String
    let deadline: NIODeadline
    let logger: Logger

    /// Statements by themselves.
    var pooled: Session { .pool(pool, deadline: deadline) }

    /// Refuses what the token's scopes do not allow; `entry` is audited by ``settle(_:)``.
    func require(
        _ permission: ScopeSet.Permission, on type: ResourceType, for entry: AuditEntry
    ) throws(FHIRFailure) {
        guard !principal.scopes.allows(permission, on: type.name) else { return }
        throw denied(.forbidden("\(permission)", type.name), entry)
    }

    func denied(_ failure: FHIRFailure, _ entry: AuditEntry) -> FHIRFailure {
        var failure = failure
        failure.denial = entry
        return failure
    }

    /// Audits a refusal in a commit of its own: the transaction that it ended was rolled back, and its connection given
    /// back, so that nobody waits for a second one while holding the first.
    func settle(_ failure: FHIRFailure) async throws {
        guard let denial = failure.denial else { return }
        try await services.auditLog.record([denial], audit, on: pooled.runner)
    }
}

/// Where statements of a request run.
enum Session: Sendable {
    /// Each by itself.
    case pool(PostgresPool, deadline: NIODeadline)
    /// All in the transaction that is open on this connection.
    case transaction(PostgresConnection)

    var runner: any StatementRunner {
        switch self {
        case .pool(let pool, let deadline): PooledStatements(pool, deadline: deadline)
        case .transaction(let connection): connection
        }
    }

    /// How often a transaction is tried that the server broke off to untangle it from others.
    private static let attempts = 4

    /// Runs `body` in the open transaction, or in one of its own that is repeated after a serialization failure.
    func withTransaction<R: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) async throws -> R
    ) async throws -> R {
        switch self {
        case .transaction(let connection):
            return try await body(connection)
        case .pool(let pool, let deadline):
            var attempt = 1
            while true {
                do {
                    return try await pool.withTransaction(deadline: deadline) { try await body($0) }
                } catch let error as PostgresError
                    where error.condition == .serializationFailure && attempt < Self.attempts
                {
                    attempt += 1
                }
            }
        }
    }

    /// Runs `body` with one connection, without a transaction unless one is open.
    func withConnection<R: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) async throws -> R
    ) async throws -> R {
        switch self {
        case .transaction(let connection): try await body(connection)
        case .pool(let pool, let deadline): try await pool.withConnection(deadline: deadline) { try await body($0) }
        }
    }
}
