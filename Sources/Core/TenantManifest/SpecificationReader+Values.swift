/// A mapping of the document whose keys are all known.
struct ManifestObject {
    let pointer: String
    fileprivate let members: [String: ManifestValue]

    subscript(_ key: String) -> ManifestValue? { members[key] }

    func pointer(to key: String) -> String { JSONPointer.appending(key, to: pointer) }
}

extension SpecificationReader {
    /// The mapping, or nil when it is none. Keys that are not known are reported and left out.
    mutating func object(_ value: ManifestValue, at pointer: String, known: [String]) -> ManifestObject? {
        guard case .object(let list) = value else {
            report(pointer, "must be a mapping, not \(value.article)", allowed: known)
            return nil
        }
        var members: [String: ManifestValue] = [:]
        for member in list {
            guard known.contains(member.key) else {
                report(
                    JSONPointer.appending(member.key, to: pointer), "the key \(quoted(member.key)) is not known here",
                    found: member.key, allowed: known)
                continue
            }
            members[member.key] = member.value
        }
        return ManifestObject(pointer: pointer, members: members)
    }

    /// The value of a key. YAML's empty value counts as one: a key without a value is a slip.
    mutating func member(_ key: String, of object: ManifestObject, isRequired: Bool = false) -> ManifestValue? {
        let value = object[key]
        if value == nil, isRequired { report(object.pointer, "\(key) is missing") }
        return value
    }

    mutating func text(_ key: String, of object: ManifestObject, isRequired: Bool = false) -> String? {
        guard let value = member(key, of: object, isRequired: isRequired) else { return nil }
        guard case .string(let text) = value else {
            let hint: String
            switch value {
            case .bool, .integer, .number: hint = ": put it in quotes"
            default: hint = ""
            }
            report(object.pointer(to: key), "\(key) must be text, not \(value.article)\(hint)")
            return nil
        }
        return text
    }

    mutating func requiredText(_ key: String, of object: ManifestObject, rule: TextRule) -> String? {
        guard let text = text(key, of: object, isRequired: true) else { return nil }
        return check(text, key, of: object, rule: rule)
    }

    mutating func optionalText(_ key: String, of object: ManifestObject, rule: TextRule) -> String? {
        guard let text = text(key, of: object) else { return nil }
        return check(text, key, of: object, rule: rule)
    }

    private mutating func check(_ text: String, _ key: String, of object: ManifestObject, rule: TextRule) -> String? {
        guard form == .recorded || rule.allows(text) else {
            report(object.pointer(to: key), "\(key) must be \(rule.sentence), not \(quoted(text))")
            return nil
        }
        return text
    }

    /// One of a few words.
    mutating func word<Word: RawRepresentable & CaseIterable>(
        _ key: String, of object: ManifestObject, _ type: Word.Type, isRequired: Bool = false
    ) -> Word? where Word.RawValue == String {
        guard let value = member(key, of: object, isRequired: isRequired) else { return nil }
        let allowed = Word.allCases.map(\.rawValue)
        guard case .string(let text) = value else {
            report(object.pointer(to: key), "\(key) must be a word, not \(value.article)", allowed: allowed)
            return nil
        }
        guard let word = Word(rawValue: text) else {
            report(object.pointer(to: key), "\(key) cannot be \(quoted(text))", found: text, allowed: allowed)
            return nil
        }
        return word
    }

    mutating func bool(_ key: String, of object: ManifestObject, isRequired: Bool = false) -> Bool? {
        guard let value = member(key, of: object, isRequired: isRequired) else { return nil }
        guard case .bool(let truth) = value else {
            report(object.pointer(to: key), "\(key) must be true or false, not \(value.article)")
            return nil
        }
        return truth
    }

    mutating func integer(
        _ key: String, of object: ManifestObject, in range: ClosedRange<Int64>, isRequired: Bool = false
    ) -> Int64? {
        guard let value = member(key, of: object, isRequired: isRequired) else { return nil }
        guard case .integer(let number) = value, form == .recorded || range.contains(number) else {
            report(
                object.pointer(to: key),
                "\(key) must be a number from \(range.lowerBound) to \(range.upperBound), not \(value.article)")
            return nil
        }
        return number
    }

    /// A number of bytes: with a unit in a manifest, bare in the canonical form.
    mutating func size(
        _ key: String, of object: ManifestObject, in range: ClosedRange<Int64>, isRequired: Bool = false
    ) -> Int64? {
        guard let value = member(key, of: object, isRequired: isRequired) else { return nil }
        let bytes: Int64?
        switch (form, value) {
        case (.canonical, .integer(let number)), (.recorded, .integer(let number)): bytes = number
        case (.manifest, .string(let text)): bytes = ByteSize.bytes(text)
        // Nothing is nothing in any unit.
        case (.manifest, .integer(0)): bytes = 0
        default: bytes = nil
        }
        guard let bytes else {
            report(
                object.pointer(to: key),
                isWhole
                    ? "\(key) must be a number of bytes, not \(value.article)"
                    : "\(key) must be up to six digits and a unit, such as 512MiB or 2GiB, not \(value.article)",
                allowed: isWhole ? [] : ByteSize.unitNames)
            return nil
        }
        guard form == .recorded || range.contains(bytes) else {
            report(
                object.pointer(to: key),
                "\(key) must be from \(ByteSize.text(range.lowerBound)) to \(ByteSize.text(range.upperBound)), not "
                    + ByteSize.text(bytes))
            return nil
        }
        return bytes
    }

    mutating func list(
        _ key: String, of object: ManifestObject, atMost limit: Int, isRequired: Bool = false
    ) -> [ManifestValue] {
        guard let value = member(key, of: object, isRequired: isRequired) else { return [] }
        guard case .array(let elements) = value else {
            report(object.pointer(to: key), "\(key) must be a list, not \(value.article)")
            return []
        }
        // What there is may be more than one manifest may ask for: it was made one by one.
        guard form == .recorded || elements.count <= limit else {
            report(object.pointer(to: key), "\(key) may have at most \(limit) entries, not \(elements.count)")
            return []
        }
        return elements
    }

    mutating func texts(
        _ key: String, of object: ManifestObject, atMost limit: Int, isRequired: Bool = false
    ) -> [(text: String, pointer: String)] {
        var found: [(text: String, pointer: String)] = []
        let pointer = object.pointer(to: key)
        for (index, element) in list(key, of: object, atMost: limit, isRequired: isRequired).enumerated() {
            guard case .string(let text) = element else {
                report("\(pointer)/\(index)", "must be text, not \(element.article)")
                continue
            }
            found.append((text, "\(pointer)/\(index)"))
        }
        return found
    }
}
