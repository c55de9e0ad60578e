package import StrictJSON

/// What a tenant may use of one kind, and what it uses.
package struct Quota: Sendable, Hashable {
    /// `instances`, `running`, `vcpus`, `memory`, `storage` or `networks`; sizes are in bytes.
    package let dimension: String
    package let limit: Int64
    package let used: Int64

    package init(dimension: String, limit: Int64, used: Int64) {
        self.dimension = dimension
        self.limit = limit
        self.used = used
    }

    package func write(to writer: inout JSONWriter) {
        writer.member(dimension) {
            $0.member("limit", limit)
            $0.member("used", used)
            $0.member("remaining", limit - used)
        }
    }
}
