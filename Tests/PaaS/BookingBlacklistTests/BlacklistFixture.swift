import ClinicalData
import CloudModel
import Foundation
import NIOCore
import PostgresDriver
import RegionalRecord
import StrictJSON
import Synchronization
import TenantRegistry
import TestSupport
import Testing

@testable import BookingBlacklist

/// Institutions that tell the test process's region of no-shows, and a bureau. Each test has names and persons of its own.
struct BlacklistFixture: Sendable {
    let region: TestRegion
    let database: RegionDatabase
    let blacklist: BlacklistDatabase
    let mark: String

    static let system = "urn:test:blacklist"
    static let rule = BlacklistRule(noShows: 3, withinMonths: 12, barMonths: 1)

    init() async throws {
        region = try await TestRegion.shared
        database = region.regionDatabase(maximumConnections: 8)
        blacklist = BlacklistDatabase(region: database)
        mark = region.newTenantName()
    }

    struct TestFailure: Error { let what: String }

    func tenant(_ name: String) -> String { "\(mark)\(name)" }
    func person(_ name: String) -> String { "\(mark)-\(name)" }

    // MARK: Feeds

    private static let beginStatement = PostgresStatement("select blacklist.begin_feed($1, $2, $3)")

    @discardableResult
    func begin(_ name: String, database source: String = "one", token: Int64 = 1) async throws -> Bool {
        try await database.call(Self.beginStatement, [.text(tenant(name)), .text(source), .int8(token)])[0].bool(0)
    }

    private static let tellStatement = PostgresStatement(
        "select blacklist.tell($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")

    /// All that a patient of an institution did not keep: appointments with how many days ago they began.
    func tell(
        _ name: String, _ persons: [String], _ noShows: [String: Int], patient: String = "p",
        rule: BlacklistRule? = BlacklistFixture.rule, database source: String = "one", token: Int64 = 1
    ) async throws {
        try await database.call(
            Self.tellStatement,
            values(name, persons, noShows, patient: patient, rule: rule, database: source, token: token))
    }

    private func values(
        _ name: String, _ persons: [String], _ noShows: [String: Int], patient: String, rule: BlacklistRule?,
        database source: String, token: Int64
    ) -> [PostgresValue] {
        let sorted = noShows.sorted { $0.key < $1.key }
        return [
            .text(tenant(name)), .text(source), .int8(token), rule.value, .textArray([patient]),
            .int4Array(sorted.map { _ in 1 }), .textArray(sorted.map(\.key)),
            .timestamptzArray(sorted.map { Self.daysAgo($0.value) }), .int4Array(persons.map { _ in 1 }),
            .textArray(persons.map { _ in Self.system }), .textArray(persons.map(person)),
        ]
    }

    private final class Count: Sendable {
        let value = Mutex(0)
    }

    private static let waitersStatement = PostgresStatement(
        "select count(*) from pg_locks where locktype = 'advisory' and not granted")

    /// The same, in a transaction that ends when `others` have ended or wait for it, or for something else that waits.
    func tellSlowly(
        _ name: String, _ persons: [String], _ noShows: [String: Int],
        while others: [@Sendable () async throws -> Void]
    ) async throws {
        let values = values(
            name, persons, noShows, patient: "p", rule: Self.rule, database: "one", token: 1)
        let ended = Count()
        let tasks = try await database.pool.withTransaction { connection in
            _ = try await connection.query(Self.tellStatement, values)
            let tasks = others.map { other in
                Task {
                    try await other()
                    ended.value.withLock { $0 += 1 }
                }
            }
            while ended.value.withLock({ $0 }) < others.count,
                try await connection.query(Self.waitersStatement, [])[0].int8(0) < Int64(others.count)
            {
                try await Task.sleep(for: .milliseconds(1))
            }
            return tasks
        }
        for task in tasks { try await task.value }
    }

    private static let beginRebuildStatement = PostgresStatement("select blacklist.begin_rebuild($1, 'one', 1)")
    private static let endRebuildStatement = PostgresStatement("select blacklist.end_rebuild($1, 'one', 1, $2, 2)")

    /// Hears everything again: `body` tells, and what it leaves out is removed.
    func rebuild(_ name: String, _ body: () async throws -> Void) async throws {
        try await database.call(Self.beginRebuildStatement, [.text(tenant(name))])
        try await body()
        let values: [PostgresValue] = [.text(tenant(name)), Optional(Self.rule).value]
        while try await database.call(Self.endRebuildStatement, values)[0].int4(0) > 0 {}
    }

    func forget(_ name: String, database source: String = "one") async throws {
        try await BlacklistFeedDatabase(region: database, rule: Self.rule).forget(tenant(name), source: source)
    }

    // MARK: Time

    static let day: Int64 = 86_400_000_000
    /// Once for the process, so that a day ago is the same moment in each call.
    static let now = Int64(Date().timeIntervalSince1970) * 1_000_000

    static func daysAgo(_ days: Int) -> Int64 { now - Int64(days) * day }

    // MARK: The bureau

    func asker() throws -> Asker {
        guard let bureau = TenantID(tenant("bureau")) else { throw TestFailure(what: "name") }
        return Asker(
            institution: bureau,
            record: TenantRecord(
                id: bureau.rawValue, name: "B", timeZone: "UTC", language: "en", state: .ready, database: "t_bureau",
                cell: "cell-1", error: nil, createdAt: "2026-01-01T00:00:00Z"),
            client: "client", practitioner: nil, purpose: nil, requestID: "request", source: "127.0.0.1")
    }

    /// The bureau's Flag of a person.
    func flag(_ name: String, status: String = "active", daysFromNow: ClosedRange<Int> = -1...30) -> String {
        let start = FHIRInstant.text(Self.daysAgo(-daysFromNow.lowerBound))
        let end = FHIRInstant.text(Self.daysAgo(-daysFromNow.upperBound))
        return """
            {"resourceType":"Flag","meta":{},"status":"\(status)",\
            "category":[{"coding":[{"system":"\(BlacklistTerms.categorySystem)","code":"admin"}]}],\
            "code":{"coding":[{"system":"\(BlacklistTerms.codeSystem)","code":"misuse"}],"text":"traded"},\
            "subject":{"identifier":{"system":"\(Self.system)","value":"\(person(name))"}},\
            "period":{"start":"\(start)","end":"\(end)"}}
            """
    }

    @discardableResult
    func write(
        _ content: String, id: RegionID? = nil, expected: Int32? = nil, request: RepeatableRequest? = nil
    ) async throws -> RecordVersion {
        guard let identity = id ?? RegionID(ResourceID.make()) else { throw TestFailure(what: "id") }
        let terms = try BlacklistTerms(try JSONDocument(Array(content.utf8)).root, days: .utc, now: Self.now)
        return try await blacklist.write(
            terms, id: identity, creates: id == nil, expected: expected, content: ByteBuffer(string: content),
            request: request, by: try asker())
    }

    /// The entries of a person, newest first.
    func entries(_ name: String) async throws -> [Entry] {
        try await blacklist.entries(
            BlacklistSearch(
                person: (Self.system, person(name)), status: nil, barsOnly: false, before: nil, limit: 100),
            query: "", by: try asker()
        ).map { record in
            let flag = try JSONDocument(Array(record.bytes.readableBytesView)).root
            return Entry(
                id: record.id, version: record.version, status: flag["status"]?.string ?? "",
                starts: flag["period"]?["start"]?.string.flatMap { DateRange($0) }?.low ?? 0,
                ends: flag["period"]?["end"]?.string.flatMap { DateRange($0) }?.high ?? 0,
                content: String(buffer: record.content))
        }
    }

    struct Entry: Sendable {
        let id: RegionID
        let version: Int32
        let status: String
        let starts: Int64
        let ends: Int64
        let content: String

        /// As the bureau would send it back.
        func with(status: String) -> String {
            content.replacing("\"status\":\"\(self.status)\"", with: "\"status\":\"\(status)\"")
        }
    }

    /// `status vVERSION` of each entry, newest first.
    func states(_ name: String) async throws -> [String] {
        try await entries(name).map { "\($0.status) v\($0.version)" }
    }
}
