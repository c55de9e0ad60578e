import Foundation
import Glibc
import Logging
import Synchronization

/// The one way from outside to a guest: a Unix socket on which a line `CONNECT ADDRESS PORT MILLISECONDS` is answered with
/// `OK` and then the connection itself, or with `ERROR` and a reason. The controller's probes and `medcloud instance connect`
/// come this way. Nothing but guests can be reached: the private host has no other network, and no service on TCP.
final class GuestAgent: Sendable {
    /// Connections at once; more are closed.
    static let limit = 256
    private let listener: Int32
    private let logger: Logger
    private let count = Atomic(0)

    /// Binds the socket, for root and `group`.
    init(path: String, group: UInt32, logger: Logger) throws(HypervisorError) {
        self.logger = logger
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0 else { throw HypervisorError("make a socket", errno: errno) }
        unsafe unlink(path)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, unsafe chown(path, 0, group) == 0, unsafe chmod(path, 0o660) == 0, listen(listener, 128) == 0
        else {
            throw HypervisorError("listen at \(path)", errno: errno)
        }
    }

    /// Serves from a thread of its own for as long as the process lives.
    func start() {
        Thread.detachNewThread { [self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else {
                    // Out of descriptors, or interrupted: in a moment.
                    usleep(10_000)
                    continue
                }
                guard count.add(1, ordering: .relaxed).newValue <= Self.limit else {
                    count.subtract(1, ordering: .relaxed)
                    close(client)
                    continue
                }
                Thread.detachNewThread { [self] in
                    serve(client)
                    close(client)
                    count.subtract(1, ordering: .relaxed)
                }
            }
        }
    }

    private func serve(_ client: Int32) {
        guard let line = readLine(client) else { return }
        guard let request = AgentRequest(line) else {
            _ = write("ERROR the request is CONNECT ADDRESS PORT MILLISECONDS\n", to: client)
            return
        }
        guard let guest = connect(to: request) else {
            _ = write("ERROR no answer\n", to: client)
            return
        }
        defer { close(guest) }
        guard write("OK\n", to: client) else { return }
        Self.relay(client, guest)
    }

    /// One line within five seconds, byte by byte: what follows it is not ours to read.
    private func readLine(_ client: Int32) -> String? {
        var bytes: [UInt8] = []
        let end = ContinuousClock.now + .seconds(5)
        while bytes.count < 100 {
            let left = Int32((end - .now) / .milliseconds(1))
            var entry = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
            guard left > 0, unsafe poll(&entry, 1, left) == 1 else { return nil }
            var byte: UInt8 = 0
            guard unsafe read(client, &byte, 1) == 1 else { return nil }
            if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
        return nil
    }

    private func connect(to request: AgentRequest) -> Int32? {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let guest = socket(AF_INET, kind, 0)
        guard guest >= 0 else { return nil }
        watch(guest)
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = request.port.bigEndian
        target.sin_addr.s_addr = request.address.bigEndian
        let begun = unsafe withUnsafePointer(to: &target) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(guest, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if begun == 0 { return guest }
        var entry = pollfd(fd: guest, events: Int16(POLLOUT), revents: 0)
        var failure: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard errno == EINPROGRESS, unsafe poll(&entry, 1, request.milliseconds) == 1,
            unsafe getsockopt(guest, SOL_SOCKET, SO_ERROR, &failure, &size) == 0, failure == 0
        else {
            close(guest)
            return nil
        }
        return guest
    }

    /// Has the kernel ask after a guest that says nothing: one that is gone does not even say that.
    private func watch(_ guest: Int32) {
        let options =
            [(SOL_SOCKET, SO_KEEPALIVE, 1)]
            + [(TCP_KEEPIDLE, 30), (TCP_KEEPINTVL, 10), (TCP_KEEPCNT, 3)].map {
                (Int32(IPPROTO_TCP), $0, $1)
            }
        for (level, option, value) in options {
            var value = Int32(value)
            unsafe setsockopt(guest, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    /// Copies both ways until both sides have ended, or one has gone away. A side that has ended is still watched: when it is
    /// closed altogether, the other one's silence holds nothing up.
    static func relay(_ client: Int32, _ guest: Int32) {
        let sides = [client, guest]
        var isOpen = [true, true]
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while isOpen.contains(true) {
            var entries = zip(sides, isOpen).map { pollfd(fd: $0, events: $1 ? Int16(POLLIN) : 0, revents: 0) }
            let ready = unsafe poll(&entries, nfds_t(entries.count), -1)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { return }
            for (side, entry) in entries.enumerated() where entry.revents != 0 {
                guard entry.revents & Int16(POLLIN) != 0 else { return }
                let got = unsafe read(entry.fd, &buffer, buffer.count)
                if got < 0, errno == EAGAIN || errno == EINTR { continue }
                guard got >= 0 else { return }
                if got == 0 {
                    shutdown(sides[1 - side], Int32(SHUT_WR))
                    isOpen[side] = false
                } else if !writeAll(buffer[..<got], to: sides[1 - side]) {
                    return
                }
            }
        }
    }

    private func write(_ text: String, to descriptor: Int32) -> Bool {
        Self.writeAll(Array(text.utf8)[...], to: descriptor)
    }

    private static func writeAll(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                guard errno == EAGAIN || errno == EINTR else { return false }
                var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                // A side that takes nothing for a minute has gone.
                guard unsafe poll(&entry, 1, 60_000) == 1 else { return false }
                continue
            }
            rest = rest.dropFirst(count)
        }
        return true
    }
}

/// A line that the agent understands.
struct AgentRequest: Equatable {
    let address: UInt32
    let port: UInt16
    /// How long to wait for the guest; at most a minute.
    let milliseconds: Int32

    /// Nil unless the line is `CONNECT ADDRESS PORT MILLISECONDS` with an address that a guest may have.
    init?(_ line: String) {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 4, words[0] == "CONNECT", let port = UInt16(words[2]), port > 0,
            let milliseconds = Int32(words[3]), (1...60_000).contains(milliseconds)
        else { return nil }
        let parts = words[1].split(separator: ".", omittingEmptySubsequences: false)
        let bytes = parts.compactMap { UInt8($0) }
        guard parts.count == 4, bytes.count == 4, zip(parts, bytes).allSatisfy({ $0 == String($1) }),
            // Not this host itself, nor everybody.
            bytes[0] != 0, bytes[0] != 127, bytes[0] < 224
        else { return nil }
        address = bytes.reduce(0) { $0 << 8 | UInt32($1) }
        self.port = port
        self.milliseconds = milliseconds
    }
}
