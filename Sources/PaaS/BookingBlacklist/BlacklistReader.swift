import ClinicalData
package import RegionalRecord
package import StrictJSON

/// Reads a Flag by the region's profile and collects what breaks it.
struct BlacklistReader {
    let days: CivilDays
    let now: Int64
    private(set) var findings: [BlacklistTerms.Finding] = []

    init(days: CivilDays, now: Int64) {
        self.days = days
        self.now = now
    }

    /// Nil when something that the terms need is missing; then there is a finding.
    mutating func read(_ flag: JSONNode) -> BlacklistTerms? {
        for name in ["modifierExtension", "implicitRules", "encounter"] where flag[name] != nil {
            find("Flag.\(name)", "It is not evaluated here, so it is not recorded either: leave it out.")
        }
        let status = status(flag)
        checkCategory(flag)
        checkCode(flag)
        if flag["author"]?["reference"] != nil {
            find("Flag.author.reference", "The region has no such resource: say who in author.display.")
        }
        let person = person(flag)
        let period = period(flag, status)
        guard let status, let person, let period else { return nil }
        return BlacklistTerms(status: status, person: person, starts: period.low, ends: period.high)
    }

    private mutating func find(_ place: String, _ rule: String) {
        findings.append(BlacklistTerms.Finding(place: place, rule: rule))
    }

    private static func elements(_ node: JSONNode?) -> [JSONNode] {
        node.map { Array($0.elements) } ?? []
    }

    private mutating func status(_ flag: JSONNode) -> BlacklistTerms.Status? {
        guard let status = flag["status"]?.string.flatMap({ BlacklistTerms.Status(rawValue: $0) }) else {
            find("Flag.status", "It must be 'active', 'inactive' or 'entered-in-error'.")
            return nil
        }
        return status
    }

    private mutating func checkCategory(_ flag: JSONNode) {
        let codings = Self.elements(flag["category"]).flatMap { Self.elements($0["coding"]) }
        let isAdministrative = codings.contains {
            $0["system"]?.stringIs(BlacklistTerms.categorySystem) == true && $0["code"]?.stringIs("admin") == true
        }
        if !isAdministrative { find("Flag.category", "It must be 'admin' of \(BlacklistTerms.categorySystem).") }
    }

    private mutating func checkCode(_ flag: JSONNode) {
        let codes = Self.elements(flag["code"]?["coding"])
            .filter { $0["system"]?.stringIs(BlacklistTerms.codeSystem) == true }
        if codes.count != 1 || !(codes[0]["code"]?.string.map { BlacklistTerms.codes.contains($0) } ?? false) {
            let names = BlacklistTerms.codes.sorted().map { "'\($0)'" }.joined(separator: ", ")
            find("Flag.code.coding", "It must be one of \(names) of \(BlacklistTerms.codeSystem).")
        }
        if flag["code"]?["text"]?.string?.isEmpty ?? true {
            find("Flag.code.text", "It is required: it says why the person is barred.")
        }
    }

    private mutating func person(_ flag: JSONNode) -> PersonIdentifier? {
        let place = "Flag.subject"
        if flag["subject"]?["reference"] != nil {
            find(place + ".reference", "A person is named by identifier only, with system and value.")
            return nil
        }
        guard let identifier = flag["subject"]?["identifier"], let system = identifier["system"]?.string,
            let value = identifier["value"]?.string
        else {
            find(place + ".identifier", "It is required, with system and value.")
            return nil
        }
        guard let person = PersonIdentifier(system: system, value: value) else {
            find(
                place + ".identifier",
                "It identifies nobody: a placeholder, a wrong check digit, or a system that is no URI.")
            return nil
        }
        return person
    }

    /// Half-open; dates without a time stand for all of their day.
    private mutating func period(_ flag: JSONNode, _ status: BlacklistTerms.Status?) -> (low: Int64, high: Int64)? {
        let place = "Flag.period"
        guard let start = flag["period"]?["start"]?.string.flatMap(days.range) else {
            find(place + ".start", "It is required, as a date or a time.")
            return nil
        }
        guard let end = flag["period"]?["end"]?.string.flatMap(days.range) else {
            find(place + ".end", "It is required, as a date or a time: nobody is barred for ever.")
            return nil
        }
        guard start.low < end.high else {
            find(place, "It ends before it begins.")
            return nil
        }
        guard end.high - start.low <= BlacklistTerms.maximumDays * 86_400_000_000 else {
            find(place, "It is longer than 10 years (\(BlacklistTerms.maximumDays) days).")
            return nil
        }
        if status == .active, end.high <= now {
            find(place + ".end", "It lies in the past: an active entry would bar nobody.")
            return nil
        }
        return (start.low, end.high)
    }
}

extension BlacklistTerms {
    /// Reads the terms of a Flag.
    ///
    /// - Parameters:
    ///   - flag: valid FHIR R4.
    ///   - days: where it is recorded.
    ///   - now: microseconds since 1970.
    /// - Throws: every rule it breaks, together.
    package init(_ flag: JSONNode, days: CivilDays, now: Int64) throws(BlacklistFindings) {
        var reader = BlacklistReader(days: days, now: now)
        guard let terms = reader.read(flag), reader.findings.isEmpty else {
            throw BlacklistFindings(findings: reader.findings)
        }
        self = terms
    }
}
