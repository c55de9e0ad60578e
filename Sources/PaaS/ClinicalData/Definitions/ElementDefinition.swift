// What may stand where in a resource.

/// A primitive type of FHIR R4 (https://hl7.org/fhir/R4/datatypes.html#primitive).
package enum PrimitiveType: String, Sendable, CaseIterable {
    case base64Binary, boolean, canonical, code, date, dateTime, decimal, id, instant, integer, markdown, oid
    case positiveInt, string, time, unsignedInt, uri, url, uuid, xhtml
}

/// The type of an element.
package enum ElementType: Sendable, Equatable {
    case primitive(PrimitiveType)
    /// A data type or a backbone element, by its number in `Definitions`.
    case complex(Int16)
    /// Any resource: `contained`, `Bundle.entry.resource`, `Parameters.parameter.resource`.
    case resource
}

/// One JSON key of a type. A choice element such as `value[x]` has one for each of its types.
package struct ElementDefinition: Sendable {
    let text: StaticText
    let hash: UInt32
    package let type: ElementType
    /// Whether the value is an array.
    package let isArray: Bool
    /// Whether there must be at least one. Of a choice, one of its keys is enough.
    package let isRequired: Bool
    /// Whether the element is part of `_summary=true`.
    package let isSummary: Bool
    /// The number of the choice within the type, or -1.
    let choice: Int8
    /// The bit of a required element within the type, or -1. The keys of a choice share one.
    let requiredBit: Int8
    /// The number of the required value set in `Definitions`, or -1.
    let valueSet: Int16
    /// Where the allowed types of a reference lie in `Definitions.targets`; empty means any.
    let targets: Range<Int32>

    /// The JSON key, such as `valueQuantity`.
    package var name: String { text.string }
}

/// The elements of a resource type, a data type or a backbone element.
struct TypeDefinition: Sendable {
    let name: StaticText
    /// In `Definitions.elements`.
    let elements: Range<Int>
    /// Its hash table in `Definitions.slots`: where it begins and its size - 1, a power of two - 1.
    let firstSlot: Int
    let slotMask: Int
    /// All bits of required elements.
    let requiredBits: UInt64
}

/// A required value set that the package could expand.
struct ValueSet: Sendable {
    let url: StaticText
    let codes: [StaticText]
    let hashes: [UInt32]
    /// The number of the system of each code in `systems`.
    let systemOfCode: [UInt8]
    let systems: [String]

    /// The system of a code, or nil when the set does not contain it.
    func system(of code: UnsafeBufferPointer<UInt8>, hash: UInt32) -> String? {
        for index in hashes.indices where hashes[index] == hash {
            if codes[index].buffer.elementsEqual(code) { return systems[Int(systemOfCode[index])] }
        }
        return nil
    }

    /// Whether the set contains the code in this system.
    func contains(system: UnsafeBufferPointer<UInt8>, code: UnsafeBufferPointer<UInt8>, hash: UInt32) -> Bool {
        for index in hashes.indices where hashes[index] == hash {
            let own = systems[Int(systemOfCode[index])]
            if codes[index].buffer.elementsEqual(code), own.utf8.elementsEqual(system) { return true }
        }
        return false
    }
}
