// The 146 resource types of FHIR R4.

/// A concrete resource type. Its code is what the database stores, so it never changes within R4.
package struct ResourceType: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// 1…146 in the alphabetical order of the names.
    package let code: Int16

    init(code: Int16) { self.code = code }

    /// The type with this name, or nil. Names are case-sensitive.
    package static func named(_ name: String) -> ResourceType? { Definitions.r4.typesByName[name] }

    /// The type with this code, or nil.
    package static subscript(_ code: Int16) -> ResourceType? {
        Definitions.r4.typeNames.indices.contains(Int(code) - 1) ? ResourceType(code: code) : nil
    }

    /// The name, such as `Patient`.
    package var name: String { Definitions.r4.typeNames[Int(code) - 1] }
    package var description: String { name }

    package static func < (left: ResourceType, right: ResourceType) -> Bool { left.code < right.code }
}
