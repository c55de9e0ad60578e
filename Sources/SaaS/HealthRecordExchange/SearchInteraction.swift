import ClinicalData
import CloudHTTP
import CloudIdentity
import NIOCore
import PostgresDriver

/// search-type, search-system and searches within a compartment.
struct SearchInteraction: Sendable {
    let exchange: Exchange

    /// - Parameters:
    ///   - parameters: Of the URL and, for `_search`, of the form.
    ///   - handling: Of the Prefer header.
    func run(
        _ type: ResourceType?, compartment: SearchRequest.Compartment?, parameters: [HTTPQuery.Parameter],
        handling: SearchRequest.Handling, in session: Session
    ) async throws -> Answer {
        let query = HTTPQuery(parameters).text
        let entry = { (outcome: AuditOutcome) in
            AuditEntry(
                type == nil ? .searchSystem : .searchType, outcome: outcome, type: type,
                patient: Self.patient(type, compartment, parameters), query: query)
        }
        let scopes = exchange.principal.scopes
        if let type { try exchange.require(.search, on: type, for: entry(.minorFailure)) }
        let request = SearchRequest(
            type: type, compartment: compartment,
            parameters: parameters.filter { $0.name != "_format" && $0.name != "_pretty" }.map { ($0.name, $0.value) },
            handling: handling, baseURL: exchange.base)
        let engine = exchange.services.search
        let plan: SearchPlan
        do {
            plan = try engine.plan(request, allowedTypes: { scopes.allows(.search, on: $0.name) })
        } catch {
            let failure = FHIRFailure(error)
            throw error.code == .forbidden ? exchange.denied(failure, entry(.minorFailure)) : failure
        }
        let exchange = exchange
        let recorded = entry(.success)
        let bytes: [UInt8]
        do {
            bytes = try await session.withConnection { connection in
                let bytes = try await engine.run(
                    plan, on: connection, tenant: exchange.tenant, baseURL: exchange.base)
                // Committed before the answer leaves; on the same connection, so that no second one is waited for.
                try await exchange.services.auditLog.record([recorded], exchange.audit, on: connection)
                return bytes
            }
        } catch let error as SearchError {
            throw FHIRFailure(error)
        }
        var answer = Answer(status: 200)
        answer.resource = ByteBuffer(bytes: bytes)
        return answer
    }

    /// The patient whom a search is about, when the request itself names exactly one.
    private static func patient(
        _ type: ResourceType?, _ compartment: SearchRequest.Compartment?, _ parameters: [HTTPQuery.Parameter]
    ) -> String? {
        if let compartment { return compartment.type.name == "Patient" ? compartment.id : nil }
        for parameter in parameters {
            let value: Substring
            switch parameter.name {
            case "patient":
                value = parameter.value.hasPrefix("Patient/") ? parameter.value.dropFirst(8) : parameter.value[...]
            case "subject" where parameter.value.hasPrefix("Patient/"): value = parameter.value.dropFirst(8)
            case "_id" where type?.name == "Patient": value = parameter.value[...]
            default: continue
            }
            if ResourceID.isValid(value) { return String(value) }
        }
        return nil
    }
}
