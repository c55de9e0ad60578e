// What one resource contributes to the search index.

/// The index rows of one resource, by table. Rows are distinct, and sorted within each table.
package struct IndexRows: Sendable {
    /// `system` is empty when there is none. A `Reference.identifier` stands here under the reference parameter's id,
    /// for the modifier `:identifier`.
    package var tokens: [(parameter: Int32, system: String, code: String)] = []
    /// `folded` is `TextFolding.folded(value)`. Texts and displays of tokens stand here under the token parameter's
    /// id, for the modifier `:text`.
    package var strings: [(parameter: Int32, folded: String, value: String)] = []
    /// Microseconds since 1970, half-open: `low` ≤ t < `high`. An open end is `Self.beginning` or `Self.end`.
    package var dates: [(parameter: Int32, low: Int64, high: Int64)] = []
    /// `targetType` is 0 for an absolute URL, a canonical or anything else that names no type here; `targetID` is then
    /// the whole text.
    package var references: [(parameter: Int32, targetType: Int16, targetID: String)] = []
    /// Decimal text, half-open: `low` ≤ x < `high` as the significant digits say. `low` is "-Infinity" and `high`
    /// "Infinity" where a range is open. Numbers stand here too, without system, code and unit.
    package var quantities:
        [(parameter: Int32, low: String, high: String, system: String, code: String, unit: String)] = []
    package var uris: [(parameter: Int32, value: String)] = []
    /// The id of the patient the resource is about: its own for a Patient, else the first reference to a Patient by
    /// which it belongs to the patient compartment.
    package var patient: String?
    /// A hash of all rows and the patient, the same in every process: unchanged index, unchanged hash.
    package var hash: Int64 = 0

    /// The open beginning of a date range.
    package static let beginning = Int64.min
    /// The open end of a date range.
    package static let end = Int64.max

    package init() {}
}
