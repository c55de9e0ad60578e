// FHIR dates as ranges of time.

/// The instants that a date, dateTime or instant stands for, as its precision says.
///
/// Microseconds since 1970-01-01T00:00Z, half-open: `low` ≤ t < `high`. What has no offset is taken as UTC.
package struct DateRange: Sendable, Hashable {
    package var low: Int64
    package var high: Int64

    package init(low: Int64, high: Int64) {
        self.low = low
        self.high = high
    }

    /// How much of a date was written.
    package enum Precision: Int, Sendable, Comparable {
        case year, month, day, minute, second

        package static func < (left: Precision, right: Precision) -> Bool { left.rawValue < right.rawValue }
    }

    /// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, `YYYY-MM-DDThh:mm`, `YYYY-MM-DDThh:mm:ss[.f…]`, the last two with an
    /// optional `Z` or `±hh:mm`. Nil when the text is none of these or names no real day.
    ///
    /// Resources must have seconds and an offset with a time; queries may leave them out
    /// (https://hl7.org/fhir/R4/search.html#date). Use `WrittenDate` to know what was written.
    package init?(_ text: String) {
        guard let date = WrittenDate(text) else { return nil }
        self = date.range
    }

    static let microsecondsPerSecond: Int64 = 1_000_000
    package static let microsecondsPerDay: Int64 = 86_400 * microsecondsPerSecond
}

/// A date as it was written.
package struct WrittenDate: Sendable {
    package let precision: DateRange.Precision
    /// Whether a `Z` or an offset was given.
    package let hasOffset: Bool
    package let range: DateRange

    package init?(_ text: String) {
        var text = text
        guard let date = text.withUTF8({ WrittenDate($0) }) else { return nil }
        self = date
    }

    package init?(_ text: UnsafeBufferPointer<UInt8>) {
        var reader = DigitReader(text)
        guard let year = reader.number(4), year > 0 else { return nil }
        guard !reader.isAtEnd else {
            self.init(.year, false, Self.day(year, 1, 1), Self.day(year + 1, 1, 1))
            return
        }
        guard reader.skip("-"), let month = reader.number(2), (1...12).contains(month) else { return nil }
        guard !reader.isAtEnd else {
            let next = month == 12 ? Self.day(year + 1, 1, 1) : Self.day(year, month + 1, 1)
            self.init(.month, false, Self.day(year, month, 1), next)
            return
        }
        guard reader.skip("-"), let day = reader.number(2), day >= 1, day <= Self.daysInMonth(year, month) else {
            return nil
        }
        let midnight = Self.day(year, month, day)
        guard !reader.isAtEnd else {
            self.init(.day, false, midnight, midnight + DateRange.microsecondsPerDay)
            return
        }
        guard reader.skip("T"), let hour = reader.number(2), hour < 24, reader.skip(":"), let minute = reader.number(2),
            minute < 60
        else { return nil }
        var start = midnight + Int64(hour * 60 + minute) * 60 * DateRange.microsecondsPerSecond
        var width = 60 * DateRange.microsecondsPerSecond
        var precision = DateRange.Precision.minute
        if reader.skip(":") {
            // 60 is a leap second, which this count of time does not have: it is taken as the one before, in its minute.
            guard let second = reader.number(2), second <= 60 else { return nil }
            start += Int64(min(second, 59)) * DateRange.microsecondsPerSecond
            width = DateRange.microsecondsPerSecond
            precision = .second
            if reader.skip(".") {
                guard let fraction = reader.fraction() else { return nil }
                start += fraction.microseconds
                width = fraction.width
            }
        }
        let hasOffset = !reader.isAtEnd
        if hasOffset {
            guard let offset = reader.offsetMinutes() else { return nil }
            start -= Int64(offset) * 60 * DateRange.microsecondsPerSecond
        }
        guard reader.isAtEnd else { return nil }
        self.init(precision, hasOffset, start, start + width)
    }

    private init(_ precision: DateRange.Precision, _ hasOffset: Bool, _ low: Int64, _ high: Int64) {
        self.precision = precision
        self.hasOffset = hasOffset
        self.range = DateRange(low: low, high: high)
    }

    static func daysInMonth(_ year: Int, _ month: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// The midnight, UTC, of a day of the proleptic Gregorian calendar.
    private static func day(_ year: Int, _ month: Int, _ day: Int) -> Int64 {
        // Years are counted from March, so that the leap day is the last of its year.
        let shifted = month <= 2 ? year - 1 : year
        let monthFromMarch = (month + 9) % 12
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
        return Int64(days) * DateRange.microsecondsPerDay
    }
}

/// Reads fixed-width numbers from bytes.
struct DigitReader {
    private let text: UnsafeBufferPointer<UInt8>
    private var position = 0

    init(_ text: UnsafeBufferPointer<UInt8>) { self.text = text }

    var isAtEnd: Bool { position == text.count }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard position < text.count, UInt32(text[position]) == character.value else { return false }
        position += 1
        return true
    }

    mutating func number(_ digits: Int) -> Int? {
        guard position + digits <= text.count else { return nil }
        var value = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    /// Digits after a decimal point: microseconds, rounded down, and the width of the last digit, at least one.
    mutating func fraction() -> (microseconds: Int64, width: Int64)? {
        var (value, width, count): (Int64, Int64, Int) = (0, DateRange.microsecondsPerSecond, 0)
        while let digit = digit() {
            count += 1
            guard width > 1 else { continue }
            width /= 10
            value += Int64(digit) * width
        }
        return count == 0 ? nil : (value, width)
    }

    /// `Z` or `±hh:mm`, up to 14:00.
    mutating func offsetMinutes() -> Int? {
        if skip("Z") { return 0 }
        let sign = skip("-") ? -1 : 1
        guard sign < 0 || skip("+"), let hours = number(2), skip(":"), let minutes = number(2), minutes < 60,
            hours * 60 + minutes <= 14 * 60
        else { return nil }
        return sign * (hours * 60 + minutes)
    }

    private mutating func digit() -> Int? {
        guard position < text.count, text[position] &- UInt8(ascii: "0") < 10 else { return nil }
        position += 1
        return Int(text[position - 1] - UInt8(ascii: "0"))
    }
}
