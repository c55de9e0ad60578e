/// Where the values of AuditEvent's search parameters stand in a row `e` of `audit.event`: what ``AuditEventRenderer``
/// writes, told backwards. A parameter that is not here has no value in any event of ours.
enum AuditColumns {
    /// A coded value.
    struct Token {
        let system: String
        /// SQL; null when the event has no such value.
        let code: String
        /// The display of a code that is the same in every event; nil when the display is the code itself.
        var display: String?
    }

    /// A reference by type and id.
    enum Reference {
        /// `Patient/` and the column.
        case patient
        /// The resource that was touched.
        case resource
        /// The text of a reference, or an identifier when it has no slash.
        case practitioner
    }

    static let isReference = "(strpos(e.practitioner, '/') > 0 and strpos(e.practitioner, '|') = 0)"

    static func tokens(_ parameter: String) -> [Token] {
        let entityType = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
        let role = "http://terminology.hl7.org/CodeSystem/object-role"
        return switch parameter {
        case "action": [Token(system: "http://hl7.org/fhir/audit-event-action", code: "e.action::text")]
        case "outcome": [Token(system: "http://hl7.org/fhir/audit-event-outcome", code: "e.outcome::text")]
        case "type":
            [
                Token(
                    system: "http://terminology.hl7.org/CodeSystem/audit-event-type", code: "'rest'::text",
                    display: "RESTful Operation")
            ]
        case "subtype": [Token(system: "http://hl7.org/fhir/restful-interaction", code: interaction)]
        case "entity-type":
            [
                Token(system: entityType, code: when("e.patient is not null", "1"), display: "Person"),
                Token(
                    system: entityType, code: when("\(isResource) or e.query is not null", "2"),
                    display: "System Object"),
                Token(
                    system: "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType",
                    code: when("e.request_id is not null", "XrequestId"), display: "Transaction ID"),
            ]
        case "entity-role":
            [
                Token(system: role, code: when("e.patient is not null", "1"), display: "Patient"),
                Token(system: role, code: when(isResource, "4"), display: "Domain Resource"),
                Token(system: role, code: when("e.query is not null", "24"), display: "Query"),
            ]
        default: []
        }
    }

    static func references(_ parameter: String) -> [Reference] {
        switch parameter {
        case "patient": [.patient]
        case "entity": [.patient, .resource]
        case "agent": [.practitioner]
        default: []
        }
    }

    /// Columns of identifiers, none of which has a system.
    static func identifiers(_ parameter: String) -> [String] {
        switch parameter {
        case "agent": ["e.client", "case when not \(isReference) then e.practitioner end"]
        case "entity": ["e.request_id"]
        default: []
        }
    }

    /// The profile's URL, as `AuditEventRenderer.profile` has it.
    static let profile = """
        ('https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.' \
        || case when e.patient is null then '' else 'Patient' end \
        || case e.action when 'C' then 'Create' when 'R' then 'Read' when 'U' then 'Update' when 'D' then 'Delete' \
        else 'Query' end)
        """

    /// The resource's id, when there is an entity for it.
    static let isResource = "(e.type is not null and e.resource_id is not null)"

    private static let interaction: String = {
        let cases = AuditInteraction.allCases.map { "when \($0.rawValue) then '\($0.code)'" }
        return "case e.interaction \(cases.joined(separator: " ")) end"
    }()

    private static func when(_ condition: String, _ code: String) -> String {
        "case when \(condition) then '\(code)' end"
    }
}
