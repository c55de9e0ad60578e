import ClinicalData
import CloudHTTP
import HTTPTypes
import StrictJSON

/// One entry of a batch or transaction, understood.
struct BundleEntry: Sendable {
    /// `Bundle.entry[3]`
    let place: String
    let interaction: Interaction
    let method: HTTPRequest.Method
    let query: HTTPQuery
    let conditions: WriteConditions
    let readConditions: ReadConditions
    let fullURL: String?
    /// The resource, or a JSON Patch.
    let body: JSONDocument?
}

/// Reads Bundles of type batch and transaction.
struct BundleReader: Sendable {
    enum Kind: String, Sendable {
        case batch
        case transaction
    }

    /// The FHIR base; absolute entry URLs must begin with it.
    let base: String

    /// - Returns: What kind of bundle, and each entry or why it cannot be one.
    func read(_ document: JSONDocument) throws(FHIRFailure) -> (Kind, [Result<BundleEntry, FHIRFailure>]) {
        let root = document.root
        guard root.kind == .object, root["resourceType"]?.stringIs("Bundle") == true else {
            throw FHIRFailure(400, "structure", "What is posted to the base must be a Bundle.", at: "resourceType")
        }
        guard let kind = root["type"]?.string.flatMap({ Kind(rawValue: $0) }) else {
            throw FHIRFailure(400, "value", "Bundle.type must be 'batch' or 'transaction' here.", at: "Bundle.type")
        }
        guard let entries = root["entry"] else { return (kind, []) }
        guard entries.kind == .array else {
            throw FHIRFailure(400, "structure", "Bundle.entry must be an array.", at: "Bundle.entry")
        }
        var hasMetadata = false
        let read = entries.elements.enumerated().map { index, node in
            let place = "Bundle.entry[\(index)]"
            do throws(FHIRFailure) {
                let entry = try entry(node, place)
                // The same long answer once is enough.
                if case .capabilities = entry.interaction {
                    guard !hasMetadata else {
                        throw FHIRFailure(400, "too-costly", "A bundle asks for metadata once.")
                    }
                    hasMetadata = true
                }
                return Result<BundleEntry, FHIRFailure>.success(entry)
            } catch {
                return .failure(error.placed(place))
            }
        }
        return (kind, read)
    }

    private func entry(_ node: JSONNode, _ place: String) throws(FHIRFailure) -> BundleEntry {
        guard node.kind == .object, let request = node["request"], request.kind == .object else {
            throw FHIRFailure(400, "required", "An entry needs 'request'.", at: place + ".request")
        }
        try check(node, has: Self.members, place)
        try check(request, has: Self.requestMembers, place + ".request")
        guard let name = request["method"]?.string, let method = Self.methods[name] else {
            throw FHIRFailure(
                400, "value", "request.method must be GET, HEAD, POST, PUT, PATCH or DELETE.",
                at: place + ".request.method")
        }
        guard let url = request["url"]?.string else {
            throw FHIRFailure(400, "required", "An entry needs 'request.url'.", at: place + ".request.url")
        }
        let (path, query) = try target(url, place)
        var interaction: Interaction
        do {
            interaction = try Interaction(method, path: path)
        } catch {
            throw FHIRFailure(
                error.status, error.issues[0].code, error.issues[0].diagnostics, at: place + ".request.url")
        }
        if case .bundle = interaction {
            throw FHIRFailure(400, "not-supported", "A bundle cannot hold a bundle to carry out.", at: place)
        }
        // A write without an id in its URL is conditional: its query selects.
        if case .create = interaction, !query.parameters.isEmpty {
            throw FHIRFailure(400, "invalid", "The URL of a create has no query.", at: place + ".request.url")
        }
        let resource = node["resource"]
        var body: JSONDocument?
        if let resource, method != .get, method != .head, method != .delete {
            body =
                method == .patch
                ? try patch(resource, place) : try ResourceIntake.parse(Array(resource.rawBytes), place: place)
        } else if resource == nil, method == .post || method == .put || method == .patch {
            throw FHIRFailure(400, "required", "This entry needs 'resource'.", at: place + ".resource")
        }
        return BundleEntry(
            place: place, interaction: interaction, method: method, query: query,
            conditions: WriteConditions(
                match: request["ifMatch"]?.string,
                noneMatch: method == .get ? nil : request["ifNoneMatch"]?.string,
                noneExist: request["ifNoneExist"]?.string),
            readConditions: try ReadConditions(request, at: place + ".request"),
            fullURL: node["fullUrl"]?.string, body: body)
    }

    /// The members of Bundle.entry and of its `request` (FHIR R4 bundle.html), of which `_name` are the extensions.
    private static let members: Set<String> = [
        "id", "extension", "modifierExtension", "link", "fullUrl", "resource", "search", "request", "response",
    ]
    private static let requestMembers: Set<String> = [
        "id", "extension", "modifierExtension", "method", "url", "ifNoneMatch", "ifModifiedSince", "ifMatch",
        "ifNoneExist",
    ]

    /// Refuses what FHIR does not know: a condition with a name of its own would not be looked at.
    private func check(_ node: JSONNode, has members: Set<String>, _ place: String) throws(FHIRFailure) {
        for member in node.members {
            let name = member.key
            guard members.contains(name.hasPrefix("_") ? String(name.dropFirst()) : name) else {
                throw FHIRFailure(
                    400, "structure", "There is no member '\(name.prefix(100))' here.",
                    at: place + "." + name.prefix(100))
            }
        }
    }

    private static let methods: [String: HTTPRequest.Method] = [
        "GET": .get, "HEAD": .head, "POST": .post, "PUT": .put, "PATCH": .patch, "DELETE": .delete,
    ]

    private func target(_ url: String, _ place: String) throws(FHIRFailure) -> ([String], HTTPQuery) {
        var relative = Substring(url)
        if relative.hasPrefix(base + "/") {
            relative = relative.dropFirst(base.utf8.count + 1)
        } else if relative.contains("://") {
            throw FHIRFailure(400, "invalid", "The URL lies outside of this server.", at: place + ".request.url")
        }
        while relative.first == "/" { relative = relative.dropFirst() }
        let target: RequestTarget
        do {
            target = try RequestTarget(parsing: "/" + relative)
        } catch {
            throw FHIRFailure(400, "invalid", "The URL cannot be decoded.", at: place + ".request.url")
        }
        do {
            return (target.segments, try HTTPQuery(parsing: target.query))
        } catch {
            throw FHIRFailure(400, "invalid", error.description, at: place + ".request.url")
        }
    }

    /// A patch travels as a Binary whose data are the JSON Patch (FHIR R4 §3.1.0.11.2).
    private func patch(_ resource: JSONNode, _ place: String) throws(FHIRFailure) -> JSONDocument {
        guard resource["resourceType"]?.stringIs("Binary") == true,
            resource["contentType"]?.stringIs("application/json-patch+json") == true,
            let data = resource["data"]?.string, let bytes = Base64.decoded(data)
        else {
            throw FHIRFailure(
                400, "structure", "A patch is a Binary of content type application/json-patch+json with 'data'.",
                at: place + ".resource")
        }
        let patch = try ResourceIntake.parse(bytes, place: place)
        guard patch.root.kind == .array else {
            throw FHIRFailure(400, "structure", "A JSON Patch is an array.", at: place + ".resource.data")
        }
        return patch
    }
}

extension BundleEntry {
    /// The entry as a write; nil when it is a read or a search.
    func write() throws(FHIRFailure) -> WriteRequest? {
        var request: WriteRequest
        switch interaction {
        case .create(let type):
            request = WriteRequest(.create(type, criteria: conditions.noneExist))
        case .update(let type, let id):
            request = WriteRequest(.update(type, id: id))
        case .updateWhere(let type):
            request = WriteRequest(.updateWhere(type, criteria: query.text))
        case .patch(let type, let id):
            request = WriteRequest(.patch(type, id: id))
        case .patchWhere(let type):
            request = WriteRequest(.patchWhere(type, criteria: query.text))
        case .delete(let type, let id):
            request = WriteRequest(.delete(type, id: id))
        case .deleteWhere(let type):
            request = WriteRequest(.deleteWhere(type, criteria: query.text))
        case .capabilities, .read, .readVersion, .history, .search, .bundle:
            return nil
        }
        request.place = place
        request.fullURL = fullURL
        request.body = body
        do {
            try request.check(query)
            try conditions.apply(to: &request)
        } catch {
            throw error.placed(place)
        }
        return request
    }
}
