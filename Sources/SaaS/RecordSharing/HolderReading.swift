import ClinicalData
import CloudHTTP
import CloudIdentity
import CloudModel
import Logging
import NIOCore
import PostgresDriver
import RegionalRecord
import TenantRegistry

/// Reads holders' databases, each with the decision that permits it and within a time of its own. What is read and the audit
/// event that says so are one transaction there: when the event cannot be written, nothing is answered.
struct HolderReading: Sendable {
    let exchange: SharingExchange

    /// What came of one holder.
    enum Part<Value: Sendable>: Sendable {
        case answer(Value)
        /// It did not answer in time, or not at all.
        case missing
    }

    /// Reads every holder that `decisions` permit, some at a time.
    ///
    /// - Returns: in the order of `decisions`.
    /// - Throws: what is the request's fault, `Problem` and `SearchError`; a holder's own failures are ``Part/missing``.
    func all<Value: Sendable>(
        _ decisions: [SharingDecision],
        _ body: @escaping @Sendable (SharingDecision, PostgresConnection) async throws -> Value
    ) async throws -> [Part<Value>] {
        try await withThrowingTaskGroup(of: (Int, Part<Value>).self) { group in
            var parts = [Part<Value>](repeating: .missing, count: decisions.count)
            var next = 0
            while next < min(exchange.services.settings.parallelHolders, decisions.count) {
                let index = next
                group.addTask { (index, try await one(decisions[index], body)) }
                next += 1
            }
            while let (index, part) = try await group.next() {
                parts[index] = part
                if next < decisions.count {
                    let index = next
                    group.addTask { (index, try await one(decisions[index], body)) }
                    next += 1
                }
            }
            return parts
        }
    }

    /// Reads one holder in a transaction.
    func one<Value: Sendable>(
        _ decision: SharingDecision,
        _ body: @escaping @Sendable (SharingDecision, PostgresConnection) async throws -> Value
    ) async throws -> Part<Value> {
        let limit = exchange.services.settings.holderDeadline.components
        let own = NIODeadline.now() + .seconds(limit.seconds) + .nanoseconds(limit.attoseconds / 1_000_000_000)
        // The answer still has to be put together.
        let deadline = min(own, exchange.deadline - .milliseconds(250))
        do {
            let database = try await exchange.services.holders.open(decision.access)
            guard database.tenant.database == decision.database else {
                exchange.logger.warning(
                    "a holder's records are those of its former database",
                    metadata: ["tenant.id": "\(decision.holder)"])
                return .missing
            }
            return .answer(
                try await database.pool.withTransaction(deadline: deadline) { try await body(decision, $0) })
        } catch let error as Problem {
            throw error
        } catch let error as SearchError {
            throw error
        } catch let error as CancellationError {
            throw error
        } catch {
            exchange.logger.warning(
                "a holder does not answer",
                metadata: ["tenant.id": "\(decision.holder)", "error": "\(error)"])
            return .missing
        }
    }

    /// Appends the holder's own audit events, in the transaction of the reading.
    func record(_ entry: AuditEntry, of decision: SharingDecision, on connection: PostgresConnection) async throws {
        try await exchange.services.auditLog.record([entry], audit(decision), on: connection)
    }

    /// Who asks, as the holder's log says it: client ids of the region stand behind their institution, so that they are never
    /// taken for the holder's own.
    func audit(_ decision: SharingDecision) -> AuditContext {
        let asker = exchange.asker
        return AuditContext(
            client: asker.institution.rawValue + "/" + asker.client, practitioner: asker.practitioner,
            purpose: asker.purpose, requestID: asker.requestID, source: asker.source,
            origin: decision.access.origin.rawValue)
    }

    /// The FHIR base of a holder, to which its absolute references lead.
    func base(of decision: SharingDecision) -> String {
        exchange.services.endpoints.fhirBase(decision.holder)
    }

    func rewriter(_ decision: SharingDecision, patient: RegionID) -> ResourceRewriter {
        ResourceRewriter(
            alias: decision.alias, patientID: decision.patientID, patient: patient, holderBase: base(of: decision))
    }

    /// A search for what of one type is about the decision's patient; nil when the type is not permitted.
    func plan(
        _ type: ResourceType, _ parameters: [(name: String, value: String)], for decision: SharingDecision
    ) throws(SearchError) -> SearchPlan? {
        guard decision.permits(type) else { return nil }
        return try search(type, parameters, decision)
    }

    /// A search over what is about the decision's patient; nil when none of the types is permitted.
    ///
    /// - Parameter types: nil = all.
    func plan(
        everything types: [ResourceType]?, _ parameters: [(name: String, value: String)], for decision: SharingDecision
    ) throws(SearchError) -> SearchPlan? {
        let wanted = types ?? exchange.services.definitions.types.filter(exchange.isAboutPatients)
        let allowed = wanted.filter { exchange.principal.scopes.allows(.read, on: $0.name) && decision.permits($0) }
        guard !allowed.isEmpty else { return nil }
        let limit = [(name: "_type", value: allowed.map(\.name).joined(separator: ","))]
        return try search(nil, parameters + (types == nil && allowed == wanted ? [] : limit), decision)
    }

    private func search(
        _ type: ResourceType?, _ parameters: [(name: String, value: String)], _ decision: SharingDecision
    ) throws(SearchError) -> SearchPlan {
        try exchange.services.search.plan(
            SearchRequest(
                type: type,
                compartment: SearchRequest.Compartment(type: .patient, id: decision.patientID, isStrict: true),
                parameters: parameters, baseURL: base(of: decision)),
            // Conditions on another type than the one that is searched are refused before this, so nothing is chained to.
            allowedTypes: { $0 != .auditEvent })
    }
}

extension ResourceType {
    /// The type whose compartment everything here is about.
    static let patient: ResourceType = {
        guard let type = ResourceType.named("Patient") else { preconditionFailure("R4 has patients") }
        return type
    }()
    static let consent: ResourceType = {
        guard let type = ResourceType.named("Consent") else { preconditionFailure("R4 has consents") }
        return type
    }()
    static let flag: ResourceType = {
        guard let type = ResourceType.named("Flag") else { preconditionFailure("R4 has flags") }
        return type
    }()
    static let auditEvent: ResourceType = {
        guard let type = ResourceType.named("AuditEvent") else { preconditionFailure("R4 has audit events") }
        return type
    }()
}
