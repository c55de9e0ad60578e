// Primitives, bindings and references.

import StrictJSON

extension ResourceValidator {
    mutating func primitive(_ node: Int, _ type: PrimitiveType, _ element: ElementDefinition) {
        let kind = tape[node].kind
        switch type {
        case .boolean:
            if kind != .true, kind != .false { report(.structure, "this must be true or false") }
            return
        case .decimal:
            if kind != .number {
                report(.structure, "this must be a number")
            } else if !PrimitiveFormat.isDecimal(tape.raw(node)) {
                report(.value, "the exponent of a decimal is at most \(DecimalRange.maximumExponent)")
            }
            return
        case .integer, .positiveInt, .unsignedInt:
            let minimum = type == .integer ? Int(Int32.min) : type == .positiveInt ? 1 : 0
            if kind != .number {
                report(.structure, "this must be a number")
            } else if !PrimitiveFormat.isInteger(tape.raw(node), atLeast: minimum) {
                report(.value, "\(type.rule), which this is not")
            }
            return
        default:
            break
        }
        guard kind == .string else {
            report(.structure, "this must be a string")
            return
        }
        guard type == .base64Binary || tape.text(node).count <= Self.maximumStringBytes else {
            report(.tooLong, "a string has at most 1 MiB")
            return
        }
        let isEscaped = tape[node].isEscaped
        let (isValid, isInSet) = tape.withText(node) { text -> (Bool, Bool) in
            guard Self.hasFormat(type, text) else { return (false, true) }
            if isEscaped, text.contains(where: { $0 < 0x20 && !PrimitiveFormat.isSpace($0) }) { return (false, true) }
            guard element.valueSet >= 0, let start = text.baseAddress else { return (true, true) }
            let valueSet = definitions.valueSets[Int(element.valueSet)]
            return (true, valueSet.system(of: text, hash: JSONKey.hash(start, text.count)) != nil)
        }
        if !isValid {
            report(.value, "\(type.rule), which this is not")
        } else if !isInSet {
            reportCode(definitions.valueSets[Int(element.valueSet)])
        }
    }

    private static func hasFormat(_ type: PrimitiveType, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
        switch type {
        case .base64Binary: PrimitiveFormat.isBase64(text)
        case .canonical, .uri, .url: PrimitiveFormat.isURI(text)
        case .code: PrimitiveFormat.isCode(text)
        case .date: PrimitiveFormat.isDate(text)
        case .dateTime: PrimitiveFormat.isDateTime(text)
        case .id: PrimitiveFormat.isID(text)
        case .instant: PrimitiveFormat.isInstant(text)
        case .markdown, .string: PrimitiveFormat.isString(text)
        case .oid: PrimitiveFormat.isOID(text)
        case .time: PrimitiveFormat.isTime(text)
        case .uuid: PrimitiveFormat.isUUID(text)
        case .xhtml: NarrativeFormat.isSafe(text)
        case .boolean, .decimal, .integer, .positiveInt, .unsignedInt: false
        }
    }

    private mutating func reportCode(_ valueSet: ValueSet) {
        report(.codeInvalid, "the code is not in the required value set \(valueSet.url.string)")
    }

    /// A required binding of a CodeableConcept: one of its codings is in the set.
    mutating func checkConcept(_ node: Int, _ valueSet: ValueSet) {
        guard tape[node].kind == .object else { return }
        var isInSet = false
        if let codings = tape.member(node, .coding) {
            tape.forEach(codings) { coding in
                guard let system = tape.member(coding, .system), let code = tape.member(coding, .code),
                    tape[system].kind == .string, tape[code].kind == .string
                else { return }
                tape.withText(system) { system in
                    tape.withText(code) { code in
                        guard let start = code.baseAddress else { return }
                        let hash = JSONKey.hash(start, code.count)
                        isInSet = isInSet || valueSet.contains(system: system, code: code, hash: hash)
                    }
                }
            }
        }
        if !isInSet { reportCode(valueSet) }
    }

    // MARK: References

    mutating func checkReference(_ node: Int, _ element: ElementDefinition) {
        let targets = definitions.targets[Int(element.targets.lowerBound)..<Int(element.targets.upperBound)]
        func allows(_ type: ResourceType?) -> Bool { type.map { targets.isEmpty || targets.contains($0) } ?? false }
        if let value = tape.member(node, .type), tape[value].kind == .string {
            let type = tape.withText(value) { definitions.resourceType(named: $0) }
            if type != nil, !allows(type) { report(.value, "the type is not allowed here", below: "type") }
        }
        guard let value = tape.member(node, .reference), tape[value].kind == .string else { return }
        let problem = tape.withText(value) { text -> String? in
            if text.first == UInt8(ascii: "#") {
                guard text.count > 1 else { return nil }
                let id = UnsafeBufferPointer(rebasing: text.dropFirst())
                guard let type = containedType(id) else { return "there is no contained resource with this id" }
                return allows(type) ? nil : "a reference to a \(type.name) is not allowed here"
            }
            let parts = ReferenceText(text, base: UnsafeBufferPointer(start: nil, count: 0))
            if text.contains(UInt8(ascii: ":")), !isConditional(text) {
                // "(http|https)://…/Type/id" states the type, wherever it leads; anything else states none.
                guard text.starts(with: "http".utf8), let type = parts.type else { return nil }
                return allows(type) ? nil : "a reference to a \(type.name) is not allowed here"
            }
            guard let type = relativeType(text, parts) else { return "a relative reference has the form Type/id" }
            return allows(type) ? nil : "a reference to a \(type.name) is not allowed here"
        }
        if let problem { report(.value, problem, below: "reference") }
    }

    /// `Type?query`, which a transaction resolves; the query may contain a colon.
    private func isConditional(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let mark = text.firstIndex(of: UInt8(ascii: "?")) else { return false }
        return text[..<mark].allSatisfy(PrimitiveFormat.isAlphanumeric)
    }

    private func relativeType(_ text: UnsafeBufferPointer<UInt8>, _ parts: ReferenceText) -> ResourceType? {
        if let mark = text.firstIndex(of: UInt8(ascii: "?")) {
            return definitions.resourceType(named: UnsafeBufferPointer(rebasing: text[..<mark]))
        }
        return parts.isLocal ? parts.type : nil
    }

    private func containedType(_ wanted: UnsafeBufferPointer<UInt8>) -> ResourceType? {
        guard let contained = tape.member(resource, .contained) else { return nil }
        var result: ResourceType?
        tape.forEach(contained) { inner in
            guard let id = tape.member(inner, .id), tape[id].kind == .string, tape.isText(id, wanted),
                let name = tape.member(inner, .resourceType), tape[name].kind == .string
            else { return }
            result = tape.withText(name) { definitions.resourceType(named: $0) }
        }
        return result
    }
}
