import PostgresDriver
import StrictJSON

extension TenantRecord {
    /// Columns of `control.tenants`, as ``init(row:)`` reads them.
    static let columns = """
        id, name, time_zone, language, state, database, cell, error, created_at, kind, labels, operation
        """

    /// One row of ``columns``.
    init(row: PostgresRow) throws(TenantRegistryError) {
        do throws(PostgresError) {
            self.init(
                id: try row.string(0), name: try row.string(1), timeZone: try row.string(2),
                language: try row.string(3), kind: Kind(rawValue: try row.string(9)) ?? .partner,
                labels: Self.labels(json: try row.string(10)),
                // A state that only a newer version knows is nothing to serve from.
                state: State(rawValue: try row.string(4)) ?? .failed, database: try row.string(5),
                cell: try row.string(6), error: try row.optionalString(7), createdAt: try row.string(8),
                operation: try row.optionalString(11))
        } catch {
            throw TenantRegistryError(error)
        }
    }

    /// A JSON object of words.
    package static func json(labels: [String: String]) -> String {
        var writer = JSONWriter()
        writer.object { object in
            for (key, value) in labels.sorted(by: { $0.key < $1.key }) { object.member(key, value) }
        }
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private static func labels(json: String) -> [String: String] {
        // The column is of a type that holds JSON only.
        guard let root = try? JSONDocument(Array(json.utf8)).root else { return [:] }
        var labels: [String: String] = [:]
        for member in root.members { labels[member.key] = member.value.string }
        return labels
    }
}
