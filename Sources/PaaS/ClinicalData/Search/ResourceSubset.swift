package import NIOCore
import StrictJSON

/// `_summary` and `_elements` of a read: part of one resource, marked SUBSETTED (FHIR R4 search.html#summary).
package struct ResourceSubset: Sendable {
    private let plan: SearchPlan
    private let definitions: Definitions

    /// - Parameter parameters: `_summary` and `_elements` only.
    /// - Throws: `SearchError` for a value that is none; `_summary=count` counts resources, so it is none of a read.
    package init(
        of type: ResourceType, _ parameters: [(name: String, value: String)], in definitions: Definitions
    ) throws(SearchError) {
        self.definitions = definitions
        let request = SearchRequest(type: type, parameters: parameters)
        plan = try SearchPlanner(definitions: definitions, request: request, allows: { _ in true }).plan()
        guard plan.summary != .count else {
            throw SearchError(
                .value, "'_summary=count' is for searches.", parameter: "_summary",
                validNames: ["data", "false", "text", "true"])
        }
    }

    /// The part of a resource, in the form in which it is served.
    ///
    /// - Parameters:
    ///   - version: Of the resource, for its `meta`.
    ///   - lastUpdated: Microseconds since 1970, likewise.
    package func part(of resource: ByteBuffer, version: Int32, lastUpdated: Int64) throws -> ByteBuffer {
        var subset = SearchSubset(plan: plan, definitions: definitions)
        let bytes = Array(resource.readableBytesView)
        let part = try subset.part(of: plan.types[0], bytes, version: version, lastUpdated: lastUpdated)
        return part.map { ByteBuffer(bytes: $0) } ?? resource
    }
}
