/// What a token allows: SMART App Launch 2.2 scopes for FHIR resources, `system/Patient.rs`; the forms of version 1
/// (`.read`, `.write`, `.*`) mean what the specification maps them to (`rs`, `cud`, `cruds`).
package struct ScopeSet: Sendable, Hashable, CustomStringConvertible {
    /// One letter of a version 2 scope.
    package enum Permission: UInt8, Sendable, CaseIterable {
        case create = 1
        case read = 2
        case update = 4
        case delete = 8
        case search = 16
    }

    /// On whose behalf a scope speaks.
    package enum Context: String, Sendable, Hashable, CaseIterable {
        case system
        case user
        case patient
    }

    /// One scope.
    private struct Grant: Sendable, Hashable {
        let context: Context
        /// A resource type, or nil for all.
        let typeName: String?
        let permissions: UInt8
    }

    /// The scopes as they were written, once each, separated by single spaces.
    package let text: String
    private let grants: [Grant]

    /// Reads a list of scopes separated by spaces.
    ///
    /// - Throws: ``IdentityError/Code/scope`` for an empty list, a scope that is not of the forms above, and the granular
    ///   form with a query (`?category=…`), which is not supported.
    package init(parsing text: String) throws(IdentityError) {
        guard text.utf8.count <= 4096 else { throw IdentityError(.scope, "the list of scopes is too long") }
        var words: [Substring] = []
        var grants: [Grant] = []
        for word in text.split(separator: " ") where !words.contains(word) {
            words.append(word)
            grants.append(try Self.grant(word))
        }
        guard !grants.isEmpty else { throw IdentityError(.scope, "no scope is named") }
        self.text = words.joined(separator: " ")
        self.grants = grants
    }

    /// Reads scopes that someone asks for now, whose types are those of FHIR R4. What was registered or signed before stays
    /// readable by ``init(parsing:)``.
    ///
    /// - Throws: as ``init(parsing:)``, and for a type that FHIR R4 does not have.
    package static func asked(_ text: String) throws(IdentityError) -> ScopeSet {
        let scopes = try ScopeSet(parsing: text)
        for (word, grant) in zip(scopes.text.split(separator: " "), scopes.grants) {
            guard let typeName = grant.typeName, !ScopedTypes.names.contains(typeName) else { continue }
            throw IdentityError(
                .scope, "the scope \(word) names \(typeName), which is neither a resource type of FHIR R4 nor *")
        }
        return scopes
    }

    /// Whether `permission` on resources of the type is allowed. Scopes of other contexts do not count: a `patient/` scope
    /// alone allows nothing to a system client.
    package func allows(_ permission: Permission, on typeName: String, in context: Context = .system) -> Bool {
        for grant in grants where grant.context == context && grant.permissions & permission.rawValue != 0 {
            guard let granted = grant.typeName else { return true }
            if granted == typeName { return true }
        }
        return false
    }

    /// Whether `permission` is allowed on every type.
    package func allowsEveryType(_ permission: Permission, in context: Context = .system) -> Bool {
        grants.contains {
            $0.context == context && $0.typeName == nil && $0.permissions & permission.rawValue != 0
        }
    }

    /// Whether everything that `other` allows is allowed here too.
    package func covers(_ other: ScopeSet) -> Bool {
        other.grants.allSatisfy { wanted in
            var missing = wanted.permissions
            for grant in grants where grant.context == wanted.context {
                if grant.typeName == nil || grant.typeName == wanted.typeName { missing &= ~grant.permissions }
            }
            return missing == 0
        }
    }

    package var description: String { text }

    private static func grant(_ word: Substring) throws(IdentityError) -> Grant {
        guard !word.contains("?") else {
            throw IdentityError(.scope, "granular scopes (with \"?\") are not supported")
        }
        let parts = word.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let context = Context(rawValue: String(parts[0])) else {
            throw IdentityError(.scope, "a scope is not of the form system/Type.cruds")
        }
        let halves = parts[1].split(separator: ".", omittingEmptySubsequences: false)
        guard halves.count == 2, let permissions = permissions(halves[1]) else {
            throw IdentityError(.scope, "a scope does not end in permissions: letters of \"cruds\" in this order")
        }
        if halves[0] == "*" { return Grant(context: context, typeName: nil, permissions: permissions) }
        let letters = halves[0].utf8
        guard let first = letters.first, UInt8(ascii: "A")...UInt8(ascii: "Z") ~= first, letters.count <= 64,
            letters.allSatisfy({
                UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0
            })
        else { throw IdentityError(.scope, "a scope does not name a resource type") }
        return Grant(context: context, typeName: String(halves[0]), permissions: permissions)
    }

    private static func permissions(_ text: Substring) -> UInt8? {
        switch text {
        case "read": return Permission.read.rawValue | Permission.search.rawValue
        case "write": return Permission.create.rawValue | Permission.update.rawValue | Permission.delete.rawValue
        case "*": return Permission.allCases.reduce(0) { $0 | $1.rawValue }
        default: break
        }
        var rest = Substring("cruds")
        var permissions: UInt8 = 0
        for letter in text {
            guard let position = rest.firstIndex(of: letter) else { return nil }
            rest = rest[rest.index(after: position)...]
            switch letter {
            case "c": permissions |= Permission.create.rawValue
            case "r": permissions |= Permission.read.rawValue
            case "u": permissions |= Permission.update.rawValue
            case "d": permissions |= Permission.delete.rawValue
            default: permissions |= Permission.search.rawValue
            }
        }
        return permissions == 0 ? nil : permissions
    }
}
