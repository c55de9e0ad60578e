/// An id that the region gave: of a patient, or of a consent. A UUID in lower case, as it is written.
package struct RegionID: Sendable, Hashable, CustomStringConvertible {
    package let text: String

    /// Nil for anything that is not 8-4-4-4-12 lower-case hexadecimal digits, so an id has one spelling.
    package init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard bytes.count == 36 else { return nil }
        for (index, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "-"):
                guard [8, 13, 18, 23].contains(index) else { return nil }
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"):
                guard ![8, 13, 18, 23].contains(index) else { return nil }
            default: return nil
            }
        }
        self.text = String(text)
    }

    package var description: String { text }
}

/// The name of one holder's record of one patient outside of that holder: 8 hexadecimal digits that say nothing.
package struct RecordAlias: Sendable, Hashable, CustomStringConvertible {
    package let text: String

    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == 8,
            text.utf8.allSatisfy({
                UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0
            })
        else { return nil }
        self.text = String(text)
    }

    package var description: String { text }
}
