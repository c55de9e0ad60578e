package import Virtualization

extension LibvirtDriver {
    package func probe(
        _ probe: ReadinessProbe, address: String, timeout: Duration
    ) async throws(VirtualizationError) -> Bool {
        if let simulated = try await simulatedAnswer(address: address) { return simulated }
        let attempt = GuestProbe(probe: probe, address: address, agent: agentSocket)
        return try await probeThreads.run(within: timeout + .seconds(1)) { () throws(VirtualizationError) in
            try attempt.run(until: .now + timeout)
        }
    }

    /// The answer of the test hypervisor: whether the domain of that address runs. Nil with a real one.
    private func simulatedAnswer(address: String) async throws(VirtualizationError) -> Bool? {
        try await call { [self] connection throws(VirtualizationError) in
            guard connection.isSimulated else { return nil }
            guard let owner = simulation.owner(of: address) else { return false }
            return try unsafe connection.withDomain(owner) { domain throws(VirtualizationError) in
                try unsafe connection.state(of: domain)
            } == .running
        }
    }
}
