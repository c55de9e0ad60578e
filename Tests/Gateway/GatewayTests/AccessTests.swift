import Testing

@Suite struct AccessTests {
    @Test(arguments: ["h1", "h2", "nobody", "not_a_name"])
    func `without a credential the answer is 401 whatever tenant is named`(_ tenant: String) async throws {
        try await GatewayFixture.withGateway { gateway in
            let none = try await gateway.send("GET", "/t/\(tenant)/fhir/Patient/1")
            #expect(none.status == 401)
            #expect(none["www-authenticate"] == #"Bearer realm="medcloud""#)
            #expect(none.body.contains("OperationOutcome"))
            let bad = try await gateway.send("GET", "/t/\(tenant)/fhir/Patient/1", ["Authorization": "Bearer nope"])
            #expect(bad.status == 401)
            #expect(bad["www-authenticate"]?.contains("invalid_token") == true)
        }
    }

    @Test func `a token of another tenant gets what a tenant that does not exist gets`() async throws {
        try await GatewayFixture.withGateway { gateway in
            var answers: [String] = []
            for tenant in ["h2", "nobody"] {
                for path in ["Patient/1", "Patient?name=x"] {
                    let answer = try await gateway.send(
                        "GET", "/t/\(tenant)/fhir/\(path)",
                        ["Authorization": "Bearer h1", "X-Request-Id": "same"])
                    #expect(answer.status == 404)
                    let names = answer.headers.map(\.name).sorted().joined(separator: ",")
                    answers.append(names + answer.body)
                }
            }
            #expect(Set(answers).count == 1)
        }
    }

    @Test func `an operator reads no tenant's records`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let answer = try await gateway.get("/t/h1/fhir/Patient/1", token: "operator")
            #expect(answer.status == 404)
        }
    }

    @Test func `credentials that cannot be checked now are no refusal`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let answer = try await gateway.get("/t/h1/fhir/Patient/1", token: "later")
            #expect(answer.status == 503)
            #expect(answer["retry-after"] == "1")
        }
    }

    @Test func `a tenant that is being made answers 503 to its own clients`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let answer = try await gateway.get("/t/h2/fhir/Patient/1", token: "h2")
            #expect(answer.status == 503 && answer["retry-after"] != nil)
        }
    }

    @Test func `public routes need a tenant that exists and nothing else`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let answer = try await gateway.send("GET", "/t/h1/fhir/metadata")
            #expect(answer.status == 200 && answer.body == "http://region.example/t/h1/fhir")
            #expect(try await gateway.send("GET", "/t/nobody/fhir/metadata").status == 404)
        }
    }

    @Test func `unknown paths below guarded roots are told only to who may ask`() async throws {
        try await GatewayFixture.withGateway { gateway in
            for path in ["/v1/nothing", "/t/h1/nothing", "/region/nothing"] {
                let stranger = try await gateway.send("GET", path)
                #expect(stranger.status == 401)
                let client = try await gateway.get(path, token: "h1")
                #expect(client.status == 404)
            }
            let outside = try await gateway.send("GET", "/nothing")
            #expect(outside.status == 404)
        }
    }

    @Test func `metrics are for operators and this machine, not for what comes through a proxy`() async throws {
        try await GatewayFixture.withGateway { gateway in
            let local = try await gateway.send("GET", "/metrics")
            #expect(local.status == 200)
            let forwarded = ["X-Forwarded-For": "203.0.113.1"]
            #expect(try await gateway.send("GET", "/metrics", forwarded).status == 401)
            let tenant = forwarded.merging(["Authorization": "Bearer h1"]) { $1 }
            let refused = try await gateway.send("GET", "/metrics", tenant)
            #expect(refused.status == 403)
            #expect(refused["www-authenticate"] == #"Bearer realm="medcloud", error="insufficient_scope""#)
            let operators = forwarded.merging(["Authorization": "Bearer operator"]) { $1 }
            #expect(try await gateway.send("GET", "/metrics", operators).status == 200)
        }
    }
}
