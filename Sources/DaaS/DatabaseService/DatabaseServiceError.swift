import PostgresDriver

/// Why the databases of a region could not be made as they should be.
package struct DatabaseServiceError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Base: String {
            case bootstrap, migration, step
        }
        private let base: Base
        private init(_ base: Base) { self.base = base }

        /// Roles or databases of a cluster could not be made.
        package static let bootstrap = Code(.bootstrap)
        /// A database could not be brought to this version.
        package static let migration = Code(.migration)
        /// A step of making or removing a tenant failed.
        package static let step = Code(.step)

        package var description: String { base.rawValue }
    }

    package let code: Code
    /// For the operator and the log; no secrets.
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String {
        guard let cause else { return "\(code): \(message)" }
        if let error = cause as? PostgresError {
            return "\(code): \(message): \(error.serverMessage) (\(error.sqlState ?? "-"))"
        }
        return "\(code): \(message): \(cause)"
    }
}
