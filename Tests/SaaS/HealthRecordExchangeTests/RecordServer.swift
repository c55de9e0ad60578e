import ClinicalData
import CloudHTTP
import CloudIdentity
import CloudModel
import HTTPTypes
import HealthRecordExchange
import Logging
import ModuleKit
import NIOCore
import PostgresDriver
import SchemaMigration
import StrictJSON
import TestSupport

/// The module on a tenant database of a test's own, without HTTP in between.
struct RecordServer: Sendable {
    let module: HealthRecordExchange
    let pool: PostgresPool
    private let access: TenantAccess

    static let base = "https://records.example/t/h1/fhir"

    static func with(
        maximumConnections: Int = 3, _ body: @Sendable (RecordServer) async throws -> Void
    ) async throws {
        guard let tenant = TenantID("h1") else { throw Failure(text: "tenant id") }
        try await TestPostgres.withPool(maximumConnections: maximumConnections) { pool in
            try await pool.withConnection { connection in
                _ = try await Migrator(TenantSchema.series).run(on: connection)
            }
            let module = HealthRecordExchange(
                cursorKey: [UInt8](repeating: 7, count: 32))
            try await body(
                RecordServer(module: module, pool: pool, access: TenantAccess(minting: tenant, origin: .token)))
        }
    }

    struct Failure: Error {
        let text: String
    }

    struct Answer: Sendable {
        let status: Int
        let headers: HTTPFields
        let text: String

        /// The body as JSON.
        func json() throws -> JSONNode { try JSONDocument(Array(text.utf8)).root }
        /// The id of the resource in the body.
        func id() throws -> String { try json()["id"]?.string ?? "" }
        var tag: String { headers[.eTag] ?? "" }
    }

    /// - Parameter target: Below the base, with a query: `Patient?name=x`.
    func send(
        _ method: HTTPRequest.Method, _ target: String, _ body: String? = nil,
        _ headers: [HTTPField.Name: String] = [:],
        scope: String = "system/*.cruds"
    ) async throws -> Answer {
        let parsed = try RequestTarget(parsing: "/" + target)
        var fields: HTTPFields = [:]
        if body != nil { fields[.contentType] = "application/fhir+json" }
        for (name, value) in headers { fields[name] = value }
        let context = RequestContext(
            requestID: "request-1", access: access,
            principal: Principal(
                kind: .systemClient, clientID: "client-1", tenant: access.tenant, practitioner: "Practitioner/17",
                purposeOfUse: "TREAT", scopes: try ScopeSet(parsing: scope), tokenID: "token-1", expiresAt: .max),
            fhirBase: Self.base, remoteAddress: "192.0.2.7", deadline: .now() + .seconds(60),
            logger: Logger(label: "test"))
        let response = try await module.handle(
            ModuleRequest(
                method: method, path: parsed.segments, query: parsed.query, headers: fields,
                body: ByteBuffer(string: body ?? ""), context: context),
            pool: pool)
        return Answer(
            status: response.status.code, headers: response.headers, text: String(buffer: response.body))
    }

    /// How often each status came when a request was sent `count` times, 8 at once.
    static func statuses(
        of count: Int, _ request: @escaping @Sendable () async throws -> Answer
    ) async throws -> [Int: Int] {
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 { group.addTask { try await request().status } }
            var sent = 8
            var statuses: [Int: Int] = [:]
            while let status = try await group.next() {
                statuses[status, default: 0] += 1
                if sent < count {
                    sent += 1
                    group.addTask { try await request().status }
                }
            }
            return statuses
        }
    }

    /// The audit rows, oldest first.
    func audit() async throws -> [AuditRow] {
        try await pool.query(
            PostgresStatement(
                """
                select \(AuditRow.columns) from audit.event e
                union all select \(AuditRow.columns) from audit.read_event e order by seq
                """)
        )
        .map { try AuditRow($0) }
    }

    func count(_ table: String) async throws -> Int {
        Int(try await pool.query(PostgresStatement("select count(*) from \(table)"))[0].int8(0))
    }

    static func patient(_ value: String, _ more: String = "") -> String {
        """
        {"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":"\(value)"}],"gender":"female"\(more)}
        """
    }

    static func bundle(_ type: String, _ entries: [String]) -> String {
        """
        {"resourceType":"Bundle","type":"\(type)","entry":[\(entries.joined(separator: ","))]}
        """
    }

    static func entry(_ method: String, _ url: String, _ resource: String? = nil, _ more: String = "") -> String {
        let body = resource.map { "\"resource\":\($0)," } ?? ""
        return "{\(body)\"request\":{\"method\":\"\(method)\",\"url\":\"\(url)\"\(more)}}"
    }
}
