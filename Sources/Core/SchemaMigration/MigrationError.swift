/// Why a schema was not migrated. Messages name series, versions and files, nothing of the data.
package struct MigrationError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String, Sendable {
            case invalidSeries, checksumChanged, databaseIsNewer, failed
        }
        private let kind: Kind

        /// The files of the series do not fit together.
        package static let invalidSeries = Code(kind: .invalidSeries)
        /// A migration was changed after it had been applied to this database.
        package static let checksumChanged = Code(kind: .checksumChanged)
        /// The database has been migrated by a newer program.
        package static let databaseIsNewer = Code(kind: .databaseIsNewer)
        /// The SQL of a migration failed; it was rolled back, those before it stay.
        package static let failed = Code(kind: .failed)

        package var description: String { kind.rawValue }
    }
    package let code: Code
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { message }
}
