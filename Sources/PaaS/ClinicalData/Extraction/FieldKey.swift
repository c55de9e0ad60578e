// Keys that the extractor looks up again and again, hashed once.

import StrictJSON

/// A JSON key with its hash.
struct FieldKey: Sendable {
    let text: StaticText
    let hash: UInt32

    init(_ name: StaticString) {
        text = StaticText(name)
        hash = text.hash
    }

    static let city = FieldKey("city")
    static let code = FieldKey("code")
    static let coding = FieldKey("coding")
    static let comparator = FieldKey("comparator")
    static let contained = FieldKey("contained")
    static let country = FieldKey("country")
    static let currency = FieldKey("currency")
    static let display = FieldKey("display")
    static let district = FieldKey("district")
    static let end = FieldKey("end")
    static let event = FieldKey("event")
    static let `extension` = FieldKey("extension")
    static let family = FieldKey("family")
    static let given = FieldKey("given")
    static let high = FieldKey("high")
    static let id = FieldKey("id")
    static let identifier = FieldKey("identifier")
    static let line = FieldKey("line")
    static let low = FieldKey("low")
    static let period = FieldKey("boundsPeriod")
    static let postalCode = FieldKey("postalCode")
    static let prefix = FieldKey("prefix")
    static let reference = FieldKey("reference")
    static let `repeat` = FieldKey("repeat")
    static let resourceType = FieldKey("resourceType")
    static let start = FieldKey("start")
    static let state = FieldKey("state")
    static let suffix = FieldKey("suffix")
    static let system = FieldKey("system")
    static let text = FieldKey("text")
    static let type = FieldKey("type")
    static let unit = FieldKey("unit")
    static let url = FieldKey("url")
    static let value = FieldKey("value")
}

extension JSONTape {
    /// The value of the member with this key, or nil.
    @inline(__always)
    func member(_ object: Int, _ key: FieldKey) -> Int? { member(object, hash: key.hash, key.text.buffer) }

    /// The text of a member that is a string and not empty, or nil.
    func string(_ object: Int, _ key: FieldKey) -> String? {
        guard let index = member(object, key), self[index].kind == .string else { return nil }
        let text = string(index)
        return text.isEmpty ? nil : text
    }

    /// Calls `body` with each element of an array, or with the value itself when it is none.
    @inline(__always)
    func forEach(_ index: Int, _ body: (Int) -> Void) {
        guard self[index].kind == .array else { return body(index) }
        var element = index + 1
        let end = next(index)
        while element < end {
            body(element)
            element = next(element)
        }
    }
}
