import CloudIdentity
import CloudModel

/// Reads one tenant's specification from a document, and says everything that is wrong with it.
///
/// Unknown keys, values of another kind and values that break a rule are refused: a manifest that is not understood whole is
/// not understood.
package struct SpecificationReader {
    /// How the document is written.
    package enum Form: Sendable, Hashable {
        /// By a person: a template, sizes with units, defaults left out, a client's keys by reference.
        case manifest
        /// By a program: ``TenantSpecification/canonicalJSON``.
        case canonical
        /// By the region about itself: the canonical form, whose texts are what they are.
        case recorded
    }

    /// How many of each a manifest may name.
    package static let maximumClients = 32
    package static let maximumNetworks = 16
    package static let maximumInstances = 64
    package static let maximumLabels = 32

    let form: Form
    /// Whether every member must be there.
    var isWhole: Bool { form != .manifest }
    /// Gives the text of a file that a manifest names for a client's public keys.
    let file: (String) throws(ManifestFileError) -> String
    private(set) var issues: [ManifestIssue] = []

    private init(form: Form, file: @escaping (String) throws(ManifestFileError) -> String) {
        self.form = form
        self.file = file
    }

    /// - Parameter file: reads a file of public keys by the path that the manifest gives; the canonical form has none.
    /// - Throws: ``ManifestError`` with every issue, pointers by index.
    package static func specification(
        _ value: ManifestValue, form: Form,
        file: @escaping (String) throws(ManifestFileError) -> String = { _ throws(ManifestFileError) in
            throw ManifestFileError("files of keys are read where the manifest is applied")
        }
    ) throws(ManifestError) -> TenantSpecification {
        var reader = SpecificationReader(form: form, file: file)
        let specification = reader.tenant(value)
        guard let specification, reader.issues.isEmpty else {
            var tenant: String?
            if case .object(let members) = value,
                case .string(let id)? = members.first(where: { $0.key == "id" })?.value
            {
                tenant = TenantID(id)?.rawValue
            }
            throw ManifestError(
                reader.issues.map { issue in
                    var issue = issue
                    issue.tenant = tenant
                    return issue
                })
        }
        return specification
    }

    private static let tenantKeys = [
        "id", "kind", "name", "timeZone", "language", "labels", "driftPolicy", "quota", "clients", "networks",
        "instances",
    ]

    private mutating func tenant(_ value: ManifestValue) -> TenantSpecification? {
        let known = form == .manifest ? ["template"] + Self.tenantKeys : Self.tenantKeys
        guard let object = object(value, at: "", known: known) else { return nil }
        let template = form == .manifest ? word("template", of: object, TenantTemplate.self) : nil
        let id = requiredID(of: object)
        let kind = kind(of: object, template: template)
        let name = requiredText("name", of: object, rule: .displayName)
        let timeZone = requiredText("timeZone", of: object, rule: .timeZone)
        let language = requiredText("language", of: object, rule: .language)
        let labels = labels(of: object)
        let policy = word("driftPolicy", of: object, DriftPolicy.self, isRequired: isWhole) ?? .report
        let quota = quota(of: object, onTopOf: template?.quota ?? TenantQuota())
        let own = clients(of: object)
        let networks = networks(of: object)
        let instances = instances(of: object)
        guard let id, let kind, let name, let timeZone, let language else { return nil }
        let inherited = (template?.clients(of: id.rawValue) ?? []).filter { client in
            !own.contains { $0.id == client.id }
        }
        let specification = TenantSpecification(
            id: id, kind: kind, name: name, timeZone: timeZone, language: language, labels: labels, driftPolicy: policy,
            quota: quota, clients: inherited + own, networks: networks, instances: instances)
        if issues.isEmpty, form != .recorded { issues += specification.issues }
        return specification
    }

    private mutating func requiredID(of object: ManifestObject) -> TenantID? {
        guard let text = text("id", of: object, isRequired: true) else { return nil }
        guard let id = TenantID(text) else {
            report(
                object.pointer(to: "id"),
                "\(quoted(text)) cannot be a tenant's name: use \(TextRule.resourceName.sentence); "
                    + "\"region\" is taken")
            return nil
        }
        return id
    }

    private mutating func kind(of object: ManifestObject, template: TenantTemplate?) -> TenantKind? {
        if let kind = word("kind", of: object, TenantKind.self) { return kind }
        guard object["kind"] == nil else { return nil }
        if template == nil, isWhole || object["template"] == nil {
            let hint = !isWhole ? "kind is missing: say it, or name a template" : "kind is missing"
            report(object.pointer, hint, allowed: TenantKind.allCases.map(\.rawValue))
        }
        return template?.kind
    }

    private mutating func labels(of object: ManifestObject) -> [String: String] {
        guard let value = member("labels", of: object, isRequired: isWhole) else { return [:] }
        let pointer = object.pointer(to: "labels")
        guard case .object(let members) = value else {
            report(pointer, "labels must be a mapping of words to words, not \(value.article)")
            return [:]
        }
        guard members.count <= Self.maximumLabels else {
            report(pointer, "a tenant may have at most \(Self.maximumLabels) labels")
            return [:]
        }
        var labels: [String: String] = [:]
        for member in members {
            let place = JSONPointer.appending(member.key, to: pointer)
            guard TextRule.labelKey.allows(member.key) else {
                report(place, "\(quoted(member.key)) cannot be a label: use \(TextRule.labelKey.sentence)")
                continue
            }
            guard case .string(let text) = member.value, TextRule.labelValue.allows(text) else {
                report(
                    place,
                    "the label must be \(TextRule.labelValue.sentence), in quotes when it looks like a number or a truth "
                        + "value, not \(member.value.article)")
                continue
            }
            labels[member.key] = text
        }
        return labels
    }

    private mutating func quota(of object: ManifestObject, onTopOf base: TenantQuota) -> TenantQuota {
        guard let value = member("quota", of: object, isRequired: isWhole) else { return base }
        let dimensions = TenantQuota.Dimension.all
        guard let limits = self.object(value, at: object.pointer(to: "quota"), known: dimensions.map(\.name)) else {
            return base
        }
        var quota = base
        for dimension in dimensions {
            guard limits[dimension.name] != nil else { continue }
            let limit =
                dimension.isBytes
                ? size(dimension.name, of: limits, in: dimension.range)
                : integer(dimension.name, of: limits, in: dimension.range)
            if let limit { quota[dimension] = limit }
        }
        return quota
    }

    // MARK: Reporting

    mutating func report(_ pointer: String, _ message: String, found: String? = nil, allowed: [String] = []) {
        issues.append(ManifestIssue(pointer: pointer, message: message, found: found, allowed: allowed))
    }

    func quoted(_ text: some StringProtocol) -> String { "\"\(text.prefix(80))\"" }
}

/// Why a file that a manifest names cannot be used; one sentence without the final stop.
package struct ManifestFileError: Error, Sendable, Hashable {
    package let message: String

    package init(_ message: String) {
        self.message = message
    }
}
