/// Which elements of a resource type there are, are in a summary, and must be there; as `_elements` and `_summary` ask.
struct TypeElements: Sendable {
    struct Element: Sendable, Hashable {
        /// As `_elements` may also name it: `value` for `valueQuantity`; the key when it is no choice.
        let name: String
        let isSummary: Bool
        let isMandatory: Bool
    }

    /// The elements at the top by their JSON keys.
    private(set) var root: [String: Element] = [:]
    /// The keys of objects below that only a part of is in the summary, by the path of the object (`component`).
    private(set) var nested: [String: Set<String>] = [:]

    init(of type: ResourceType, in definitions: Definitions) {
        for element in definitions.elements(of: type) {
            root[element.name] = Element(
                name: Self.choiceName(element, in: definitions), isSummary: element.isSummary,
                isMandatory: element.isRequired)
            if element.isSummary { nest(element.type, at: element.name, in: definitions) }
        }
    }

    /// What `_elements` may name, sorted.
    var names: [String] { Set(root.flatMap { [$0.key, $0.value.name] }).sorted() }

    /// Backbone elements, whose names have a dot, are a part of the resource; data types stay whole.
    private mutating func nest(_ type: ElementType, at path: String, in definitions: Definitions) {
        guard case .complex(let number) = type,
            definitions.typeDefinitions[Int(number)].name.string.contains("."), nested[path] == nil
        else { return }
        let kept = definitions.elements(of: type).filter { $0.isSummary || $0.isRequired }
        nested[path] = Set(kept.map(\.name)).union(["id"])
        // Backbones that contain themselves end here; nothing of theirs is cut deeper down.
        guard path.utf8.count(where: { $0 == UInt8(ascii: ".") }) < 4 else { return }
        for element in kept { nest(element.type, at: path + "." + element.name, in: definitions) }
    }

    /// A choice's key ends with the name of its type.
    private static func choiceName(_ element: ElementDefinition, in definitions: Definitions) -> String {
        guard element.choice >= 0 else { return element.name }
        let type =
            switch element.type {
            case .primitive(let type): type.rawValue
            case .complex(let number): definitions.typeDefinitions[Int(number)].name.string
            case .resource: ""
            }
        guard element.name.utf8.count > type.utf8.count else { return element.name }
        return String(element.name.dropLast(type.count))
    }
}
