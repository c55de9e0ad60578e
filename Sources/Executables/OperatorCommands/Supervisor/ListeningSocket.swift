import Glibc

/// The socket that the supervisor binds and every worker inherits, so the accept queue outlives any worker.
package struct ListeningSocket: Sendable {
    package let descriptor: Int32
    package let host: String
    package let port: Int

    /// Binds `host` and `port` (0 = any free one).
    ///
    /// - Parameter patience: how long to try while the port is taken, on the calling thread. The workers of a supervisor that
    ///   was killed a moment ago have it until they have ended.
    /// - Throws: ``CommandFailure`` when the port is taken or the address is not this machine's.
    package static func bind(host: String, port: Int, patience: Duration = .zero) throws -> ListeningSocket {
        guard (0...65_535).contains(port) else {
            throw CommandFailure(.usage, "\(port) is not a port: use 1 to 65535, or 0 for any free one.")
        }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0, let address = list?.pointee else {
            throw CommandFailure(.usage, "\(host) is not an address of this machine: use --host 127.0.0.1 or another.")
        }
        defer { freeaddrinfo(list) }
        let descriptor = socket(address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw CommandFailure.system("open a socket", errno: errno) }
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        let end = ContinuousClock.now + patience
        // Listening may find the port taken too, by a socket that was bound before.
        var isBound = false
        while true {
            if !isBound { isBound = Glibc.bind(descriptor, address.ai_addr, address.ai_addrlen) == 0 }
            if isBound, listen(descriptor, 4_096) == 0 { break }
            let number = errno
            guard number == EADDRINUSE, ContinuousClock.now < end else {
                close(descriptor)
                throw failure(number, host: host, port: port)
            }
            usleep(20_000)
        }
        return ListeningSocket(descriptor: descriptor, host: host, port: try boundPort(descriptor))
    }

    private static func failure(_ number: Int32, host: String, port: Int) -> CommandFailure {
        switch number {
        case EADDRINUSE:
            CommandFailure(.refused, "Port \(port) is in use: stop what listens there, or choose another --port.")
        case EADDRNOTAVAIL:
            CommandFailure(.usage, "\(host) is not an address of this machine: use --host 127.0.0.1 or another.")
        case EACCES:
            CommandFailure(.refused, "Port \(port) needs root: choose one above 1023.")
        default:
            CommandFailure.system("listen on \(host):\(port)", errno: number)
        }
    }

    private static func boundPort(_ descriptor: Int32) throws -> Int {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { throw CommandFailure.system("read the socket's address", errno: errno) }
        // sockaddr_in and sockaddr_in6 both hold the port in network order after the family.
        return withUnsafeBytes(of: &storage) { Int($0[2]) << 8 | Int($0[3]) }
    }
}
