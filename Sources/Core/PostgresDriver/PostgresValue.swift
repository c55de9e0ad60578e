package import NIOCore

/// A typed parameter. The case decides the parameter's SQL type; for another type cast in the statement
/// (`$1::jsonb` from `.text`).
package enum PostgresValue: Sendable {
    /// NULL of the type the statement asks for.
    case null
    case bool(Bool)
    case int2(Int16)
    case int4(Int32)
    case int8(Int64)
    case float8(Double)
    case text(String)
    /// `bytea`.
    case bytes([UInt8])
    /// `text` from UTF-8 bytes; the server refuses other bytes (SQLSTATE 22021).
    case utf8(ByteBuffer)
    /// Microseconds since 1970; `Int64.min` and `Int64.max` are `-infinity` and `infinity`.
    case timestamptz(Int64)
    /// A decimal number as text, its digits kept.
    case numeric(String)
    /// 8-4-4-4-12 hexadecimal digits.
    case uuid(String)
    case int2Array([Int16])
    case int4Array([Int32])
    case int8Array([Int64])
    case boolArray([Bool])
    case textArray([String?])
    case utf8Array([ByteBuffer?])
    /// As `timestamptz`.
    case timestamptzArray([Int64?])
    case numericArray([String?])
}

/// The object identifiers of built-in types: Postgres's `src/include/catalog/pg_type.dat`.
enum TypeID {
    static let bool: UInt32 = 16
    static let bytea: UInt32 = 17
    static let char: UInt32 = 18
    static let name: UInt32 = 19
    static let int8: UInt32 = 20
    static let int2: UInt32 = 21
    static let int4: UInt32 = 23
    static let text: UInt32 = 25
    static let oid: UInt32 = 26
    static let xid: UInt32 = 28
    static let json: UInt32 = 114
    static let float4: UInt32 = 700
    static let float8: UInt32 = 701
    static let boolArray: UInt32 = 1000
    static let int2Array: UInt32 = 1005
    static let int4Array: UInt32 = 1007
    static let textArray: UInt32 = 1009
    static let int8Array: UInt32 = 1016
    static let date: UInt32 = 1082
    static let timestamp: UInt32 = 1114
    static let timestamptz: UInt32 = 1184
    static let timestamptzArray: UInt32 = 1185
    static let numericArray: UInt32 = 1231
    static let numeric: UInt32 = 1700
    static let uuid: UInt32 = 2950
    static let jsonb: UInt32 = 3802
}

/// Postgres counts microseconds from 2000-01-01; we count from 1970-01-01.
enum PostgresEpoch {
    static let offset: Int64 = 946_684_800_000_000

    /// From ours to the server's; what does not fit becomes an infinity.
    static func encoded(_ microseconds: Int64) -> Int64 {
        if microseconds == .max { return .max }
        let (value, overflow) = microseconds.subtractingReportingOverflow(offset)
        return overflow ? .min : value
    }

    /// From the server's to ours, infinities kept.
    static func decoded(_ value: Int64) -> Int64 {
        if value == .min { return .min }
        let (microseconds, overflow) = value.addingReportingOverflow(offset)
        return overflow ? .max : microseconds
    }
}
