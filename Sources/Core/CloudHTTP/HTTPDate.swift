/// HTTP dates (RFC 9110 §5.6.7), in whole seconds since 1970 UTC, without Foundation.
package enum HTTPDate {
    /// `Sun, 06 Nov 1994 08:49:37 GMT`. `seconds` must lie in the years 1…9999.
    package static func format(secondsSinceEpoch seconds: Int64) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(29)
        append(secondsSinceEpoch: seconds) { bytes.append($0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Gives the 29 bytes of the same text to `write`, in order.
    @inline(__always)
    package static func append(secondsSinceEpoch seconds: Int64, _ write: (UInt8) -> Void) {
        let days = floorDivide(seconds, 86_400)
        let time = Int(seconds - days * 86_400)
        let (year, month, day) = civil(daysSinceEpoch: days)
        func number(_ value: Int, _ digits: Int) {
            if digits > 2 {
                write(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / 1000 % 10))
                write(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / 100 % 10))
            }
            write(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / 10 % 10))
            write(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value % 10))
        }
        func text(_ text: String) { for byte in text.utf8 { write(byte) } }
        // 1 January 1970 was a Thursday.
        text(weekdays[Int((days % 7 + 7 + 4) % 7)])
        text(", ")
        number(day, 2)
        text(" ")
        text(months[month - 1])
        text(" ")
        number(year, 4)
        text(" ")
        number(time / 3600, 2)
        text(":")
        number(time / 60 % 60, 2)
        text(":")
        number(time % 60, 2)
        text(" GMT")
    }

    /// The same for microseconds since 1970, rounded down: the resolution of `Last-Modified`.
    package static func format(microsecondsSinceEpoch microseconds: Int64) -> String {
        format(secondsSinceEpoch: floorDivide(microseconds, 1_000_000))
    }

    /// Reads the preferred form and the two obsolete ones that recipients must accept. Nil when it is none of them.
    package static func parse(_ text: some StringProtocol) -> Int64? {
        let parts = text.split { $0 == " " || $0 == "," || $0 == "-" }
        switch parts.count {
        case 6 where parts[5] == "GMT":
            // Sun, 06 Nov 1994 08:49:37 GMT — or Sunday, 06-Nov-94 08:49:37 GMT
            guard let day = Int(parts[1]), let number = Int(parts[3]) else { return nil }
            // Two-digit years: none of our dates lies before 1970.
            let year = parts[3].utf8.count == 2 ? number + (number < 70 ? 2000 : 1900) : number
            return seconds(year: year, month: parts[2], day: day, time: parts[4])
        case 5:
            // Sun Nov  6 08:49:37 1994
            guard let day = Int(parts[2]), let year = Int(parts[4]) else { return nil }
            return seconds(year: year, month: parts[1], day: day, time: parts[3])
        default:
            return nil
        }
    }

    private static func seconds(
        year: Int, month: some StringProtocol, day: Int, time: some StringProtocol
    ) -> Int64? {
        guard let index = months.firstIndex(where: { $0 == month }), (1...9999).contains(year), (1...31).contains(day)
        else { return nil }
        let clock = time.split(separator: ":", omittingEmptySubsequences: false)
        guard clock.count == 3, clock.allSatisfy({ $0.utf8.count == 2 }), let hour = Int(clock[0]),
            let minute = Int(clock[1]), let second = Int(clock[2]), (0...23).contains(hour), (0...59).contains(minute),
            (0...60).contains(second)
        else { return nil }
        let days = daysSinceEpoch(year: year, month: index + 1, day: day)
        guard civil(daysSinceEpoch: days) == (year, index + 1, day) else { return nil }
        return days * 86_400 + Int64(hour * 3600 + minute * 60 + second)
    }

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    // Days to civil date and back over 400-year eras that begin on 1 March, so that leap days come last.
    private static func civil(daysSinceEpoch: Int64) -> (year: Int, month: Int, day: Int) {
        let shifted = daysSinceEpoch + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = Int(dayOfYear - (153 * shiftedMonth + 2) / 5) + 1
        let month = Int(shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9)
        return (Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0), month, day)
    }

    private static func daysSinceEpoch(year: Int, month: Int, day: Int) -> Int64 {
        let shiftedYear = Int64(month <= 2 ? year - 1 : year)
        let era = floorDivide(shiftedYear, 400)
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor)
    }
}
