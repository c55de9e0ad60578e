package import CloudModel

/// What the supervisor tells a controller: `--state DIR [--hypervisor URI [--hypervisor-agent SOCKET]]`.
package struct ControllerConfiguration: Sendable, Hashable {
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package let description: String
    }

    package let state: RegionState
    /// The libvirt connection of the region's machines; nil is a region without compute.
    package let hypervisor: String?
    /// The Unix socket of the private hypervisor's agent; nil where guests are reached from here.
    package let hypervisorAgent: String?

    /// - Parameter arguments: without the program's name.
    package init(arguments: [String]) throws(Failure) {
        var values: [String: String] = [:]
        var rest = arguments[...]
        while let option = rest.popFirst() {
            guard ["--state", "--hypervisor", "--hypervisor-agent"].contains(option) else {
                throw Failure(
                    description:
                        "unknown argument \(option); known: --state DIR --hypervisor URI --hypervisor-agent SOCKET")
            }
            guard let value = rest.popFirst() else { throw Failure(description: "\(option) needs a value") }
            values[option] = value
        }
        guard let directory = values["--state"], directory.hasPrefix("/") else {
            throw Failure(description: "--state must be the absolute path of the state directory")
        }
        state = RegionState(directory: directory)
        hypervisor = values["--hypervisor"]
        hypervisorAgent = values["--hypervisor-agent"]
    }
}
