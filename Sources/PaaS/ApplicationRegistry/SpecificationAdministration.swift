package import CloudIdentity
import CloudModel
package import Coordination
import NIOCore
import PostgresDriver
import StrictJSON
package import TenantManifest
package import TenantRegistry

/// What `/v1/specification` and the operation `apply` do: the operator's alone.
package struct SpecificationAdministration: Sendable {
    /// What is on record, at one revision.
    package struct Specification: Sendable {
        package let revision: Int64
        /// A JSON array of canonical specifications, by tenant.
        package let json: String
    }

    /// How long a plan may take to be written down.
    private static let patience: TimeAmount = .seconds(25)

    private let control: ControlDatabase

    package init(control: ControlDatabase) {
        self.control = control
    }

    /// The same, where what is begun is noted with the request that began it.
    package func asked(by request: RequestKey) -> SpecificationAdministration {
        SpecificationAdministration(control: control.asked(by: request))
    }

    private static let specificationStatement = PostgresStatement(
        "select revision, specifications from control.specification($1)")

    package func specification(as principal: Principal) async throws(TenantRegistryError) -> Specification {
        try Self.requireOperator(principal)
        let result = try await control.call(
            Self.specificationStatement, [.text(ControlDatabase.region)], within: Self.patience)
        guard let row = result.first else {
            throw TenantRegistryError(.failed, "the control database has lost its count of revisions")
        }
        do throws(PostgresError) {
            return Specification(revision: try row.int8(0), json: try row.string(1))
        } catch {
            throw TenantRegistryError(error)
        }
    }

    private static let applyStatement = PostgresStatement("select control.apply($1, $2, $3, $4, $5::jsonb)")

    /// Compares again, by the same rules as the caller, and writes everything down at once.
    ///
    /// - Returns: the operation's id.
    /// - Throws: ``SpecificationError``, ``TenantRegistryError``.
    package func apply(_ request: SpecificationRequest, as principal: Principal) async throws -> String {
        let present = try await specification(as: principal)
        guard present.revision == request.revision else { throw SpecificationError.outdated }
        let plan: SpecificationPlan
        do throws(ManifestError) {
            plan = try SpecificationPlan(
                from: try Self.specifications(present.json), to: request.specifications, prune: request.prune)
        } catch {
            throw SpecificationError.refused(error.issues)
        }
        guard plan.hash == request.planHash else { throw SpecificationError.outdated }
        let missing = plan.neededPermissions.filter { !request.allowed.contains($0) }
        guard missing.isEmpty else { throw SpecificationError.notAllowed(missing) }
        let steps = try StepsWriter(keys: request.keys).json(of: plan)
        do {
            let result = try await control.call(
                Self.applyStatement,
                [
                    .text(ControlDatabase.region), .text(principal.clientID), .int8(request.revision),
                    .text(plan.hash), .text(steps),
                ],
                within: Self.patience)
            guard let id = try result.first?.string(0) else {
                throw TenantRegistryError(.failed, "the control database did not begin an operation")
            }
            return id
        } catch let error as TenantRegistryError {
            throw Self.refusal(error) ?? error
        }
    }

    /// The region's own account of itself.
    private static func specifications(_ json: String) throws(ManifestError) -> [TenantSpecification] {
        let document: JSONDocument
        do throws(JSONError) {
            document = try JSONDocument(Array(json.utf8))
        } catch {
            throw ManifestError([ManifestIssue(pointer: "", message: "the region's specification cannot be read")])
        }
        var specifications: [TenantSpecification] = []
        for element in document.root.elements {
            specifications.append(try SpecificationReader.specification(ManifestValue(element), form: .recorded))
        }
        return specifications
    }

    /// What a step was refused for, with its place; nil for what is nobody's fault.
    private static func refusal(_ error: TenantRegistryError) -> SpecificationError? {
        guard let cause = error.cause else { return nil }
        switch cause.sqlState {
        case "MCOLD": return .outdated
        case "MC404", "MC409", "MC422", "MCQTA", "MCSTA", "MCHST", "MCCEL", "23505", "23514", "23P01":
            // "/h1/clients/h1-system": the tenant, then the pointer within it.
            let place = (cause.hint ?? "").split(separator: "/", maxSplits: 1).map(String.init)
            let pointer = place.count > 1 ? "/" + place[1] : ""
            let isOurs = cause.sqlState?.hasPrefix("MC") ?? false
            return .refused([
                ManifestIssue(
                    tenant: place.first, pointer: pointer, message: isOurs ? cause.serverMessage : error.message)
            ])
        default: return nil
        }
    }

    private static func requireOperator(_ principal: Principal) throws(TenantRegistryError) {
        guard principal.kind == .operator, principal.tenant == nil else {
            throw TenantRegistryError(.denied, "this needs an operator")
        }
    }
}

/// Why a plan is not carried out.
package enum SpecificationError: Error, Sendable, Hashable {
    /// The region is not as it was when the plan was made.
    case outdated
    /// It would replace or delete, and nobody allowed that.
    case notAllowed([SpecificationChange.Effect])
    /// It cannot be, or not now; each with its tenant and a pointer by names.
    case refused([ManifestIssue])
}

/// What `POST /v1/operations` asks for.
package struct SpecificationRequest: Sendable {
    package let specifications: [TenantSpecification]
    package let revision: Int64
    package let planHash: String
    package let prune: Bool
    package let allowed: [SpecificationChange.Effect]
    /// Public keys for clients that ask for a key pair of their own, by tenant and client.
    package let keys: [String: [String: JSONWebKeySet]]

    package init(
        specifications: [TenantSpecification], revision: Int64, planHash: String, prune: Bool,
        allowed: [SpecificationChange.Effect], keys: [String: [String: JSONWebKeySet]]
    ) {
        self.specifications = specifications
        self.revision = revision
        self.planHash = planHash
        self.prune = prune
        self.allowed = allowed
        self.keys = keys
    }
}
