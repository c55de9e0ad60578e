import NIOCore
import Testing

@testable import Gateway

@Suite struct EdgeTests {
    @Test func `errors are outcomes inside a FHIR base and problems outside`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let inside = try await gateway.get("/t/h1/fhir/Refused", token: "h1")
            #expect(inside.status == 412 && inside["content-type"] == "application/fhir+json")
            let outside = try await gateway.send("GET", "/nothing")
            #expect(outside["content-type"] == "application/problem+json")
            #expect(outside.body.contains(#""code":"not-found""#))
            let id = try #require(outside["x-request-id"])
            #expect(outside.body.contains(#""requestId":"\#(id)""#))
        }
    }

    @Test func `an error that nobody expected says nothing about itself`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let answer = try await gateway.get("/t/h1/fhir/Broken", token: "h1")
            #expect(answer.status == 500)
            #expect(!answer.body.contains("Trap"))
        }
    }

    @Test func `a known path with another method says which it takes`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let answer = try await gateway.send("DELETE", "/healthz")
            #expect(answer.status == 405 && answer["allow"] == "GET, HEAD, OPTIONS")
            #expect(try await gateway.send("TRACE", "/healthz").status == 405)
            #expect(try await gateway.send("QUERY", "/healthz").status == 405)
            #expect(try await gateway.send("OPTIONS", "/healthz")["allow"] == "GET, HEAD, OPTIONS")
            #expect(try await gateway.send("OPTIONS", "/nothing/here")["allow"] == "OPTIONS")
        }
    }

    @Test func `an unknown query parameter is named`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let answer = try await gateway.send("POST", "/echo/x?q=1&other=2", body: "hello")
            #expect(answer.status == 400)
            #expect(answer.body.contains(#""pointer":"query:other""#))
            #expect(try await gateway.send("POST", "/echo/x?q=1", body: "hello").body == "hello")
        }
    }

    @Test func `HEAD is GET without its body`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let get = try await gateway.send("GET", "/healthz")
            let head = try await gateway.send("HEAD", "/healthz")
            #expect(head.status == 200 && head.body.isEmpty)
            #expect(head["content-length"] == get["content-length"])
        }
    }

    @Test func `every answer carries its id and the security headers`() async throws {
        try await GatewayFixture.withGateway { gateway in
            for path in ["/healthz", "/nothing", "/t/h1/fhir/Patient/1"] {
                let answer = try await gateway.send("GET", path, ["X-Request-Id": "mine-1"])
                #expect(answer["x-request-id"] == "mine-1")
                #expect(answer["x-content-type-options"] == "nosniff")
                #expect(answer["cache-control"] == "no-store")
            }
            let replaced = try await gateway.send("GET", "/healthz", ["X-Request-Id": "not an id"])
            #expect(replaced["x-request-id"] != "not an id")
        }
    }

    @Test func `work that takes too long is given up`() async throws {
        var limits = GatewayLimits()
        limits.requestDeadline = .milliseconds(50)
        try await GatewayFixture.withGateway(limits: limits) { gateway in
            let answer = try await gateway.get("/t/h1/fhir/Slow", token: "h1")
            #expect(answer.status == 504)
        }
    }

    @Test func `a tenant that has used up its budget is told to wait`() async throws {
        var limits = GatewayLimits()
        limits.tenantConcurrency = 1
        try await GatewayFixture.withGateway(limits: limits) { gateway in
            try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say(
                    "GET /t/h1/fhir/Held/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer h1\r\n\r\n")
                while gateway.module.heldCount == 0 { await Task.yield() }
                let refused = try await gateway.get("/t/h1/fhir/Patient?x=1", token: "h1")
                #expect(refused.status == 429 && refused["retry-after"] == "1")
                gateway.module.letGo()
                try await connection.hear { RawAnswer.isComplete($0) }
            }
            #expect(try await gateway.get("/t/h1/fhir/Patient?x=1", token: "h1").status == 200)
        }
    }

    @Test func `requests are counted by pattern and never by path`() async throws {
        try await GatewayFixture.withGateway { gateway in
            _ = try await gateway.get("/t/h1/fhir/Patient/secret-id", token: "h1")
            _ = try await gateway.get("/t/h1/fhir/Patient?name=secret-name", token: "h1")
            _ = try await gateway.send("GET", "/secret-path")
            let text = gateway.metricsText()
            #expect(text.contains(#"route="/t/{tenant}/fhir/{type}/{id}",status="2xx"} 1"#))
            #expect(text.contains(#"route="/t/{tenant}/fhir/{type}",status="2xx"} 1"#))
            #expect(text.contains(#"route="unmatched",status="4xx"} 1"#))
            #expect(text.contains("medcloud_hot_reads_total{worker=\"1\"} 1"))
            #expect(!text.contains("secret"))
        }
    }

    @Test func `open requests finish when the worker shuts down`() async throws {
        try await GatewayFixture.withGateway { gateway in
            try await RawClient.connect(to: gateway.port) { connection in
                try await connection.say(
                    "GET /t/h1/fhir/Held/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer h1\r\n\r\n")
                while gateway.module.heldCount == 0 { await Task.yield() }
                gateway.shutDown()
                gateway.module.letGo()
                let heard = try await connection.hearAll()
                #expect(heard.contains("held 0"))
            }
        }
    }
}
