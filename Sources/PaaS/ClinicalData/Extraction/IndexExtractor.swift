// From a resource to its index rows.

package import StrictJSON

extension Definitions {
    /// The index rows of a resource that `validate` has found no fault with.
    ///
    /// - Parameters:
    ///   - document: The resource.
    ///   - type: Its type; the caller has checked `resourceType`.
    ///   - baseURL: The FHIR base without a slash at its end. References to it are stored as relative ones.
    package func extract(document: JSONDocument, type: ResourceType, baseURL: String) -> IndexRows {
        extract(document.root, type: type, baseURL: baseURL)
    }

    /// The index rows of a resource inside a larger document, such as an entry of a bundle.
    package func extract(_ node: JSONNode, type: ResourceType, baseURL: String) -> IndexRows {
        var base = baseURL
        return base.withUTF8 { base in
            node.document.withTape { tape in
                var extractor = IndexExtractor(definitions: self, tape: tape, root: node.index, base: base)
                extractor.run(type)
                return extractor.rows
            }
        }
    }
}

/// Runs the path programs of one type over one resource. Values that do not have the form of their type are skipped.
struct IndexExtractor {
    let definitions: Definitions
    let tape: JSONTape
    let root: Int
    let base: UnsafeBufferPointer<UInt8>
    var rows = IndexRows()
    /// The id of the parameter whose values are being added.
    var parameter: Int32 = 0
    private var found = false
    /// What the paths end at, when that is asked for instead of rows.
    private var selected: [Int]?

    init(definitions: Definitions, tape: JSONTape, root: Int, base: UnsafeBufferPointer<UInt8>) {
        self.definitions = definitions
        self.tape = tape
        self.root = root
        self.base = base
    }

    mutating func run(_ type: ResourceType) {
        let ids = definitions.parameterIDs(of: type)
        for id in ids {
            parameter = id
            let marks = RowMarks(rows)
            let program = definitions.programs[Int(id) - 1]
            found = false
            var isExistence = false
            for index in program.alternatives {
                let alternative = definitions.alternatives[index]
                isExistence = isExistence || alternative.isExistence
                visit(root, alternative.steps.lowerBound, alternative, program.kind)
            }
            if isExistence { addToken(system: "", code: found ? "true" : "false") }
            rows.removeDuplicates(since: marks)
        }
        rows.patient = patient(type)
        rows.hash = rows.computedHash()
    }

    /// The JSON text of every value that a parameter selects, in document order, for comparison with another engine.
    mutating func selection(_ parameter: SearchParameter) -> [String] {
        let program = definitions.programs[Int(parameter.id) - 1]
        var result: [String] = []
        var isExistence = false
        found = false
        for index in program.alternatives {
            let alternative = definitions.alternatives[index]
            isExistence = isExistence || alternative.isExistence
            selected = []
            visit(root, alternative.steps.lowerBound, alternative, program.kind)
            result += (selected ?? []).map { String(decoding: tape.raw($0), as: UTF8.self) }
        }
        selected = nil
        return isExistence ? [found ? "true" : "false"] : result
    }

    /// Takes one step from `node`; at the end of the path adds the rows of what was found.
    private mutating func visit(
        _ node: Int, _ step: Int, _ alternative: PathAlternative, _ kind: SearchParameter.Kind
    ) {
        guard step < alternative.steps.upperBound else {
            add(node, alternative, kind)
            return
        }
        switch definitions.steps[step] {
        case .member(let hash, let key):
            guard let value = tape.member(node, hash: hash, key.buffer) else { return }
            guard tape[value].kind == .array else {
                visit(value, step + 1, alternative, kind)
                return
            }
            var wanted: Int?
            if step + 1 < alternative.steps.upperBound, case .index(let number) = definitions.steps[step + 1] {
                wanted = number
            }
            var (element, position) = (value + 1, 0)
            let end = tape.next(value)
            while element < end {
                if wanted == nil {
                    visit(element, step + 1, alternative, kind)
                } else if wanted == position {
                    visit(element, step + 2, alternative, kind)
                    return
                }
                element = tape.next(element)
                position += 1
            }
        case .index(let number):
            // Not an array: its only element is the first.
            if number == 0 { visit(node, step + 1, alternative, kind) }
        case .where(let hash, let key, let text):
            guard let value = tape.member(node, hash: hash, key.buffer), tape[value].kind == .string,
                tape.isText(value, text.buffer)
            else { return }
            visit(node, step + 1, alternative, kind)
        case .resolvesTo(let type):
            guard resolvedType(node) == type else { return }
            visit(node, step + 1, alternative, kind)
        case .extensionURL(let url):
            guard let value = tape.member(node, .url), tape[value].kind == .string, tape.isText(value, url.buffer)
            else {
                return
            }
            visit(node, step + 1, alternative, kind)
        case .hasExtension(let url):
            guard hasExtension(node, url) else { return }
            visit(node, step + 1, alternative, kind)
        case .existsAndIsNotFalse:
            found = found || tape[node].kind != .false
        }
    }

    private func hasExtension(_ node: Int, _ url: StaticText) -> Bool {
        guard let extensions = tape.member(node, .extension) else { return false }
        var result = false
        tape.forEach(extensions) { element in
            if let value = tape.member(element, .url), tape[value].kind == .string, tape.isText(value, url.buffer) {
                result = true
            }
        }
        return result
    }

    /// What `resolve()` would find, told from the reference alone: the type in its text, the contained resource, or
    /// `Reference.type`.
    private func resolvedType(_ reference: Int) -> ResourceType? {
        if let value = tape.member(reference, .reference), tape[value].kind == .string {
            let type = tape.withText(value) { text in
                text.first == UInt8(ascii: "#") ? containedType(text) : ReferenceText(text, base: base).type
            }
            if let type { return type }
        }
        guard let value = tape.member(reference, .type), tape[value].kind == .string else { return nil }
        return tape.withText(value) { definitions.resourceType(named: $0) }
    }

    private func containedType(_ reference: UnsafeBufferPointer<UInt8>) -> ResourceType? {
        guard let contained = tape.member(root, .contained) else { return nil }
        let wanted = UnsafeBufferPointer(rebasing: reference.dropFirst())
        var result: ResourceType?
        tape.forEach(contained) { resource in
            guard let id = tape.member(resource, .id), tape[id].kind == .string, tape.isText(id, wanted),
                let name = tape.member(resource, .resourceType), tape[name].kind == .string
            else { return }
            result = tape.withText(name) { definitions.resourceType(named: $0) }
        }
        return result
    }

    private func patient(_ type: ResourceType) -> String? {
        guard let patient = definitions.typesByName["Patient"] else { return nil }
        if type == patient { return tape.string(root, .id) }
        for id in definitions.patientParameters(of: type) {
            if let row = rows.references.first(where: { $0.parameter == id && $0.targetType == patient.code }) {
                return row.targetID
            }
        }
        return nil
    }

    /// Adds the rows of one value; combinations that the generator never emits add nothing.
    private mutating func add(_ node: Int, _ alternative: PathAlternative, _ kind: SearchParameter.Kind) {
        guard tape[node].kind != .null else { return }
        if selected != nil {
            selected?.append(node)
            return
        }
        switch kind {
        case .token: addToken(node, alternative)
        case .string: addString(node, alternative.leaf)
        case .date: addDate(node, alternative.leaf)
        case .reference: addReference(node, alternative.leaf)
        case .quantity, .number: addQuantity(node, alternative.leaf)
        case .uri: addURI(node, alternative.leaf)
        }
    }
}
