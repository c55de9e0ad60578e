import ClinicalData
import CloudModel
import StrictJSON

/// Reads a Consent by the region's profile and collects what breaks it.
struct ConsentReader {
    let recorder: TenantID
    let definitions: Definitions
    let days: CivilDays
    let now: Int64
    private(set) var findings: [ConsentTerms.Finding] = []

    init(recorder: TenantID, definitions: Definitions, days: CivilDays, now: Int64) {
        self.recorder = recorder
        self.definitions = definitions
        self.days = days
        self.now = now
    }

    /// Nil when something that the terms need is missing; then there is a finding.
    mutating func read(_ consent: JSONNode) -> ConsentTerms? {
        refuse(["modifierExtension", "implicitRules"], of: consent, at: "Consent")
        let status = status(consent)
        let patient = patient(consent)
        checkScope(consent)
        guard let provision = consent["provision"] else {
            find("Consent.provision", "A provision is required: it says who may read, for what and how long.")
            return nil
        }
        let place = "Consent.provision"
        guard let type = provision["type"]?.string, type == "permit" || type == "deny" else {
            find(place + ".type", "It is required: 'permit', or 'deny' for what no consent shall permit.")
            return nil
        }
        let permits = type == "permit"
        checkPolicy(consent, permits: permits)
        refuse(
            ["modifierExtension", "securityLabel", "code", "dataPeriod", "data", "provision"], of: provision, at: place)
        checkAction(provision, place)
        let period = period(provision, place, status)
        // What denies or is closed lets nobody read: it must be recordable whoever it names.
        let opens = permits && status != .inactive
        let grantees = grantees(provision, place, isNeeded: permits, opens: opens)
        if opens { checkPerformers(consent, grantees) }
        let purposes = purposes(provision, place, isNeeded: permits)
        let types = types(provision, place, status)
        guard let status, let patient, let period else { return nil }
        return ConsentTerms(
            status: status, permits: permits, patient: patient, grantees: grantees, purposes: purposes, types: types,
            starts: period.low, ends: period.high)
    }

    private static func elements(_ node: JSONNode?) -> [JSONNode] {
        node.map { Array($0.elements) } ?? []
    }

    private mutating func find(_ place: String, _ rule: String) {
        findings.append(ConsentTerms.Finding(place: place, rule: rule))
    }

    /// Elements whose meaning would be lost.
    private mutating func refuse(_ names: [String], of node: JSONNode, at place: String) {
        for name in names where node[name] != nil {
            find("\(place).\(name)", "It is not evaluated here, so it is not recorded either: leave it out.")
        }
    }

    private mutating func status(_ consent: JSONNode) -> ConsentTerms.Status? {
        guard let status = consent["status"]?.string.flatMap({ ConsentTerms.Status(rawValue: $0) }) else {
            find("Consent.status", "It must be 'draft', 'active' or 'inactive'.")
            return nil
        }
        return status
    }

    private mutating func patient(_ consent: JSONNode) -> RegionID? {
        let place = "Consent.patient"
        let reference = consent["patient"]?["reference"]?.string ?? ""
        guard reference.hasPrefix("Patient/"), let id = RegionID(reference.dropFirst(8)) else {
            find(place, "It must be 'Patient/ID' with the region's id, which Patient?identifier= finds.")
            return nil
        }
        for (index, performer) in Self.elements(consent["performer"]).enumerated() {
            let text = performer["reference"]?.string ?? ""
            // Whatever base or version it is spelled with, or by an identifier, which this region does not compare.
            let isPatient =
                text.split(separator: "/").contains("Patient") || performer["type"]?.stringIs("Patient") == true
            if isPatient, text != reference {
                find("Consent.performer[\(index)]", "A patient consents for nobody else: it must be Consent.patient.")
            }
        }
        return id
    }

    private mutating func checkScope(_ consent: JSONNode) {
        let codings = Self.elements(consent["scope"]?["coding"])
        guard
            codings.contains(where: {
                $0["system"]?.stringIs("http://terminology.hl7.org/CodeSystem/consentscope") == true
                    && $0["code"]?.stringIs("patient-privacy") == true
            })
        else {
            find("Consent.scope", "It must be 'patient-privacy' of http://terminology.hl7.org/CodeSystem/consentscope.")
            return
        }
    }

    /// A policy rule that says the opposite of the provision would leave open which of them was meant.
    private mutating func checkPolicy(_ consent: JSONNode, permits: Bool) {
        let opposite = permits ? "OPTOUT" : "OPTIN"
        if Self.elements(consent["policyRule"]?["coding"]).contains(where: { $0["code"]?.stringIs(opposite) == true }) {
            find(
                "Consent.policyRule",
                "'\(opposite)' contradicts the provision, which \(permits ? "permits" : "denies").")
        }
    }

    private mutating func checkAction(_ provision: JSONNode, _ place: String) {
        for (index, action) in Self.elements(provision["action"]).enumerated() {
            let codings = Self.elements(action["coding"])
            if !codings.contains(where: { $0["code"]?.stringIs("access") == true }) {
                find(
                    "\(place).action[\(index)]",
                    "Only 'access' is evaluated: records are read, not collected or changed.")
            }
        }
    }

    /// Half-open; dates without a time stand for all of their day.
    private mutating func period(
        _ provision: JSONNode, _ place: String, _ status: ConsentTerms.Status?
    ) -> (low: Int64, high: Int64)? {
        let place = place + ".period"
        guard let period = provision["period"] else {
            find(place, "A consent has a beginning and an end: period.start and period.end are required.")
            return nil
        }
        guard let start = period["start"]?.string.flatMap(days.range) else {
            find(place + ".start", "It is required, as a date or a time.")
            return nil
        }
        guard let end = period["end"]?.string.flatMap(days.range) else {
            find(place + ".end", "It is required, as a date or a time: a consent does not last for ever.")
            return nil
        }
        guard start.low < end.high else {
            find(place, "It ends before it begins.")
            return nil
        }
        if status == .active, end.high <= now {
            find(place + ".end", "It lies in the past: an active consent would permit nothing.")
            return nil
        }
        return (start.low, end.high)
    }

    // MARK: Who

    private mutating func grantees(
        _ provision: JSONNode, _ place: String, isNeeded: Bool, opens: Bool
    ) -> [TenantID] {
        var found: [TenantID] = []
        for (index, actor) in Self.elements(provision["actor"]).enumerated() {
            let place = "\(place).actor[\(index)]"
            refuse(["modifierExtension"], of: actor, at: place)
            let roles = Self.elements(actor["role"]?["coding"])
            if !roles.contains(where: {
                $0["code"]?.stringIs("IRCP") == true || $0["code"]?.stringIs("PRCP") == true
            }) {
                find(place + ".role", "It must be 'IRCP' or 'PRCP' (v3-ParticipationType): a recipient of information.")
            }
            guard let tenant = Self.tenant(actor["reference"]) else {
                find(
                    place + ".reference",
                    "It must name an institution: 'Organization/TENANT', or an identifier of system "
                        + "\(ConsentTerms.tenantSystem).")
                continue
            }
            if opens, tenant == recorder {
                find(place + ".reference", "The institution that records a consent cannot be the one that it is for.")
            } else if !found.contains(tenant) {
                found.append(tenant)
            }
        }
        if isNeeded, found.isEmpty, findings.isEmpty {
            find(place + ".actor", "At least one institution must be named: a consent for everybody is none.")
        }
        if found.count > 64 { find(place + ".actor", "At most 64 institutions.") }
        return found
    }

    private static func tenant(_ reference: JSONNode?) -> TenantID? {
        guard let reference else { return nil }
        if let text = reference["reference"]?.string {
            return text.hasPrefix("Organization/") ? TenantID(String(text.dropFirst(13))) : nil
        }
        return identifiedTenant(reference)
    }

    private static func identifiedTenant(_ reference: JSONNode) -> TenantID? {
        guard let identifier = reference["identifier"],
            identifier["system"]?.stringIs(ConsentTerms.tenantSystem) == true
        else { return nil }
        return identifier["value"]?.string.flatMap { TenantID($0) }
    }

    /// No institution agrees for the patient to what it gets itself.
    private mutating func checkPerformers(_ consent: JSONNode, _ grantees: [TenantID]) {
        for (index, performer) in Self.elements(consent["performer"]).enumerated() {
            // Whatever base or version the reference is spelled with.
            let parts = (performer["reference"]?.string ?? "").split(separator: "/")
            let named = parts.firstIndex(of: "Organization").flatMap { parts.dropFirst($0 + 1).first }
                .flatMap { TenantID(String($0)) }
            if [named, Self.identifiedTenant(performer)].contains(where: { $0.map(grantees.contains) ?? false }) {
                find(
                    "Consent.performer[\(index)]", "An institution that a consent is for cannot be the one that agrees."
                )
            }
        }
    }

    // MARK: What for, and what

    private mutating func purposes(_ provision: JSONNode, _ place: String, isNeeded: Bool) -> [String] {
        var found: [String] = []
        for (index, coding) in Self.elements(provision["purpose"]).enumerated() {
            guard coding["system"]?.stringIs(PurposeOfUse.system) == true, let code = coding["code"]?.string,
                PurposeOfUse.codes.contains(code)
            else {
                find(
                    "\(place).purpose[\(index)]",
                    "It must be a code of v3 PurposeOfUse, such as TREAT, of system \(PurposeOfUse.system).")
                continue
            }
            if !found.contains(code) { found.append(code) }
        }
        if isNeeded, found.isEmpty, findings.isEmpty {
            find(place + ".purpose", "At least one purpose must be named, such as TREAT.")
        }
        return found
    }

    private mutating func types(
        _ provision: JSONNode, _ place: String, _ status: ConsentTerms.Status?
    ) -> [ResourceType]? {
        guard let classes = provision["class"] else { return nil }
        var found: [ResourceType] = []
        for (index, coding) in classes.elements.enumerated() {
            guard coding["system"]?.stringIs("http://hl7.org/fhir/resource-types") == true,
                let type = coding["code"]?.string.flatMap({ ResourceType.named($0) }),
                // What is closed may name what was shared once.
                status == .inactive || definitions.isAboutPatients(type)
            else {
                find(
                    "\(place).class[\(index)]",
                    "It must be a resource type that is about patients, of system "
                        + "http://hl7.org/fhir/resource-types.")
                continue
            }
            if !found.contains(type) { found.append(type) }
        }
        return found
    }
}
