/// The preferences of a `Prefer` header (RFC 7240) that FHIR uses.
package struct Preferences: Sendable, Hashable {
    /// What a write answers with.
    package enum Return: String, Sendable, Hashable {
        case minimal
        case representation
        case operationOutcome = "OperationOutcome"
    }

    /// How a search treats what it does not know.
    package enum Handling: String, Sendable, Hashable {
        case strict
        case lenient
    }

    package private(set) var `return`: Return?
    package private(set) var handling: Handling?

    /// Unknown preferences are ignored, as RFC 7240 §2 asks. Of repeated ones the first counts.
    package init(parsing text: String?) {
        for part in (text ?? "").split(whereSeparator: { $0 == "," || $0 == ";" }) {
            let pair = part.split(separator: "=", maxSplits: 1)
            guard pair.count == 2 else { continue }
            var value = pair[1].trimmed
            if value.first == "\"", value.last == "\"", value.utf8.count >= 2 { value = value.dropFirst().dropLast() }
            switch pair[0].trimmed.lowercased() {
            case "return": `return` = `return` ?? Return(rawValue: String(value))
            case "handling": handling = handling ?? Handling(rawValue: String(value))
            default: continue
            }
        }
    }
}
