import Foundation
import NIOCore
import Testing

@testable import Gateway

@Suite struct ConnectionTests {
    private static func head(_ path: String, _ extra: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer h1\r\n\(extra)\r\n"
    }

    @Test func `answers leave in the order of their requests`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let heard = try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say(
                    Self.head("/t/h1/fhir/Held/1") + Self.head("/t/h1/fhir/Held/2")
                        + Self.head("/t/h1/fhir/Patient?n=3") + Self.head("/t/h1/fhir/Patient/4")
                        + Self.head("/nothing") + Self.head("/t/h1/fhir/Patient/6", "Connection: close\r\n"))
                while gateway.module.heldCount < 2 { await Task.yield() }
                gateway.module.letGo()
                return try await connection.hearAll()
            }
            let marks = ["held 0", "held 1", "n=3", "GET Patient/4", "not-found", "GET Patient/6"]
            let places = marks.map { heard.range(of: $0)?.lowerBound }
            #expect(!places.contains(nil))
            #expect(places.compactMap { $0 } == places.compactMap { $0 }.sorted())
            #expect(heard.components(separatedBy: "HTTP/1.1 ").count == 7)
        }
    }

    @Test func `many reads on one connection are all answered`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let heard = try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say((0..<500).map { Self.head("/t/h1/fhir/Patient/\($0)") }.joined())
                return try await connection.hear { $0.contains(" Patient/499") }
            }
            // Those beyond what may be under way take the ordinary way, in their turn.
            let bodies = heard.components(separatedBy: " Patient/").dropFirst().map { $0.prefix { $0.isNumber } }
            #expect(bodies.map(String.init) == (0..<500).map(String.init))
        }
    }

    @Test func `a hot read that fails is a retry, not a hang`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let answer = try await gateway.get("/t/h1/fhir/Failing/1", token: "h1")
            #expect(answer.status == 503 && answer["retry-after"] != nil)
        }
    }

    @Test func `what the hot read declines goes the ordinary way`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let declined = try await gateway.get("/t/h1/fhir/Unknown/1", token: "h1")
            #expect(declined.body.hasPrefix("routed GET"))
            let hot = try await gateway.get("/t/h1/fhir/Patient/1", token: "h1")
            #expect(hot.body == "hot Patient/1")
        }
    }

    @Test func `a connection that says nothing is closed`() async throws {
        var limits = GatewayLimits()
        limits.headerTimeout = .milliseconds(100)
        try await GatewayFixture.withGateway(limits: limits) { gateway in
            let heard = try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say("GET /healthz HTTP/1.1\r\nX-Slow: ")
                return try await connection.hearAll()
            }
            #expect(heard.isEmpty)
            #expect(gateway.metricsText().contains("medcloud_connection_timeouts_total{worker=\"1\"} 1"))
        }
    }

    @Test func `a body that stops coming is given up`() async throws {
        var limits = GatewayLimits()
        limits.bodyPause = .milliseconds(100)
        try await GatewayFixture.withGateway(limits: limits) { gateway in
            let heard = try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say("POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhello")
                return try await connection.hearAll()
            }
            #expect(!heard.contains("200"))
        }
    }

    @Test func `an idle connection is closed after its time, a busy one is not`() async throws {
        var limits = GatewayLimits()
        limits.idleTimeout = .milliseconds(150)
        try await GatewayFixture.withGateway(limits: limits) { gateway in
            let heard = try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say(Self.head("/t/h1/fhir/Held/1"))
                while gateway.module.heldCount == 0 { await Task.yield() }
                try await Task.sleep(for: .milliseconds(400))
                gateway.module.letGo()
                return try await connection.hearAll()
            }
            #expect(heard.contains("held 0"))
        }
    }

    @Test(arguments: [
        ("Content-Length: 2000\r\n", 413), ("Content-Encoding: gzip\r\nContent-Length: 5\r\n", 415),
    ])
    func `a body that is not taken is refused before it is read`(_ header: String, _ status: Int) async throws {
        try await GatewayFixture.withGateway { gateway in
            let heard = try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say("POST /echo/x HTTP/1.1\r\nHost: x\r\n\(header)\r\n")
                return try await connection.hear { RawAnswer.isComplete($0) }
            }
            #expect(RawAnswer(heard)?.status == status)
        }
    }

    @Test func `a body without a length is measured as it comes`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let chunk = "1f4\r\n" + String(repeating: "a", count: 500) + "\r\n"
            let heard = try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say(
                    "POST /echo/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + chunk + chunk)
                return try await connection.hearAll()
            }
            #expect(RawAnswer(heard)?.status == 413)
        }
    }

    @Test func `a client that asks first is told to go on`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let heard = try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say(
                    "POST /echo/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
                try await connection.hear { $0.contains("100 Continue") }
                try await connection.say("hello")
                return try await connection.hear { $0.hasSuffix("hello") }
            }
            #expect(heard.contains("200 OK"))
        }
    }

    @Test(arguments: [
        ((0..<300).map { "X-\($0): a\r\n" }.joined(), 431),
        ("X-Big: " + String(repeating: "a", count: 20_000) + "\r\n", 431),
        ("broken line\r\n", 400),
    ])
    func `a head beyond the limits is answered and the connection closed`(
        _ headers: String, _ status: Int
    ) async throws {
        try await GatewayFixture.withGateway { gateway in
            let heard = try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say("GET /healthz HTTP/1.1\r\nHost: x\r\n\(headers)\r\n")
                return try await connection.hearAll()
            }
            let answer = try #require(RawAnswer(heard))
            #expect(answer.status == status && answer["connection"] == "close")
            #expect(answer["content-type"] == "application/problem+json")
        }
    }

    @Test func `a target that is too long is refused`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let answer = try await gateway.send("GET", "/healthz?" + String(repeating: "a", count: 9000))
            #expect(answer.status == 414)
            #expect(answer["content-type"] == "application/problem+json")
            for base in ["/t/h1/fhir/Patient", "/region/fhir/Patient"] {
                let inBase = try await gateway.send("GET", base + "?identifier=" + String(repeating: "a", count: 9000))
                #expect(inBase.status == 414 && inBase["content-type"] == "application/fhir+json")
            }
        }
    }

    @Test func `a connection ends with a CONNECT, behind which nothing is a request`() async throws {
        try await GatewayFixture.withGateway { gateway in
            for target in ["/v1/tenants", "127.0.0.1:80"] {
                let heard = try await RawClient.connect(to: gateway.port) { client in
                    try await client.say("CONNECT \(target) HTTP/1.1\r\nHost: x\r\n\r\n")
                    return try await client.hearAll()
                }
                let answer = try #require(RawAnswer(heard))
                #expect(answer.status >= 400 && answer["connection"] == "close")
            }
        }
    }

    @Test func `a worker at its cap serves the next client when one leaves`() async throws {
        var limits = GatewayLimits()
        limits.connections = 2
        limits.headerTimeout = .milliseconds(200)
        try await GatewayFixture.withGateway(limits: limits) { gateway in
            try await RawClient.connect(to: gateway.port) { first in
                try await first.say("GET ")
                try await RawClient.connect(to: gateway.port) { second in
                    try await second.say("GET ")
                    // Waits in the accept queue until the two silent ones are cut.
                    #expect(try await gateway.send("GET", "/healthz").status == 200)
                }
            }
        }
    }
}
