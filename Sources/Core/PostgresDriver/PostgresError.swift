/// What went wrong between us and Postgres.
///
/// `description` names codes only. `serverMessage` and `detail` may quote values of the statement, so they belong into
/// no log line and no answer.
package struct PostgresError: Error, Sendable, CustomStringConvertible {
    /// The stable kind of a failure.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String, Sendable {
            case server, connection, deadline, cancelled, `protocol`, poolExhausted, closed, decoding
        }
        private let kind: Kind

        /// The server answered with an error; see `sqlState` and `condition`.
        package static let server = Code(kind: .server)
        /// The connection could not be made or was lost; whether a statement in flight took effect is unknown.
        package static let connection = Code(kind: .connection)
        /// The deadline passed; the statement was cancelled.
        package static let deadline = Code(kind: .deadline)
        /// The calling task was cancelled, and the statement with it.
        package static let cancelled = Code(kind: .cancelled)
        /// libpq or the server did something this driver does not expect; the connection is closed.
        package static let `protocol` = Code(kind: .protocol)
        /// No connection became free in time, or too many callers wait already.
        package static let poolExhausted = Code(kind: .poolExhausted)
        /// The pool, pipeline or connection has been closed or given back.
        package static let closed = Code(kind: .closed)
        /// A column was read as something it is not.
        package static let decoding = Code(kind: .decoding)

        package var description: String { kind.rawValue }
    }

    /// What a SQLSTATE means to a caller.
    package enum Condition: Sendable, Hashable {
        /// Classes 08, 53 and 57P: the server is full, stopping or starting. Try again later.
        case unavailable
        /// 23505; `constraint` names which.
        case uniqueViolation
        /// 23503; `constraint` names which.
        case foreignKeyViolation
        /// 23514, 23502 and 23P01; `constraint` or `column` names which.
        case constraintViolation
        /// Class 22: a value the statement or type does not take.
        case invalidData
        /// 40001 and 40P01: run the transaction again.
        case serializationFailure
        /// 57014: cancelled by us or by `statement_timeout`.
        case cancelled
        /// 42501.
        case insufficientPrivilege
        /// Everything else, our own SQLSTATEs included: compare `sqlState`.
        case other
    }

    /// The fields of an error report. A class keeps the error one word wide.
    private final class Fields: Sendable {
        let code: Code
        let sqlState: String?
        let message: String
        let detail: String?
        let hint: String?
        let constraint: String?
        let schema: String?
        let table: String?
        let column: String?

        init(
            code: Code, sqlState: String?, message: String, detail: String?, hint: String?, constraint: String?,
            schema: String?, table: String?, column: String?
        ) {
            self.code = code
            self.sqlState = sqlState
            self.message = message
            self.detail = detail
            self.hint = hint
            self.constraint = constraint
            self.schema = schema
            self.table = table
            self.column = column
        }
    }
    private let fields: Fields

    package init(
        _ code: Code, _ message: String, sqlState: String? = nil, detail: String? = nil, hint: String? = nil,
        constraint: String? = nil, schema: String? = nil, table: String? = nil, column: String? = nil
    ) {
        fields = Fields(
            code: code, sqlState: sqlState, message: message, detail: detail, hint: hint, constraint: constraint,
            schema: schema, table: table, column: column)
    }

    package var code: Code { fields.code }
    /// The server's five characters; `nil` when the server said nothing.
    package var sqlState: String? { fields.sqlState }
    /// The server's primary message, or ours where the server said nothing.
    package var serverMessage: String { fields.message }
    package var detail: String? { fields.detail }
    package var hint: String? { fields.hint }
    package var constraint: String? { fields.constraint }
    package var schema: String? { fields.schema }
    package var table: String? { fields.table }
    package var column: String? { fields.column }

    /// The meaning of `sqlState`; `.other` when there is none.
    package var condition: Condition {
        guard let sqlState else { return .other }
        switch sqlState {
        case "23505": return .uniqueViolation
        case "23503": return .foreignKeyViolation
        case "23514", "23502", "23P01": return .constraintViolation
        case "40001", "40P01": return .serializationFailure
        case "57014": return .cancelled
        case "42501": return .insufficientPrivilege
        default: break
        }
        if sqlState.hasPrefix("08") || sqlState.hasPrefix("53") || sqlState.hasPrefix("57P") { return .unavailable }
        if sqlState.hasPrefix("22") { return .invalidData }
        return .other
    }

    /// Whether the same work may succeed when it is done again. Work with effects that failed with `.connection` may
    /// have taken effect: repeat it only when it is idempotent.
    package var isRetryable: Bool {
        switch code {
        case .connection, .poolExhausted: sqlState == nil || condition == .unavailable
        case .server: condition == .unavailable || condition == .serializationFailure
        default: false
        }
    }

    /// The prepared statement no longer fits (its table changed) or is gone; preparing it again helps.
    var isStaleStatement: Bool {
        code == .server
            && (sqlState == "26000" || (sqlState == "0A000" && serverMessage.hasPrefix("cached plan must not change")))
    }

    /// The server refused the connection for a reason that trying again does not change: credentials, database, role.
    var isPermanentRefusal: Bool {
        guard code == .connection, let sqlState else { return false }
        return sqlState.hasPrefix("28") || sqlState == "3D000" || sqlState.hasPrefix("42") || sqlState.hasPrefix("22")
    }

    package var description: String {
        if let sqlState { return "PostgresError(\(code), \(sqlState))" }
        if code == .server { return "PostgresError(\(code))" }
        return "PostgresError(\(code): \(serverMessage.prefix { character in character != "\n" }))"
    }

    /// The same report under another code: a cancelled statement is our deadline or our task's end.
    func recoded(_ code: Code) -> PostgresError {
        PostgresError(
            code, serverMessage, sqlState: sqlState, detail: detail, hint: hint, constraint: constraint,
            schema: schema, table: table, column: column)
    }
}
