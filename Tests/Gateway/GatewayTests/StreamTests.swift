import ApplicationRegistry
import Foundation
import HTTPTypes
import Logging
import ModuleKit
import NIOCore
import NIOPosix
import PostgresDriver
import Synchronization
import TenantRegistry
import Testing

@testable import Gateway

@Suite(.timeLimit(.minutes(2))) struct StreamTests {
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

        var route: Route { route(for: .everyone) }

        func route(for audience: RouteAudience) -> Route {
            Route(.get, "/stream", "stream", audience: audience) { [self] _ in
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

    /// How many pieces were made once there were no more for half a second; nil when they never stopped.
    private func settled(_ source: Source) async throws -> Int? {
        let end = ContinuousClock.now + .seconds(20)
        var (count, since) = (0, ContinuousClock.now)
        while ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(20))
            let now = source.asked.load(ordering: .relaxed)
            if now != count { (count, since) = (now, .now) }
            if count > 0, ContinuousClock.now - since > .milliseconds(500) { return count }
        }
        return nil
    }

    private static let piece = 65_536

    @Test func `nothing is made for a client that does not read, and more when it does`() async throws {
        let source = Source(lines: .max, size: Self.piece)
        try await GatewayFixture.withGateway(routes: [source.route]) { gateway in
            try await RawClient.connect(to: gateway.port) { client in
                try await client.say(Self.request)
                let made = try #require(try await settled(source))
                // What fits into the buffers of two sockets.
                #expect(made * Self.piece < 32 << 20)
                try await client.hear { $0.utf8.count > made * Self.piece }
                // What frames the pieces is heard too, so the last piece may have been heard before the next was asked for.
                #expect(try await holds { source.asked.load(ordering: .relaxed) > made })
            }
        }
    }

    @Test func `a stream ends when its time is over`() async throws {
        var limits = GatewayLimits()
        limits.streamDuration = .milliseconds(300)
        let source = Source(lines: 2)
        try await GatewayFixture.withGateway(limits: limits, routes: [source.route]) { gateway in
            try await RawClient.connect(to: gateway.port) { client in
                try await client.say(Self.request)
                #expect(try await client.hearAll().hasSuffix("0\r\n\r\n"))
            }
            #expect(try await holds { source.isCutOff.load(ordering: .relaxed) })
        }
    }

    @Test func `a client that does not read is cut, and makes room for another`() async throws {
        var limits = GatewayLimits()
        limits.writeStall = .milliseconds(400)
        limits.streams = 1
        let source = Source(lines: .max, size: Self.piece)
        try await GatewayFixture.withGateway(limits: limits, routes: [source.route]) { gateway in
            try await RawClient.connect(to: gateway.port) { stalled in
                try await stalled.say(Self.request)
                _ = try #require(try await settled(source))
                let end = ContinuousClock.now + .seconds(15)
                var status = ""
                while !status.hasPrefix("HTTP/1.1 200"), ContinuousClock.now < end {
                    status = try await RawClient.connect(to: gateway.port) { other in
                        try await other.say(Self.request)
                        return try await other.hear { $0.contains("\r\n\r\n") }
                    }
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(status.hasPrefix("HTTP/1.1 200"))
            }
        }
    }

    @Test func `a client that does not read does not keep the worker from ending`() async throws {
        var limits = GatewayLimits()
        limits.drain = .milliseconds(200)
        limits.linger = .milliseconds(200)
        let source = Source(lines: .max, size: Self.piece)
        let (release, ended) = AsyncStream.makeStream(of: Void.self)
        let (client, began) = try await GatewayFixture.withGateway(limits: limits, routes: [source.route]) { gateway in
            let client = Task {
                try await RawClient.connect(to: gateway.port) { client in
                    try await client.say(Self.request)
                    for await _ in release {}
                }
            }
            _ = try #require(try await settled(source))
            return (client, ContinuousClock.now)
        }
        #expect(ContinuousClock.now - began < .seconds(15))
        ended.finish()
        try? await client.value
    }

    @Test func `a feed of operations that has ended tells so, and whoever stops waiting waits no more`() async throws {
        let pool = PostgresPool(
            configuration: PostgresConfiguration(host: "/nowhere", database: "c", user: "c", password: nil),
            eventLoopGroup: NIOSingletons.posixEventLoopGroup,
            logger: Logger(label: "x") { _ in SwiftLogNoOpLogHandler() })
        let control = ControlDatabase(pool: pool)
        let feed = OperationFeed(control: control, operations: OperationAdministration(control: control))
        let leaving = Task { await feed.events(of: "o", after: 0, within: .seconds(600)) }
        leaving.cancel()
        #expect(await leaving.value?.isEmpty == true)
        let run = Task { await feed.run() }
        let staying = Task { await feed.events(of: "o", after: 0, within: .seconds(600)) }
        run.cancel()
        await run.value
        #expect(await staying.value == nil)
        #expect(await feed.events(of: "o", after: 0, within: .seconds(600)) == nil)
        await pool.shutdown()
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

    @Test func `one tenant cannot take the streams of the others`() async throws {
        var limits = GatewayLimits()
        limits.streams = 4
        let quiet = Source(lines: 1)
        let route = quiet.route(for: .anyPrincipal)
        try await GatewayFixture.withGateway(limits: limits, routes: [route]) { gateway in
            func ask(_ token: String) -> String {
                "GET /stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(token)\r\n\r\n"
            }
            try await RawClient.connect(to: gateway.port) { own in
                try await own.say(ask("h1"))
                try await own.hear { $0.contains("xxxxxxx") }
                let refused = try await gateway.send("GET", "/stream", ["Authorization": "Bearer h1-second"])
                #expect(refused.status == 429 && refused["retry-after"] == "5")
                for token in ["h2", "operator"] {
                    try await RawClient.connect(to: gateway.port) { other in
                        try await other.say(ask(token))
                        #expect(try await other.hear { $0.contains("\r\n\r\n") }.hasPrefix("HTTP/1.1 200"))
                    }
                }
            }
        }
    }

    @Test func `more requests of a tenant than it may have are refused on the gateway's own routes too`() async throws {
        var limits = GatewayLimits()
        limits.tenantConcurrency = 1
        let quiet = Source(lines: 1)
        let route = quiet.route(for: .anyPrincipal)
        try await GatewayFixture.withGateway(limits: limits, routes: [route]) { gateway in
            try await RawClient.connect(to: gateway.port) { own in
                try await own.say("GET /stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer h1\r\n\r\n")
                try await own.hear { $0.contains("xxxxxxx") }
                let refused = try await gateway.send("HEAD", "/stream", ["Authorization": "Bearer h1"])
                #expect(refused.status == 429 && refused["retry-after"] == "1")
                #expect(try await gateway.send("HEAD", "/stream", ["Authorization": "Bearer operator"]).status == 200)
            }
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
