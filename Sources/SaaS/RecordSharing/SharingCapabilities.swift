import ClinicalData
import CloudHTTP
import NIOCore
import StrictJSON

/// `metadata` of the region's base: what is declared is served, and nothing else.
struct SharingCapabilities: Sendable {
    let definitions: Definitions

    func bytes(base: String) -> ByteBuffer {
        var json = JSONWriter(reservingCapacity: 1 << 17)
        json.object { json in
            json.member("resourceType", "CapabilityStatement")
            json.member("status", "active")
            json.member("date", "2026-11-29")
            json.member("kind", "instance")
            json.member("software") { json in
                json.member("name", "medcloud")
                json.member("version", "1.0")
            }
            json.member("implementation") { json in
                json.member(
                    "description",
                    "FHIR R4 over the records of the region's institutions, as far as the patients' consents permit")
                json.member("url", base)
            }
            json.member("fhirVersion", "4.0.1")
            json.arrayMember("format") { json in
                json.string("application/fhir+json")
                json.string("json")
            }
            json.arrayMember("rest") { json in
                json.object { json in
                    json.member("mode", "server")
                    Self.security(base, &json)
                    json.arrayMember("resource") { json in
                        for type in types { resource(type, &json) }
                    }
                }
            }
        }
        return ByteBuffer(bytes: json.bytes)
    }

    private static func security(_ base: String, _ json: inout JSONWriter) {
        json.member("security") { json in
            json.arrayMember("service") { json in
                json.object { json in
                    json.arrayMember("coding") { json in
                        json.object { json in
                            json.member(
                                "system", "http://terminology.hl7.org/CodeSystem/restful-security-service")
                            json.member("code", "SMART-on-FHIR")
                        }
                    }
                }
            }
            json.member("description", "Endpoints: \(base)/.well-known/smart-configuration")
        }
    }

    private var types: [ResourceType] { definitions.types.filter(definitions.isAboutPatients) }

    private func resource(_ type: ResourceType, _ json: inout JSONWriter) {
        json.object { json in
            json.member("type", type.name)
            json.arrayMember("interaction") { json in
                for code in interactions(type) { json.object { $0.member("code", code) } }
            }
            if type != .auditEvent {
                json.member("versioning", Self.isWritten(type) ? "versioned-update" : "versioned")
                json.member("readHistory", true)
            }
            json.arrayMember("searchParam") { json in
                for (name, kind) in parameters(type) {
                    json.object { json in
                        json.member("name", name)
                        json.member("type", kind)
                    }
                }
            }
            if type == .patient {
                json.arrayMember("operation") { json in
                    json.object { json in
                        json.member("name", "everything")
                        json.member("definition", "http://hl7.org/fhir/OperationDefinition/Patient-everything")
                    }
                }
            }
        }
    }

    /// The types of which the region has resources of its own that clients write.
    private static func isWritten(_ type: ResourceType) -> Bool { type == .consent || type == .flag }

    private func interactions(_ type: ResourceType) -> [String] {
        if type == .auditEvent { return ["search-type"] }
        let reads = ["read", "vread", "history-instance", "search-type"]
        return Self.isWritten(type) ? reads + ["create", "update"] : reads
    }

    private func parameters(_ type: ResourceType) -> [(String, String)] {
        if type == .patient { return [("identifier", "token")] }
        if type == .auditEvent { return [("patient", "reference")] }
        if type == .consent { return [("patient", "reference"), ("status", "token")] }
        let own = SearchCapabilities(definitions: definitions).parameters(of: type)
            .filter { $0.type != "reference" && $0.name != "_id" }.map { ($0.name, $0.type) }
        // subject: by identifier, `subject:identifier=system|value`, the entries of the blacklist.
        let ofRegion = type == .flag ? [("subject", "reference"), ("status", "token")] : []
        return [("patient", "reference")] + ofRegion + own
    }
}
