import NIOCore
package import PostgresDriver

/// The lease of the leading controller: one row of the control database, with a term that only grows.
///
/// The term is the fencing token: every write names it (``OperationContext/transaction(_:)``) and fails once a later leader
/// has taken over, however late it comes. The lease ends when it is given back, when it was not renewed in time, and at once
/// when the session that took it has ended, because its holder has died then.
package struct LeaderLease: Sendable, Hashable {
    /// How long a lease lasts without being renewed.
    package static let duration: Duration = .seconds(5)

    /// The fencing token.
    package let term: Int64

    package init(term: Int64) {
        self.term = term
    }

    private static let takeStatement = PostgresStatement(
        "select control.lead($1, $2, $3, make_interval(secs => $4))")

    /// Takes the lease if nobody has it.
    ///
    /// - Parameters:
    ///   - session: must stay open for as long as this process leads.
    ///   - holder: a UUID of this start of the process.
    /// - Returns: nil while another leads.
    package static func take(
        on session: PostgresConnection, holder: String, version: String, process: Int32,
        duration: Duration = LeaderLease.duration
    ) async throws(CoordinationError) -> LeaderLease? {
        let result = try await query(
            takeStatement, [.uuid(holder), .text(version), .int4(process), .float8(duration.inSeconds)], on: session)
        do throws(PostgresError) {
            return try result.first?.optionalInt8(0).map { LeaderLease(term: $0) }
        } catch {
            throw CoordinationError(error)
        }
    }

    private static let renewStatement = PostgresStatement(
        "select control.renew_leadership($1, make_interval(secs => $2))")

    /// Extends the lease.
    ///
    /// - Throws: `lost-leadership` when another has taken it.
    package func renew(
        on session: PostgresConnection, duration: Duration = LeaderLease.duration
    ) async throws(CoordinationError) {
        let result = try await Self.query(
            Self.renewStatement, [.int8(term), .float8(duration.inSeconds)], on: session)
        // An answer that cannot be read is no lease either.
        guard (try? result.first?.bool(0)) == true else {
            throw CoordinationError(.lostLeadership, "another controller leads")
        }
    }

    private static let resignStatement = PostgresStatement("select control.resign_leadership($1)")

    /// Gives the lease back, so that another need not wait.
    package func resign(on session: PostgresConnection) async throws(CoordinationError) {
        _ = try await Self.query(Self.resignStatement, [.int8(term)], on: session)
    }

    private static func query(
        _ statement: PostgresStatement, _ values: [PostgresValue], on session: PostgresConnection
    ) async throws(CoordinationError) -> PostgresResult {
        do {
            return try await session.query(statement, values, deadline: .now() + .seconds(5))
        } catch let error as PostgresError {
            throw CoordinationError(error)
        } catch {
            throw CoordinationError(.unavailable, "the control database does not answer")
        }
    }
}

extension Duration {
    /// With fractions.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
