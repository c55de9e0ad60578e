import PostgresDriver
import StrictJSON
import Testing

@testable import ClinicalData

struct SearchAuditTests {
    /// Where the two reads of the fixture lie: as rows of their own, or as `ReadBatch` writes them.
    enum Reads: CaseIterable {
        case rows, batches
    }

    /// Four events, numbered from 64 in steps of 64: a create and a read of Patient/p1, a search about p2, a refused read
    /// of Observation/o1.
    private static func with(_ reads: Reads, _ body: @escaping @Sendable (SearchFixture) async throws -> Void)
        async throws
    {
        try await SearchFixture.with { fixture in
            try await fixture.add("Patient", "p1", [.string("family", "Åström")])
            try await fixture.add("Provenance", "v1", [.reference("target", "AuditEvent/audit-128")])
            try await fixture.pool.withConnection { connection in
                try await connection.execute(
                    """
                    insert into audit.event (seq, recorded, action, interaction, outcome, type, version, client, practitioner,
                        purpose, request_id, source, origin, resource_id, patient, query)
                    overriding system value
                    select v.n * 64, '2024-01-01T00:00:00Z'::timestamptz + v.n * interval '1 day', v.action::"char",
                        v.interaction, v.outcome, t.type, 1, v.client, v.practitioner, 'TREAT', 'request-' || v.n,
                        '10.0.0.' || v.n, 'token', v.id, v.patient, v.query
                    from (values (1, 'C', 6, 0, 'Patient', 'p1', 'p1', 'loader', null, null),
                        (2, 'R', 1, 0, 'Patient', 'p1', 'p1', 'viewer', 'Practitioner/17', null),
                        (3, 'E', 10, 0, 'Observation', null, 'p2', 'viewer', 'dr-x', 'patient=p2'),
                        (4, 'R', 1, 4, 'Observation', 'o1', null, 'viewer', null, null))
                        as v(n, action, interaction, outcome, name, id, patient, client, practitioner, query)
                    join (values ('Patient', \(try required(ResourceType.named("Patient")).code)),
                        ('Observation', \(try required(ResourceType.named("Observation")).code))) as t(name, type) using (name)
                    order by v.n
                    """)
                guard reads == .batches else { return }
                try await connection.execute(
                    """
                    insert into audit.read_batch (first_seq, recorded, types, ids, versions, outcomes, patients, request_ids, actors,
                        clients, practitioners, purposes, sources, origins)
                    select e.seq, e.recorded, array[e.type], array[e.resource_id], array[e.version], array[e.outcome],
                        array[e.patient], array[e.request_id], array[1], array[e.client], array[e.practitioner],
                        array[e.purpose], array[e.source], array[e.origin]
                    from audit.event e
                    where e.interaction = 1;
                    delete from audit.event e where e.interaction = 1
                    """)
            }
            try await body(fixture)
        }
    }

    /// What an id of the fixture counts: `audit-128` is 2.
    private static func number(_ id: String) -> String { Int(id.dropFirst(6)).map { String($0 / 64) } ?? id }

    @Test(arguments: Reads.allCases)
    func `each parameter finds what the rendered event says`(reads: Reads) async throws {
        try await Self.with(reads) { fixture in
            for (query, expected) in [
                ("", "1 2 3 4"), ("_id=audit-128,audit-9,x", "2"), ("action=R", "2 4"), ("action:not=R", "1 3"),
                ("outcome=4", "4"),
                ("outcome=http://hl7.org/fhir/audit-event-outcome|0", "1 2 3"), ("outcome=urn:x|0", ""),
                ("type=rest", "1 2 3 4"),
                ("subtype=create", "1"), ("subtype=read,search-type", "2 3 4"), ("subtype:not=read", "1 3"),
                ("type:text=restful", "1 2 3 4"),
                ("subtype:text=crea", "1"), ("entity=Patient/p1", "1 2"), ("entity=Observation/o1", "4"),
                ("entity=p2", "3"),
                ("entity:Observation=o1", "4"), ("entity:identifier=request-3", "3"), ("patient=p1", "1 2"),
                ("patient=Patient/p2", "3"),
                ("patient:missing=true", "4"), ("agent=Practitioner/17", "2"), ("agent=17", "2"),
                ("agent=Practitioner/18", ""),
                ("agent:identifier=viewer", "2 3 4"), ("agent:identifier=dr-x", "3"),
                ("agent:identifier=Practitioner/17", ""),
                ("date=2024-01-03", "2"), ("date=gt2024-01-03", "3 4"), ("date=le2024-01-03", "1 2"),
                ("_lastUpdated=lt2024-01-03", "1"),
                ("date=ge2024-01-03&date=lt2024-01-05", "2 3"), ("entity-role=24", "3"), ("entity-role=4", "1 2 4"),
                ("entity-type=1", "1 2 3"),
                ("entity-type:text=transaction", "1 2 3 4"), ("address=10.0.0.3", "3"),
                ("address=https://h.example", "1 2 3 4"),
                ("address:exact=10.0.0", ""), ("address:contains=0.0.4", "4"), ("altid=1", ""),
                ("altid:missing=true", "1 2 3 4"),
                ("policy=urn:x", ""), ("policy:missing=false", ""), ("_tag=x", ""), ("_tag:missing=true", "1 2 3 4"),
                ("_profile=https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead", "2"),
                ("patient.family=astrom", "1 2"), ("entity:Patient._id=p1", "1 2"), ("agent.family=x", ""),
                ("_has:Provenance:target:_id=v1", "2"), ("patient=p1&action=C", "1"), ("source:missing=true", ""),
            ] {
                let ids = try await fixture.ids("AuditEvent?" + query).map(Self.number)
                #expect(ids == expected.split(separator: " ").map(String.init), "\(query)")
            }
            #expect(try await fixture.ids("Patient/p1/AuditEvent") == ["audit-64", "audit-128"])
        }
    }

    @Test(arguments: Reads.allCases)
    func `every declared parameter, modifier and order runs`(reads: Reads) async throws {
        try await Self.with(reads) { fixture in
            let type = try required(ResourceType.named("AuditEvent"))
            let values = ["token": "a", "string": "a", "date": "2024", "reference": "a", "uri": "urn:a"]
            for parameter in SearchCapabilities(definitions: .r4).parameters(of: type) {
                let value = try required(values[parameter.type])
                _ = try await fixture.ids("AuditEvent?\(parameter.name)=\(value)")
                for modifier in parameter.modifiers {
                    _ = try await fixture.ids(
                        "AuditEvent?\(parameter.name):\(modifier)=\(modifier == "missing" ? "false" : value)")
                }
                for sign in ["", "-"] {
                    let pages = try await fixture.pages("AuditEvent?_count=1&_sort=\(sign)\(parameter.name)")
                    #expect(Set(pages.flatMap { $0 }).count == 4, "\(sign)\(parameter.name)")
                }
            }
        }
    }

    @Test(arguments: Reads.allCases)
    func `order, totals, includes and parts work as elsewhere`(reads: Reads) async throws {
        try await Self.with(reads) { fixture in
            let newest = try await fixture.pages("AuditEvent?_sort=-date&_count=3").flatMap { $0 }
            #expect(newest == ["audit-256", "audit-192", "audit-128", "audit-64"])
            let counted = try await fixture.bundle("AuditEvent?action=R&_summary=count")
            #expect(counted.root["total"]?.integer == 2)
            let known = try await fixture.bundle("AuditEvent?action=R")
            #expect(known.root["total"]?.integer == 2)
            let bundle = try await fixture.bundle(
                "AuditEvent?_include=AuditEvent:patient&_revinclude=Provenance:target")
            #expect(SearchFixture.ids(bundle, mode: "include") == ["p1", "v1"])
            let part = try await fixture.bundle("AuditEvent?_id=audit-64&_elements=action")
            let keys = part.root["entry"]?.elements.map { $0 }.first?["resource"]?.members.map(\.key) ?? []
            #expect(
                keys.prefix(4) == ["resourceType", "id", "meta", "type"] && keys.contains("action")
                    && !keys.contains("entity"))
        }
    }

    @Test func `reads of many batches are found, counted and paged in their order`() async throws {
        try await SearchFixture.with { fixture in
            try await fixture.add("Patient", "p1", [.string("family", "Åström")])
            _ = try await fixture.pool.query(PostgresStatement("update fhir.resource set patient = id"))
            let patient = try required(ResourceType.named("Patient"))
            let store = ClinicalStore()
            let statements = PooledStatements(fixture.pool, deadline: nil)
            let contexts = (0..<3).map {
                AuditContext(
                    client: "c\($0)", practitioner: $0 == 1 ? "Practitioner/17" : nil, purpose: nil,
                    requestID: "q\($0)", source: "10.0.0.\($0)", origin: "token")
            }
            for _ in 0..<3 {
                var batch = ReadBatch()
                for context in contexts {
                    batch.append(patient, id: "p1", audit: context)
                    batch.append(patient, id: "absent", audit: context)
                }
                _ = try await statements.run(ReadBatch.statement, batch.values)
                _ = try await store.read(patient, id: "p1", version: 1, audit: contexts[0], on: statements)
            }

            let all = try await fixture.ids("AuditEvent?_count=100")
            #expect(all.count == 21 && Set(all).count == 21)
            for sign in ["", "-"] {
                for sort in [
                    "", "&_sort=\(sign)date", "&_sort=\(sign)_lastUpdated", "&_sort=\(sign)_id",
                    "&_sort=\(sign)outcome",
                ] {
                    let pages = try await fixture.pages("AuditEvent?_count=4\(sort)").flatMap { $0 }
                    #expect(pages.count == 21 && Set(pages) == Set(all), "\(sort)")
                }
            }
            #expect(try await fixture.pages("AuditEvent?_count=5&_sort=-date").flatMap { $0 } == all.reversed())
            for (query, count) in [
                ("patient=p1", 12), ("patient=absent", 9), ("outcome=4", 9), ("agent=Practitioner/17", 6),
                ("agent:identifier=c2&outcome=0", 3), ("entity:identifier=q1", 6), ("_id=\(all[1]),\(all[20])", 2),
                ("patient:missing=true", 0), ("patient=p1&subtype=vread", 3),
            ] {
                #expect(try await fixture.ids("AuditEvent?_count=100&\(query)").count == count, "\(query)")
            }
            #expect(try await fixture.ids("Patient/p1/AuditEvent?_count=100").count == 12)
            #expect(try await fixture.bundle("AuditEvent?patient=p1&_summary=count").root["total"]?.integer == 12)
            for id in all {
                let event = try required(try await AuditLog().event(id: id, on: statements))
                #expect(event.id == id)
            }
            #expect(try await AuditLog().event(id: "audit-70", on: statements) == nil)
        }
    }

    @Test(arguments: [
        "Patient?_revinclude=AuditEvent:patient", "Patient?_has:AuditEvent:patient:action=R", "?_type=AuditEvent",
        "Provenance?target:AuditEvent.action=R",
    ])
    func `audit events are searched on their own`(url: String) {
        #expect(refusal(url)?.code == .unsupported)
    }
}
