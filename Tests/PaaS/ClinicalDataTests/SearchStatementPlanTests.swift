import PostgresDriver
import Testing

@testable import ClinicalData

/// The plans that Postgres makes for important searches on skewed data: no table is read from end to end.
struct SearchStatementPlanTests {
    @Test func `important searches use the indexes`() async throws {
        try await SearchFixture.with { fixture in
            try await fixture.fill(observations: 40_000)
            try await fixture.pool.withConnection { try await $0.execute("analyze") }
            for url in [
                "Observation?code=common", "Observation?code=http://loinc.org|common", "Observation?code=rare",
                "Observation?patient=f7&date=ge2015&_sort=-date", "Observation?code=common&_sort=-date",
                "Observation?_sort=-date",
                "Patient?_has:Observation:patient:code=rare", "Observation?patient.family=fam7",
                "Observation?value-quantity=gt500&code=rare",
                "Observation?patient=f7&code:not=common", "Patient?family=fam7", "Patient?_id=f7",
                "Patient/f7/Observation?code=common",
                "Observation?date=2012-03", "Observation", "Observation?_sort=-_lastUpdated",
                "?_id=f7&_type=Patient,Observation",
            ] {
                let text = try await explained(url, fixture)
                // The part of rows without a sort value is planned, but not read.
                #expect(!text.contains(/Seq Scan [^\n]*\(actual/), "\(url)\n\(text)")
            }
        }
    }

    @Test func `a page of many matches ends early`() async throws {
        try await SearchFixture.with { fixture in
            try await fixture.fill(observations: 20_000)
            try await fixture.pool.withConnection { try await $0.execute("analyze") }
            for url in [
                "Observation?code=http://loinc.org|common", "Observation?_sort=-date", "Observation",
                "Observation?_sort=value-quantity", "Observation?_sort=-value-quantity",
                "Observation?code=common&_sort=value-quantity",
            ] {
                let text = try await explained(url, fixture)
                let rows = text.matches(of: /actual rows=(\d+)/).compactMap { Int($0.1) }
                #expect((rows.max() ?? 0) < 1000, "\(url)\n\(text)")
            }
        }
    }

    @Test func `a rare type and a searched order are read from their indexes alone`() async throws {
        try await SearchFixture.with { fixture in
            try await fixture.fill(observations: 20_000)
            try await fixture.pool.withConnection { connection in
                try await connection.execute("vacuum analyze")
            }
            for (url, most) in [
                // What there is of the type, of which none has the value.
                ("Patient?active:missing=true&_count=5", 200), ("Patient", 200),
                // One row after the other until the page is full.
                ("Observation?date=ge2001&_sort=-date", 200), ("Observation?date=lt2030&_sort=date", 200),
            ] {
                let text = try await explained(url, fixture)
                let rows = text.matches(of: /actual rows=(\d+)/).compactMap { Int($0.1) }
                let removed = text.matches(of: /Rows Removed by Filter: (\d+)/).compactMap { Int($0.1) }
                #expect((rows + removed).max() ?? 0 <= most, "\(url)\n\(text)")
            }
            let sorted = try await explained("Observation?date=ge2001&_sort=date", fixture)
            #expect(sorted.contains("Index Only Scan using date_"), "\(sorted)")
        }
    }

    private func explained(_ url: String, _ fixture: SearchFixture) async throws -> String {
        let statement = SearchCompiler(plan: try plan(url)).page(after: nil, limit: 51)
        return try await fixture.pool.withConnection { connection in
            let explain = "explain (analyze, costs off, timing off, summary off) "
            let results = try await connection.pipeline([
                (SearchEngine.settings, []), (PostgresStatement(explain + statement.sql), statement.values),
            ])
            return try results[1].map { row in try row.string(0) }.joined(separator: "\n")
        }
    }
}

extension SearchFixture {
    /// Adds 100 patients `f0`… and observations of theirs, half of them with the code `common`, by SQL.
    func fill(observations count: Int) async throws {
        func id(_ type: String, _ code: String) throws -> Int32 {
            try required(Definitions.r4.parameter(try required(ResourceType.named(type)), code)).id
        }
        let (patient, observation) = (
            try required(ResourceType.named("Patient")).code, try required(ResourceType.named("Observation")).code
        )
        let sql = """
            insert into fhir.resource (type, id, version, last_updated, method, deleted, index_kinds, index_hash, content)
            select \(patient), 'f' || i, 1, now(), 'C', false, 63, 0, '{"resourceType":"Patient","id":"f' || i || '","meta":{}}'
            from generate_series(0, 99) i;
            insert into fhir.string select rid, \(try id("Patient", "family")), 'fam' || substr(id, 2), 'Fam'
            from fhir.resource where type = \(patient) and id ~ '^f[0-9]+$';
            insert into fhir.token select rid, \(try id("Patient", "gender")), '', 'male'
            from fhir.resource where type = \(patient) and id ~ '^f[0-9]+$';
            insert into fhir.string select 1000000 + i, \(try id("Practitioner", "family")), 'fam' || i, 'Fam'
            from generate_series(1, 20000) i;
            insert into fhir.resource (type, id, version, last_updated, method, deleted, index_kinds, index_hash, content)
            select \(observation), 'o' || i, 1, now() + i * interval '1 ms', 'C', false, 63, 0,
                '{"resourceType":"Observation","id":"o' || i || '","meta":{}}'
            from generate_series(1, \(count)) i;
            create temp table made as select rid, substr(id, 2)::int as n from fhir.resource
            where type = \(observation) and id ~ '^o[0-9]+$';
            insert into fhir.reference select rid, p, \(patient), 'f' || n % 100
            from made, unnest(array[\(try id("Observation", "patient")), \(try id("Observation", "subject"))]) p;
            insert into fhir.reference select rid, \(try id("Observation", "patient")), \(patient), 'p1' from made;
            insert into fhir.token select rid, \(try id("Observation", "code")), 'http://loinc.org',
                case when n % 2 = 0 then 'common' when n % 1000 = 7 then 'rare' else 'c' || n % 60 end from made;
            insert into fhir.token select rid, \(try id("Observation", "status")), 'http://hl7.org/fhir/observation-status', 'final'
            from made;
            insert into fhir.date select rid, \(try id("Observation", "date")), t, t + interval '1 second'
            from made, lateral (select '2010-01-01'::timestamptz + n * 977 % 90000 * interval '1 hour' as t) d;
            insert into fhir.date select 1000000 + i, \(try id("Encounter", "date")), t, t
            from generate_series(1, 20000) i, lateral (select '2010-01-01'::timestamptz + i * interval '1 hour' as t) d;
            insert into fhir.quantity select rid, \(try id("Observation", "value-quantity")), n % 900 - 0.5, n % 900 + 0.5, '', 'mg', 'mg'
            from made;
            drop table made;
            """
        try await pool.withConnection { try await $0.execute(sql) }
    }
}
