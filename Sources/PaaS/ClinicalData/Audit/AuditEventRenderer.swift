import StrictJSON

/// Writes compact audit rows as AuditEvent resources of IHE's Basic Audit Log Patterns (BALP 1.1).
///
/// The profile follows the interaction (Create, Read, Update, Delete, Query) and, where the row names a patient, its Patient
/// variant.
package struct AuditEventRenderer: Sendable {
    /// The tenant's FHIR base, the server agent's address.
    private let baseURL: String

    package init(baseURL: String) {
        self.baseURL = baseURL
    }

    /// The resource's bytes, `id` and complete `meta` included: audit events have one version.
    ///
    /// - Parameter crossing: of an event in the region's log, on whose side which institutions were.
    package func render(_ row: AuditRow, crossing: AuditCrossing? = nil) -> [UInt8] {
        var json = JSONWriter(reservingCapacity: 2048)
        json.object { json in
            json.member("resourceType", "AuditEvent")
            json.member("id", row.id)
            json.member("meta") { json in
                json.member("versionId", "1")
                json.member("lastUpdated", FHIRInstant.text(row.recorded))
                json.arrayMember("profile") { $0.string(Self.profile(row)) }
            }
            json.member("type") { json in
                json.coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation")
            }
            if let interaction = row.interaction {
                json.arrayMember("subtype") { json in
                    json.object {
                        $0.coding("http://hl7.org/fhir/restful-interaction", interaction.code, interaction.code)
                    }
                }
            }
            json.member("action", row.action)
            json.member("recorded", FHIRInstant.text(row.recorded))
            json.member("outcome", String(row.outcome))
            json.member("outcomeDesc", crossing?.reason)
            json.arrayMember("agent") { json in
                agents(row, &json)
                crossing?.writeAgents(to: &json)
            }
            json.member("source") { json in
                json.member("observer") { $0.member("display", "medcloud") }
                json.arrayMember("type") { json in
                    json.object {
                        $0.coding(
                            "http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")
                    }
                }
            }
            json.arrayMember("entity") { json in
                Self.entities(row, &json)
                crossing?.writeEntities(to: &json)
            }
        }
        return json.bytes
    }

    private func agents(_ row: AuditRow, _ json: inout JSONWriter) {
        json.object { json in
            json.agentType("http://dicom.nema.org/resources/ontology/DCM", "110153", "Source Role ID")
            json.member("who") { $0.member("identifier") { $0.member("value", row.client) } }
            json.member("requestor", row.practitioner == nil)
            if let source = row.source, !source.isEmpty {
                json.member("network") { json in
                    json.member("address", source)
                    json.member("type", "2")
                }
            }
            if row.practitioner == nil { json.purpose(row.purpose) }
        }
        json.object { json in
            json.agentType("http://dicom.nema.org/resources/ontology/DCM", "110152", "Destination Role ID")
            json.member("who") { $0.member("display", "medcloud") }
            json.member("requestor", false)
            json.member("network") { json in
                json.member("address", baseURL)
                json.member("type", "5")
            }
        }
        if let practitioner = row.practitioner {
            json.object { json in
                json.agentType(
                    "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient")
                json.member("who") { json in
                    if practitioner.contains("/") && !practitioner.contains("|") {
                        json.member("reference", practitioner)
                    } else {
                        json.member("identifier") { $0.member("value", practitioner) }
                    }
                }
                json.member("requestor", true)
                json.purpose(row.purpose)
            }
        }
    }

    private static func entities(_ row: AuditRow, _ json: inout JSONWriter) {
        if let patient = row.patient {
            json.entity(type: ("1", "Person"), role: ("1", "Patient")) { json in
                json.member("what") { $0.member("reference", "Patient/" + patient) }
            }
        }
        if let type = row.type, let id = row.resourceID {
            json.entity(type: ("2", "System Object"), role: ("4", "Domain Resource")) { json in
                let version = row.version.map { "/_history/\($0)" } ?? ""
                json.member("what") { $0.member("reference", type.name + "/" + id + version) }
            }
        }
        if let query = row.query {
            json.entity(type: ("2", "System Object"), role: ("24", "Query")) { json in
                if let type = row.type { json.member("what") { $0.member("type", type.name) } }
                json.member("query", Base64.encoded(query.utf8))
            }
        }
        if let requestID = row.requestID {
            json.object { json in
                json.member("what") { $0.member("identifier") { $0.member("value", requestID) } }
                json.member("type") { json in
                    json.coding(
                        "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType", "XrequestId",
                        "Transaction ID")
                }
            }
        }
    }

    /// The BALP profile's canonical URL.
    package static func profile(_ row: AuditRow) -> String {
        let kind =
            switch row.action {
            case "C": "Create"
            case "R": "Read"
            case "U": "Update"
            case "D": "Delete"
            default: "Query"
            }
        return "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
            + (row.patient == nil ? "" : "Patient") + kind
    }
}

/// Which institutions a request across institutions was between, beside what every event says.
package struct AuditCrossing: Sendable, Hashable {
    /// The tenant for which the client asked.
    package let institution: String
    /// The tenants whose records were opened.
    package let holders: [String]
    /// The consents by which it was decided, each as `ID/_history/VERSION`.
    package let consents: [String]
    /// Why it was permitted or refused.
    package let reason: String?

    package init(institution: String, holders: [String], consents: [String], reason: String?) {
        self.institution = institution
        self.holders = holders
        self.consents = consents
        self.reason = reason
    }

    fileprivate func writeAgents(to json: inout JSONWriter) {
        Self.agent("PROV", "healthcare provider", institution, &json)
        for holder in holders { Self.agent("CST", "custodian", holder, &json) }
    }

    private static func agent(_ code: String, _ display: String, _ tenant: String, _ json: inout JSONWriter) {
        let system = code == "CST" ? "v3-ParticipationType" : "v3-RoleClass"
        json.object { json in
            json.agentType("http://terminology.hl7.org/CodeSystem/" + system, code, display)
            json.member("who") { json in
                json.member("identifier") { json in
                    json.member("system", "urn:medcloud:tenant")
                    json.member("value", tenant)
                }
            }
            json.member("requestor", false)
        }
    }

    fileprivate func writeEntities(to json: inout JSONWriter) {
        for consent in consents {
            json.entity(type: ("2", "System Object"), role: ("4", "Domain Resource")) { json in
                json.member("what") { $0.member("reference", "Consent/" + consent) }
            }
        }
    }
}

extension JSONWriter {
    fileprivate mutating func coding(_ system: String, _ code: String, _ display: String) {
        member("system", system)
        member("code", code)
        member("display", display)
    }

    fileprivate mutating func agentType(_ system: String, _ code: String, _ display: String) {
        member("type") { json in
            json.arrayMember("coding") { json in
                json.object { $0.coding(system, code, display) }
            }
        }
    }

    fileprivate mutating func purpose(_ code: String?) {
        guard let code else { return }
        arrayMember("purposeOfUse") { json in
            json.object { json in
                json.arrayMember("coding") { json in
                    json.object { json in
                        json.member("system", "http://terminology.hl7.org/CodeSystem/v3-ActReason")
                        json.member("code", code)
                    }
                }
            }
        }
    }

    fileprivate mutating func entity(
        type: (code: String, display: String), role: (code: String, display: String), _ body: (inout JSONWriter) -> Void
    ) {
        object { json in
            body(&json)
            json.member("type") {
                $0.coding("http://terminology.hl7.org/CodeSystem/audit-entity-type", type.code, type.display)
            }
            json.member("role") {
                $0.coding("http://terminology.hl7.org/CodeSystem/object-role", role.code, role.display)
            }
        }
    }
}
