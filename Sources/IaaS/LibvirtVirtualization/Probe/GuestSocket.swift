import Glibc
import Virtualization

/// One TCP connection to a guest, through the agent of the private hypervisor or directly. Blocks, until its deadline at most.
struct GuestSocket: ~Copyable {
    private let descriptor: Int32
    private let deadline: ContinuousClock.Instant

    /// Connects; nil when the guest does not answer in time.
    /// - Parameter agent: the agent's Unix socket, for networks that this process cannot reach itself.
    /// - Throws: ``VirtualizationError/Code/unavailable`` when the agent does not answer.
    init?(address: UInt32, port: Int, agent: String?, deadline: ContinuousClock.Instant) throws(VirtualizationError) {
        self.deadline = deadline
        if let agent {
            descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { throw VirtualizationError(.unavailable, "no more sockets") }
            Self.setTimeout(descriptor, deadline)
            guard Self.connect(descriptor, path: agent) else {
                throw VirtualizationError(.unavailable, "the hypervisor's agent does not answer")
            }
            // So that the agent's answer is here before the time is up.
            let milliseconds = max(1, Int((deadline - .now) / .milliseconds(1)) * 4 / 5)
            guard write("CONNECT \(Self.text(address)) \(port) \(milliseconds)\n") else {
                throw VirtualizationError(.unavailable, "the hypervisor's agent does not answer")
            }
            guard let answer = readLine(limit: 200) else {
                if ContinuousClock.now >= deadline { return nil }
                throw VirtualizationError(.unavailable, "the hypervisor's agent does not answer")
            }
            guard answer == "OK" else { return nil }
        } else {
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { throw VirtualizationError(.unavailable, "no more sockets") }
            // SO_SNDTIMEO bounds connect(2) too.
            Self.setTimeout(descriptor, deadline)
            guard Self.connect(descriptor, address: address, port: port) else { return nil }
        }
    }

    deinit { close(descriptor) }

    /// Whether all of `text` was taken.
    func write(_ text: String) -> Bool {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe send(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            bytes = bytes.dropFirst(count)
        }
        return true
    }

    /// The next line without its end; nil when the connection ends, the deadline passes or the line is too long before.
    func readLine(limit: Int) -> String? {
        var line: [UInt8] = []
        while line.count < limit, ContinuousClock.now < deadline {
            var byte: UInt8 = 0
            guard unsafe recv(descriptor, &byte, 1, 0) == 1 else { return nil }
            if byte == UInt8(ascii: "\n") {
                if line.last == UInt8(ascii: "\r") { line.removeLast() }
                return String(decoding: line, as: UTF8.self)
            }
            line.append(byte)
        }
        return nil
    }

    private static func setTimeout(_ descriptor: Int32, _ deadline: ContinuousClock.Instant) {
        let microseconds = max(1_000, Int((deadline - .now) / .microseconds(1)))
        var time = timeval(tv_sec: microseconds / 1_000_000, tv_usec: microseconds % 1_000_000)
        let size = socklen_t(MemoryLayout<timeval>.size)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, size)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, size)
    }

    private static func connect(_ descriptor: Int32, path: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }

    private static func connect(_ descriptor: Int32, address: UInt32, port: Int) -> Bool {
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = in_port_t(port).bigEndian
        target.sin_addr.s_addr = address.bigEndian
        return unsafe withUnsafePointer(to: &target) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func text(_ address: UInt32) -> String {
        [24, 16, 8, 0].map { String(address >> UInt32($0) & 0xFF) }.joined(separator: ".")
    }
}
