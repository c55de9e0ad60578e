// Text that lives as long as the process.

import StrictJSON

/// A piece of the generated definitions, or of a literal: nothing is copied, nothing is counted.
///
/// `@unchecked Sendable`: it points into the constant data of the executable, which is never written or freed.
package struct StaticText: @unchecked Sendable {
    let start: UnsafePointer<UInt8>
    let count: Int

    init(start: UnsafePointer<UInt8>, count: Int) {
        self.start = start
        self.count = count
    }

    /// A literal; it must be more than a single scalar, which Swift may keep without a pointer.
    init(_ literal: StaticString) {
        self.init(start: literal.utf8Start, count: literal.utf8CodeUnitCount)
    }

    var buffer: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: start, count: count) }
    var isEmpty: Bool { count == 0 }
    var hash: UInt32 { JSONKey.hash(start, count) }

    /// A copy as a Swift string.
    package var string: String { String(decoding: buffer, as: UTF8.self) }

    /// The part from `offset` on.
    func dropFirst(_ offset: Int) -> StaticText { StaticText(start: start + offset, count: count - offset) }

    /// The parts between separators; an empty text has none.
    func split(_ separator: UInt8) -> [StaticText] {
        buffer.split(separator: separator).map { StaticText(start: start + $0.startIndex, count: $0.count) }
    }
}
