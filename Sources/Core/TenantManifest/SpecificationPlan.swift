package import CloudModel
import Crypto
package import StrictJSON

/// The difference between what is on record and what is asked for, as changes to show and steps to carry out.
///
/// Equal inputs give equal plans, whatever order they come in.
package struct SpecificationPlan: Sendable, Hashable {
    /// By tenant, and within a tenant from the whole to its parts.
    package let changes: [SpecificationChange]
    /// In the order in which they can be carried out.
    package let steps: [PlanStep]

    /// Compares.
    ///
    /// - Parameters:
    ///   - current: what the region has on record, whole.
    ///   - desired: what is asked for; each tenant once.
    ///   - prune: whether tenants that nobody asks for are to be deleted; otherwise they stay as they are.
    /// - Throws: ``ManifestError`` for what cannot be done at all, pointers by name.
    package init(
        from current: [TenantSpecification], to desired: [TenantSpecification], prune: Bool = false
    ) throws(ManifestError) {
        let before = Dictionary(current.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let subjects = Set(desired.map(\.id))
        let remaining = prune ? [] : current.filter { !subjects.contains($0.id) }
        var issues = desired.flatMap(\.issues)
        issues += SpecificationRules.issues(among: desired + remaining, of: subjects)
        // The rest takes each tenant to be there once.
        guard subjects.count == desired.count else { throw ManifestError(issues) }

        var comparison = SpecificationComparison()
        for specification in desired.sorted(by: { $0.id.rawValue < $1.id.rawValue }) {
            comparison.compare(before[specification.id], specification)
        }
        if prune {
            for specification in current.sorted(by: { $0.id.rawValue < $1.id.rawValue })
            where !subjects.contains(specification.id) {
                comparison.remove(specification)
            }
        }
        issues += comparison.issues
        guard issues.isEmpty else { throw ManifestError(issues) }
        // A client that changes its realm is made and deleted under one path.
        changes = comparison.changes.sorted {
            ($0.tenant.rawValue, $0.path, $0.effect.rawValue) < ($1.tenant.rawValue, $1.path, $1.effect.rawValue)
        }
        steps = comparison.orderedSteps
    }

    package var isEmpty: Bool { changes.isEmpty }

    /// SHA-256 over the changes in canonical form, lower-case hexadecimal: the same for everyone who compares the same.
    package var hash: String {
        var writer = JSONWriter(reservingCapacity: 256 * (changes.count + 1))
        write(to: &writer)
        return SHA256.hash(data: writer.bytes).map { byte in
            let digits = Array("0123456789abcdef")
            return String([digits[Int(byte >> 4)], digits[Int(byte & 0xF)]])
        }.joined()
    }

    /// The changes as a JSON array.
    package func write(to writer: inout JSONWriter) {
        writer.array { list in for change in changes { change.write(to: &list) } }
    }

    /// Effects that must be allowed by name, as far as they occur.
    package var neededPermissions: [SpecificationChange.Effect] {
        SpecificationChange.Effect.allCases.filter { effect in
            effect.needsPermission && changes.contains { $0.effect == effect }
        }
    }

    /// Clients that are made with a key pair of their own: whoever applies the plan gives their public keys.
    package var generatedKeys: [(tenant: TenantID, client: TenantClient)] {
        steps.compactMap { step in
            if case .createClient(let tenant, let client) = step, client.keys == .generate { return (tenant, client) }
            return nil
        }
    }
}
