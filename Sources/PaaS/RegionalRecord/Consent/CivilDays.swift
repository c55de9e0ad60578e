package import ClinicalData
import PostgresDriver
package import StrictJSON

/// When the days of a period begin where an institution is. A date without a time stands for all of its day there.
package struct CivilDays: Sendable, Hashable {
    /// The midnights of UTC and those of the same days there, in microseconds since 1970.
    private let midnights: [Int64: Int64]

    /// Where clocks show UTC.
    package static let utc = CivilDays(midnights: [:])

    fileprivate init(midnights: [Int64: Int64]) {
        self.midnights = midnights
    }

    /// What a date or a time of the period covers; nil when it is neither.
    package func range(_ text: String) -> DateRange? {
        guard let date = WrittenDate(text) else { return nil }
        guard !date.hasOffset else { return date.range }
        return DateRange(
            low: midnights[date.range.low] ?? date.range.low, high: midnights[date.range.high] ?? date.range.high)
    }
}

extension SharingDatabase {
    // The database of time zones is Postgres's, which has accepted the institution's.
    private static let midnightsStatement = PostgresStatement(
        """
        select (extract(epoch from (date '1970-01-01' + d.day)::timestamp at time zone $2) * 1000000)::int8
        from unnest($1::int4[]) with ordinality as d (day, place)
        order by d.place
        """)

    /// When the days begin that a Period of FHIR names.
    ///
    /// - Parameter timeZone: an IANA name.
    package func days(of period: JSONNode?, in timeZone: String) async throws(RegionalRecordError) -> CivilDays {
        let dates = ["start", "end"].compactMap { period?[$0]?.string.flatMap { WrittenDate($0) } }
        let midnights = dates.filter { !$0.hasOffset }.flatMap { [$0.range.low, $0.range.high] }
        guard !midnights.isEmpty else { return .utc }
        let rows = try await call(
            Self.midnightsStatement,
            [.int4Array(midnights.map { Int32($0 / DateRange.microsecondsPerDay) }), .text(timeZone)])
        return try Self.read { () throws(PostgresError) in
            var days: [Int64: Int64] = [:]
            for (midnight, row) in zip(midnights, rows) { days[midnight] = try row.int8(0) }
            return CivilDays(midnights: days)
        }
    }
}
