package import CloudModel

extension RegionState {
    /// The clusters of a region on one machine.
    package static let clusters = ["control", "cell-1"]

    /// Held by the one supervisor of the directory.
    package var lockFile: String { directory + "/lock" }
    package var runDirectory: String { directory + "/run" }
    package var postgresDirectory: String { directory + "/postgres" }
    /// Copies of the executables, used only when the workers' user cannot enter the place they were built in.
    package var executablesDirectory: String { directory + "/bin" }
    /// Synthetic patients that `ops/up` prepared for the demo region.
    package var samplesDirectory: String { directory + "/samples" }
    package var operatorPublicKey: String { controllerSecrets + "/operator.jwk.json" }

    package func logFile(process: String) -> String { logsDirectory + "/" + process + ".log" }
    package func clientFile(tenant: String, client: String) -> String {
        "\(clientsDirectory)/\(tenant)/\(client).json"
    }

    /// The longest directory whose sockets still fit into a socket address (sockaddr_un holds 107 bytes).
    package static let longestDirectory = 107 - "/run/hypervisor/libvirt-sock".utf8.count
}
