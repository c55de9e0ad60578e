import CloudModel
import PostgresDriver
import StrictJSON
import Testing

@testable import ClinicalData

struct SearchPagingTests {
    /// Patients with and without birth dates and families, some with several of them.
    private static func crowd(_ body: @escaping @Sendable (SearchFixture) async throws -> Void) async throws {
        try await SearchFixture.with { fixture in
            for number in 0..<24 {
                var rows: [SearchFixture.Row] = [.token("gender", number % 3 == 0 ? "male" : "female")]
                if number % 4 != 0 { rows.append(.date("birthdate", "19\(50 + number % 5)-01-01")) }
                if number % 5 != 0 {
                    rows.append(.string("family", "F\(number % 4)"))
                    rows.append(.string("family", "A\(number % 3)"))
                }
                if number % 2 == 0 { rows.append(.reference("organization", "Organization/o\(number % 3)")) }
                try await fixture.add("Patient", "p\(number)", rows)
            }
            try await body(fixture)
        }
    }

    private static let sorts = [
        "", "_id", "-_id", "_lastUpdated", "-_lastUpdated", "birthdate", "-birthdate", "family", "-family", "gender",
        "-gender,birthdate", "organization,-family,_id", "-family,-birthdate,-_lastUpdated", "gender,-organization",
        "_lastUpdated,birthdate",
    ]

    @Test(arguments: [1, 2, 5, 7, 100])
    func `pages of any size give what one page gives`(size: Int) async throws {
        try await Self.crowd { fixture in
            for sort in Self.sorts {
                let order = sort.isEmpty ? "" : "&_sort=\(sort)"
                let whole = try await fixture.ids("Patient?_count=1000" + order)
                let pages = try await fixture.pages("Patient?_count=\(size)" + order)
                #expect(whole.count == 24 && Set(whole).count == 24, "\(sort)")
                #expect(pages.flatMap { $0 } == whole, "\(sort)")
                let filtered = try await fixture.ids("Patient?gender=female&_count=1000" + order)
                let parts = try await fixture.pages("Patient?gender=female&_count=\(size)" + order)
                #expect(filtered.count == 16 && parts.flatMap { $0 } == filtered, "\(sort)")
            }
        }
    }

    @Test func `missing values come last in both directions`() async throws {
        try await Self.crowd { fixture in
            let missing: Set<String> = ["p0", "p4", "p8", "p12", "p16", "p20"]
            for sort in ["birthdate", "-birthdate"] {
                let ids = try await fixture.ids("Patient?_sort=\(sort)")
                #expect(Set(ids.suffix(6)) == missing, "\(sort)")
            }
            let up = try await fixture.ids("Patient?_sort=birthdate,_id&_count=4")
            let down = try await fixture.ids("Patient?_sort=-birthdate,-_id&_count=4")
            #expect(up == ["p10", "p15", "p5", "p1"])
            #expect(down == ["p9", "p19", "p14", "p3"])
        }
    }

    @Test func `what does not change is neither skipped nor repeated while others write`() async throws {
        try await Self.crowd { fixture in
            let steady = Set((0..<24).map { "p\($0)" })
            let sorts = ["", "birthdate", "-birthdate", "family,-birthdate", "-_lastUpdated", "_id"]
            for (round, sort) in sorts.enumerated() {
                let order = sort.isEmpty ? "" : "&_sort=\(sort)"
                for number in 0..<6 {
                    try await fixture.add("Patient", "r\(round)old\(number)", [.date("birthdate", "1952")])
                }
                let pages = try await fixture.pages("Patient?_count=4" + order) { page in
                    guard page <= 8 else { return }
                    // Before and behind the cursor, with and without values; and deletions of rows around it.
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for year in [1940, 1952, 1990] {
                            group.addTask {
                                try await fixture.add(
                                    "Patient", "r\(round)new\(page)-\(year)",
                                    [.date("birthdate", "\(year)"), .string("family", "B")])
                            }
                        }
                        if page <= 6 {
                            group.addTask { try await fixture.delete("Patient", "r\(round)old\(page - 1)") }
                        }
                        try await group.waitForAll()
                    }
                }
                let found = pages.flatMap { $0 }
                #expect(Set(found).count == found.count, "\(sort)")
                #expect(steady.isSubset(of: found), "\(sort)")
            }
        }
    }

    @Test func `a cursor of another tenant or another search is refused`() async throws {
        try await Self.crowd { fixture in
            let first = try await fixture.bundle("Patient?gender=female&_count=3")
            let next = try #require(SearchFixture.link("next", of: first))
            let cursor = try #require(next.split(separator: "_cursor=").last)
            await #expect(throws: SearchError.badCursor) {
                try await fixture.bundle("Patient?gender=male&_count=3&_cursor=\(cursor)")
            }
            await #expect(throws: SearchError.badCursor) {
                try await fixture.bundle("Patient?gender=female&_count=4&_cursor=\(cursor)")
            }
            let other = try #require(TenantID("h2"))
            let plan = try plan("Patient?gender=female&_count=3&_cursor=\(cursor)")
            await #expect(throws: SearchError.badCursor) {
                try await fixture.pool.withConnection { connection in
                    try await fixture.engine.run(plan, on: connection, tenant: other, baseURL: SearchFixture.base)
                }
            }
            let following = try await fixture.ids("Patient?gender=female&_count=3&_cursor=\(cursor)")
            #expect(following.count == 3)
        }
    }

    @Test func `the self link says what was used`() async throws {
        try await Self.crowd { fixture in
            let bundle = try await fixture.bundle("Patient?famly=x&gender=female&_count=2", handling: .lenient)
            #expect(SearchFixture.link("self", of: bundle) == "https://h.example/fhir/Patient?gender=female&_count=2")
            let outcome = try #require(bundle.root["entry"]?.elements.map { $0 }.last)
            #expect(outcome["search"]?["mode"]?.stringIs("outcome") == true)
            #expect(
                outcome["resource"]?["issue"]?.elements.map { $0 }.first?["diagnostics"]?.string?.contains("famly")
                    == true)
        }
    }
}
