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

    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("name", name)
            $0.member("id", id)
            $0.member("createdAt", createdAt)
            $0.member("spec", raw: specification.utf8)
            $0.member("status") {
                $0.member("state", state.rawValue)
                $0.member("ready", isReady)
                $0.member("reason", reason)
                $0.member("address", address)
                $0.member("macAddress", macAddress)
                $0.member("observed", observed)
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
    /// Nil for what the host holds and no tenant knows.
    package let tenant: String?
    package let kind: String
    /// The instance's name; of an orphan its name on the host.
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
