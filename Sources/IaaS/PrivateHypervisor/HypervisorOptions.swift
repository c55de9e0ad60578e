package import CloudModel

/// The arguments of `medcloud-hypervisor`.
package struct HypervisorOptions: Sendable {
    package var state: RegionState
    /// The group that may use the sockets: the controller's.
    package var socketGroup: UInt32
    /// Whether this process is already inside the namespaces.
    package var isInside: Bool

    package static let usage = "usage: medcloud-hypervisor --state DIR --socket-group GID"
    private static let inside = "--inside"

    /// Nil when the arguments are not those of ``usage``.
    package init?(_ arguments: [String]) {
        var state: RegionState?
        var group: UInt32?
        isInside = false
        var rest = arguments.dropFirst()
        while let word = rest.popFirst() {
            switch word {
            case "--state":
                guard let directory = rest.popFirst(), directory.hasPrefix("/") else { return nil }
                state = RegionState(directory: directory)
            case "--socket-group":
                guard let number = rest.popFirst().flatMap({ UInt32($0) }) else { return nil }
                group = number
            case Self.inside: isInside = true
            default: return nil
            }
        }
        guard let state, let group else { return nil }
        self.state = state
        socketGroup = group
    }

    /// The words that start the same inside.
    var insideArguments: [String] {
        ["--state", state.directory, "--socket-group", String(socketGroup), Self.inside]
    }
}
