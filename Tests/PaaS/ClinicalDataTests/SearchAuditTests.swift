import PostgresDriver
import StrictJSON
import Testing

@testable import ClinicalData

struct SearchAuditTests {
    /// Four events: a create and a read of Patient/p1, a search about p2, a refused read of Observation/o1.
    private static func with(_ body: @escaping @Sendable (SearchFixture) async throws -> Void) async throws {
        try await SearchFixture.with { fixture in
            try await fixture.add("Patient", "p1", [.string("family", "Åström")])
            try await fixture.add("Provenance", "v1", [.reference("target", "AuditEvent/audit-2")])
            try await fixture.pool.withConnection { connection in
                try await connection.execute(
                    """
                    insert into audit.event (recorded, action, interaction, outcome, type, version, client, practitioner, purpose,
                        request_id, source, origin, resource_id, patient, query)
                    select '2024-01-01T00:00:00Z'::timestamptz + v.n * interval '1 day', v.action::"char", v.interaction, v.outcome,
                        t.type, 1, v.client, v.practitioner, 'TREAT', 'request-' || v.n, '10.0.0.' || v.n, 'token', v.id, v.patient,
                        v.query
                    from (values (1, 'C', 6, 0, 'Patient', 'p1', 'p1', 'loader', null, null),
                        (2, 'R', 1, 0, 'Patient', 'p1', 'p1', 'viewer', 'Practitioner/17', null),
                        (3, 'E', 10, 0, 'Observation', null, 'p2', 'viewer', 'dr-x', 'patient=p2'),
                        (4, 'R', 1, 4, 'Observation', 'o1', null, 'viewer', null, null))
                        as v(n, action, interaction, outcome, name, id, patient, client, practitioner, query)
                    join (values ('Patient', \(try required(ResourceType.named("Patient")).code)),
                        ('Observation', \(try required(ResourceType.named("Observation")).code))) as t(name, type) using (name)
                    order by v.n
                    """)
            }
            try await body(fixture)
        }
    }

    @Test func `each parameter finds what the rendered event says`() async throws {
        try await Self.with { fixture in
            for (query, expected) in [
                ("", "1 2 3 4"), ("_id=audit-2,audit-9,x", "2"), ("action=R", "2 4"), ("action:not=R", "1 3"),
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
                let ids = try await fixture.ids("AuditEvent?" + query).map { String($0.dropFirst(6)) }
                #expect(ids == expected.split(separator: " ").map(String.init), "\(query)")
            }
            #expect(try await fixture.ids("Patient/p1/AuditEvent") == ["audit-1", "audit-2"])
        }
    }

    @Test func `every declared parameter, modifier and order runs`() async throws {
        try await Self.with { fixture in
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

    @Test func `order, totals, includes and parts work as elsewhere`() async throws {
        try await Self.with { fixture in
            let newest = try await fixture.pages("AuditEvent?_sort=-date&_count=3").flatMap { $0 }
            #expect(newest == ["audit-4", "audit-3", "audit-2", "audit-1"])
            let counted = try await fixture.bundle("AuditEvent?action=R&_summary=count")
            #expect(counted.root["total"]?.integer == 2)
            let known = try await fixture.bundle("AuditEvent?action=R")
            #expect(known.root["total"]?.integer == 2)
            let bundle = try await fixture.bundle(
                "AuditEvent?_include=AuditEvent:patient&_revinclude=Provenance:target")
            #expect(SearchFixture.ids(bundle, mode: "include") == ["p1", "v1"])
            let part = try await fixture.bundle("AuditEvent?_id=audit-1&_elements=action")
            let keys = part.root["entry"]?.elements.map { $0 }.first?["resource"]?.members.map(\.key) ?? []
            #expect(
                keys.prefix(4) == ["resourceType", "id", "meta", "type"] && keys.contains("action")
                    && !keys.contains("entity"))
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
