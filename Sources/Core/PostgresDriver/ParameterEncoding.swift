import NIOCore

/// The parameters of one execution in wire form: one contiguous run of bytes, and where each value lies in it.
struct EncodedParameters: Sendable {
    struct Slot: Sendable {
        /// 0 lets the server infer the type (a NULL).
        var type: UInt32
        var offset: Int
        /// -1 is NULL.
        var length: Int32
        /// 1 is binary, 0 is text.
        var format: Int32
    }
    private(set) var bytes: [UInt8] = []
    private(set) var slots: [Slot] = []

    init() {}

    /// - Throws: `.protocol` when there are more parameters (65,535) or bytes (1 GiB) than the protocol carries.
    init(_ values: [PostgresValue]) throws(PostgresError) {
        guard values.count <= 65_535 else {
            throw PostgresError(.protocol, "a statement takes at most 65535 parameters, this one has \(values.count)")
        }
        var size = 0
        for value in values {
            size += value.sizeEstimate
        }
        guard size < 1 << 30 else {
            throw PostgresError(.protocol, "the parameters of a statement must be smaller than 1 GiB together")
        }
        bytes.reserveCapacity(size)
        slots.reserveCapacity(values.count)
        for value in values {
            try append(value)
        }
    }

    private mutating func append(_ value: PostgresValue) throws(PostgresError) {
        let start = bytes.count
        var type: UInt32 = 0
        var format: Int32 = 1
        switch value {
        case .null:
            slots.append(Slot(type: 0, offset: start, length: -1, format: 1))
            return
        case .bool(let value):
            type = TypeID.bool
            bytes.append(value ? 1 : 0)
        case .int2(let value):
            type = TypeID.int2
            bytes.appendInteger(value)
        case .int4(let value):
            type = TypeID.int4
            bytes.appendInteger(value)
        case .int8(let value):
            type = TypeID.int8
            bytes.appendInteger(value)
        case .float8(let value):
            type = TypeID.float8
            bytes.appendInteger(value.bitPattern)
        case .text(let value):
            type = TypeID.text
            bytes.append(contentsOf: value.utf8)
        case .bytes(let value):
            type = TypeID.bytea
            bytes.append(contentsOf: value)
        case .utf8(let value):
            type = TypeID.text
            bytes.append(contentsOf: value.readableBytesView)
        case .timestamptz(let value):
            type = TypeID.timestamptz
            bytes.appendInteger(PostgresEpoch.encoded(value))
        case .numeric(let value):
            type = TypeID.numeric
            format = 0
            bytes.append(contentsOf: value.utf8)
        case .uuid(let value):
            type = TypeID.uuid
            format = 0
            bytes.append(contentsOf: value.utf8)
        case .int2Array(let values):
            type = TypeID.int2Array
            bytes.appendArray(of: TypeID.int2, values) { bytes, value in bytes.appendInteger(value) }
        case .int4Array(let values):
            type = TypeID.int4Array
            bytes.appendArray(of: TypeID.int4, values) { bytes, value in bytes.appendInteger(value) }
        case .int8Array(let values):
            type = TypeID.int8Array
            bytes.appendArray(of: TypeID.int8, values) { bytes, value in bytes.appendInteger(value) }
        case .boolArray(let values):
            type = TypeID.boolArray
            bytes.appendArray(of: TypeID.bool, values) { bytes, value in bytes.append(value ? 1 : 0) }
        case .textArray(let values):
            type = TypeID.textArray
            bytes.appendArray(of: TypeID.text, values) { bytes, value in bytes.append(contentsOf: value.utf8) }
        case .utf8Array(let values):
            type = TypeID.textArray
            bytes.appendArray(of: TypeID.text, values) { bytes, value in
                bytes.append(contentsOf: value.readableBytesView)
            }
        case .timestamptzArray(let values):
            type = TypeID.timestamptzArray
            bytes.appendArray(of: TypeID.timestamptz, values) { bytes, value in
                bytes.appendInteger(PostgresEpoch.encoded(value))
            }
        case .numericArray(let values):
            type = TypeID.numericArray
            format = 0
            bytes.appendArrayLiteral(values)
        }
        slots.append(Slot(type: type, offset: start, length: Int32(bytes.count - start), format: format))
        if format == 0 {
            guard !bytes[start...].contains(0) else {
                throw PostgresError(.protocol, "a parameter in text form contains a zero byte", sqlState: "22021")
            }
            // libpq takes the length of a text parameter from its terminating zero.
            bytes.append(0)
        }
    }
}

extension PostgresValue {
    /// Enough room for the value's wire form in most cases, and never less than its payload.
    fileprivate var sizeEstimate: Int {
        switch self {
        case .null, .bool, .int2, .int4, .int8, .float8, .timestamptz: 8
        case .text(let value), .numeric(let value), .uuid(let value): value.utf8.count + 1
        case .bytes(let value): value.count
        case .utf8(let value): value.readableBytes
        case .int2Array(let values): 20 + values.count * 6
        case .int4Array(let values): 20 + values.count * 8
        case .int8Array(let values): 20 + values.count * 12
        case .boolArray(let values): 20 + values.count * 5
        case .timestamptzArray(let values): 20 + values.count * 12
        case .textArray(let values):
            values.reduce(20) { size, value in size + 4 + (value?.utf8.count ?? 0) }
        case .numericArray(let values):
            values.reduce(20) { size, value in size + 8 + 2 * (value?.utf8.count ?? 0) }
        case .utf8Array(let values):
            values.reduce(20) { size, value in size + 4 + (value?.readableBytes ?? 0) }
        }
    }
}

extension [UInt8] {
    /// Big-endian, as all integers of the protocol.
    mutating func appendInteger<Integer: FixedWidthInteger>(_ value: Integer) {
        unsafe Swift.withUnsafeBytes(of: value.bigEndian) { bytes in unsafe append(contentsOf: bytes) }
    }

    /// The binary form of a one-dimensional array (Postgres's `array_recv`).
    fileprivate mutating func appendArray<Value>(
        of type: UInt32, _ values: [Value?], _ write: (inout [UInt8], Value) -> Void
    ) {
        let hasNull = values.contains { value in value == nil }
        appendInteger(Int32(values.isEmpty ? 0 : 1))
        appendInteger(Int32(hasNull ? 1 : 0))
        appendInteger(type)
        if values.isEmpty { return }
        appendInteger(Int32(values.count))
        appendInteger(Int32(1))
        for value in values {
            guard let value else {
                appendInteger(Int32(-1))
                continue
            }
            let lengthAt = count
            appendInteger(Int32(0))
            write(&self, value)
            let length = UInt32(count - lengthAt - 4)
            for byte in 0..<4 {
                self[lengthAt + byte] = UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * byte))
            }
        }
    }

    /// The text form of an array, each element quoted.
    fileprivate mutating func appendArrayLiteral(_ values: [String?]) {
        append(UInt8(ascii: "{"))
        for (index, value) in values.enumerated() {
            if index > 0 { append(UInt8(ascii: ",")) }
            guard let value else {
                append(contentsOf: "NULL".utf8)
                continue
            }
            append(UInt8(ascii: "\""))
            for byte in value.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { append(UInt8(ascii: "\\")) }
                append(byte)
            }
            append(UInt8(ascii: "\""))
        }
        append(UInt8(ascii: "}"))
    }
}
