/// Which statements a connection has prepared, at most `capacity`; the least recently used goes first.
///
/// A statement is prepared with the types of its first values. A NULL leaves its parameter's type to the server; when a
/// later value has a type where there was none or another, the statement is prepared anew with the merged types.
struct StatementCache {
    enum Plan: Equatable {
        case use(number: Int)
        /// Prepare `number` with these parameter types, then use it.
        case prepare(number: Int, types: [UInt32])
    }
    private struct Entry {
        var number: Int
        var types: [UInt32]
        var lastUse: UInt64
    }
    private let capacity: Int
    private var entries: [PostgresStatement: Entry] = [:]
    private var clock: UInt64 = 0
    private var nextNumber = 0
    /// Numbers the server holds although no entry uses them any more.
    private var discarded: [Int] = []

    init(capacity: Int) {
        self.capacity = capacity
    }

    var count: Int { entries.count }

    static func name(_ number: Int) -> String { "s\(number)" }

    mutating func plan(_ statement: PostgresStatement, _ parameters: EncodedParameters) -> Plan {
        clock += 1
        var types: [UInt32] = []
        if let index = entries.index(forKey: statement) {
            if Self.fits(entries.values[index].types, parameters) {
                entries.values[index].lastUse = clock
                return .use(number: entries.values[index].number)
            }
            let entry = entries.values[index]
            types = parameters.slots.map(\.type)
            discarded.append(entry.number)
            if entry.types.count == types.count {
                types = zip(types, entry.types).map { wanted, known in wanted == 0 ? known : wanted }
            }
        } else if entries.count >= capacity,
            let oldest = entries.min(by: { left, right in left.value.lastUse < right.value.lastUse })
        {
            entries.removeValue(forKey: oldest.key)
            discarded.append(oldest.value.number)
        }
        if types.isEmpty { types = parameters.slots.map(\.type) }
        nextNumber += 1
        entries[statement] = Entry(number: nextNumber, types: types, lastUse: clock)
        return .prepare(number: nextNumber, types: types)
    }

    /// The server does not have `number`.
    mutating func remove(number: Int) {
        if let key = entries.first(where: { entry in entry.value.number == number })?.key {
            entries.removeValue(forKey: key)
        }
    }

    /// Makes the next use prepare again.
    mutating func discard(_ statement: PostgresStatement) {
        if let entry = entries.removeValue(forKey: statement) {
            discarded.append(entry.number)
        }
    }

    /// The server still has `number`, which was to be deallocated.
    mutating func keepForLater(number: Int) {
        discarded.append(number)
    }

    /// Numbers to deallocate with the next batch.
    mutating func takeDiscarded() -> [Int] {
        defer { discarded.removeAll() }
        return discarded
    }

    private static func fits(_ types: [UInt32], _ parameters: EncodedParameters) -> Bool {
        guard types.count == parameters.slots.count else { return false }
        for index in types.indices {
            let wanted = parameters.slots[index].type
            if wanted != 0, wanted != types[index] { return false }
        }
        return true
    }
}
