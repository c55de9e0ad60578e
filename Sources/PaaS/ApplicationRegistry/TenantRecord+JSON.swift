package import CloudIdentity
import CloudModel
package import StrictJSON
import TenantManifest
package import TenantRegistry

extension NewTenant {
    /// Reads the body of `POST /v1/tenants`:
    /// `{"id", "name", "timeZone", "language", "kind"?, "labels"?: {…}}`.
    ///
    /// - Throws: `invalid-value` with the member that is wrong or unknown.
    package init(json node: JSONNode) throws(TenantRegistryError) {
        let object = try RequestObject(node, known: ["id", "name", "timeZone", "language", "kind", "labels"])
        let word = try object.optionalText("kind") ?? TenantRecord.Kind.hospital.rawValue
        guard let kind = TenantRecord.Kind(rawValue: word) else {
            let known = TenantRecord.Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw TenantRegistryError.invalid("kind", "must be one of \(known)")
        }
        self.init(
            id: try object.text("id"), name: try object.text("name", .displayName),
            timeZone: try object.text("timeZone"),
            language: try object.text("language"), kind: kind, labels: try object.labels("labels"))
    }
}

extension TenantRecord {
    /// The JSON of `/v1`.
    package func write(to writer: inout JSONWriter, endpoints: IdentityEndpoints) {
        writer.object {
            $0.member("id", id)
            $0.member("name", name)
            $0.member("timeZone", timeZone)
            $0.member("language", language)
            $0.member("kind", kind.rawValue)
            $0.member("labels") { object in
                for (key, value) in labels.sorted(by: { $0.key < $1.key }) { object.member(key, value) }
            }
            $0.member("state", state.rawValue)
            $0.member("error", error)
            $0.member("createdAt", createdAt)
            $0.member("operation", operation)
            if let tenant = TenantID(id) {
                if kind != .partner { $0.member("fhirBase", endpoints.fhirBase(tenant)) }
                $0.member("tokenEndpoint", endpoints.token(tenant))
            }
        }
    }
}
