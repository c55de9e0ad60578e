import ClinicalData
import RegionalRecord

/// The id of a resource outside of its holder: the alias of the record that it belongs to, a dot, and its id there. One holder's
/// resources have another prefix for each patient, and the prefix says nothing.
struct SharedID: Sendable, Hashable {
    let alias: RecordAlias
    /// The id at the holder.
    let localID: String

    init?(_ text: String) {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard text.utf8.count <= 64, parts.count == 2, let alias = RecordAlias(parts[0]),
            ResourceID.isValid(parts[1])
        else { return nil }
        self.alias = alias
        localID = String(parts[1])
    }

    init(_ alias: RecordAlias, _ localID: String) {
        self.alias = alias
        self.localID = localID
    }

    var text: String { alias.text + "." + localID }

    /// FHIR's ids have 64 characters at most, so an id of more than 55 cannot be one of these.
    var isWritable: Bool { text.utf8.count <= 64 }
}
