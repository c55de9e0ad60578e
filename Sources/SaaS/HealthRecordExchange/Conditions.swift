import ClinicalData
import CloudHTTP
import CloudIdentity
import PostgresDriver

/// The searches within conditional writes and conditional references.
struct Conditions: Sendable {
    let exchange: Exchange

    /// A search that a write depends on.
    struct Condition: Sendable {
        let plan: SearchPlan
        let search: SearchEngine
        let type: ResourceType

        /// Equal criteria lock each other out until the transaction ends: what one creates, the other finds.
        var lockKey: String { type.name + "?" + search.canonicalCriteria(plan) }

        /// The ids of up to two matches, without those that the same transaction deletes.
        func matches(besides deleted: Set<String> = [], on connection: PostgresConnection) async throws -> [String] {
            let found = try await search.matches(plan, on: connection, limit: 2 + deleted.count).map(\.id)
            return Array(found.filter { !deleted.contains($0) }.prefix(2))
        }
    }

    /// Whether what a conditional reference matches can change when resources of these types are written.
    static func isTouched(_ reference: String, byWriting types: Set<ResourceType>) -> Bool {
        guard let mark = reference.firstIndex(of: "?"), let type = ResourceType.named(String(reference[..<mark]))
        else { return false }
        let names = reference[mark...].dropFirst().split(separator: "&").map { $0.prefix { $0 != "=" } }
        return types.contains(type) || names.contains { $0.contains(".") || $0.hasPrefix("_has") }
    }

    /// The condition of each request; nil where it has none.
    func plans(for requests: [WriteRequest]) throws(FHIRFailure) -> [Condition?] {
        var conditions: [Condition?] = []
        for request in requests {
            guard let criteria = request.criteria else {
                conditions.append(nil)
                continue
            }
            do {
                conditions.append(try condition(request.type, criteria))
            } catch {
                throw error.placed(request.place)
            }
        }
        return conditions
    }

    /// `Type?criteria` → `Type/id` for each reference.
    ///
    /// - Parameter references: Each with the bundle entry that holds it.
    /// - Throws: 403 unless the token may search all of their types; 412 unless each matches exactly one resource.
    func resolve(
        _ references: [String: String], on connection: PostgresConnection
    ) async throws -> [String: String] {
        var conditions: [(reference: String, place: String, condition: Condition)] = []
        for (reference, place) in references.sorted(by: { $0.key < $1.key }) {
            guard let mark = reference.firstIndex(of: "?"), let type = ResourceType.named(String(reference[..<mark]))
            else { continue }
            let criteria = String(reference[reference.index(after: mark)...])
            do {
                conditions.append((reference, place, try condition(type, criteria)))
            } catch {
                throw error.placed(place)
            }
        }
        var links: [String: String] = [:]
        for (reference, place, condition) in conditions {
            let matches = try await condition.matches(on: connection)
            guard matches.count == 1 else {
                throw FHIRFailure(
                    412, matches.isEmpty ? "not-found" : "multiple-matches",
                    "The conditional reference '\(reference)' must match exactly one resource; it matches "
                        + (matches.isEmpty ? "none." : "several.")
                ).placed(place)
            }
            links[reference] = condition.type.name + "/" + matches[0]
        }
        return links
    }

    private func condition(_ type: ResourceType, _ criteria: String) throws(FHIRFailure) -> Condition {
        let refusal = AuditEntry(.searchType, outcome: .minorFailure, type: type, query: criteria)
        // A condition discloses whether something matches, so it needs the right to search.
        try exchange.require(.search, on: type, for: refusal)
        let query: HTTPQuery
        do {
            // What stands before a question mark is the type again: `Patient?identifier=1`, as some clients send it.
            let start = criteria.hasPrefix(type.name + "?") ? type.name.utf8.count + 1 : criteria.hasPrefix("?") ? 1 : 0
            query = try HTTPQuery(parsing: criteria.dropFirst(start))
        } catch {
            throw FHIRFailure(400, "invalid", "The criteria cannot be decoded.")
        }
        let parameters = query.parameters.filter { parameter in
            let name = String(parameter.name.prefix { $0 != ":" && $0 != "." })
            return !name.hasPrefix("_") || Self.filters.contains(name)
        }
        guard !parameters.isEmpty else {
            // Without criteria every resource of the type would match.
            throw FHIRFailure(412, "invalid", "A conditional write needs at least one search parameter.")
        }
        let principal = exchange.principal
        do {
            let plan = try exchange.services.search.plan(
                SearchRequest(
                    type: type, parameters: parameters.map { ($0.name, $0.value) }, baseURL: exchange.base),
                allowedTypes: { principal.scopes.allows(.search, on: $0.name) })
            return Condition(plan: plan, search: exchange.services.search, type: type)
        } catch {
            let failure = FHIRFailure(error)
            guard error.code == .forbidden else { throw failure }
            throw exchange.denied(failure, refusal)
        }
    }

    /// The parameters with an underscore that select; others shape an answer, which a condition has none of.
    private static let filters: Set<String> = [
        "_id", "_lastUpdated", "_tag", "_profile", "_security", "_source", "_has",
    ]
}
