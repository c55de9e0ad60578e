import ApplicationRegistry
import BookingBlacklist
import CloudHTTP
import CloudIdentity
import CloudModel
import CloudTelemetry
import EventBus
import Foundation
import HTTPTypes
import HealthRecordExchange
import Logging
import ModuleKit
import NIOCore
import NIOPosix
import PostgresDriver
import RecordSharing
import RegionalRecord
import ResourcePools
import StrictJSON
import TenantRegistry
import Testing

@testable import Gateway

/// The folder of the package.
private let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

@Suite struct DescriptionTests {
    private static func text(_ path: String) throws -> String {
        try String(contentsOf: package.appending(path: path), encoding: .utf8)
    }

    private static func description() throws -> OpenAPIDescription {
        try OpenAPIDescription(baseURL: "http://region.example")
    }

    /// Every route that a worker serves, made as the composition root makes them; nothing is connected to.
    private static func servedRoutes() throws -> [String] {
        let logger = Logger(label: "x") { _ in SwiftLogNoOpLogHandler() }
        let pool = PostgresPool(
            configuration: PostgresConfiguration(host: "/nowhere", database: "c", user: "c", password: nil),
            eventLoopGroup: NIOSingletons.posixEventLoopGroup, logger: logger)
        let control = ControlDatabase(pool: pool)
        let database = ApplicationDatabase(control: control)
        let endpoints = IdentityEndpoints(baseURL: "http://region.example")
        let keyRing = KeyRing(database: database, key: try RegionKey(bytes: Array(repeating: 1, count: 32)))
        let verifier = TokenVerifier(endpoints: endpoints, keys: keyRing)
        let server = AuthorizationServer(
            database: database, keyRing: keyRing, verifier: verifier, endpoints: endpoints, logger: logger)
        let administration = TenantAdministration(
            control: control, database: database, verifier: verifier, endpoints: endpoints)
        let operations = OperationAdministration(control: control)
        let limits = GatewayLimits()
        let routes =
            IdentityRoutes(
                server: server, directory: CachedTenantDirectory(control: control) { _ in [] }, limits: limits
            ).routes
            + TenantRoutes(
                administration: administration, operations: operations, ledger: IdempotencyLedger(control: control),
                limits: limits
            ).routes
            + OperationRoutes(
                operations: operations, feed: OperationFeed(control: control, operations: operations), tokens: verifier,
                ledger: IdempotencyLedger(control: control)
            ).routes
            + SpecificationRoutes(
                specifications: SpecificationAdministration(control: control), operations: operations,
                ledger: IdempotencyLedger(control: control), limits: limits
            ).routes
            + RegionClientRoutes(
                administration: administration, ledger: IdempotencyLedger(control: control), limits: limits
            ).routes
            + computeRoutes(ledger: IdempotencyLedger(control: control), limits: limits, logger: logger)
            + FeedRoutes(
                feeds: OutboxFeeds(
                    region: RegionDatabase(
                        pool: PostgresPool(
                            configuration: PostgresConfiguration(
                                host: "/nowhere", database: "r", user: "r", password: nil),
                            eventLoopGroup: NIOSingletons.posixEventLoopGroup, logger: logger))),
                ledger: IdempotencyLedger(control: control)
            ).routes
            + HealthRoutes(checks: [], registry: MetricsRegistry()).routes
            + DescriptionRoutes(try description()).routes
        let sharing = RecordSharing(
            region: SharingDatabase(region: RegionDatabase(pool: pool)),
            blacklist: BlacklistDatabase(region: RegionDatabase(pool: pool)), control: control,
            holders: TenantDatabases(
                control: control, state: RegionState(directory: "/nowhere"),
                key: try RegionKey(bytes: Array(repeating: 1, count: 32)),
                eventLoopGroup: NIOSingletons.posixEventLoopGroup, logger: logger),
            endpoints: endpoints, cursorKey: Array(repeating: 1, count: 32), now: { 0 })
        let modules = ModuleTable(
            [HealthRecordExchange(cursorKey: Array(repeating: 1, count: 32))], region: sharing)
        return routes.map { "\($0.method.rawValue) \($0.pattern) \($0.operationID)" }
            + modules.operations.map { "\($0.method.rawValue) \($0.pattern) \($0.operationID)" }
    }

    private static func computeRoutes(ledger: IdempotencyLedger, limits: GatewayLimits, logger: Logger) -> [Route] {
        let pool = PostgresPool(
            configuration: PostgresConfiguration(host: "/nowhere", database: "c", user: "c", password: nil),
            eventLoopGroup: NIOSingletons.posixEventLoopGroup, logger: logger)
        let pools = ResourceAdministration(database: PoolDatabase(pool: pool))
        return InstanceRoutes(administration: pools, ledger: ledger, limits: limits).routes
            + NetworkRoutes(administration: pools, ledger: ledger, limits: limits).routes
            + PoolRoutes(administration: pools, ledger: ledger, limits: limits, now: { 0 }).routes
    }

    @Test func `what is documented is served and what is served is documented`() throws {
        let documented = Set(try Self.description().operations.map { "\($0.method) \($0.pattern) \($0.operationID)" })
        let served = Set(try Self.servedRoutes())
        #expect(documented.subtracting(served).sorted() == [])
        #expect(served.subtracting(documented).sorted() == [])
    }

    @Test func `operation ids are unique`() throws {
        let ids = try Self.description().operations.map(\.operationID)
        #expect(Set(ids).count == ids.count)
    }

    @Test func `path parameters of a pattern are the documented ones`() throws {
        let description = try Self.description()
        for operation in description.operations {
            let named = (operation.node["parameters"].map(Array.init(elements:)) ?? []).map(description.resolved)
                .filter { $0["in"]?.string == "path" }.compactMap { $0["name"]?.string }
            let used = operation.pattern.split(separator: "/").filter { $0.hasPrefix("{") }
                .map { String($0.dropFirst().dropLast()) }
            #expect(named.sorted() == used.sorted(), "\(operation.operationID)")
        }
    }

    @Test func `every list of the platform API is read in pages`() throws {
        let description = try Self.description()
        for operation in description.operations where operation.method == "GET" && operation.pattern.hasPrefix("/v1/") {
            let answer = operation.node["responses"]?["200"]?["content"]?["application/json"]?["schema"]
            guard let properties = answer?["properties"], properties["items"] != nil else { continue }
            let parameters = (operation.node["parameters"].map(Array.init(elements:)) ?? []).map(description.resolved)
            let names = Set(parameters.filter { $0["in"]?.string == "query" }.compactMap { $0["name"]?.string })
            #expect(names.isSuperset(of: Route.pageNames), "\(operation.operationID)")
            #expect(properties["next"] != nil, "\(operation.operationID)")
        }
    }

    @Test func `the embedded documents are those of the folder`() throws {
        for (name, embedded) in OpenAPIDocuments.all {
            let file = try JSONDocument(Array(try Self.text("OpenAPI/\(name).json").utf8)).root
            let own = try JSONDocument(embedded.withUTF8Buffer { Array($0) }).root
            #expect(IndentedJSON.text(file) == IndentedJSON.text(own), "run OpenAPI/embed")
        }
        let folder = try FileManager.default.contentsOfDirectory(atPath: package.appending(path: "OpenAPI").path)
        #expect(folder.count { $0.hasSuffix(".json") } == OpenAPIDocuments.all.count)
    }

    @Test func `a component in two documents is refused`() {
        let document = Array(#"{"openapi":"3.1.0","info":{"title":"x"},"paths":{"/a":{}}}"#.utf8)
        #expect(throws: OpenAPIDescription.Failure.self) {
            try OpenAPIDescription(documents: [("one", document), ("two", document)], baseURL: "http://x")
        }
    }

    @Test func `the docs page shows every operation and loads nothing`() async throws {
        let description = try Self.description()
        let routes = DescriptionRoutes(description).routes
        try await GatewayFixture.withGateway(routes: routes) { gateway in
            let page = try await gateway.send("GET", "/docs")
            #expect(page.status == 200 && page["content-type"] == "text/html; charset=utf-8")
            #expect(page["content-security-policy"]?.hasPrefix("default-src 'none'; style-src 'sha256-") == true)
            for operation in description.operations { #expect(page.body.contains("id=\"\(operation.operationID)\"")) }
            for code in ProblemCode.all { #expect(page.body.contains("id=\"\(code.name)\"")) }
            #expect(!page.body.contains("<script") && !page.body.contains("src="))
            let tag = try #require(page["etag"])
            #expect(try await gateway.send("GET", "/docs", ["If-None-Match": tag]).status == 304)
            let document = try await gateway.send("GET", "/openapi.json")
            #expect(try JSONDocument(Array(document.body.utf8)).root["openapi"]?.string == "3.1.0")
        }
    }

    @Test func `every problem code is described`() throws {
        let text = try Self.text("docs/errors.md")
        for code in ProblemCode.all { #expect(text.contains("`\(code.name)`"), "\(code.name)") }
    }

    @Test func `every key of a worker is described`() throws {
        let text = try Self.text("docs/configuration.md")
        for key in WorkerConfiguration.keys { #expect(text.contains("`\(key)`"), "\(key)") }
    }
}
