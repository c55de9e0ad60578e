package import NIOCore

/// One row. Columns are counted from 0; reading one as a type that it is not, or a NULL as a value, throws `.decoding`.
package struct PostgresRow: Sendable {
    let handle: ResultHandle
    let row: Int

    package var count: Int { handle.columnCount }

    package func isNull(_ column: Int) throws(PostgresError) -> Bool {
        try checkRange(column)
        return handle.isNull(row: row, column: column)
    }

    package func bool(_ column: Int) throws(PostgresError) -> Bool {
        try required(column, optionalBool(column), "bool")
    }

    package func int2(_ column: Int) throws(PostgresError) -> Int16 {
        try required(column, optionalInt2(column), "int2")
    }

    /// Reads int2 and int4.
    package func int4(_ column: Int) throws(PostgresError) -> Int32 {
        try required(column, optionalInt4(column), "int4")
    }

    /// Reads int2, int4, int8 and oid.
    package func int8(_ column: Int) throws(PostgresError) -> Int64 {
        try required(column, optionalInt8(column), "int8")
    }

    /// Reads float4 and float8.
    package func float8(_ column: Int) throws(PostgresError) -> Double {
        try required(column, optionalFloat8(column), "float8")
    }

    /// Reads text-like types, json, jsonb, numeric and uuid.
    package func string(_ column: Int) throws(PostgresError) -> String {
        try required(column, optionalString(column), "text")
    }

    /// The bytes of a text-like, json, jsonb or bytea value, copied once.
    package func buffer(_ column: Int) throws(PostgresError) -> ByteBuffer {
        try required(column, optionalBuffer(column), "bytes")
    }

    /// As `buffer`.
    package func bytes(_ column: Int) throws(PostgresError) -> [UInt8] {
        try required(column, optionalBytes(column), "bytes")
    }

    /// Microseconds since 1970; the infinities are `Int64.min` and `Int64.max`. Reads timestamptz and timestamp.
    package func timestamptz(_ column: Int) throws(PostgresError) -> Int64 {
        try required(column, optionalTimestamptz(column), "timestamptz")
    }

    package func optionalBool(_ column: Int) throws(PostgresError) -> Bool? {
        try integer(column, UInt8.self, TypeID.bool).map { value in value != 0 }
    }

    package func optionalInt2(_ column: Int) throws(PostgresError) -> Int16? {
        try integer(column, Int16.self, TypeID.int2)
    }

    package func optionalInt4(_ column: Int) throws(PostgresError) -> Int32? {
        switch try type(column) {
        case TypeID.int2: try integer(column, Int16.self, TypeID.int2).map(Int32.init)
        default: try integer(column, Int32.self, TypeID.int4)
        }
    }

    package func optionalInt8(_ column: Int) throws(PostgresError) -> Int64? {
        switch try type(column) {
        case TypeID.int2: try integer(column, Int16.self, TypeID.int2).map(Int64.init)
        case TypeID.int4: try integer(column, Int32.self, TypeID.int4).map(Int64.init)
        case TypeID.oid, TypeID.xid: try integer(column, UInt32.self, type(column)).map(Int64.init)
        default: try integer(column, Int64.self, TypeID.int8)
        }
    }

    package func optionalFloat8(_ column: Int) throws(PostgresError) -> Double? {
        switch try type(column) {
        case TypeID.float4:
            try integer(column, UInt32.self, TypeID.float4).map { bits in Double(Float(bitPattern: bits)) }
        default: try integer(column, UInt64.self, TypeID.float8).map(Double.init(bitPattern:))
        }
    }

    package func optionalTimestamptz(_ column: Int) throws(PostgresError) -> Int64? {
        switch try type(column) {
        case TypeID.timestamp: try integer(column, Int64.self, TypeID.timestamp).map(PostgresEpoch.decoded)
        default: try integer(column, Int64.self, TypeID.timestamptz).map(PostgresEpoch.decoded)
        }
    }

    package func optionalString(_ column: Int) throws(PostgresError) -> String? {
        let type = try type(column)
        if handle.isNull(row: row, column: column) { return nil }
        switch type {
        case TypeID.numeric:
            let text = unsafe handle.withBytes(row: row, column: column) { bytes in unsafe BinaryNumeric.text(bytes) }
            guard let text else { throw wrongType(column, "text") }
            return text
        case TypeID.uuid:
            return unsafe handle.withBytes(row: row, column: column) { bytes in unsafe BinaryUUID.text(bytes) }
        default:
            let skipped = try prefixLength(column, type, "text")
            return unsafe handle.withBytes(row: row, column: column) { bytes in
                unsafe String(decoding: bytes.dropFirst(skipped), as: UTF8.self)
            }
        }
    }

    package func optionalBuffer(_ column: Int) throws(PostgresError) -> ByteBuffer? {
        let skipped = try prefixLength(column, type(column), "bytes")
        if handle.isNull(row: row, column: column) { return nil }
        return unsafe handle.withBytes(row: row, column: column) { bytes in
            var buffer = ByteBufferAllocator().buffer(capacity: bytes.count - skipped)
            unsafe buffer.writeBytes(UnsafeRawBufferPointer(rebasing: bytes.dropFirst(skipped)))
            return buffer
        }
    }

    package func optionalBytes(_ column: Int) throws(PostgresError) -> [UInt8]? {
        let skipped = try prefixLength(column, type(column), "bytes")
        if handle.isNull(row: row, column: column) { return nil }
        return unsafe handle.withBytes(row: row, column: column) { bytes in unsafe [UInt8](bytes.dropFirst(skipped)) }
    }
}

extension PostgresRow {
    func checkRange(_ column: Int) throws(PostgresError) {
        guard column >= 0, column < handle.columnCount else {
            throw PostgresError(.decoding, "column \(column) of \(handle.columnCount)")
        }
    }

    func type(_ column: Int) throws(PostgresError) -> UInt32 {
        try checkRange(column)
        return handle.columnType(column)
    }

    func required<Value>(_ column: Int, _ value: Value?, _ wanted: String) throws(PostgresError) -> Value {
        guard let value else {
            throw PostgresError(
                .decoding, "column \(column) (\(handle.columnName(column))) is NULL where \(wanted) is wanted")
        }
        return value
    }

    func wrongType(_ column: Int, _ wanted: String) -> PostgresError {
        PostgresError(
            .decoding,
            "column \(column) (\(handle.columnName(column))) has type \(handle.columnType(column)), not \(wanted)")
    }

    /// A fixed-width value in network byte order.
    @inline(__always)
    func integer<Value: FixedWidthInteger>(
        _ column: Int, _: Value.Type, _ wanted: UInt32
    ) throws(PostgresError) -> Value? {
        guard try type(column) == wanted else { throw wrongType(column, "\(wanted)") }
        if handle.isNull(row: row, column: column) { return nil }
        let value: Value? = unsafe handle.withBytes(row: row, column: column) { bytes in
            guard bytes.count == MemoryLayout<Value>.size else { return nil }
            return unsafe Value(bigEndian: bytes.loadUnaligned(as: Value.self))
        }
        guard let value else { throw wrongType(column, "\(wanted)") }
        return value
    }

    /// How many bytes of the binary form come before the text: 1 for jsonb (its version), 0 for text-like types.
    private func prefixLength(_ column: Int, _ type: UInt32, _ wanted: String) throws(PostgresError) -> Int {
        switch type {
        case TypeID.jsonb: return 1
        case TypeID.bytea:
            if wanted == "text" { throw wrongType(column, wanted) }
            return 0
        case TypeID.bool, TypeID.int2, TypeID.int4, TypeID.int8, TypeID.oid, TypeID.xid, TypeID.float4,
            TypeID.float8, TypeID.date, TypeID.timestamp, TypeID.timestamptz, TypeID.numeric, TypeID.uuid,
            TypeID.boolArray, TypeID.int2Array, TypeID.int4Array, TypeID.int8Array, TypeID.textArray,
            TypeID.timestamptzArray, TypeID.numericArray:
            throw wrongType(column, wanted)
        default:
            // text, varchar, char, name, json, xml, enumerations and domains over them.
            return 0
        }
    }
}
