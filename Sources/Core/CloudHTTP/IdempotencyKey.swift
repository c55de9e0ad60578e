/// The value of `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): the same request again has the same one.
package struct IdempotencyKey: Sendable, Hashable {
    package let text: String

    private static let rule = "must be 1 to 255 visible ASCII characters"

    /// - Throws: `invalid-input` naming the header when the text is no key.
    package init(_ text: String) throws(Problem) {
        guard (1...255).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Problem(
                .invalidInput, "The Idempotency-Key \(Self.rule).",
                fields: [Problem.Field(pointer: "header:Idempotency-Key", detail: Self.rule)])
        }
        self.text = text
    }
}
