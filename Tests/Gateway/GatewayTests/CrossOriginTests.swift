import Testing

@Suite struct CrossOriginTests {
    static let preflight = ["Origin": "https://portal.example", "Access-Control-Request-Method": "PUT"]

    @Test func `a registered origin may call the FHIR base`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let answer = try await gateway.send("OPTIONS", "/t/h1/fhir/Patient/1", Self.preflight)
            #expect(answer.status == 204)
            #expect(answer["access-control-allow-origin"] == "https://portal.example")
            #expect(answer["access-control-allow-headers"]?.contains("Authorization") == true)
            #expect(answer["access-control-allow-credentials"] == nil)
            let read = try await gateway.send(
                "GET", "/t/h1/fhir/Patient/1",
                ["Origin": "https://portal.example", "Authorization": "Bearer h1"])
            #expect(read.status == 200 && read["access-control-allow-origin"] == "https://portal.example")
            #expect(read["vary"]?.contains("Origin") == true)
        }
    }

    @Test(arguments: ["https://evil.example", "null", "https://portal.example.evil", "http://portal.example"])
    func `any other origin is never allowed`(_ origin: String) async throws {
        try await GatewayFixture.withGateway { gateway in
            for tenant in ["h1", "nobody"] {
                let answer = try await gateway.send(
                    "OPTIONS", "/t/\(tenant)/fhir/Patient/1",
                    ["Origin": origin, "Access-Control-Request-Method": "GET"])
                #expect(answer.status == 403 && answer["access-control-allow-origin"] == nil)
            }
            let read = try await gateway.send(
                "GET", "/t/h1/fhir/Patient/1", ["Origin": origin, "Authorization": "Bearer h1"])
            #expect(read["access-control-allow-origin"] == nil)
        }
    }

    @Test func `the platform's API is for no page`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let answer = try await gateway.send("OPTIONS", "/v1/tenants", Self.preflight)
            #expect(answer.status == 403)
        }
    }
}
