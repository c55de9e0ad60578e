// The compiled FHIRPath of a search parameter.

/// What an alternative ends at, and therefore how its values are indexed.
enum LeafType: String, Sendable {
    case address = "Address"
    case age = "Age"
    case boolean, canonical, code
    case codeableConcept = "CodeableConcept"
    case coding = "Coding"
    case contactPoint = "ContactPoint"
    case count = "Count"
    case date, dateTime, decimal
    case distance = "Distance"
    case duration = "Duration"
    case humanName = "HumanName"
    case id
    case identifier = "Identifier"
    case instant, integer, markdown
    case money = "Money"
    case oid
    case period = "Period"
    case positiveInt
    case quantity = "Quantity"
    case range = "Range"
    case reference = "Reference"
    case resource = "Resource"
    case string
    case timing = "Timing"
    case unsignedInt, uri, url, uuid
}

/// One step of a path; see `ops/definitions/generate.py` for the notation.
enum PathStep: Sendable {
    /// The member with this key; arrays are entered.
    case member(hash: UInt32, key: StaticText)
    /// The n-th element of the array that the last step found.
    case index(Int)
    /// Only objects whose member is this string.
    case `where`(hash: UInt32, key: StaticText, text: StaticText)
    /// Only references that resolve to this type.
    case resolvesTo(ResourceType)
    /// Only extensions with this url.
    case extensionURL(StaticText)
    /// Only elements that have an extension with this url.
    case hasExtension(StaticText)
    /// A boolean: whether there is a value and it is not `false`.
    case existsAndIsNotFalse
}

/// One alternative of a program.
struct PathAlternative: Sendable {
    /// In `Definitions.steps`.
    let steps: Range<Int>
    let leaf: LeafType
    /// The required value set of a code, or -1.
    let valueSet: Int16
    /// Whether the path ends in `existsAndIsNotFalse`.
    let isExistence: Bool
}

/// What a search parameter selects.
struct PathProgram: Sendable {
    /// In `Definitions.alternatives`.
    let alternatives: Range<Int>
    let kind: SearchParameter.Kind
}
