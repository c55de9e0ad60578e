/// A statement's text with `$1`-style parameters. Keep it in a `static let`: each connection prepares it once, at its
/// first use, in the same round trip. Up to 256 statements stay prepared on a connection, the least recently used go.
package struct PostgresStatement: Sendable, Hashable {
    private final class Storage: Sendable {
        let sql: String
        let hash: Int

        init(_ sql: String) {
            self.sql = sql
            hash = sql.hashValue
        }
    }
    private let storage: Storage

    package init(_ sql: String) {
        storage = Storage(sql)
    }

    package var sql: String { storage.sql }

    package static func == (left: PostgresStatement, right: PostgresStatement) -> Bool {
        left.storage === right.storage
            || (left.storage.hash == right.storage.hash && left.storage.sql == right.storage.sql)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(storage.hash)
    }
}
