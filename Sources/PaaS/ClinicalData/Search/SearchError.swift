/// Why a search was refused. The texts hold the caller's own input and names from the definitions, never stored data.
package struct SearchError: Error, Sendable, Hashable {
    /// What kind of refusal; a struct over a private enum, so that a new kind breaks nobody.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Base: String { case unknown, unsupported, value, cursor, forbidden, limit }
        private let base: Base

        private init(_ base: Base) { self.base = base }

        /// The definitions have no such parameter, type or element.
        package static let unknown = Code(.unknown)
        /// Known to FHIR, not served here: a modifier, a prefix, a second hop.
        package static let unsupported = Code(.unsupported)
        /// The value breaks the rule of its kind.
        package static let value = Code(.value)
        /// The cursor was not made here for this tenant and this search.
        package static let cursor = Code(.cursor)
        /// The caller may not search or read a type that the search touches.
        package static let forbidden = Code(.forbidden)
        /// More alternatives or conditions than a search may have.
        package static let limit = Code(.limit)

        package var description: String { base.rawValue }

        /// The code of FHIR's IssueType that says it in an OperationOutcome.
        package var issueType: String {
            switch base {
            case .unknown, .unsupported: "not-supported"
            case .value, .cursor: "invalid"
            case .forbidden: "forbidden"
            case .limit: "too-costly"
            }
        }
    }

    package let code: Code
    /// One sentence or two for people: the parameter, the rule, what is valid.
    package let diagnostics: String
    /// The parameter as the caller wrote its name; nil when no single one is to blame.
    package let parameter: String?
    /// The names that would have been accepted in its place, sorted; empty when the name was not the fault.
    package let validNames: [String]

    package init(_ code: Code, _ diagnostics: String, parameter: String? = nil, validNames: [String] = []) {
        self.code = code
        self.parameter = parameter
        self.validNames = validNames
        self.diagnostics =
            validNames.isEmpty ? diagnostics : diagnostics + " Valid: " + validNames.joined(separator: ", ") + "."
    }

    /// The answer to every cursor that is not ours, so that nothing can be learned from the difference.
    static let badCursor = SearchError(
        .cursor, "The cursor is not valid for this search. Start again from the first page.", parameter: "_cursor")
}
