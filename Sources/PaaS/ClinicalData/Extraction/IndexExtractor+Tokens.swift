// Tokens (https://hl7.org/fhir/R4/search.html#token).

import StrictJSON

extension IndexExtractor {
    mutating func addToken(system: String, code: String) {
        rows.tokens.append((parameter, IndexKey.bounded(system), IndexKey.bounded(code)))
    }

    /// A text or display, for the modifier `:text`.
    private mutating func addText(_ text: String?) {
        guard let text else { return }
        rows.strings.append((parameter, TextFolding.folded(text), text))
    }

    mutating func addToken(_ node: Int, _ alternative: PathAlternative) {
        switch alternative.leaf {
        case .coding:
            addCoding(node)
        case .codeableConcept:
            addConcept(node)
        case .identifier:
            addIdentifier(node)
            if let type = tape.member(node, .type) { addText(tape.string(type, .text)) }
        case .contactPoint:
            // The specification has no system here; ContactPoint.system is a code, not a URI.
            addToken(system: "", code: tape.string(node, .value) ?? "")
        case .boolean, .integer:
            addToken(system: "", code: String(decoding: tape.raw(node), as: UTF8.self))
        case .code:
            // "For code, the system is implied: it is defined in the value set."
            guard tape[node].kind == .string else { return }
            let system = tape.withText(node) { text -> String? in
                guard alternative.valueSet >= 0, let start = text.baseAddress else { return nil }
                let valueSet = definitions.valueSets[Int(alternative.valueSet)]
                return valueSet.system(of: text, hash: JSONKey.hash(start, text.count))
            }
            addToken(system: system ?? "", code: tape.string(node))
        default:
            guard tape[node].kind == .string else { return }
            addToken(system: "", code: tape.string(node))
        }
    }

    private mutating func addCoding(_ node: Int) {
        guard tape[node].kind == .object else { return }
        addToken(system: tape.string(node, .system) ?? "", code: tape.string(node, .code) ?? "")
        addText(tape.string(node, .display))
    }

    private mutating func addConcept(_ node: Int) {
        guard tape[node].kind == .object else { return }
        if let coding = tape.member(node, .coding), tape[coding].kind == .array, tape[coding].count > 0 {
            var element = coding + 1
            while element < tape.next(coding) {
                addCoding(element)
                element = tape.next(element)
            }
        } else {
            // Only a text: an empty token keeps `:missing` true to the content.
            addToken(system: "", code: "")
        }
        addText(tape.string(node, .text))
    }

    /// The identifier as a token of the current parameter.
    mutating func addIdentifier(_ node: Int) {
        guard tape[node].kind == .object else { return }
        addToken(system: tape.string(node, .system) ?? "", code: tape.string(node, .value) ?? "")
    }
}
