import ClinicalData
import CloudHTTP
import CloudModel
import Crypto
import HTTPTypes
import NIOCore
import StrictJSON
import Synchronization

/// `metadata`: what this server serves, from the tables by which requests are routed and searches planned. What is
/// declared is served, and nothing else.
final class CapabilityStatement: Sendable {
    private let definitions: Definitions
    private let search: SearchCapabilities
    /// By FHIR base. One base a tenant, so the number is bounded; at the bound all are dropped.
    private let cache = Mutex<[String: Statement]>([:])
    private static let maximumCached = 256
    /// Everything but the base's URLs, made at the first request: some hundred kilobytes for 146 types.
    private let resources: Mutex<[UInt8]?> = Mutex(nil)

    init(definitions: Definitions) {
        self.definitions = definitions
        search = SearchCapabilities(definitions: definitions)
    }

    private struct Statement: Sendable {
        let bytes: ByteBuffer
        /// Changes whenever the statement does (FHIR R4 http.html#capabilities).
        let tag: EntityTag
    }

    /// The statement of the server at `base`; 304 when the client has it already.
    func answer(base: String, _ headers: HTTPFields) -> Answer {
        let known = statement(base: base)
        var answer = Answer(status: 200)
        answer.tag = known.tag
        switch headers[.ifNoneMatch].flatMap({ EntityTagCondition(parsing: $0) }) {
        case .tags(let tags) where tags.contains(where: { $0.value == known.tag.value }): answer.status = 304
        case .any: answer.status = 304
        case .tags, nil: answer.resource = known.bytes
        }
        return answer
    }

    private func statement(base: String) -> Statement {
        if let known = cache.withLock({ $0[base] }) { return known }
        let bytes = statement(base)
        let digest = SHA256.hash(data: bytes).prefix(12)
        let made = Statement(
            bytes: ByteBuffer(bytes: bytes), tag: EntityTag(Base64URL.encode(Array(digest)), isWeak: true))
        cache.withLock { cache in
            if cache.count >= Self.maximumCached { cache = [:] }
            cache[base] = made
        }
        return made
    }

    private func statement(_ base: String) -> [UInt8] {
        let resources = self.resources.withLock { known in
            if let known { return known }
            let made = resourceList()
            known = made
            return made
        }
        var json = JSONWriter(reservingCapacity: resources.count + 8192)
        json.object { json in
            json.member("resourceType", "CapabilityStatement")
            json.member("status", "active")
            json.member("date", "2026-11-21")
            json.member("kind", "instance")
            json.member("software") { json in
                json.member("name", "medcloud")
                json.member("version", "1.0")
            }
            json.member("implementation") { json in
                json.member("description", "FHIR R4 over the records of one institution")
                json.member("url", base)
            }
            json.member("fhirVersion", "4.0.1")
            json.arrayMember("format") { json in
                json.string("application/fhir+json")
                json.string("json")
            }
            json.strings("patchFormat", ContentNegotiation.patchFormats)
            json.arrayMember("rest") { json in
                json.object { json in
                    json.member("mode", "server")
                    Self.security(base, &json)
                    json.member("resource", raw: resources)
                    json.arrayMember("interaction") { json in
                        for code in ["transaction", "batch", "search-system", "history-system"] {
                            json.object { $0.member("code", code) }
                        }
                    }
                    json.arrayMember("searchParam") { json in
                        for parameter in search.commonParameters() { Self.parameter(parameter, &json) }
                    }
                }
            }
        }
        return json.bytes
    }

    private static func security(_ base: String, _ json: inout JSONWriter) {
        let root = base.hasSuffix("/fhir") ? String(base.dropLast(5)) : base
        json.member("security") { json in
            json.arrayMember("extension") { json in
                json.object { json in
                    json.member("url", "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris")
                    json.arrayMember("extension") { json in
                        for (name, path) in [("token", "token"), ("introspect", "introspect"), ("revoke", "revoke")] {
                            json.object { json in
                                json.member("url", name)
                                json.member("valueUri", root + "/oauth2/" + path)
                            }
                        }
                    }
                }
            }
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
        }
    }

    private func resourceList() -> [UInt8] {
        var json = JSONWriter(reservingCapacity: 1 << 20)
        json.array { json in
            for type in definitions.types { resource(type, &json) }
        }
        return json.bytes
    }

    private static let interactions = [
        "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
    ]

    private func resource(_ type: ResourceType, _ json: inout JSONWriter) {
        json.object { json in
            json.member("type", type.name)
            json.arrayMember("interaction") { json in
                for code in type.isAuditEvent ? ["read", "search-type"] : Self.interactions {
                    json.object { $0.member("code", code) }
                }
            }
            if !type.isAuditEvent {
                json.member("versioning", "versioned-update")
                json.member("readHistory", true)
                json.member("updateCreate", true)
                json.member("conditionalCreate", true)
                json.member("conditionalRead", "full-support")
                json.member("conditionalUpdate", true)
                json.member("conditionalDelete", "single")
                json.arrayMember("referencePolicy") { json in
                    json.string("literal")
                    json.string("logical")
                }
            }
            json.strings("searchInclude", search.includes(of: type))
            json.strings("searchRevInclude", search.reverseIncludes(of: type))
            json.arrayMember("searchParam") { json in
                for parameter in search.parameters(of: type) { Self.parameter(parameter, &json) }
            }
        }
    }

    private static func parameter(_ parameter: SearchCapabilities.Parameter, _ json: inout JSONWriter) {
        json.object { json in
            json.member("name", parameter.name)
            if let url = parameter.url { json.member("definition", url) }
            json.member("type", parameter.type)
            var notes: [String] = []
            if !parameter.modifiers.isEmpty {
                notes.append("Modifiers: " + parameter.modifiers.map { ":" + $0 }.joined(separator: " ") + ".")
            }
            if !parameter.prefixes.isEmpty {
                notes.append("Prefixes: " + parameter.prefixes.map(\.rawValue).joined(separator: " ") + ".")
            }
            if !notes.isEmpty { json.member("documentation", notes.joined(separator: " ")) }
        }
    }
}

extension JSONWriter {
    /// An array of strings; nothing when there are none, because an empty array is no FHIR.
    fileprivate mutating func strings(_ key: String, _ values: [String]) {
        guard !values.isEmpty else { return }
        arrayMember(key) { json in
            for value in values { json.string(value) }
        }
    }
}
