/// A file system of ISO 9660 with a few files in its root, as NoCloud seeds are.
///
/// ECMA-119: sixteen empty sectors, the primary volume descriptor, its terminator, the path table in both byte orders, the
/// root directory, the files. Names are in capitals with a version, which Linux shows in lower case without it; hyphens
/// are beyond the standard's alphabet, and every reader takes them.
struct ISOImage {
    let label: String
    /// Name in lower case, and content.
    let files: [(name: String, content: [UInt8])]

    private static let sector = 2_048
    private static let firstPathTable = 18
    private static let root = 20

    var bytes: [UInt8] {
        var records: [UInt8] = []
        var data: [UInt8] = []
        for file in files.sorted(by: { $0.name < $1.name }) {
            let start = Self.root + 1 + data.count / Self.sector
            records += Self.record(
                Array((file.name.uppercased() + ";1").utf8), at: start, length: file.content.count, isDirectory: false)
            data += Self.padded(file.content)
        }
        let own = Self.record([0], at: Self.root, length: Self.sector, isDirectory: true)
        let parent = Self.record([1], at: Self.root, length: Self.sector, isDirectory: true)
        precondition(own.count + parent.count + records.count <= Self.sector, "more files than one sector names")
        let total = Self.root + 1 + data.count / Self.sector
        var image = [UInt8](repeating: 0, count: 16 * Self.sector)
        image += Self.padded(descriptor(root: own, total: total))
        image += Self.padded([255] + Array("CD001".utf8) + [1])
        image += Self.padded(Self.pathTable(bigEndian: false))
        image += Self.padded(Self.pathTable(bigEndian: true))
        image += Self.padded(own + parent + records)
        return image + data
    }

    private func descriptor(root: [UInt8], total: Int) -> [UInt8] {
        var bytes: [UInt8] = [1] + Array("CD001".utf8) + [1, 0]
        bytes += Self.text("", 32) + Self.text(label, 32)
        bytes += Self.zeros(8) + Self.both32(total) + Self.zeros(32)
        bytes += Self.both16(1) + Self.both16(1) + Self.both16(Self.sector)
        // The path table: its length, and where it lies in little and in big endian.
        bytes += Self.both32(10) + Self.little32(Self.firstPathTable) + Self.zeros(4)
        bytes += Self.little32(Self.firstPathTable + 1).reversed() + Self.zeros(4)
        bytes += root
        // Volume set, publisher, preparer, application; then copyright, abstract and bibliographic files.
        bytes += Self.text("", 4 * 128) + Self.text("", 3 * 37)
        // Four times without a date.
        for _ in 0..<4 { bytes += Self.text("", 16).map { _ in UInt8(ascii: "0") } + [0] }
        return bytes + [1, 0]
    }

    private static func record(_ name: [UInt8], at start: Int, length: Int, isDirectory: Bool) -> [UInt8] {
        var bytes: [UInt8] = [0]
        bytes += both32(start) + both32(length)
        // 1970-01-01: the seed says nothing about when.
        bytes += [70, 1, 1, 0, 0, 0, 0]
        bytes += [isDirectory ? 2 : 0, 0, 0] + both16(1) + [UInt8(name.count)] + name
        if bytes.count % 2 == 0 { bytes.append(0) }
        return [UInt8(bytes.count + 1)] + bytes
    }

    private static func pathTable(bigEndian: Bool) -> [UInt8] {
        let start = little32(root)
        return [1, 0] + (bigEndian ? start.reversed() : start) + (bigEndian ? [0, 1] : [1, 0]) + [0, 0]
    }

    private static func padded(_ bytes: [UInt8]) -> [UInt8] {
        let remainder = bytes.count % sector
        return remainder == 0 ? bytes : bytes + zeros(sector - remainder)
    }

    private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    private static func text(_ text: String, _ length: Int) -> [UInt8] {
        let bytes = Array(text.utf8.prefix(length))
        return bytes + [UInt8](repeating: UInt8(ascii: " "), count: length - bytes.count)
    }

    private static func little32(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> (8 * $0) & 0xFF) } }
    private static func both32(_ value: Int) -> [UInt8] { little32(value) + little32(value).reversed() }
    private static func both16(_ value: Int) -> [UInt8] {
        let low = UInt8(value & 0xFF)
        let high = UInt8(value >> 8 & 0xFF)
        return [low, high, high, low]
    }
}
