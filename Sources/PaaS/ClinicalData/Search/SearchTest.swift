/// An index table of the tenant's schema.
enum IndexTable: String, Sendable, Hashable {
    case token, string, date, reference, quantity, uri

    /// The qualified name for SQL.
    var name: String { "fhir." + rawValue }
}

/// The comparison in front of a date, number or quantity.
package enum SearchPrefix: String, Sendable, Hashable, CaseIterable {
    case eq, ne, gt, lt, ge, le, sa, eb, ap
}

/// A date range of a search value: µs since 1970, half-open.
struct DateTest: Sendable, Hashable {
    let prefix: SearchPrefix
    let low: Int64
    let high: Int64
}

/// A number of a search value: its exact value and the range that its significant digits leave open, half-open.
struct NumberTest: Sendable, Hashable {
    let prefix: SearchPrefix
    let value: String
    let low: String
    let high: String
}

/// What one row of an index table must be like. The table gives the test its meaning.
enum IndexTest: Sendable, Hashable {
    /// Both nil is never made. An empty system stands for "no system".
    case token(system: String?, code: String?)
    /// Folded text that a folded value begins with.
    case prefix(String)
    /// Folded text that a folded value contains.
    case contains(String)
    /// The text itself, and folded for the index.
    case exact(folded: String, value: String)
    case date(DateTest)
    /// One of these targets; a type of 0 stands for absolute URLs.
    case reference(types: [Int16], id: String)
    /// A canonical URL without a version: any version of it.
    case canonical(String)
    case number(NumberTest)
    /// `anyUnit`: the code may also stand in the unit (`5.4||mg`).
    case quantity(NumberTest, system: String?, code: String?)
    case uri(String)
}

/// Rows of one index table under one of several parameter ids that pass one of several tests.
struct IndexFilter: Sendable, Hashable {
    let table: IndexTable
    let parameters: [Int32]
    let tests: [IndexTest]
    /// More tests of the same row, one of each list; only where a resource has one row.
    var others: [[IndexTest]] = []
}

/// One condition on the resources that are searched; a plan's conditions all hold.
indirect enum SearchFilter: Sendable, Hashable {
    /// Some index row passes.
    case any(IndexFilter)
    /// No index row passes (`:not`).
    case none(IndexFilter)
    /// There are index rows of these parameters in one of the tables, or there are none (`:missing`).
    case present(tables: [IndexTable], parameters: [Int32], Bool)
    case id([String])
    case lastUpdated([DateTest])
    /// References to a resource that passes, for each target type on its own.
    case chain(parameters: [Int32], branches: [ChainBranch])
    /// Referred to by a resource that passes (`_has`).
    case referredToBy(parameter: Int32, SearchFilter, sourceType: Int16, canonical: CanonicalLink?)
    /// In the compartment of a resource: refers to it by one of the parameters, or is the resource itself.
    case compartment(parameters: [Int32], type: Int16, id: String, includesItself: Bool)
}

/// The end of a chain: resources of a type that pass.
struct ChainBranch: Sendable, Hashable {
    let type: Int16
    let filter: SearchFilter
    var canonical: CanonicalLink?
}

/// References by canonical URL: what they name has the URL as its `url` and, where they have a version, that `version`.
struct CanonicalLink: Sendable, Hashable {
    /// The reference parameters.
    var parameters: [Int32]
    /// The parameters `url` and `version` of the types at the far end.
    let urls: [Int32]
    let versions: [Int32]
}
