// Strings, dates, numbers, quantities, references and uris (https://hl7.org/fhir/R4/search.html#ptypes).

import StrictJSON

// MARK: Strings

extension IndexExtractor {
    private static let nameParts: [FieldKey] = [.text, .family, .given, .prefix, .suffix]
    private static let addressParts: [FieldKey] = [
        .text, .line, .city, .district, .state, .postalCode, .country,
    ]

    mutating func addString(_ node: Int, _ leaf: LeafType) {
        switch leaf {
        case .humanName: addParts(node, Self.nameParts)
        case .address: addParts(node, Self.addressParts)
        case .codeableConcept:
            addParts(node, [.text])
            if let coding = tape.member(node, .coding), tape[coding].kind == .array {
                var element = coding + 1
                while element < tape.next(coding) {
                    addParts(element, [.display])
                    element = tape.next(element)
                }
            }
        default: addText(node)
        }
    }

    private mutating func addParts(_ node: Int, _ keys: [FieldKey]) {
        for key in keys {
            guard let part = tape.member(node, key) else { continue }
            guard tape[part].kind == .array else {
                addText(part)
                continue
            }
            var element = part + 1
            while element < tape.next(part) {
                addText(element)
                element = tape.next(element)
            }
        }
    }

    private mutating func addText(_ node: Int) {
        guard tape[node].kind == .string else { return }
        let folded = tape.withText(node) { TextFolding.folded($0) }
        rows.strings.append((parameter, folded, tape.string(node)))
    }
}

// MARK: Dates

extension IndexExtractor {
    mutating func addDate(_ node: Int, _ leaf: LeafType) {
        let range =
            switch leaf {
            case .period: period(node)
            case .timing: timing(node)
            default: date(node)
            }
        if let range { rows.dates.append((parameter, range.low, range.high)) }
    }

    private func date(_ node: Int?) -> DateRange? {
        guard let node, tape[node].kind == .string else { return nil }
        return tape.withText(node) { WrittenDate($0)?.range }
    }

    private func period(_ node: Int) -> DateRange? {
        let start = date(tape.member(node, .start))
        let end = date(tape.member(node, .end))
        guard start != nil || end != nil else { return nil }
        return DateRange(low: start?.low ?? IndexRows.beginning, high: end?.high ?? IndexRows.end)
    }

    /// "The specified scheduling details are ignored and only the outer limits matter."
    private func timing(_ node: Int) -> DateRange? {
        var limits: DateRange?
        func include(_ range: DateRange?) {
            guard let range else { return }
            limits = DateRange(
                low: min(limits?.low ?? range.low, range.low), high: max(limits?.high ?? range.high, range.high))
        }
        if let events = tape.member(node, .event) { tape.forEach(events) { include(date($0)) } }
        if let details = tape.member(node, .repeat), let bounds = tape.member(details, .period) {
            include(period(bounds))
        }
        return limits
    }
}

// MARK: Numbers and quantities

extension IndexExtractor {
    mutating func addQuantity(_ node: Int, _ leaf: LeafType) {
        switch leaf {
        case .range:
            let low = tape.member(node, .low)
            let high = tape.member(node, .high)
            let lowRange = low.flatMap(quantityRange)
            let highRange = high.flatMap(quantityRange)
            guard let unitNode = low ?? high, lowRange != nil || highRange != nil else { return }
            addQuantity(
                DecimalRange(low: lowRange?.low ?? "-Infinity", high: highRange?.high ?? "Infinity"), unitNode)
        case .money:
            guard let range = quantityRange(node) else { return }
            let currency = tape.string(node, .currency) ?? ""
            addQuantity(range, system: currency.isEmpty ? "" : "urn:iso:std:iso:4217", code: currency, unit: "")
        case .quantity, .age, .count, .distance, .duration:
            guard let range = quantityRange(node) else { return }
            addQuantity(range, node)
        default:
            guard let range = decimal(node)?.range else { return }
            addQuantity(range, system: "", code: "", unit: "")
        }
    }

    private mutating func addQuantity(_ range: DecimalRange, _ node: Int) {
        addQuantity(
            range, system: tape.string(node, .system) ?? "", code: tape.string(node, .code) ?? "",
            unit: tape.string(node, .unit) ?? "")
    }

    private mutating func addQuantity(_ range: DecimalRange, system: String, code: String, unit: String) {
        rows.quantities.append(
            (
                parameter, range.low, range.high, IndexKey.bounded(system), IndexKey.bounded(code),
                IndexKey.bounded(unit)
            ))
    }

    private func decimal(_ node: Int) -> WrittenDecimal? {
        guard tape[node].kind == .number else { return nil }
        return WrittenDecimal(tape.raw(node))
    }

    /// The range of a quantity's value; open on one side when there is a comparator.
    private func quantityRange(_ node: Int) -> DecimalRange? {
        guard let value = tape.member(node, .value), let decimal = decimal(value) else { return nil }
        switch tape.string(node, .comparator) {
        case "<": return DecimalRange(low: "-Infinity", high: decimal.text)
        case "<=": return DecimalRange(low: "-Infinity", high: decimal.range.high)
        case ">": return DecimalRange(low: decimal.text, high: "Infinity")
        case ">=": return DecimalRange(low: decimal.range.low, high: "Infinity")
        default: return decimal.range
        }
    }
}

// MARK: References and uris

extension IndexExtractor {
    mutating func addReference(_ node: Int, _ leaf: LeafType) {
        switch leaf {
        case .reference:
            guard tape[node].kind == .object else { return }
            if let identifier = tape.member(node, .identifier) { addIdentifier(identifier) }
            guard let value = tape.member(node, .reference), tape[value].kind == .string else {
                // Only an identifier or a display: an empty target keeps `:missing` true to the content.
                rows.references.append((parameter, 0, ""))
                return
            }
            let target = tape.withText(value) { ReferenceTarget($0, base: base) }
            addReference(target)
            if case .other(let text) = target, text.utf8.count < tape.text(value).count {
                // A versioned reference to elsewhere is found by its full text too.
                addReference(.other(tape.string(value)))
            }
        case .resource:
            guard let id = tape.string(node, .id), let name = tape.member(node, .resourceType),
                tape[name].kind == .string, let type = tape.withText(name, { definitions.resourceType(named: $0) }),
                definitions.parameter(id: parameter)?.targets.contains(type) == true
            else { return }
            addReference(.local(type, id: id))
        default:
            guard tape[node].kind == .string else { return }
            let text = tape.string(node)
            addReference(.other(text))
            let unversioned = text.split(separator: "|", maxSplits: 1).first.map(String.init) ?? text
            addReference(ReferenceTarget(unversioned, baseURL: String(decoding: base, as: UTF8.self)))
        }
    }

    private mutating func addReference(_ target: ReferenceTarget) {
        switch target {
        case .local(let type, let id): rows.references.append((parameter, type.code, id))
        case .other(let text): rows.references.append((parameter, 0, IndexKey.bounded(text)))
        }
    }

    mutating func addURI(_ node: Int, _ leaf: LeafType) {
        guard tape[node].kind == .string else { return }
        let text = tape.string(node)
        rows.uris.append((parameter, IndexKey.bounded(text)))
        if leaf == .canonical, let bar = text.firstIndex(of: "|") {
            rows.uris.append((parameter, IndexKey.bounded(String(text[..<bar]))))
        }
    }
}
