/// What went wrong at the hypervisor.
package struct VirtualizationError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String, Sendable {
            case unavailable
            case notFound = "not-found"
            case inUse = "in-use"
            case conflict
            case unsupported
            case noSpace = "no-space"
            case timedOut = "timed-out"
            case failed
        }
        private let kind: Kind

        /// The hypervisor does not answer now; try again later.
        package static let unavailable = Code(kind: .unavailable)
        /// The domain, network, volume or image is not there.
        package static let notFound = Code(kind: .notFound)
        /// Something still uses it.
        package static let inUse = Code(kind: .inUse)
        /// It is there in another shape, or in a state that does not allow this.
        package static let conflict = Code(kind: .conflict)
        /// This hypervisor cannot do it.
        package static let unsupported = Code(kind: .unsupported)
        /// The storage is full.
        package static let noSpace = Code(kind: .noSpace)
        package static let timedOut = Code(kind: .timedOut)
        package static let failed = Code(kind: .failed)

        package var description: String { kind.rawValue }
    }

    package let code: Code
    /// For people: the library's own words, without paths of the host.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Whether the same call may succeed later.
    package var isTransient: Bool { code == .unavailable || code == .timedOut }
    package var description: String { "\(code): \(message)" }
}
