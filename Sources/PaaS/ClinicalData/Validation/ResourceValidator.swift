// The structure of a resource against the definitions.

package import StrictJSON

extension Definitions {
    /// What is wrong with the structure of a resource; empty when nothing is.
    ///
    /// Checked are known elements, JSON types, cardinality, choices, the formats of primitives, required bindings
    /// (where the official package lists the codes), the types that references may point at, extensions and contained
    /// resources. Profiles, invariants and terminology beyond that are not.
    ///
    /// - Parameters:
    ///   - document: The resource.
    ///   - type: Its type; the caller has checked `resourceType` and, where it matters, `id`.
    package func validate(document: JSONDocument, type: ResourceType) -> [ValidationIssue] {
        validate(document.root, type: type)
    }

    /// What is wrong with a resource inside a larger document, such as an entry of a bundle.
    package func validate(_ node: JSONNode, type: ResourceType) -> [ValidationIssue] {
        node.document.withTape { tape in
            var validator = ResourceValidator(definitions: self, tape: tape, resource: node.index, name: type.name)
            validator.object(node.index, resourceDefinitions[Int(type.code) - 1], isResource: true)
            return validator.issues
        }
    }
}

/// Walks one resource beside its type definition.
struct ResourceValidator {
    /// Enough to repair a resource by; the rest would only make the answer long.
    static let maximumIssues = 50
    /// "Strings SHALL NOT exceed 1MB (1024*1024 characters) in size."
    static let maximumStringBytes = 1 << 20

    /// One step of the path to the value at hand.
    private struct PathStep {
        /// In `Definitions.elements`.
        let element: Int
        var position: Int?
    }

    let definitions: Definitions
    let tape: JSONTape
    /// The resource whose `contained` local references mean.
    var resource: Int
    /// Where the path begins: the type of the whole resource.
    let name: String
    private(set) var issues: [ValidationIssue] = []
    private var path: [PathStep] = []
    private var isContained = false

    init(definitions: Definitions, tape: JSONTape, resource: Int, name: String) {
        self.definitions = definitions
        self.tape = tape
        self.resource = resource
        self.name = name
        path.reserveCapacity(16)
    }

    // MARK: Issues

    mutating func report(_ code: ValidationIssue.Code, _ diagnostics: String, below child: String? = nil) {
        guard issues.count < Self.maximumIssues else { return }
        let expression = expression + (child.map { "." + $0 } ?? "")
        issues.append(ValidationIssue(code: code, expression: expression, diagnostics: diagnostics))
    }

    /// The path as FHIRPath: a choice appears without its type.
    private var expression: String {
        path.reduce(into: name) { text, step in
            text += "." + stem(definitions.elements[step.element])
            if let position = step.position { text += "[\(position)]" }
        }
    }

    private func stem(_ element: ElementDefinition) -> String {
        guard element.choice >= 0 else { return element.name }
        let suffix =
            switch element.type {
            case .primitive(let type): type.rawValue.utf8.count
            case .complex(let number): definitions.typeDefinitions[Int(number)].name.count
            case .resource: 0
            }
        return String(element.name.dropLast(suffix))
    }

    // MARK: Objects

    /// Checks the members of an object against a type.
    mutating func object(_ node: Int, _ number: Int16, isResource: Bool = false) {
        guard tape[node].kind == .object else {
            report(.structure, "this must be an object")
            return
        }
        if !isResource, tape[node].count == 0 {
            report(.structure, "an object cannot be empty")
            return
        }
        let type = definitions.typeDefinitions[Int(number)]
        var seenRequired: UInt64 = 0
        var seenChoices: UInt64 = 0
        var key = node + 1
        let end = tape.next(node)
        while key < end {
            let value = key + 1
            if let (index, isSibling) = element(type, key) {
                let element = definitions.elements[index]
                if element.requiredBit >= 0 { seenRequired |= 1 << UInt64(element.requiredBit) }
                if element.choice >= 0 {
                    let bit: UInt64 = 1 << UInt64(element.choice)
                    if seenChoices & bit != 0 { checkChoice(node, type, element) }
                    seenChoices |= bit
                }
                path.append(PathStep(element: index))
                if isSibling {
                    sibling(value, element, parent: node)
                } else {
                    member(value, element, parent: node)
                }
                path.removeLast()
            } else if !(isResource && tape.isText(key, "resourceType")) {
                reportUnknown(key)
            }
            guard issues.count < Self.maximumIssues else { return }
            key = tape.next(value)
        }
        let missing = type.requiredBits & ~seenRequired
        if missing != 0 { reportMissing(missing, type) }
        if number == definitions.extensionType { checkExtension(node) }
    }

    /// The element that a key names, itself or, after an underscore, as the sibling of a primitive.
    @inline(__always)
    private func element(_ type: TypeDefinition, _ key: Int) -> (Int, isSibling: Bool)? {
        let hash = tape[key].next
        return tape.withText(key) { text in
            if let index = definitions.element(type, hash: hash, text) { return (index, false) }
            guard text.count > 1, text[0] == UInt8(ascii: "_"), let start = text.baseAddress else { return nil }
            let name = UnsafeBufferPointer(start: start + 1, count: text.count - 1)
            guard let index = definitions.element(type, hash: JSONKey.hash(start + 1, text.count - 1), name),
                case .primitive = definitions.elements[index].type
            else { return nil }
            return (index, true)
        }
    }

    private mutating func reportUnknown(_ key: Int) {
        let name = tape.string(key)
        // A key that is no name could be anything, also somebody's data.
        let isName = name.utf8.count <= 64 && name.utf8.allSatisfy { PrimitiveFormat.isAlphanumeric($0) || $0 == 0x5F }
        report(.structure, "this element is not defined here", below: isName && !name.isEmpty ? name : nil)
    }

    private mutating func reportMissing(_ bits: UInt64, _ type: TypeDefinition) {
        var reported: UInt64 = 0
        for index in type.elements {
            let element = definitions.elements[index]
            guard element.requiredBit >= 0 else { continue }
            let bit: UInt64 = 1 << UInt64(element.requiredBit)
            guard bits & bit != 0, reported & bit == 0 else { continue }
            reported |= bit
            report(.required, "this element is required", below: stem(element))
        }
    }

    /// Two keys of one choice: allowed only as `valueString` and `_valueString`.
    private mutating func checkChoice(_ node: Int, _ type: TypeDefinition, _ element: ElementDefinition) {
        var key = node + 1
        var names: Set<String> = []
        while key < tape.next(node) {
            if let (index, _) = self.element(type, key), definitions.elements[index].choice == element.choice {
                names.insert(definitions.elements[index].name)
            }
            key = tape.next(key + 1)
        }
        let text = "only one of the types of a choice can be given"
        let reported = issues.contains { $0.expression == expression + "." + stem(element) && $0.diagnostics == text }
        if names.count > 1, !reported { report(.structure, text, below: stem(element)) }
    }

    /// `ext-1`: "Must have either extensions or value[x], not both."
    private mutating func checkExtension(_ node: Int) {
        let type = definitions.typeDefinitions[Int(definitions.extensionType)]
        var hasValue = false
        var key = node + 1
        while key < tape.next(node) {
            if let (index, _) = element(type, key), definitions.elements[index].choice >= 0 { hasValue = true }
            key = tape.next(key + 1)
        }
        if hasValue == (tape.member(node, .extension) != nil) {
            report(.invariant, "an extension has either a value or extensions")
        }
    }

    // MARK: Members

    /// Checks the value of a key, an array where the element repeats.
    private mutating func member(_ node: Int, _ element: ElementDefinition, parent: Int) {
        guard element.isArray else {
            switch tape[node].kind {
            case .array: report(.structure, "this must not be an array")
            case .null: report(.structure, "null is not a value")
            default: value(node, element)
            }
            return
        }
        guard tape[node].kind == .array else {
            report(.structure, "this must be an array")
            return
        }
        guard tape[node].count > 0 else {
            report(.structure, "an array cannot be empty")
            return
        }
        var siblings: [JSONKind]?
        var (item, position) = (node + 1, 0)
        let last = path.count - 1
        let end = tape.next(node)
        while item < end {
            path[last].position = position
            if tape[item].kind == .null {
                siblings = siblings ?? siblingKinds(element, parent)
                let kinds = siblings ?? []
                if position >= kinds.count || kinds[position] == .null {
                    report(.structure, "null is allowed only beside an extension of the same item")
                }
            } else {
                value(item, element)
            }
            guard issues.count < Self.maximumIssues else { return }
            item = tape.next(item)
            position += 1
        }
    }

    private func siblingKinds(_ element: ElementDefinition, _ parent: Int) -> [JSONKind] {
        guard case .primitive = element.type, let sibling = tape.member(parent, "_" + element.name),
            tape[sibling].kind == .array
        else { return [] }
        var kinds: [JSONKind] = []
        tape.forEach(sibling) { kinds.append(tape[$0].kind) }
        return kinds
    }

    /// Checks `_name`: the id and extensions of a primitive, in an array as long as the other.
    private mutating func sibling(_ node: Int, _ element: ElementDefinition, parent: Int) {
        guard element.isArray else {
            object(node, definitions.elementType)
            return
        }
        guard tape[node].kind == .array, tape[node].count > 0 else {
            report(.structure, "this must be an array that is not empty")
            return
        }
        if let values = tape.member(parent, element.name), tape[values].count != tape[node].count {
            report(.structure, "the arrays of values and of their extensions differ in length")
        }
        let last = path.count - 1
        var (item, position, objects) = (node + 1, 0, 0)
        while item < tape.next(node) {
            path[last].position = position
            if tape[item].kind != .null {
                object(item, definitions.elementType)
                objects += 1
            }
            guard issues.count < Self.maximumIssues else { return }
            item = tape.next(item)
            position += 1
        }
        path[last].position = nil
        if objects == 0 { report(.structure, "an array cannot hold only nulls") }
    }

    private mutating func value(_ node: Int, _ element: ElementDefinition) {
        switch element.type {
        case .primitive(let type):
            primitive(node, type, element)
        case .complex(let number):
            object(node, number)
            if number == definitions.referenceType { checkReference(node, element) }
            if element.valueSet >= 0 { checkConcept(node, definitions.valueSets[Int(element.valueSet)]) }
        case .resource:
            innerResource(node, isContained: element.text.buffer.elementsEqual("contained".utf8))
        }
    }

    /// A resource inside this one: contained, an entry of a bundle, a parameter.
    private mutating func innerResource(_ node: Int, isContained inner: Bool) {
        guard tape[node].kind == .object, let key = tape.member(node, .resourceType), tape[key].kind == .string,
            let type = tape.withText(key, { definitions.resourceType(named: $0) })
        else {
            report(.structure, "this must be a resource with a known resourceType")
            return
        }
        if inner, isContained { report(.invariant, "a contained resource cannot contain another") }
        let outer = (resource, isContained)
        if !inner { resource = node }
        isContained = inner
        object(node, definitions.resourceDefinitions[Int(type.code) - 1], isResource: true)
        (resource, isContained) = outer
    }
}
