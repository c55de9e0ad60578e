/// Where the worker takes connections from.
package enum ListeningSocket: Sendable, Hashable {
    /// A listening socket that the supervisor (or systemd) has bound: its accept queue outlives any worker.
    case inherited(descriptor: CInt)
    /// One of our own; port 0 lets the kernel choose. For tests and for a worker run by hand.
    case address(host: String, port: Int)
}
