// Parsing the generated definitions.

import StrictJSON

/// Reads the lines that `ops/definitions/generate.py` writes; the format is described there.
///
/// The text is part of the program, so a line that cannot be read is a bug and stops it.
struct DefinitionsReader {
    /// What all parameters made from one definition share.
    private struct Shared {
        let url: String
        let code: String
        let kind: SearchParameter.Kind
        let targets: [ResourceType]
        let expression: String
    }

    private let text: StaticText
    private var shared: [Shared] = []
    private var openType: (name: StaticText, firstElement: Int)?
    private var openChoices: [StaticText] = []
    private var openRequired: [StaticText] = []

    var types: [ResourceType] = []
    var typeNames: [String] = []
    var typesByName: [String: ResourceType] = [:]
    var typeDefinitions: [TypeDefinition] = []
    var typeNumbers: [String: Int16] = [:]
    var elements: [ElementDefinition] = []
    var slots: [UInt16] = []
    var targets: [ResourceType] = []
    var valueSets: [ValueSet] = []
    var parameters: [SearchParameter] = []
    var programs: [PathProgram] = []
    var alternatives: [PathAlternative] = []
    var steps: [PathStep] = []
    var compartments: [String: Compartment] = [:]

    init(_ text: StaticString) { self.text = StaticText(text) }

    mutating func read() {
        // Elements name types that come later, so names are collected first.
        forEachLine { reader, fields in
            if fields[0].start.pointee == UInt8(ascii: "R") { reader.addResourceType(fields[1].string) }
            if fields[0].start.pointee == UInt8(ascii: "T") {
                reader.typeNumbers[fields[1].string] = Int16(reader.typeNumbers.count)
            }
        }
        elements.reserveCapacity(8500)
        parameters.reserveCapacity(2300)
        forEachLine { reader, fields in
            switch fields[0].start.pointee {
            case UInt8(ascii: "V"): reader.addValueSet(fields)
            case UInt8(ascii: "T"): reader.openType(fields[1])
            case UInt8(ascii: "e"): reader.addElement(fields)
            case UInt8(ascii: "D"): reader.addShared(fields)
            case UInt8(ascii: "P"): reader.addParameter(fields)
            case UInt8(ascii: "C"): reader.addCompartment(fields)
            default: break
            }
        }
        closeType()
    }

    private mutating func forEachLine(_ body: (inout DefinitionsReader, [StaticText]) -> Void) {
        var fields: [StaticText] = []
        var start = 0
        for offset in 0...text.count {
            let byte = offset == text.count ? UInt8(ascii: "\n") : text.start[offset]
            guard byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\t") else { continue }
            fields.append(StaticText(start: text.start + start, count: offset - start))
            start = offset + 1
            if byte == UInt8(ascii: "\n") {
                body(&self, fields)
                fields.removeAll(keepingCapacity: true)
            }
        }
    }

    private mutating func addResourceType(_ name: String) {
        let type = ResourceType(code: Int16(types.count + 1))
        types.append(type)
        typeNames.append(name)
        typesByName[name] = type
    }

    /// An open-addressing table of the type names.
    func typeSlots() -> [Int16] {
        var slots = [Int16](repeating: 0, count: 512)
        for type in types {
            var slot = Int(JSONKey.hash(typeNames[Int(type.code) - 1])) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = type.code
        }
        return slots
    }

    private func resourceTypes(_ names: StaticText) -> [ResourceType] {
        names.split(UInt8(ascii: " ")).compactMap { typesByName[$0.string] }
    }

    private static func number(_ text: StaticText) -> Int16 { Int16(text.string) ?? -1 }

    // MARK: Types

    private mutating func openType(_ name: StaticText) {
        closeType()
        openType = (name, elements.count)
        openChoices.removeAll()
        openRequired.removeAll()
    }

    private mutating func closeType() {
        guard let open = openType else { return }
        openType = nil
        let range = open.firstElement..<elements.count
        var size = 8
        while size < range.count * 2 { size *= 2 }
        let firstSlot = slots.count
        slots.append(contentsOf: repeatElement(0, count: size))
        for index in range {
            var slot = Int(elements[index].hash) & (size - 1)
            while slots[firstSlot + slot] != 0 { slot = (slot + 1) & (size - 1) }
            slots[firstSlot + slot] = UInt16(index - range.lowerBound + 1)
        }
        precondition(openRequired.count < 64 && openChoices.count < 64, "more than 63 required elements or choices")
        typeDefinitions.append(
            TypeDefinition(
                name: open.name, elements: range, firstSlot: firstSlot, slotMask: size - 1,
                requiredBits: (1 << UInt64(openRequired.count)) - 1))
    }

    private mutating func addElement(_ fields: [StaticText]) {
        let (key, cardinality, choice) = (fields[1], fields[3], fields[4])
        let isRequired = cardinality.start[0] == UInt8(ascii: "1")
        let firstTarget = Int32(targets.count)
        targets.append(contentsOf: resourceTypes(fields[6]))
        elements.append(
            ElementDefinition(
                text: key, hash: key.hash, type: elementType(fields[2].string),
                isArray: cardinality.start[1] == UInt8(ascii: "*"), isRequired: isRequired,
                isSummary: cardinality.count > 2,
                choice: choice.isEmpty ? -1 : Self.number(choice, in: &openChoices),
                requiredBit: isRequired ? Self.number(choice.isEmpty ? key : choice, in: &openRequired) : -1,
                valueSet: Self.number(fields[5]), targets: firstTarget..<Int32(targets.count)))
    }

    private static func number(_ name: StaticText, in names: inout [StaticText]) -> Int8 {
        if let index = names.firstIndex(where: { $0.buffer.elementsEqual(name.buffer) }) { return Int8(index) }
        names.append(name)
        return Int8(names.count - 1)
    }

    private func elementType(_ name: String) -> ElementType {
        if let primitive = PrimitiveType(rawValue: name) { return .primitive(primitive) }
        if name == "Resource" { return .resource }
        guard let number = typeNumbers[name] else { preconditionFailure("no type \(name)") }
        return .complex(number)
    }

    private mutating func addValueSet(_ fields: [StaticText]) {
        var codes: [StaticText] = []
        var systems: [String] = []
        var systemOfCode: [UInt8] = []
        for field in fields.dropFirst(2) {
            let words = field.split(UInt8(ascii: " "))
            systems.append(words[0].string)
            codes.append(contentsOf: words.dropFirst())
            systemOfCode.append(contentsOf: repeatElement(UInt8(systems.count - 1), count: words.count - 1))
        }
        valueSets.append(
            ValueSet(
                url: fields[1], codes: codes, hashes: codes.map(\.hash), systemOfCode: systemOfCode, systems: systems))
    }

    // MARK: Search parameters

    private mutating func addShared(_ fields: [StaticText]) {
        guard let kind = SearchParameter.Kind(rawValue: fields[3].string) else {
            preconditionFailure("no kind \(fields[3].string)")
        }
        let isOpen = fields[4].count == 1
        shared.append(
            Shared(
                url: fields[1].string, code: fields[2].string, kind: kind,
                targets: isOpen ? types : resourceTypes(fields[4]), expression: fields[5].string))
    }

    private mutating func addParameter(_ fields: [StaticText]) {
        guard let type = typesByName[fields[1].string] else { preconditionFailure("no type \(fields[1].string)") }
        let definition = shared[Int(Self.number(fields[2]))]
        parameters.append(
            SearchParameter(
                id: Int32(parameters.count + 1), type: type, code: definition.code, kind: definition.kind,
                targets: definition.targets, url: definition.url, expression: definition.expression))
        let first = alternatives.count
        for alternative in fields[3].split(UInt8(ascii: ";")) { addAlternative(alternative) }
        programs.append(PathProgram(alternatives: first..<alternatives.count, kind: definition.kind))
    }

    private mutating func addAlternative(_ text: StaticText) {
        let first = steps.count
        var leaf: LeafType?
        var valueSet: Int16 = -1
        var isExistence = false
        for word in text.split(UInt8(ascii: " ")) {
            let rest = word.dropFirst(1)
            switch word.start.pointee {
            case UInt8(ascii: "."): steps.append(.member(hash: rest.hash, key: rest))
            case UInt8(ascii: "#"): steps.append(.index(Int(Self.number(rest))))
            case UInt8(ascii: "="):
                let parts = rest.split(UInt8(ascii: "="))
                steps.append(.where(hash: parts[0].hash, key: parts[0], text: parts[1]))
            case UInt8(ascii: "~"):
                guard let type = typesByName[rest.string] else { preconditionFailure("no type \(rest.string)") }
                steps.append(.resolvesTo(type))
            case UInt8(ascii: "@"): steps.append(.extensionURL(rest))
            case UInt8(ascii: "?"): steps.append(.hasExtension(rest))
            case UInt8(ascii: "!"):
                steps.append(.existsAndIsNotFalse)
                isExistence = true
            case UInt8(ascii: ">"): leaf = LeafType(rawValue: rest.string)
            case UInt8(ascii: "<"): valueSet = Self.number(rest)
            default: preconditionFailure("no step \(word.string)")
            }
        }
        guard let leaf else { preconditionFailure("no leaf in \(text.string)") }
        alternatives.append(
            PathAlternative(steps: first..<steps.count, leaf: leaf, valueSet: valueSet, isExistence: isExistence))
    }

    private mutating func addCompartment(_ fields: [StaticText]) {
        var codes: [ResourceType: [String]] = [:]
        var ids: [ResourceType: [Int32]] = [:]
        for field in fields.dropFirst(2) {
            let words = field.split(UInt8(ascii: " ")).map(\.string)
            guard let type = typesByName[words[0]] else { preconditionFailure("no type \(words[0])") }
            codes[type] = Array(words.dropFirst())
            ids[type] = words.dropFirst().compactMap { code in
                parameters.first { $0.type == type && $0.code == code }?.id
            }
        }
        compartments[fields[1].string] = Compartment(name: fields[1].string, codes: codes, ids: ids)
    }
}
