import ClinicalData
import RegionalRecord
import StrictJSON

/// Gives a holder's resources the ids and references that they have outside of it, so that they stand beside those of other
/// holders and nothing in ids and references names the holder.
///
/// `id` becomes a ``SharedID``. References to the patient become references to the region's patient; other references to
/// resources of the holder, relative or absolute, and attachments' URLs of its Binaries get shared ids. Everything else stays
/// as it is.
struct ResourceRewriter: Sendable {
    let alias: RecordAlias
    /// The patient's id at the holder.
    let patientID: String
    /// The region's patient.
    let patient: RegionID
    /// The holder's FHIR base.
    let holderBase: String

    /// - Parameter bytes: a resource as the holder serves it.
    func rewritten(_ bytes: [UInt8]) throws(JSONError) -> [UInt8] {
        let document = try JSONDocument(bytes)
        var splice = JSONSplice(document)
        if let id = document.root["id"], let text = id.string {
            splice.replace(id, with: Self.quoted(SharedID(alias, text).text))
        }
        visit(document.root, &splice)
        return splice.apply()
    }

    private func visit(_ node: JSONNode, _ splice: inout JSONSplice) {
        switch node.kind {
        case .object:
            for member in node.members {
                if member.value.kind == .string {
                    let isReference = member.keyIs("reference")
                    guard isReference || member.keyIs("url"), let text = member.value.string,
                        isReference || isBinary(text), let new = replacement(text)
                    else { continue }
                    splice.replace(member.value, with: Self.quoted(new))
                } else {
                    visit(member.value, &splice)
                }
            }
        case .array:
            for element in node.elements { visit(element, &splice) }
        case .string, .number, .true, .false, .null:
            return
        }
    }

    /// Whether a URL is where an attachment has its data at the holder; other URLs are names.
    private func isBinary(_ url: String) -> Bool {
        guard case .local(let type, _) = ReferenceTarget(url, baseURL: holderBase) else { return false }
        return type.name == "Binary"
    }

    /// Nil when the reference leads elsewhere than to the holder.
    func replacement(_ reference: String) -> String? {
        guard case .local(let type, let id) = ReferenceTarget(reference, baseURL: holderBase) else { return nil }
        if type.name == "Patient", id == patientID { return "Patient/" + patient.text }
        let shared = type.name + "/" + SharedID(alias, id).text
        guard let version = reference.firstRange(of: "/_history/") else { return shared }
        return shared + reference[version.lowerBound...]
    }

    private static func quoted(_ text: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.string(text)
        return writer.bytes
    }
}
