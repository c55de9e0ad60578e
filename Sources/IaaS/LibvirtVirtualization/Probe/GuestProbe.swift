import Virtualization

/// Tries a readiness probe once, blocking.
struct GuestProbe {
    let probe: ReadinessProbe
    let address: String
    let agent: String?

    func run(until deadline: ContinuousClock.Instant) throws(VirtualizationError) -> Bool {
        guard let target = IPv4Range.parse(address) else {
            throw VirtualizationError(.failed, "\(address) is no IPv4 address")
        }
        let port =
            switch probe {
            case .tcp(let port), .http(let port, _): port
            }
        guard (1...65_535).contains(port) else { throw VirtualizationError(.failed, "there is no port \(port)") }
        guard let socket = try GuestSocket(address: target, port: port, agent: agent, deadline: deadline) else {
            return false
        }
        guard case .http(_, let path) = probe else { return true }
        guard path.hasPrefix("/"), path.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw VirtualizationError(.failed, "the probe's path is not of printable ASCII")
        }
        let request =
            "GET \(path) HTTP/1.1\r\nHost: \(address):\(port)\r\nUser-Agent: medcloud\r\nConnection: close\r\n\r\n"
        guard socket.write(request), let status = socket.readLine(limit: 1_024) else { return false }
        // "HTTP/1.1 200 OK"
        let words = status.split(separator: " ")
        return words.count >= 2 && words[0].hasPrefix("HTTP/1.") && words[1].count == 3 && words[1].hasPrefix("2")
    }
}
