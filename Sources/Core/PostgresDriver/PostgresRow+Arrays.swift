package import NIOCore

extension PostgresRow {
    package func int2Array(_ column: Int) throws(PostgresError) -> [Int16] {
        try fixedArray(column, Int16.self, TypeID.int2, "int2[]")
    }

    package func int4Array(_ column: Int) throws(PostgresError) -> [Int32] {
        try fixedArray(column, Int32.self, TypeID.int4, "int4[]")
    }

    package func int8Array(_ column: Int) throws(PostgresError) -> [Int64] {
        try fixedArray(column, Int64.self, TypeID.int8, "int8[]")
    }

    package func boolArray(_ column: Int) throws(PostgresError) -> [Bool] {
        try fixedArray(column, UInt8.self, TypeID.bool, "bool[]").map { value in value != 0 }
    }

    /// Microseconds since 1970, as `timestamptz`.
    package func timestamptzArray(_ column: Int) throws(PostgresError) -> [Int64?] {
        try unsafe array(column, [TypeID.timestamptz], "timestamptz[]") { bytes in
            guard bytes.count == 8 else { return nil }
            return PostgresEpoch.decoded(Int64(bigEndian: unsafe bytes.loadUnaligned(as: Int64.self)))
        }
    }

    /// Elements may be NULL.
    package func textArray(_ column: Int) throws(PostgresError) -> [String?] {
        try unsafe array(column, Self.textTypes, "text[]") { bytes in unsafe String(decoding: bytes, as: UTF8.self) }
    }

    /// Elements may be NULL.
    package func bufferArray(_ column: Int) throws(PostgresError) -> [ByteBuffer?] {
        try unsafe array(column, Self.textTypes + [TypeID.bytea], "text[]") { bytes in
            var buffer = ByteBufferAllocator().buffer(capacity: bytes.count)
            unsafe buffer.writeBytes(bytes)
            return buffer
        }
    }

    /// Elements may be NULL.
    package func numericArray(_ column: Int) throws(PostgresError) -> [String?] {
        try unsafe array(column, [TypeID.numeric], "numeric[]") { bytes in unsafe BinaryNumeric.text(bytes) }
    }

    private static let textTypes = [TypeID.text, TypeID.name, TypeID.char, TypeID.json, 1042, 1043]

    private func fixedArray<Value: FixedWidthInteger>(
        _ column: Int, _: Value.Type, _ elementType: UInt32, _ wanted: String
    ) throws(PostgresError) -> [Value] {
        let values: [Value?] = try unsafe array(column, [elementType], wanted) { bytes in
            guard bytes.count == MemoryLayout<Value>.size else { return nil }
            return Value(bigEndian: unsafe bytes.loadUnaligned(as: Value.self))
        }
        let present = values.compactMap(\.self)
        guard present.count == values.count else {
            throw PostgresError(.decoding, "column \(column) has a NULL element where \(wanted) is wanted")
        }
        return present
    }

    /// The binary form of an array of one dimension (Postgres's `array_send`).
    private func array<Value>(
        _ column: Int, _ elementTypes: [UInt32], _ wanted: String, _ decode: (UnsafeRawBufferPointer) -> Value?
    ) throws(PostgresError) -> [Value?] {
        if try isNull(column) { return try required(column, nil, wanted) }
        let values: [Value?]? = unsafe handle.withBytes(row: row, column: column) { bytes in
            func word(_ offset: Int) -> Int {
                Int(Int32(bigEndian: unsafe bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self)))
            }
            guard bytes.count >= 12, elementTypes.contains(UInt32(truncatingIfNeeded: word(8))) else { return nil }
            if word(0) == 0 { return [] }
            guard word(0) == 1, bytes.count >= 20 else { return nil }
            let count = word(12)
            var values: [Value?] = []
            values.reserveCapacity(count)
            var offset = 20
            for _ in 0..<count {
                guard offset + 4 <= bytes.count else { return nil }
                let length = word(offset)
                offset += 4
                if length < 0 {
                    values.append(nil)
                    continue
                }
                guard offset + length <= bytes.count else { return nil }
                values.append(unsafe decode(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])))
                offset += length
            }
            return values
        }
        guard let values else { throw wrongType(column, wanted) }
        return values
    }
}
