// Distinct rows, and a hash that is the same in every process.

import StrictJSON

/// How many rows each table had when a parameter began.
struct RowMarks {
    let tokens, strings, dates, references, quantities, uris: Int

    init(_ rows: IndexRows) {
        tokens = rows.tokens.count
        strings = rows.strings.count
        dates = rows.dates.count
        references = rows.references.count
        quantities = rows.quantities.count
        uris = rows.uris.count
    }
}

extension IndexRows {
    private typealias Quantity = (
        parameter: Int32, low: String, high: String, system: String, code: String, unit: String
    )

    /// Removes repeated rows among those that were added since `marks`.
    mutating func removeDuplicates(since marks: RowMarks) {
        Self.distinct(&tokens, from: marks.tokens) {
            [$0.system, $0.code]
        } same: {
            $0 == $1
        }
        Self.distinct(&strings, from: marks.strings) {
            [$0.value]
        } same: {
            $0 == $1
        }
        Self.distinct(&dates, from: marks.dates) {
            [$0.low, $0.high]
        } same: {
            $0 == $1
        }
        Self.distinct(&references, from: marks.references) {
            [String($0.targetType), $0.targetID]
        } same: {
            $0 == $1
        }
        Self.distinct(&quantities, from: marks.quantities, key: Self.key) { $0 == $1 }
        Self.distinct(&uris, from: marks.uris) {
            [$0.value]
        } same: {
            $0 == $1
        }
    }

    private static func key(_ row: Quantity) -> [String] { [row.low, row.high, row.system, row.code, row.unit] }

    /// Compares pairwise while there are few, and by a set when a resource has thousands.
    private static func distinct<Row, Key: Hashable>(
        _ rows: inout [Row], from start: Int, key: (Row) -> Key, same: (Row, Row) -> Bool
    ) {
        guard rows.count - start > 1 else { return }
        var kept = start
        var seen: Set<Key>? = rows.count - start > 24 ? [] : nil
        for index in start..<rows.count {
            let row = rows[index]
            let isNew =
                seen?.insert(key(row)).inserted ?? !rows[start..<kept].contains { same($0, row) }
            guard isNew else { continue }
            rows[kept] = row
            kept += 1
        }
        rows.removeLast(rows.count - kept)
    }

    /// Bound to the rows, their order and the rules that made them: `rules` goes up when extraction changes.
    func computedHash() -> Int64 {
        let rules: UInt64 = 1
        var hash = StableHash(rules)
        for row in tokens {
            hash.add(row.parameter)
            hash.add(row.system)
            hash.add(row.code)
        }
        hash.add(Int32(1))
        for row in strings {
            hash.add(row.parameter)
            hash.add(row.value)
        }
        hash.add(Int32(2))
        for row in dates {
            hash.add(row.parameter)
            hash.add(row.low)
            hash.add(row.high)
        }
        hash.add(Int32(3))
        for row in references {
            hash.add(row.parameter)
            hash.add(Int32(row.targetType))
            hash.add(row.targetID)
        }
        hash.add(Int32(4))
        for row in quantities {
            hash.add(row.parameter)
            hash.add(row.low)
            hash.add(row.high)
            hash.add(row.system)
            hash.add(row.code)
            hash.add(row.unit)
        }
        hash.add(Int32(5))
        for row in uris {
            hash.add(row.parameter)
            hash.add(row.value)
        }
        hash.add(patient ?? "")
        return Int64(bitPattern: hash.value)
    }
}

/// A 64-bit hash that does not change between processes, unlike `Hasher`. Not for secrets.
private struct StableHash {
    var value: UInt64

    init(_ seed: UInt64) { value = seed }

    mutating func add(_ number: some FixedWidthInteger) { mix(UInt64(truncatingIfNeeded: number)) }

    mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            let raw = UnsafeRawBufferPointer(bytes)
            var offset = 0
            while offset + 8 <= raw.count {
                mix(raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                offset += 8
            }
            var tail = UInt64(raw.count) << 56
            while offset < raw.count {
                tail = tail << 8 | UInt64(raw[offset])
                offset += 1
            }
            mix(tail)
        }
    }

    private mutating func mix(_ word: UInt64) {
        let product = (value ^ word).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        value = product.high ^ product.low &+ 0x632B_E59B_D9B4_E019
    }
}
