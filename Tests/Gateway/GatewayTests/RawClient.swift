import Foundation
import NIOCore
import NIOPosix
import NIOSSL

/// A connection that says exactly what it is told and keeps what it hears.
struct RawClient {
    private let inbound: NIOAsyncChannelInboundStream<ByteBuffer>
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>

    static func connect<Result: Sendable>(
        to port: Int, tls: NIOSSLContext? = nil, _ body: (inout RawConversation) async throws -> Result
    ) async throws -> Result {
        let channel = try await ClientBootstrap(group: NIOSingletons.posixEventLoopGroup)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: nil))
                    }
                    return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        // A test that waits for what never comes fails; it does not hang.
        let raw = channel.channel
        let end = raw.eventLoop.scheduleTask(in: .seconds(45)) { raw.close(promise: nil) }
        defer { end.cancel() }
        return try await channel.executeThenClose { inbound, outbound in
            var conversation = RawConversation(iterator: inbound.makeAsyncIterator(), outbound: outbound)
            return try await body(&conversation)
        }
    }
}

/// One request after another on a raw connection.
struct RawConversation {
    var iterator: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private(set) var heard = ""

    init(
        iterator: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        self.iterator = iterator
        self.outbound = outbound
    }

    func say(_ text: String) async throws {
        try await outbound.write(ByteBuffer(string: text))
    }

    /// Listens until `isEnough` or the connection ends.
    @discardableResult
    mutating func hear(until isEnough: (String) -> Bool) async throws -> String {
        while !isEnough(heard) {
            guard let buffer = try await iterator.next() else { break }
            heard += String(buffer: buffer)
        }
        return heard
    }

    /// Listens until the server closes.
    mutating func hearAll() async throws -> String {
        do {
            return try await hear { _ in false }
        } catch is IOError {
            return heard
        }
    }
}

/// One answer, taken apart.
struct RawAnswer: Sendable {
    let status: Int
    let headers: [(name: String, value: String)]
    let body: String

    init?(_ text: String) {
        guard let end = text.range(of: "\r\n\r\n") else { return nil }
        let lines = text[..<end.lowerBound].split(separator: "\r\n")
        guard let first = lines.first, let status = Int(first.split(separator: " ")[1]) else { return nil }
        self.status = status
        headers = lines.dropFirst().map { line in
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            return (line[..<colon].lowercased(), String(line[colon...].dropFirst(2)))
        }
        body = String(text[end.upperBound...])
    }

    subscript(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

extension GatewayFixture {
    /// One request on a connection of its own, with `Connection: close`.
    func send(
        _ method: String, _ path: String, _ headers: [String: String] = [:], body: String? = nil
    ) async throws -> RawAnswer {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        let whole = text + "\r\n" + (body ?? "")
        let heard = try await RawClient.connect(to: port) { connection in
            try await connection.say(whole)
            return try await connection.hearAll()
        }
        guard let answer = RawAnswer(heard) else { throw ChannelError.eof }
        return answer
    }

    /// With a token, and the connection kept, so that hot reads are possible.
    func get(_ path: String, token: String) async throws -> RawAnswer {
        let port = port
        let heard = try await RawClient.connect(to: port) { connection in
            try await connection.say("GET \(path) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(token)\r\n\r\n")
            return try await connection.hear { RawAnswer.isComplete($0) }
        }
        guard let answer = RawAnswer(heard) else { throw ChannelError.eof }
        return answer
    }
}

extension RawAnswer {
    /// Whether the text holds a whole answer by its Content-Length.
    static func isComplete(_ text: String) -> Bool {
        guard let answer = RawAnswer(text) else { return false }
        return answer.body.utf8.count >= answer["content-length"].flatMap { Int($0) } ?? 0
    }
}
