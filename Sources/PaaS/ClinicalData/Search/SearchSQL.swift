import PostgresDriver

/// A statement with its values. The text depends on the shape of a search only, never on what was searched for.
struct SearchStatement: Sendable {
    let sql: String
    let values: [PostgresValue]
}

/// Collects the values of a statement while its text is put together.
struct SearchBindings: Sendable {
    private(set) var values: [PostgresValue] = []

    /// The placeholder that stands for the value.
    mutating func bind(_ value: PostgresValue) -> String {
        values.append(value)
        return "$\(values.count)"
    }

    /// `column = $n` for one value, `column = any($n)` for several.
    mutating func equals(_ column: String, _ ids: [Int32]) -> String {
        if ids.count == 1, let id = ids.first { return "\(column) = \(bind(.int4(id)))" }
        return "\(column) = any(\(bind(.int4Array(ids))))"
    }

    /// As above, for types.
    mutating func equals(_ column: String, types: [Int16]) -> String {
        if types.count == 1, let type = types.first { return "\(column) = \(bind(.int2(type)))" }
        return "\(column) = any(\(bind(.int2Array(types))))"
    }

    /// As above, for text.
    mutating func equals(_ column: String, _ texts: [String]) -> String {
        if texts.count == 1, let text = texts.first { return "\(column) = \(bind(.text(text)))" }
        return "\(column) = any(\(bind(.textArray(texts))))"
    }
}
