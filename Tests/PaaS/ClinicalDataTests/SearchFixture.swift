import CloudModel
import PostgresDriver
import StrictJSON
import TestSupport
import Testing

@testable import ClinicalData

/// A tenant database with index rows that a test names itself, so that search is tested apart from extraction.
struct SearchFixture: Sendable {
    enum Row {
        case token(String, system: String = "", String)
        /// Also the text of a token, for `:text`.
        case string(String, String)
        case date(String, String)
        case period(String, Int64, Int64)
        case reference(String, String)
        /// `Reference.identifier`.
        case identifier(String, system: String, String)
        case quantity(String, String, system: String = "", code: String = "", unit: String = "")
        case range(String, String, String)
        case uri(String, String)
    }

    static let base = "https://h.example/fhir"

    let pool: PostgresPool
    let tenant: TenantID
    let engine: SearchEngine

    static func with(_ body: @Sendable (SearchFixture) async throws -> Void) async throws {
        try await TestPostgres.withPool { pool in
            try await pool.withConnection { connection in
                for file in TenantSchema.files {
                    try await connection.execute(String(decoding: file.bytes, as: UTF8.self))
                }
            }
            guard let tenant = TenantID("h1") else { return }
            let engine = SearchEngine(definitions: .r4, cursorKey: [UInt8](repeating: 1, count: 32))
            try await body(SearchFixture(pool: pool, tenant: tenant, engine: engine))
        }
    }

    // MARK: Writing

    /// Stores a resource; `content` is what stands behind `meta`, with its comma.
    @discardableResult
    func add(_ name: String, _ id: String, _ rows: [Row] = [], content: String = "", meta: String = "") async throws
        -> Int64
    {
        try await pool.withTransaction { connection in
            try await insert(name, id, rows, content, meta, on: connection)
        }
    }

    private func insert(
        _ name: String, _ id: String, _ rows: [Row], _ content: String, _ meta: String,
        on connection: PostgresConnection
    ) async throws -> Int64 {
        let type = try required(ResourceType.named(name))
        let json = "{\"resourceType\":\"\(name)\",\"id\":\"\(id)\",\"meta\":{\(meta)}\(content)}"
        let result = try await connection.query(
            PostgresStatement(
                """
                insert into fhir.resource (type, id, version, last_updated, method, deleted, index_kinds, index_hash, content)
                values ($1, $2, 1, '2024-01-01T00:00:00Z'::timestamptz + $4 * interval '1 hour', 'C', false, 63, 0, $3)
                returning rid
                """), [.int2(type.code), .text(id), .text(json), .int8(Int64(id.utf8.last ?? 0) - 48)])
        let rid = try result[0].int8(0)
        for row in rows { try await insert(row, of: type, rid, on: connection) }
        return rid
    }

    private func insert(_ row: Row, of type: ResourceType, _ rid: Int64, on connection: PostgresConnection) async throws
    {
        func id(_ code: String) throws -> PostgresValue { .int4(try required(Definitions.r4.parameter(type, code)).id) }
        let (table, values): (String, [PostgresValue]) =
            switch row {
            case .token(let parameter, let system, let code), .identifier(let parameter, let system, let code):
                ("token", [try id(parameter), .text(system), .text(code)])
            case .string(let parameter, let value):
                ("string", [try id(parameter), .text(TextFolding.folded(value)), .text(value)])
            case .date(let parameter, let text):
                try {
                    let range = try required(DateRange(text))
                    return ("date", [try id(parameter), .timestamptz(range.low), .timestamptz(range.high)])
                }()
            case .period(let parameter, let low, let high):
                ("date", [try id(parameter), .timestamptz(low), .timestamptz(high)])
            case .reference(let parameter, let target):
                try {
                    let parts = target.split(separator: "/").map(String.init)
                    if parts.count == 2, let type = ResourceType.named(parts[0]) {
                        return ("reference", [try id(parameter), .int2(type.code), .text(parts[1])])
                    }
                    return ("reference", [try id(parameter), .int2(0), .text(target)])
                }()
            case .quantity(let parameter, let value, let system, let code, let unit):
                try {
                    let range = try required(DecimalRange(value))
                    return (
                        "quantity",
                        [
                            try id(parameter), .numeric(range.low), .numeric(range.high), .text(system), .text(code),
                            .text(unit),
                        ]
                    )
                }()
            case .range(let parameter, let low, let high):
                (
                    "quantity",
                    [try id(parameter), .numeric(low), .numeric(high), .text(""), .text(""), .text("")]
                )
            case .uri(let parameter, let value): ("uri", [try id(parameter), .text(value)])
            }
        let places = (2...values.count + 1).map { "$\($0)" }.joined(separator: ", ")
        _ = try await connection.query(
            PostgresStatement("insert into fhir.\(table) values ($1, \(places))"), [.int8(rid)] + values)
    }

    /// Deletes as the store does: the row stays, its index rows go.
    func delete(_ name: String, _ id: String) async throws {
        let type = try required(ResourceType.named(name))
        try await pool.withTransaction { connection in
            let result = try await connection.query(
                PostgresStatement(
                    """
                    update fhir.resource set deleted = true, content = '', version = version + 1
                    where type = $1 and id = $2 returning rid
                    """), [.int2(type.code), .text(id)])
            for table in ["token", "string", "date", "reference", "quantity", "uri"] {
                _ = try await connection.query(
                    PostgresStatement("delete from fhir.\(table) where rid = $1"), [.int8(try result[0].int8(0))])
            }
        }
    }

    // MARK: Searching

    func bundle(
        _ url: String, handling: SearchRequest.Handling = .strict, allowing allowed: Set<String>? = nil
    ) async throws -> JSONDocument {
        let plan = try plan(url, handling: handling, allowing: allowed, baseURL: Self.base)
        let bytes = try await pool.withTransaction(readOnly: true) { connection in
            try await engine.run(plan, on: connection, tenant: tenant, baseURL: Self.base)
        }
        return try JSONDocument(bytes)
    }

    /// The ids of the matches in their order.
    func ids(_ url: String) async throws -> [String] { try await Self.ids(bundle(url)) }

    /// Expects these matches, separated by spaces.
    func expect(_ url: String, _ expected: String) async throws {
        let found = try await ids(url)
        #expect(found == expected.split(separator: " ").map(String.init), "\(url)")
    }

    static func ids(_ bundle: JSONDocument, mode: String = "match") -> [String] {
        (bundle.root["entry"]?.elements.map { $0 } ?? [])
            .filter { $0["search"]?["mode"]?.stringIs(mode) ?? false }
            .compactMap { $0["resource"]?["id"]?.string }
    }

    static func link(_ relation: String, of bundle: JSONDocument) -> String? {
        bundle.root["link"]?.elements.first { $0["relation"]?.stringIs(relation) ?? false }?["url"]?.string
    }

    /// The ids of all pages, page by page.
    func pages(_ url: String, between: (Int) async throws -> Void = { _ in }) async throws -> [[String]] {
        var pages: [[String]] = []
        var next: String? = url
        while let url = next, pages.count < 1000 {
            let bundle = try await bundle(url)
            pages.append(Self.ids(bundle))
            next = Self.link("next", of: bundle).map { Self.decoded(String($0.dropFirst(Self.base.count + 1))) }
            try await between(pages.count)
        }
        return pages
    }

    private static func decoded(_ url: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(url.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

struct MissingValue: Error {}

func required<T>(_ value: T?) throws -> T {
    guard let value else { throw MissingValue() }
    return value
}
