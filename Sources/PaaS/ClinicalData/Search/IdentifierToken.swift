/// One identifier as a search names it: `system|value`, in which a backslash before `,` `|` `$` `\\` takes their meaning away
/// (https://hl7.org/fhir/R4/search.html#escaping).
package struct IdentifierToken: Sendable, Hashable {
    package let system: String
    package let value: String

    /// Nil when the text is not exactly one system and one value: an unescaped comma joins alternatives.
    package init?(_ text: String) {
        guard SearchText.split(text, at: UInt8(ascii: ",")).count == 1 else { return nil }
        let parts = SearchText.split(text, at: UInt8(ascii: "|")).map(SearchText.unescaped)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        (system, value) = (parts[0], parts[1])
    }
}
