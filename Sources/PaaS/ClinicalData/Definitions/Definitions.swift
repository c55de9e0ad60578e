// The FHIR R4 definitions, parsed once.

import StrictJSON

/// Types, elements, value sets, search parameters and compartments of FHIR R4 (4.0.1).
///
/// Parsed from the generated text at first use (some milliseconds, a few megabytes) and constant from then on.
package final class Definitions: Sendable {
    /// The one instance.
    package static let r4 = Definitions(R4Definitions.text)

    /// The 146 resource types in the order of their codes.
    package let types: [ResourceType]
    let typeNames: [String]
    let typesByName: [String: ResourceType]
    /// The hash table of the names: code, or 0 for an empty slot.
    private let typeSlots: [Int16]

    let typeDefinitions: [TypeDefinition]
    let typeNumbers: [String: Int16]
    /// The type definition of each resource type, by code - 1.
    let resourceDefinitions: [Int16]
    /// The types that validation treats in a way of their own.
    let elementType, extensionType, referenceType: Int16
    let elements: [ElementDefinition]
    let slots: [UInt16]
    let targets: [ResourceType]
    let valueSets: [ValueSet]

    private let parameters: [SearchParameter]
    /// Where the parameters of each resource type lie, by code - 1.
    private let parameterRanges: [Range<Int>]
    let programs: [PathProgram]
    let alternatives: [PathAlternative]
    let steps: [PathStep]
    private let compartments: [String: Compartment]

    private init(_ text: StaticString) {
        var reader = DefinitionsReader(text)
        reader.read()
        types = reader.types
        typeNames = reader.typeNames
        typesByName = reader.typesByName
        typeDefinitions = reader.typeDefinitions
        typeNumbers = reader.typeNumbers
        resourceDefinitions = reader.typeNames.compactMap { [numbers = reader.typeNumbers] in numbers[$0] }
        elementType = reader.typeNumbers["Element"] ?? -1
        extensionType = reader.typeNumbers["Extension"] ?? -1
        referenceType = reader.typeNumbers["Reference"] ?? -1
        elements = reader.elements
        slots = reader.slots
        targets = reader.targets
        valueSets = reader.valueSets
        parameters = reader.parameters
        programs = reader.programs
        alternatives = reader.alternatives
        steps = reader.steps
        compartments = reader.compartments
        typeSlots = reader.typeSlots()
        var ranges = [Range<Int>](repeating: 0..<0, count: reader.types.count)
        for (index, parameter) in reader.parameters.enumerated() {
            let type = Int(parameter.type.code) - 1
            ranges[type] = (ranges[type].isEmpty ? index : ranges[type].lowerBound)..<index + 1
        }
        parameterRanges = ranges
    }

    /// The type with this name, or nil, without making a string of it.
    func resourceType(named name: UnsafeBufferPointer<UInt8>) -> ResourceType? {
        guard let start = name.baseAddress, !name.isEmpty else { return nil }
        var slot = Int(JSONKey.hash(start, name.count)) & (typeSlots.count - 1)
        while typeSlots[slot] != 0 {
            let code = typeSlots[slot]
            if typeNames[Int(code) - 1].utf8.elementsEqual(name) { return types[Int(code) - 1] }
            slot = (slot + 1) & (typeSlots.count - 1)
        }
        return nil
    }

    // MARK: Search parameters

    /// The parameters of a type, sorted by code. Among them `_profile`, `_security`, `_source` and `_tag`, but not
    /// `_id` and `_lastUpdated`, which are columns of the resource table.
    package func parameters(of type: ResourceType) -> ArraySlice<SearchParameter> {
        parameters[parameterRanges[Int(type.code) - 1]]
    }

    /// The parameter of a type with this code, or nil.
    package func parameter(_ type: ResourceType, _ code: String) -> SearchParameter? {
        let range = parameterRanges[Int(type.code) - 1]
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if parameters[middle].code == code { return parameters[middle] }
            if parameters[middle].code.utf8.lexicographicallyPrecedes(code.utf8) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return nil
    }

    /// The ids of the parameters of a type.
    func parameterIDs(of type: ResourceType) -> Range<Int32> {
        let range = parameterRanges[Int(type.code) - 1]
        return Int32(range.lowerBound + 1)..<Int32(range.upperBound + 1)
    }

    /// The ids of the parameters that tie a type to the patient compartment.
    func patientParameters(of type: ResourceType) -> [Int32] { compartments["Patient"]?.ids[type] ?? [] }

    /// The parameter with this id, or nil.
    package func parameter(id: Int32) -> SearchParameter? {
        parameters.indices.contains(Int(id) - 1) ? parameters[Int(id) - 1] : nil
    }

    /// Whether a resource has at most one index row of a date, number or quantity parameter: its path enters no array, and
    /// several alternatives are the types of one choice, of which a resource has one.
    func hasOneRow(_ id: Int32) -> Bool {
        guard let parameter = parameter(id: id), [.date, .number, .quantity].contains(parameter.kind) else {
            return false
        }
        let paths = programs[Int(id) - 1].alternatives.map { path(alternatives[$0], of: parameter.type) }
        guard paths.count > 1 else { return paths.first.map { $0 != nil } ?? false }
        let choices = Set(paths.map { $0?.choice ?? -1 })
        return choices.count == 1 && !choices.contains(-1)
    }

    /// Whether a reference parameter has values that are canonical URLs, by which resources are known by `url` and `version`
    /// instead of by type and id.
    func isCanonical(_ id: Int32) -> Bool {
        guard parameter(id: id)?.kind == .reference else { return false }
        return programs[Int(id) - 1].alternatives.contains { alternatives[$0].leaf == .canonical }
    }

    /// The element that a path begins at; nil when the path has an array or anything but members.
    private func path(_ alternative: PathAlternative, of type: ResourceType) -> ElementDefinition? {
        var first: ElementDefinition?
        var place = ElementType.complex(resourceDefinitions[Int(type.code) - 1])
        for step in alternative.steps {
            guard case .member(let hash, let key) = steps[step], case .complex(let number) = place,
                let index = element(typeDefinitions[Int(number)], hash: hash, key.buffer), !elements[index].isArray
            else { return nil }
            first = first ?? elements[index]
            place = elements[index].type
        }
        return first
    }

    /// `Patient`, `Encounter`, `RelatedPerson`, `Practitioner` or `Device`; nil for any other name.
    package func compartment(_ name: String) -> Compartment? { compartments[name] }

    // MARK: Elements

    /// The keys of a resource of this type in the order of the definition.
    package func elements(of type: ResourceType) -> ArraySlice<ElementDefinition> {
        elements[typeDefinitions[Int(resourceDefinitions[Int(type.code) - 1])].elements]
    }

    /// The keys of a complex element; none of a primitive one or a resource.
    package func elements(of type: ElementType) -> ArraySlice<ElementDefinition> {
        guard case .complex(let number) = type else { return [] }
        return elements[typeDefinitions[Int(number)].elements]
    }

    /// The element of a type with this key, or nil; the index is into `elements`.
    @inline(__always)
    func element(_ type: TypeDefinition, hash: UInt32, _ key: UnsafeBufferPointer<UInt8>) -> Int? {
        var slot = Int(hash) & type.slotMask
        while true {
            let entry = slots[type.firstSlot &+ slot]
            guard entry != 0 else { return nil }
            let index = type.elements.lowerBound &+ Int(entry) &- 1
            if elements[index].hash == hash, elements[index].text.buffer.elementsEqual(key) { return index }
            slot = (slot &+ 1) & type.slotMask
        }
    }
}
