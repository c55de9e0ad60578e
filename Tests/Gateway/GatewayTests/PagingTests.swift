import CloudModel
import ModuleKit
import StrictJSON
import Synchronization
import Testing

@testable import Gateway

/// A list of names that changes while it is read.
private final class Names: Sendable {
    let all: Mutex<Set<String>>

    init(_ names: [String]) { all = Mutex(Set(names)) }

    var routes: [Route] {
        [
            .list("/names/{of}", "listNames", filters: ["kind"]) { request in
                let asked = try request.page(by: .text)
                let found = self.all.withLock { names in
                    names.filter { $0 > asked.after?.first ?? "" }.sorted().prefix(Int(asked.fetchLimit))
                }
                return .page(Page(Array(found), of: asked) { [$0] }, request) { name, items in items.string(name) }
            },
            .list("/numbers", "listNumbers") { request in
                let asked = try request.page(by: .number, .text)
                return .page(Page<String>(items: asked.after ?? [], next: ["7", "x"]), request) { name, items in
                    items.string(name)
                }
            },
        ]
    }
}

@Suite struct PagingTests {
    private struct Answer {
        let items: [String]
        let next: String?

        init(_ body: String) throws {
            let root = try JSONDocument(Array(body.utf8)).root
            items = root["items"].map { $0.elements.map { $0.string ?? "?" } } ?? []
            next = root["next"]?.string
        }
    }

    @Test func `what stays is on one page, whatever comes and goes beside it`() async throws {
        let names = Names((10..<40).map { "stays-\($0)" })
        try await GatewayFixture.withGateway(routes: names.routes) { gateway in
            var seen: [String] = []
            var next: String? = "/names/a?limit=4&kind=x%26y"
            var turn = 0
            while let path = next {
                let page = try Answer(try await gateway.get(path, token: "operator").body)
                #expect(page.items.count <= 4)
                seen += page.items
                next = page.next
                if let link = next { #expect(link.contains("limit=4") && link.contains("kind=x%26y")) }
                turn += 1
                // One before the place where the reader is, one after it, and the last that it saw goes away.
                names.all.withLock { all in
                    all.formUnion(["a-\(turn)", "stays-39-\(turn)"])
                    if turn == 2 { all.remove("stays-17") }
                }
            }
            let stayed = seen.filter { $0.count == 8 }
            #expect(stayed == (10..<40).map { "stays-\($0)" })
            #expect(Set(seen).count == seen.count)
        }
    }

    @Test func `the last page names no next one, be it full or empty`() async throws {
        let names = Names(["a", "b"])
        try await GatewayFixture.withGateway(routes: names.routes) { gateway in
            let full = try Answer(try await gateway.get("/names/a?limit=2", token: "operator").body)
            #expect(full.items == ["a", "b"] && full.next == nil)
            let first = try Answer(try await gateway.get("/names/a?limit=1", token: "operator").body)
            names.all.withLock { $0 = [] }
            let rest = try #require(first.next)
            let empty = try Answer(try await gateway.get(rest, token: "operator").body)
            #expect(empty.items.isEmpty && empty.next == nil)
        }
    }

    @Test(arguments: [
        ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("limit=", "limit"),
        ("limit=1&limit=1", "limit"), ("limit=99999999999999999999", "limit"), ("after=", "after"),
        ("after=a", "after"), ("after=AAAA&after=AAAA", "after"), ("after=a+b", "after"),
        ("after=_w", "after"), ("offset=3", "offset"),
    ])
    func `a wrong parameter is named`(query: String, name: String) async throws {
        try await GatewayFixture.withGateway(routes: Names(["a"]).routes) { gateway in
            let answer = try await gateway.get("/names/a?" + query, token: "operator")
            #expect(answer.status == 400)
            #expect(answer.body.contains(#""pointer":"query:\#(name)""#))
        }
    }

    @Test func `a place in one list is none in another`() async throws {
        try await GatewayFixture.withGateway(routes: Names(["a", "b"]).routes) { gateway in
            let names = try Answer(try await gateway.get("/names/a?limit=1", token: "operator").body)
            let link = try #require(names.next)
            let query = try #require(link.split(separator: "?").last)
            #expect(try await gateway.get("/names/a?\(query)", token: "operator").status == 200)
            #expect(try await gateway.get("/names/b?\(query)", token: "operator").status == 400)
            #expect(try await gateway.get("/numbers?\(query)", token: "operator").status == 400)
            let numbers = try Answer(try await gateway.get("/numbers", token: "operator").body)
            let rest = try #require(numbers.next)
            let again = try Answer(try await gateway.get(rest, token: "operator").body)
            #expect(again.items == ["7", "x"])
        }
    }
}
