/// How to tell that a guest serves, beyond that it runs.
package enum ReadinessProbe: Sendable, Hashable, Codable {
    /// A TCP connection is accepted.
    case tcp(port: Int)
    /// `GET path` is answered with a 2xx status.
    case http(port: Int, path: String)
}
