import PostgresDriver

// Dates, numbers and quantities: FHIR R4 §3.1.1.4.5 to §3.1.1.4.9. All ranges are half-open.

extension SearchCompiler {
    /// A search range against a stored range.
    mutating func date(_ test: DateTest, low: String, high: String) -> String {
        let from = bindings.bind(.timestamptz(test.low))
        // An instant has no width, but what it names lasts a microsecond.
        let to = bindings.bind(.timestamptz(test.high))
        switch test.prefix {
        case .eq: return "(\(low) >= \(from) and \(low) < \(to) and \(high) <= \(to))"
        case .ne: return "(\(low) < \(from) or \(high) > \(to))"
        case .gt: return "\(high) > \(to)"
        case .lt: return "\(low) < \(from)"
        // The first comparison follows from the others and gives the index one range.
        case .ge: return "(\(high) > \(from) and (\(high) > \(to) or \(low) >= \(from)))"
        case .le: return "(\(low) < \(to) and (\(low) < \(from) or \(high) <= \(to)))"
        case .sa: return "\(low) >= \(to)"
        case .eb: return "\(high) <= \(from)"
        // "The range of the search value overlaps with the range of the target value": how approximate is up to the
        // precision that was written, so the same search finds the same tomorrow.
        case .ap: return "(\(low) < \(to) and \(high) > \(from))"
        }
    }

    /// `_lastUpdated` of the rows of an alias.
    mutating func lastUpdated(_ tests: [DateTest], _ alias: String) -> String {
        point(tests, column: alias + ".last_updated")
    }

    /// A column that is a point in time.
    mutating func point(_ tests: [DateTest], column: String) -> String {
        let comparisons = tests.map { date($0, low: column, high: "(\(column) + interval '1 microsecond')") }
        return comparisons.count == 1 ? comparisons[0] : "(" + comparisons.joined(separator: " or ") + ")"
    }

    /// A number against a stored value or range.
    ///
    /// A stored value stands as the range that its significant digits leave open, so its middle is the value itself; its
    /// width is a power of ten, which tells it from a `Range`. The ends of a `Range` have the digits of the search value,
    /// as far as we know. `eq` and `ne` compare with the range of the search value's digits, the others with the value:
    /// the specification has them ignore precision.
    mutating func number(_ test: NumberTest) -> String {
        let value = bindings.bind(.numeric(test.value))
        let low = bindings.bind(.numeric(test.low))
        let high = bindings.bind(.numeric(test.high))
        let isValue = "trim(both '0.' from (x.high - x.low)::text) = '1'"
        let half = "(\(high) - \(low)) / 2"
        // The comparisons of an end; what the columns say themselves goes first, for the index.
        func begins(_ sign: String, _ bound: String) -> String {
            "case when \(isValue) then x.low + x.high \(sign) 2 * \(bound) else x.low + \(half) \(sign) \(bound) end"
        }
        func ends(_ sign: String, _ bound: String) -> String {
            "case when \(isValue) then x.low + x.high \(sign) 2 * \(bound) else x.high - \(half) \(sign) \(bound) end"
        }
        switch test.prefix {
        case .eq:
            return "(x.low < \(high) and x.high > \(low) and \(begins(">=", low)) and \(ends("<", high)))"
        case .ne: return "not (\(begins(">=", low)) and \(ends("<", high)))"
        case .gt: return "(x.high > \(value) and \(ends(">", value)))"
        case .ge: return "(x.high > \(value) and \(ends(">=", value)))"
        case .lt: return "(x.low < \(value) and \(begins("<", value)))"
        case .le: return "(x.low <= \(value) and \(begins("<=", value)))"
        case .sa: return "(x.high > \(value) and \(begins(">", value)))"
        case .eb: return "(x.low < \(value) and \(ends("<", value)))"
        case .ap:
            // A tenth of the value to either side.
            let (from, to) = ("(\(value) - abs(\(value)) / 10)", "(\(value) + abs(\(value)) / 10)")
            return "(x.low <= \(to) and \(begins("<=", to)) and \(ends(">=", from)))"
        }
    }

    mutating func quantity(_ test: NumberTest, _ system: String?, _ code: String?) -> String {
        var conditions = [number(test)]
        switch (system, code) {
        case (nil, nil): break
        case (let system?, let code?):
            conditions.append("x.code = \(bindings.bind(.text(code)))")
            conditions.append("x.system = \(bindings.bind(.text(system)))")
        case (let system?, nil): conditions.append("x.system = \(bindings.bind(.text(system)))")
        // Without a system the code may also be what people read.
        case (nil, let code?):
            let code = bindings.bind(.text(code))
            conditions.append("(x.code = \(code) or x.unit = \(code))")
        }
        return "(" + conditions.joined(separator: " and ") + ")"
    }
}
