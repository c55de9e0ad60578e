import Testing

@testable import ClinicalData

/// The SQL of a search without line breaks.
private func sql(_ url: String, after position: SearchPosition? = nil) throws -> String {
    SearchCompiler(plan: try plan(url)).page(after: position, limit: 51).sql
}

struct SearchCompilerTests {
    @Test func `one token condition drives the page from its index in the order of rid`() throws {
        #expect(
            try sql("Observation?code=http://loinc.org|8867-4") == """
                select r.rid, r.type, r.id, r.version, r.last_updated, r.content
                from (select distinct d.rid from (select x.rid from fhir.token x where x.param = $2 \
                and x.code = $3 and x.system = $4) d order by d.rid limit $1) p
                join fhir.resource r on r.rid = p.rid
                order by p.rid
                """)
    }

    @Test func `a page without conditions reads the resources of the type`() throws {
        #expect(
            try sql("Patient").contains(
                "from (select d.rid from fhir.resource d where d.type = $2 and not d.deleted order by d.rid limit $1) p"
            ))
    }

    @Test func `the next page begins behind the rid`() throws {
        let text = try sql("Patient?gender=male", after: SearchPosition(keys: [], rid: 5))
        #expect(text.contains("d.rid > $2 order by d.rid") || text.contains("d.rid > $4 order by d.rid"))
    }

    @Test func `a page sorted by a date reads the index of the date and then what has none`() throws {
        let first = try sql("Observation?patient=1&_sort=-date")
        #expect(first.contains("from fhir.date x where x.param = "))
        #expect(first.contains("order by x.high desc, x.rid desc"))
        #expect(first.contains(" union all "))
        #expect(first.contains("order by p.k0 desc nulls last, p.rid desc"))
        let second = try sql("Observation?patient=1&_sort=-date", after: SearchPosition(keys: [nil], rid: 5))
        #expect(!second.contains(" union all "))
        #expect(second.contains("b.rid < "))
    }

    @Test func `a search by the date that it is sorted by looks at one row`() throws {
        let text = try sql("Encounter?date=ge2018&date=lt2020,2021&_sort=date")
        #expect(text.matches(of: /from fhir\.date\b/).count == 1, "\(text)")
        #expect(!text.contains("union all") && !text.contains("not exists"))
        // Of a parameter that may have several values, each condition may hold for another one.
        let several = try sql("Encounter?location-period=ge2018&location-period=lt2020&_sort=location-period")
        #expect(several.matches(of: /from fhir\.date\b/).count == 4, "\(several)")
        #expect(several.contains("not exists"))
    }

    @Test func `two ends of a range are one condition where a resource has one value`() throws {
        let text = try sql("Patient?birthdate=ge1980&birthdate=lt1990&gender=male")
        #expect(text.matches(of: /from fhir\.date\b/).count == 1, "\(text)")
        #expect(
            try sql("Encounter?location-period=ge1980&location-period=lt1990").matches(of: /from fhir\.date\b/).count
                == 2)
    }

    @Test(arguments: [
        ("Encounter", "date", true), ("Observation", "date", true), ("Observation", "value-quantity", true),
        ("Patient", "birthdate", true), ("Condition", "onset-date", true), ("RiskAssessment", "probability", false),
        ("MedicationRequest", "date", false), ("Observation", "component-value-quantity", false),
        ("Observation", "combo-value-quantity", false), ("Patient", "identifier", false),
    ])
    func `one row is promised where no array is on the way`(_ type: String, _ code: String, _ isSingle: Bool) throws {
        let type = try #require(ResourceType.named(type))
        let parameter = try #require(Definitions.r4.parameter(type, code))
        #expect(Definitions.r4.hasOneRow(parameter.id) == isSingle)
    }

    @Test func `negative conditions hold over live resources only`() throws {
        for url in ["Patient?gender:not=male", "Patient?gender:missing=true", "Patient?_lastUpdated=gt2020"] {
            #expect(try sql(url).contains("not d.deleted"), "\(url)")
        }
    }

    @Test func `a chain starts at its far end`() throws {
        let text = try sql("Encounter?subject:Patient.name=x")
        #expect(
            text.contains("from fhir.resource t join fhir.reference f on f.target_type = t.type and f.target_id = t.id")
        )
        #expect(text.contains("t.rid in (select x.rid from fhir.string x"))
    }

    @Test func `nothing of a value reaches the text of a statement`() throws {
        let hostile = "x'; drop table fhir.resource; --"
        for url in [
            "Patient?name=\(hostile)", "Patient?name:exact=\(hostile)", "Patient?name:contains=\(hostile)",
            "Patient?identifier=\(hostile)", "Patient?identifier=\(hostile)|\(hostile)", "ValueSet?url=\(hostile)",
            "Observation?value-quantity=1||\(hostile)", "Observation?subject:identifier=\(hostile)",
            "Observation?subject=urn:\(hostile)", "Observation?subject:Patient.name=\(hostile)",
            "Patient?_has:Observation:patient:code=\(hostile)", "Patient?_tag=\(hostile)",
        ] {
            let plan = try plan(url)
            #expect(!SearchCompiler(plan: plan).page(after: nil, limit: 1).sql.contains("drop"), "\(url)")
            #expect(!SearchCompiler(plan: plan).count().sql.contains("drop"), "\(url)")
            #expect(!SearchCompiler(plan: plan).matches(limit: 2).sql.contains("drop"), "\(url)")
        }
        let position = SearchPosition(keys: ["'; drop", "drop"], rid: 1)
        #expect(try !sql("Patient?_sort=name,birthdate", after: position).contains("drop"))
    }

    @Test func `the statement is the same for other values of the same shape`() throws {
        #expect(try sql("Patient?name=a&birthdate=gt1980") == sql("Patient?name=b&birthdate=gt2011-05"))
        #expect(try sql("Observation?code=a|b,c|d") == sql("Observation?code=e|f,g|h,i|j"))
    }
}
