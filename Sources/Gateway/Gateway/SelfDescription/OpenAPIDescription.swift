package import StrictJSON

/// The API description: the documents of `OpenAPI/` merged into one, made once at start.
package struct OpenAPIDescription: Sendable {
    /// A document could not be read or two of them contradict each other.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// One operation as documented.
    package struct Operation: Sendable {
        package let method: String
        package let pattern: String
        package let operationID: String
        package let tag: String
        package let isPublic: Bool
        package let node: JSONNode
    }

    /// The merged document: OpenAPI 3.1, JSON.
    package let bytes: [UInt8]
    /// In the order of the documents.
    package let operations: [Operation]
    let root: JSONNode

    /// Merges the embedded documents, whose `servers` becomes the region's base URL.
    package init(baseURL: String) throws {
        try self.init(
            documents: OpenAPIDocuments.all.map { document in
                (document.name, document.text.withUTF8Buffer { Array($0) })
            }, baseURL: baseURL)
    }

    /// The first document gives `openapi` and `info`; paths, tags and the sections of components are united. A path or a
    /// component in two documents is an error.
    package init(documents: [(name: String, bytes: [UInt8])], baseURL: String) throws {
        var roots: [(name: String, root: JSONNode)] = []
        for (name, bytes) in documents { roots.append((name, try JSONDocument(bytes).root)) }
        guard let first = roots.first?.root, let info = first["info"], let version = first["openapi"]?.string else {
            throw Failure(description: "the first document has no openapi or info")
        }
        var writer = JSONWriter(reservingCapacity: 1 << 16)
        try writer.object { body in
            body.member("openapi", version)
            body.member("info", raw: info.rawBytes)
            body.arrayMember("servers") { list in list.object { $0.member("url", baseURL) } }
            body.arrayMember("tags") { list in
                for (_, root) in roots {
                    for tag in root["tags"].map(Array.init(elements:)) ?? [] { list.raw(tag.rawBytes) }
                }
            }
            try body.member("paths") { try Self.unite(roots.map { ($0.name, $0.root["paths"]) }, into: &$0) }
            try body.member("components") { components in
                var sections: [String] = []
                for (_, root) in roots {
                    for member in root["components"].map(Array.init(members:)) ?? []
                    where !sections.contains(member.key) {
                        sections.append(member.key)
                    }
                }
                for section in sections {
                    try components.member(section) {
                        try Self.unite(roots.map { ($0.name, $0.root["components"]?[section]) }, into: &$0)
                    }
                }
            }
        }
        bytes = writer.bytes
        let merged = try JSONDocument(bytes).root
        root = merged
        operations = Self.operations(of: merged)
    }

    private static func unite(_ objects: [(name: String, node: JSONNode?)], into writer: inout JSONWriter) throws {
        var owners: [String: String] = [:]
        for (name, node) in objects {
            for member in node.map(Array.init(members:)) ?? [] {
                if let owner = owners[member.key] {
                    throw Failure(description: "\(member.key) is in \(owner) and in \(name)")
                }
                owners[member.key] = name
                writer.member(member.key, raw: member.value.rawBytes)
            }
        }
    }

    private static func operations(of root: JSONNode) -> [Operation] {
        var operations: [Operation] = []
        for path in root["paths"].map(Array.init(members:)) ?? [] {
            for member in path.value.members {
                guard let id = member.value["operationId"]?.string else { continue }
                operations.append(
                    Operation(
                        method: member.key.uppercased(), pattern: path.key, operationID: id,
                        tag: member.value["tags"].map(Array.init(elements:))?.first?.string ?? "",
                        isPublic: member.value["security"]?.count == 0, node: member.value))
            }
        }
        return operations
    }

    /// Follows a `$ref` inside the document; anything else is returned as it is.
    func resolved(_ node: JSONNode) -> JSONNode {
        guard let reference = node["$ref"]?.string, reference.hasPrefix("#/") else { return node }
        var current = root
        for part in reference.dropFirst(2).split(separator: "/") {
            let name = part.replacing("~1", with: "/").replacing("~0", with: "~")
            guard let next = current[String(name)] else { return node }
            current = next
        }
        return current
    }
}

extension Array where Element == JSONNode {
    init(elements node: JSONNode) { self = node.elements.map { $0 } }
}

extension Array where Element == JSONMember {
    init(members node: JSONNode) { self = node.members.map { $0 } }
}
