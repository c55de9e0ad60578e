/// Times as the platform API writes them: RFC 3339 in UTC with milliseconds, `2026-11-29T05:00:00.000Z`.
package enum InstantText {
    /// - Parameter microseconds: since 1970, not negative.
    package static func format(_ microseconds: Int64) -> String {
        let seconds = microseconds / 1_000_000
        let (year, month, day) = civil(days: seconds / 86_400)
        let time = seconds % 86_400
        return "\(pad(year, 4))-\(pad(month))-\(pad(day))T\(pad(time / 3600)):\(pad(time / 60 % 60)):\(pad(time % 60))."
            + pad(microseconds / 1000 % 1000, 3) + "Z"
    }

    /// Microseconds since 1970; nil for anything but a date and time with a zone (`Z` or an offset), from 1970 to 9999.
    package static func parse(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int64? {
            guard range.upperBound <= bytes.count else { return nil }
            var value: Int64 = 0
            for byte in bytes[range] {
                guard (0x30...0x39).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - 0x30)
            }
            return value
        }
        func isAt(_ index: Int, _ character: Character) -> Bool {
            index < bytes.count && bytes[index] == character.asciiValue
        }
        guard let year = number(0..<4), isAt(4, "-"), let month = number(5..<7), isAt(7, "-"), let day = number(8..<10),
            isAt(10, "T"), let hour = number(11..<13), isAt(13, ":"), let minute = number(14..<16), isAt(16, ":"),
            let second = number(17..<19), year >= 1970, (1...12).contains(month), hour < 24, minute < 60, second < 60
        else { return nil }
        var index = 19
        var fraction: Int64 = 0
        if isAt(index, ".") {
            index += 1
            let start = index
            var scale: Int64 = 100_000
            while index < bytes.count, (0x30...0x39).contains(bytes[index]), index - start < 6 {
                fraction += Int64(bytes[index] - 0x30) * scale
                scale /= 10
                index += 1
            }
            guard index > start else { return nil }
        }
        var offset: Int64 = 0
        if isAt(index, "Z") {
            index += 1
        } else {
            guard isAt(index, "+") || isAt(index, "-"), let hours = number(index + 1..<index + 3), isAt(index + 3, ":"),
                let minutes = number(index + 4..<index + 6), hours < 24, minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * (isAt(index, "+") ? 60 : -60)
            index += 6
        }
        let days = days(year, month, day)
        let (backYear, backMonth, backDay) = civil(days: days)
        guard index == bytes.count, (backYear, backMonth, backDay) == (year, month, day) else { return nil }
        return (days * 86_400 + hour * 3600 + minute * 60 + second - offset) * 1_000_000 + fraction
    }

    private static func pad(_ value: Int64, _ width: Int = 2) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": eras of 400 years that begin in March.
    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let position = (5 * dayOfYear + 2) / 153
        let month = position < 10 ? position + 3 : position - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * position + 2) / 5 + 1)
    }

    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}
