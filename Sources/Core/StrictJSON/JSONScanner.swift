// One pass over the bytes: grammar, UTF-8, limits, duplicate keys, tape.

/// Scans one document and fills a tape.
///
/// The scanner owns the tape until `takeTape`; it is used once, inside `JSONStorage.init`.
struct JSONScanner: ~Copyable {
    /// What stopped the scan; the path is worked out afterwards.
    struct Failure: Error {
        let code: JSONError.Code
        let offset: Int
    }

    /// An object or array that is still open.
    struct Frame {
        var container: Int
        var count: UInt32 = 0
        var lastKey = -1
        /// One bit for each key hash seen: a clear bit proves that a key is new.
        var seenKeys: UInt64 = 0
        let isObject: Bool
    }

    let bytes: UnsafePointer<UInt8>
    let end: Int
    let limits: JSONLimits
    var position = 0
    var tape: UnsafeMutablePointer<JSONEntry>
    var tapeCount = 0
    var tapeCapacity: Int
    let frames: UnsafeMutablePointer<Frame>
    var depth = 0

    /// Up to this many members a key is compared with its siblings as it comes; beyond, they are sorted at the end.
    static let comparedKeys: UInt32 = 32

    init(_ buffer: UnsafeBufferPointer<UInt8>, bytes: UnsafePointer<UInt8>, limits: JSONLimits) {
        self.bytes = bytes
        self.end = buffer.count
        self.limits = limits
        self.tapeCapacity = buffer.count / 8 + 16
        self.tape = .allocate(capacity: tapeCapacity)
        self.frames = .allocate(capacity: limits.maximumDepth + 1)
    }

    deinit {
        frames.deallocate()
        tape.deallocate()
    }

    /// The finished tape; the scanner keeps an empty one.
    mutating func takeTape() -> (entries: UnsafeMutablePointer<JSONEntry>, count: Int) {
        let result = (tape, tapeCount)
        tape = .allocate(capacity: 1)
        tapeCapacity = 1
        tapeCount = 0
        return result
    }

    // MARK: Grammar

    mutating func scan() throws(Failure) {
        skipWhitespace()
        values: while true {
            guard position < end else { throw malformed() }
            let byte = bytes[position]
            if depth > 0, !frames[depth - 1].isObject { frames[depth - 1].count &+= 1 }
            switch byte {
            case UInt8(ascii: "\""):
                try string()
            case UInt8(ascii: "{"):
                try open(isObject: true)
                skipWhitespace()
                if position < end, bytes[position] == UInt8(ascii: "}") {
                    try close()
                } else {
                    try key()
                    continue values
                }
            case UInt8(ascii: "["):
                try open(isObject: false)
                skipWhitespace()
                if position < end, bytes[position] == UInt8(ascii: "]") {
                    try close()
                } else {
                    continue values
                }
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                try number()
            case UInt8(ascii: "t"): try literal("true", .true)
            case UInt8(ascii: "f"): try literal("false", .false)
            case UInt8(ascii: "n"): try literal("null", .null)
            default: throw malformed()
            }
            // The value is complete: close what ends here, or go on to the next sibling.
            while depth > 0 {
                skipWhitespace()
                guard position < end else { throw malformed() }
                let isObject = frames[depth - 1].isObject
                switch bytes[position] {
                case UInt8(ascii: ","):
                    position &+= 1
                    skipWhitespace()
                    if isObject { try key() }
                    continue values
                case UInt8(ascii: "}") where isObject, UInt8(ascii: "]") where !isObject:
                    try close()
                default:
                    throw malformed()
                }
            }
            break values
        }
        skipWhitespace()
        if position < end { throw Failure(code: .trailingBytes, offset: position) }
    }

    private mutating func open(isObject: Bool) throws(Failure) {
        guard depth < limits.maximumDepth else { throw Failure(code: .depth, offset: position) }
        let kind: JSONKind = isObject ? .object : .array
        let index = try append(start: position, end: 0, info: UInt32(kind.rawValue))
        (frames + depth).initialize(to: Frame(container: index, isObject: isObject))
        depth &+= 1
        position &+= 1
    }

    private mutating func close() throws(Failure) {
        let frame = frames[depth - 1]
        if frame.isObject, frame.count > Self.comparedKeys { try refuseDuplicates(frame) }
        depth &-= 1
        position &+= 1
        tape[frame.container].end = UInt32(truncatingIfNeeded: position)
        tape[frame.container].next = UInt32(truncatingIfNeeded: tapeCount)
        tape[frame.container].info |= frame.count << 8
    }

    private mutating func key() throws(Failure) {
        guard position < end, bytes[position] == UInt8(ascii: "\"") else { throw malformed() }
        let index = tapeCount
        let start = position
        try string()
        var hash: UInt32
        if tape[index].isEscaped {
            hash = view.withText(index) { text in
                text.baseAddress.map { JSONKey.hash($0, text.count) } ?? JSONKey.hash("")
            }
        } else {
            hash = JSONKey.hash(bytes + start + 1, position &- start &- 2)
        }
        tape[index].next = hash
        let bit = UInt64(1) << UInt64(truncatingIfNeeded: hash >> 26)
        let frame = frames + (depth &- 1)
        if frame.pointee.seenKeys & bit != 0, frame.pointee.count <= Self.comparedKeys {
            var sibling = frame.pointee.container &+ 1
            while sibling < index {
                if tape[sibling].next == hash, sameKey(sibling, index) {
                    frame.pointee.lastKey = index
                    throw Failure(code: .duplicateKey, offset: start)
                }
                sibling = Int(tape[sibling &+ 1].next)
            }
        }
        frame.pointee.seenKeys |= bit
        frame.pointee.count &+= 1
        frame.pointee.lastKey = index
        skipWhitespace()
        guard position < end, bytes[position] == UInt8(ascii: ":") else { throw malformed() }
        position &+= 1
        skipWhitespace()
    }

    private mutating func literal(_ text: StaticString, _ kind: JSONKind) throws(Failure) {
        let count = text.utf8CodeUnitCount
        guard position &+ count <= end else { throw malformed() }
        for offset in 0..<count where bytes[position &+ offset] != text.utf8Start[offset] { throw malformed() }
        try append(start: position, end: position &+ count, info: UInt32(kind.rawValue))
        position &+= count
    }

    private mutating func number() throws(Failure) {
        let start = position
        if bytes[position] == UInt8(ascii: "-") { position &+= 1 }
        guard position < end else { throw malformed() }
        if bytes[position] == UInt8(ascii: "0") {
            position &+= 1
        } else if skipDigits() == 0 {
            throw malformed()
        }
        if position < end, bytes[position] == UInt8(ascii: ".") {
            position &+= 1
            if skipDigits() == 0 { throw malformed() }
        }
        if position < end, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position &+= 1
            if position < end, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
                position &+= 1
            }
            if skipDigits() == 0 { throw malformed() }
        }
        try append(start: start, end: position, info: UInt32(JSONKind.number.rawValue))
    }

    private mutating func skipDigits() -> Int {
        let start = position
        while position < end, bytes[position] &- UInt8(ascii: "0") < 10 { position &+= 1 }
        return position &- start
    }

    @inline(__always)
    private mutating func skipWhitespace() {
        while position < end {
            let byte = bytes[position]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position &+= 1
        }
    }

    // MARK: Strings

    private mutating func string() throws(Failure) {
        let start = position
        position &+= 1
        var escaped: UInt32 = 0
        let ones: UInt64 = 0x0101_0101_0101_0101
        let high: UInt64 = 0x8080_8080_8080_8080
        let raw = UnsafeRawPointer(bytes)
        scanning: while true {
            // Eight bytes at a time. A borrow can only set bits above a byte that is really flagged, so the lowest
            // set bit always tells the truth.
            while position &+ 8 <= end {
                let word = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                let quote = word ^ (ones &* UInt64(UInt8(ascii: "\"")))
                let slash = word ^ (ones &* UInt64(UInt8(ascii: "\\")))
                let flags =
                    ((quote &- ones) & ~quote) | ((slash &- ones) & ~slash) | ((word &- ones &* 0x20) & ~word) | word
                let mask = flags & high
                if mask != 0 {
                    position &+= mask.trailingZeroBitCount >> 3
                    break
                }
                position &+= 8
            }
            guard position < end else { throw malformed() }
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position &+= 1
                break scanning
            case UInt8(ascii: "\\"):
                escaped = JSONEntry.escapedFlag
                try escape()
            case 0:
                throw Failure(code: .nul, offset: position)
            case 1..<0x20:
                throw malformed()
            case 0x20..<0x80:
                position &+= 1
            default:
                try multibyte()
            }
        }
        guard position &- start &- 2 <= limits.maximumStringBytes else {
            throw Failure(code: .stringTooLong, offset: start)
        }
        try append(start: start, end: position, info: UInt32(JSONKind.string.rawValue) | escaped)
    }

    private mutating func escape() throws(Failure) {
        let start = position
        guard position &+ 1 < end else { throw malformed() }
        switch bytes[position &+ 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            position &+= 2
        case UInt8(ascii: "u"):
            let unit = try codeUnit(at: position &+ 2)
            position &+= 6
            switch unit {
            case 0: throw Failure(code: .nul, offset: start)
            case 0xDC00..<0xE000: throw Failure(code: .loneSurrogate, offset: start)
            case 0xD800..<0xDC00:
                guard position &+ 1 < end, bytes[position] == UInt8(ascii: "\\"),
                    bytes[position &+ 1] == UInt8(ascii: "u")
                else { throw Failure(code: .loneSurrogate, offset: start) }
                let second = try codeUnit(at: position &+ 2)
                guard second >= 0xDC00, second < 0xE000 else { throw Failure(code: .loneSurrogate, offset: start) }
                position &+= 6
            default: break
            }
        default:
            throw malformed()
        }
    }

    private func codeUnit(at start: Int) throws(Failure) -> UInt32 {
        guard start &+ 4 <= end else { throw Failure(code: .malformed, offset: end) }
        var unit: UInt32 = 0
        for offset in start..<start &+ 4 {
            guard let digit = Self.hexValue(bytes[offset]) else { throw Failure(code: .malformed, offset: offset) }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// Accepts a run of non-ASCII characters (table 3-7 of the Unicode standard: well-formed UTF-8 byte sequences).
    private mutating func multibyte() throws(Failure) {
        while position < end, bytes[position] >= 0x80 {
            let lead = bytes[position]
            let length: Int
            var lowest: UInt8 = 0x80
            var highest: UInt8 = 0xBF
            switch lead {
            case 0xC2...0xDF: length = 2
            case 0xE0...0xEF:
                length = 3
                if lead == 0xE0 { lowest = 0xA0 }
                if lead == 0xED { highest = 0x9F }
            case 0xF0...0xF4:
                length = 4
                if lead == 0xF0 { lowest = 0x90 }
                if lead == 0xF4 { highest = 0x8F }
            default: throw Failure(code: .invalidUTF8, offset: position)
            }
            guard position &+ length <= end, bytes[position &+ 1] >= lowest, bytes[position &+ 1] <= highest else {
                throw Failure(code: .invalidUTF8, offset: position)
            }
            var offset = 2
            while offset < length {
                guard bytes[position &+ offset] & 0xC0 == 0x80 else {
                    throw Failure(code: .invalidUTF8, offset: position)
                }
                offset &+= 1
            }
            position &+= length
        }
    }

    // MARK: Tape

    @discardableResult
    @inline(__always)
    private mutating func append(start: Int, end: Int, info: UInt32) throws(Failure) -> Int {
        if tapeCount == tapeCapacity { try grow() }
        let index = tapeCount
        (tape + index).initialize(
            to: JSONEntry(
                start: UInt32(truncatingIfNeeded: start), end: UInt32(truncatingIfNeeded: end),
                next: UInt32(truncatingIfNeeded: index &+ 1), info: info))
        tapeCount = index &+ 1
        return index
    }

    private mutating func grow() throws(Failure) {
        guard tapeCount < limits.maximumNodes else { throw Failure(code: .tooLarge, offset: position) }
        let capacity = min(tapeCapacity * 2, limits.maximumNodes)
        let larger = UnsafeMutablePointer<JSONEntry>.allocate(capacity: capacity)
        larger.moveInitialize(from: tape, count: tapeCount)
        tape.deallocate()
        tape = larger
        tapeCapacity = capacity
    }

    private var view: JSONTape { JSONTape(bytes: bytes, entries: tape) }

    private func sameKey(_ first: Int, _ second: Int) -> Bool {
        view.withText(first) { view.isText(second, $0) }
    }

    /// Sorts the keys of a large object, so that a hostile one costs n log n instead of n².
    private mutating func refuseDuplicates(_ frame: Frame) throws(Failure) {
        var keys: [Int] = []
        keys.reserveCapacity(Int(frame.count))
        var index = frame.container &+ 1
        while index < tapeCount {
            keys.append(index)
            index = Int(tape[index &+ 1].next)
        }
        let view = view
        keys.sort { first, second in
            if view[first].next != view[second].next { return view[first].next < view[second].next }
            return view.withText(first) { left in view.withText(second) { left.lexicographicallyPrecedes($0) } }
        }
        for position in keys.indices.dropFirst() {
            let (first, second) = (keys[position - 1], keys[position])
            if tape[first].next == tape[second].next, sameKey(first, second) {
                let later = max(first, second)
                frames[depth - 1].lastKey = later
                throw Failure(code: .duplicateKey, offset: Int(tape[later].start))
            }
        }
    }

    // MARK: Failures

    private func malformed() -> Failure { Failure(code: .malformed, offset: position) }

    /// The path of the innermost open value, worked out from the open containers.
    func path() -> String {
        var path = ""
        for level in 0..<depth {
            let frame = frames[level]
            if frame.isObject {
                guard frame.lastKey >= 0 else { continue }
                if !path.isEmpty { path += "." }
                path += view.string(frame.lastKey)
            } else if frame.count > 0 {
                path += "[\(frame.count - 1)]"
            }
        }
        return path
    }
}
