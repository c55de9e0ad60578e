/// One thing that is wrong with a manifest or a specification.
package struct ManifestIssue: Sendable, Hashable, CustomStringConvertible {
    /// The tenant it is about, as far as it has a name.
    package var tenant: String?
    /// JSON pointer (RFC 6901) into the tenant's document: by index into lists as they were written, or, when specifications
    /// were compared, by the name of the element (`/networks/lan/cidr`).
    package let pointer: String
    /// One sentence without the final stop: what is wrong and what would do.
    package let message: String
    /// The word that was not understood, for a suggestion.
    package let found: String?
    /// What is allowed in its place.
    package let allowed: [String]

    package init(
        tenant: String? = nil, pointer: String, message: String, found: String? = nil, allowed: [String] = []
    ) {
        self.tenant = tenant
        self.pointer = pointer
        self.message = message
        self.found = found
        self.allowed = allowed
    }

    package var description: String {
        var text = (tenant.map { $0 + ": " } ?? "") + (pointer.isEmpty ? "" : pointer + ": ") + message
        if !allowed.isEmpty { text += "; allowed: \(allowed.joined(separator: ", "))" }
        return text
    }
}

/// Manifests or specifications that nothing may be done with; every issue that was found, in the order of the documents.
package struct ManifestError: Error, Sendable, Hashable, CustomStringConvertible {
    package let issues: [ManifestIssue]

    package init(_ issues: [ManifestIssue]) {
        self.issues = issues
    }

    package var description: String { issues.map(\.description).joined(separator: "\n") }
}

/// JSON pointers (RFC 6901).
package enum JSONPointer {
    /// `pointer` and one more reference token.
    package static func appending(_ token: String, to pointer: String) -> String {
        guard token.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else {
            return pointer + "/" + token
        }
        var escaped = ""
        for character in token {
            switch character {
            case "~": escaped += "~0"
            case "/": escaped += "~1"
            default: escaped.append(character)
            }
        }
        return pointer + "/" + escaped
    }
}
