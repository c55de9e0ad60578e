import Glibc

/// Standard input and output, joined to a guest's port by way of the private hypervisor's agent. Blocks until both ends are
/// closed.
struct GuestRelay {
    let agent: String

    func run(address: String, port: Int) throws {
        let socket = try connect()
        defer { close(socket) }
        try ask(socket, "CONNECT \(address) \(port) 10000\n", whom: "\(address) port \(port)")
        var open = [(from: STDIN_FILENO, to: socket), (from: socket, to: STDOUT_FILENO)]
        var buffer = [UInt8](repeating: 0, count: 65_536)
        // When the guest has closed, what standard input still has is of no use to anybody.
        while open.contains(where: { $0.from == socket }) {
            var entries = open.map { pollfd(fd: $0.from, events: Int16(POLLIN), revents: 0) }
            guard poll(&entries, nfds_t(entries.count), -1) > 0 else { continue }
            for (entry, direction) in zip(entries, open) where entry.revents != 0 {
                let count = read(direction.from, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                if count > 0, Self.write(buffer[..<count], to: direction.to) { continue }
                if direction.to == socket { shutdown(socket, Int32(SHUT_WR)) }
                open.removeAll { $0.from == direction.from }
            }
        }
    }

    private func connect() throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw CommandFailure.system("make a socket", errno: errno) }
        var target = sockaddr_un()
        target.sun_family = sa_family_t(AF_UNIX)
        let path = Array(agent.utf8)
        guard path.count < MemoryLayout.size(ofValue: target.sun_path) else {
            close(descriptor)
            throw CommandFailure(.refused, "\(agent) is too long for a socket's path.")
        }
        withUnsafeMutableBytes(of: &target.sun_path) { $0.copyBytes(from: path) }
        let result = withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let number = errno
            close(descriptor)
            throw CommandFailure(
                .unreachable, "The private hypervisor does not answer at \(agent): \(SystemError.text(number)).")
        }
        return descriptor
    }

    /// Sends the request and reads the answer's line, byte by byte: what follows it is the guest's.
    private func ask(_ socket: Int32, _ request: String, whom: String) throws {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        if Self.write(Array(request.utf8)[...], to: socket) {
            while line.count < 200, read(socket, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        }
        guard line.elementsEqual("OK".utf8) else {
            throw CommandFailure(.unreachable, "The guest does not answer at \(whom).")
        }
    }

    private static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
