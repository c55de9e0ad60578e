import ClinicalData
import NIOCore
import PostgresDriver
import SchemaMigration
import TestSupport

/// A tenant database of a test's own.
enum StoreFixture {
    static let audit = AuditContext(
        client: "client-1", practitioner: "Practitioner/17", purpose: "TREAT", requestID: "request-1",
        source: "192.0.2.7", origin: "token")

    static func withPool(
        maximumConnections: Int = 3, _ body: @Sendable (PostgresPool) async throws -> Void
    ) async throws {
        try await TestPostgres.withPool(maximumConnections: maximumConnections) { pool in
            try await pool.withConnection { connection in
                _ = try await Migrator(TenantSchema.series).run(on: connection)
            }
            try await body(pool)
        }
    }

    /// A resource type by name; the names here are FHIR's.
    static func type(_ name: String) throws -> ResourceType {
        guard let type = ResourceType.named(name) else { throw Missing(name: name) }
        return type
    }

    struct Missing: Error {
        let name: String
    }

    static func content(_ id: String, _ more: String = "") -> ByteBuffer {
        ByteBuffer(string: "{\"resourceType\":\"Patient\",\"id\":\"\(id)\",\"meta\":{}\(more)}")
    }

    /// Index rows in every table.
    static func rows(_ code: String, patient: String? = nil) -> IndexRows {
        var rows = IndexRows()
        rows.tokens = [(1, "urn:s", code), (2, "", "x")]
        rows.strings = [(3, "muller", "Müller")]
        rows.dates = [(4, IndexRows.beginning, 1_000_000)]
        rows.references = [(5, 100, "p1")]
        rows.quantities = [(6, "-Infinity", "1.05", "http://unitsofmeasure.org", "mg", "mg")]
        rows.uris = [(7, "urn:u")]
        rows.patient = patient
        rows.hash = Int64(code.utf8.reduce(7) { $0 * 31 + Int($1) })
        return rows
    }

    static func operation(
        _ kind: WriteOperation.Kind, _ id: String, code: String = "a", expected: Int32? = nil, more: String = ""
    ) throws -> WriteOperation {
        WriteOperation(
            kind, try type("Patient"), id: id, expectedVersion: expected, content: content(id, more),
            index: rows(code, patient: id))
    }

    /// The one number that a statement answers with.
    static func count(_ sql: String, on pool: PostgresPool) async throws -> Int {
        let result = try await pool.query(PostgresStatement(sql))
        return Int(try result[0].int8(0))
    }
}
