/// Sizes as manifests write them: `512MiB`, `2GiB`. Binary units only, because memory and disks are cut in them, and a
/// bare number would not say what it counts.
package enum ByteSize {
    private static let units: [(name: String, shift: Int64)] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)]

    /// What may follow the number.
    package static let unitNames = units.map(\.name)

    /// Bytes, or nil for anything that is not digits and a unit, or is too large.
    package static func bytes(_ text: String) -> Int64? {
        guard let unit = units.first(where: { text.hasSuffix($0.name) }) else { return nil }
        let digits = text.dropLast(unit.name.count)
        guard (1...6).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int64(digits)
        else { return nil }
        return number << unit.shift
    }

    /// The shortest exact way to write a number of bytes: `2GiB`, or `1000 bytes` when no unit fits.
    package static func text(_ bytes: Int64) -> String {
        guard bytes != 0 else { return "0" }
        for unit in units.reversed() where bytes % (1 << unit.shift) == 0 {
            return "\(bytes >> unit.shift)\(unit.name)"
        }
        return "\(bytes) bytes"
    }
}
