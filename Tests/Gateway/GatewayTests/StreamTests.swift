import Foundation
import HTTPTypes
import ModuleKit
import NIOCore
import Synchronization
import Testing

@testable import Gateway

@Suite struct StreamTests {
    /// A stream of lines that counts how often it was asked, and whether it was cut off while it waited.
    private final class Source: Sendable {
        let asked = Atomic<Int>(0)
        let isCutOff = Atomic<Bool>(false)
        private let lines: Int
        private let size: Int

        /// - Parameter lines: after so many it waits for ever.
        init(lines: Int, size: Int = 8) {
            self.lines = lines
            self.size = size
        }

        func next() async throws -> ByteBuffer? {
            let number = asked.wrappingAdd(1, ordering: .relaxed).newValue
            if number <= lines { return ByteBuffer(string: String(repeating: "x", count: size - 1) + "\n") }
            do {
                try await Task.sleep(for: .seconds(60))
            } catch {
                isCutOff.store(true, ordering: .relaxed)
                throw error
            }
            return nil
        }

        var route: Route {
            Route(.get, "/stream", "stream") { [self] _ in
                var response = ModuleResponse(status: .ok, headers: [.contentType: "text/event-stream"])
                response.stream = ResponseStream { try await self.next() }
                return response
            }
        }
    }

    private static let request = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"

    private func holds(within limit: Duration = .seconds(5), _ condition: () -> Bool) async throws -> Bool {
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            if condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return condition()
    }

    @Test func `pieces come as they are made, and the worker's end ends the stream`() async throws {
        let source = Source(lines: 3)
        try await GatewayFixture.withGateway(routes: [source.route]) { gateway in
            try await RawClient.connect(to: gateway.port) { client in
                try await client.say(Self.request)
                let heard = try await client.hear { $0.components(separatedBy: "xxxxxxx").count > 3 }
                #expect(heard.contains("transfer-encoding: chunked") || heard.contains("Transfer-Encoding: chunked"))
                #expect(heard.lowercased().contains("connection: close"))
                gateway.shutDown()
                // An orderly end: the last chunk.
                #expect(try await client.hear { $0.hasSuffix("0\r\n\r\n") }.hasSuffix("0\r\n\r\n"))
            }
            #expect(try await holds { source.isCutOff.load(ordering: .relaxed) })
        }
    }

    @Test func `a client that leaves ends its stream at once`() async throws {
        let source = Source(lines: 1)
        try await GatewayFixture.withGateway(routes: [source.route]) { gateway in
            try await RawClient.connect(to: gateway.port) { client in
                try await client.say(Self.request)
                try await client.hear { $0.contains("xxxxxxx") }
            }
            #expect(try await holds { source.isCutOff.load(ordering: .relaxed) })
        }
    }

    @Test func `more streams than a worker may have are refused, and each end makes room`() async throws {
        var limits = GatewayLimits()
        limits.streams = 1
        let quiet = Source(lines: 1)
        try await GatewayFixture.withGateway(limits: limits, routes: [quiet.route]) { gateway in
            try await RawClient.connect(to: gateway.port) { client in
                try await client.say(Self.request)
                try await client.hear { $0.contains("xxxxxxx") }
                let refused = try await gateway.send("GET", "/stream")
                #expect(refused.status == 503 && refused["retry-after"] == "5")
                // HEAD streams nothing.
                #expect(try await gateway.send("HEAD", "/stream").status == 200)
            }
            #expect(try await holds { quiet.isCutOff.load(ordering: .relaxed) })
            try await RawClient.connect(to: gateway.port) { client in
                try await client.say(Self.request)
                #expect(try await client.hear { $0.contains("\r\n\r\n") }.hasPrefix("HTTP/1.1 200"))
            }
        }
    }
}
