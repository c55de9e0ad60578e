package import StrictJSON

/// A network as the platform API shows it.
package struct NetworkDescription: Sendable, Hashable {
    package let name: String
    package let cidr: String
    /// `requested`, `ready`, `deleting` or `failed`.
    package let state: String
    package let reason: String?
    /// The operation that makes or removes it.
    package let operation: String?
    /// How many instances have an address in it.
    package let instances: Int64
    /// RFC 3339, UTC.
    package let createdAt: String

    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("name", name)
            $0.member("createdAt", createdAt)
            $0.member("spec") { $0.member("cidr", cidr) }
            $0.member("status") {
                $0.member("state", state)
                $0.member("reason", reason)
                $0.member("instances", instances)
                $0.member("operation", operation)
            }
        }
    }
}

/// An instance as the platform API shows it: what was asked for, and what is.
package struct InstanceDescription: Sendable, Hashable {
    /// UUID, also the machine's.
    package let id: String
    package let name: String
    /// What was asked for, JSON.
    package let specification: String
    package let macAddress: String
    package let address: String
    package let state: InstanceState
    /// What the hypervisor said last.
    package let observed: String?
    package let isReady: Bool
    /// Why it is not ready.
    package let reason: String?
    /// How often it was started again after it ended by itself.
    package let restarts: Int
    /// The operation under way.
    package let operation: String?
    /// RFC 3339, UTC.
    package let createdAt: String
    package let changedAt: String
    /// When the controller looked at the hypervisor last; nil is never.
    package let seenAt: String?
    /// Whether what was seen then still counts. State, readiness and reason above are as of then.
    package let isKnown: Bool
    /// Whether the region has a hypervisor at all.
    package let hasCompute: Bool

    /// What the API says of the state: what the machine does by itself nobody knows without looking; what an operation does,
    /// and what never came to be, is on record.
    package var shownState: String {
        switch state {
        case .running, .stopped, .crashed: isKnown || operation != nil ? state.rawValue : "unknown"
        case .requested, .starting, .stopping, .rebooting, .updating, .deleting, .failed: state.rawValue
        }
    }

    private var shownReason: String? {
        guard !isKnown else { return reason }
        let cause = hasCompute ? "the hypervisor does not answer" : "this region runs without compute"
        guard let seenAt else { return "\(cause), and the machine was never seen" }
        return "\(cause); the machine was \(observed ?? "not there") when it was last seen at \(seenAt)"
    }

    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("name", name)
            $0.member("id", id)
            $0.member("createdAt", createdAt)
            $0.member("spec", raw: specification.utf8)
            $0.member("status") {
                $0.member("state", shownState)
                $0.member("ready", isReady && isKnown)
                $0.member("reason", shownReason)
                $0.member("address", address)
                $0.member("macAddress", macAddress)
                $0.member("observed", observed)
                $0.member("seenAt", seenAt)
                $0.member("restarts", restarts)
                $0.member("operation", operation)
                $0.member("changedAt", changedAt)
            }
        }
    }
}

/// A base image that instances can be made from.
package struct ImageDescription: Sendable, Hashable {
    package let name: String
    /// Bytes.
    package let disk: Int64
    /// The least it boots with, in bytes.
    package let memory: Int64
    package let sha256: String

    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("name", name)
            $0.member("disk", disk)
            $0.member("memory", memory)
            $0.member("sha256", sha256)
        }
    }
}

/// A difference between what was asked for and what is.
package struct DriftDescription: Sendable, Hashable {
    /// Nil for what the host or a cell holds and no tenant knows.
    package let tenant: String?
    /// The name on the host or in the cell.
    package let resource: String
    package let kind: String
    /// The instance's name; of an orphan its resource.
    package let name: String
    package let expected: String
    package let found: String
    /// `reported`, `repairing` or `given-up`.
    package let action: String
    /// RFC 3339, UTC.
    package let since: String

    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("tenant", tenant)
            $0.member("kind", kind)
            $0.member("name", name)
            $0.member("expected", expected)
            $0.member("found", found)
            $0.member("action", action)
            $0.member("since", since)
        }
    }
}
