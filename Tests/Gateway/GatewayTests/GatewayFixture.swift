import CloudHTTP
import CloudIdentity
import CloudModel
import CloudTelemetry
import HTTPTypes
import Logging
import ModuleKit
import NIOCore
import NIOPosix
import NIOSSL
import PostgresDriver
import ServiceLifecycle
import Synchronization

@testable import Gateway
@testable import TenantRegistry

/// A live gateway on a port of its own with fakes behind it: tokens `operator`, `h1`, `h1-second` and `h2`, tenants h1 and
/// h2, and a module that says what reached it.
struct GatewayFixture: Sendable {
    let port: Int
    let module: FakeModule
    let metrics: MetricsRegistry
    let shutDown: @Sendable () -> Void

    static func withGateway<Result: Sendable>(
        limits: GatewayLimits = GatewayLimits(), routes: [Route] = [], tls: TLSConfiguration? = nil,
        _ body: @escaping @Sendable (GatewayFixture) async throws -> Result
    ) async throws -> Result {
        let loops = NIOSingletons.posixEventLoopGroup
        let module = FakeModule()
        let registry = MetricsRegistry()
        let logger = Logger(label: "gateway-tests") { _ in SwiftLogNoOpLogHandler() }
        let services = GatewayServices(
            limits: limits, endpoints: IdentityEndpoints(baseURL: "http://region.example"),
            routes: HealthRoutes(checks: [], registry: registry).routes + [FakeModule.echoRoute] + routes,
            modules: [module], tokens: FakeTokens(), tenants: FakeTenants(eventLoopGroup: loops),
            directory: FakeDirectory(), metrics: GatewayMetrics(registry: registry, worker: "1"), isSecure: tls != nil,
            logger: logger)
        let (addresses, continuation) = AsyncStream.makeStream(of: Int.self)
        let server = GatewayServer(
            services: services, socket: .address(host: "127.0.0.1", port: 0), tls: tls, eventLoopGroup: loops
        ) { address in
            continuation.yield(address?.port ?? 0)
        }
        var configuration = ServiceGroupConfiguration(services: [.init(service: server)], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(20)
        let group = ServiceGroup(configuration: configuration)
        return try await withThrowingTaskGroup(of: Result?.self) { tasks in
            tasks.addTask {
                try await group.run()
                return nil
            }
            tasks.addTask {
                var iterator = addresses.makeAsyncIterator()
                let port = await iterator.next() ?? 0
                let fixture = GatewayFixture(port: port, module: module, metrics: registry) {
                    Task { await group.triggerGracefulShutdown() }
                }
                let result = try await body(fixture)
                await group.triggerGracefulShutdown()
                return result
            }
            var result: Result?
            while let next = try await tasks.next() { result = next ?? result }
            guard let result else { throw ChannelError.eof }
            return result
        }
    }

    func metricsText() -> String {
        String(decoding: metrics.render(), as: UTF8.self)
    }
}

struct FakeTokens: TokenChecking {
    static let all: [String: (Principal.Kind, String?)] = [
        "operator": (.operator, nil), "h1": (.systemClient, "h1"), "h1-second": (.systemClient, "h1"),
        "h2": (.systemClient, "h2"),
    ]

    func cached(_ token: UnsafeRawBufferPointer) -> VerifiedToken? {
        cached(Substring(decoding: token, as: UTF8.self))
    }

    func cached(_ token: Substring) -> VerifiedToken? {
        guard let (kind, name) = Self.all[String(token)], let scopes = try? ScopeSet(parsing: "system/*.cruds") else {
            return nil
        }
        let tenant = name.flatMap { TenantID($0) }
        return VerifiedToken(
            principal: Principal(
                kind: kind, clientID: String(token), tenant: tenant, scopes: scopes, tokenID: "t", expiresAt: .max),
            access: tenant.map { TenantAccess(minting: $0, origin: .token) })
    }

    func verify(_ token: String) async throws(IdentityError) -> VerifiedToken {
        if token == "later" { throw IdentityError(.unavailable, "later") }
        guard let known = cached(token[...]) else { throw IdentityError(.signature, "bad") }
        return known
    }
}

/// Databases that are never connected to: the fakes do not ask them anything.
struct FakeTenants: TenantOpening {
    private let opened: OpenedDatabase

    init(eventLoopGroup: any EventLoopGroup) {
        let limits = TenantDatabases.Limits()
        opened = OpenedDatabase(
            tenant: TenantRecord(
                id: "h1", name: "H", timeZone: "UTC", language: "en", state: .ready, database: "t", cell: "cell-1",
                error: nil, createdAt: ""),
            configuration: PostgresConfiguration(host: "/nowhere", database: "t", user: "t", password: nil),
            limits: limits, budget: PostgresConnectionBudget(limit: 1), eventLoopGroup: eventLoopGroup,
            logger: Logger(label: "x") { _ in SwiftLogNoOpLogHandler() })
    }

    func opened(_ access: TenantAccess) -> TenantDatabase? {
        access.tenant.rawValue == "h2" ? nil : TenantDatabase(access: access, opened: opened)
    }

    func open(_ access: TenantAccess) async throws(TenantRegistryError) -> TenantDatabase {
        guard access.tenant.rawValue != "h2" else { throw TenantRegistryError(.notReady, "being made") }
        return TenantDatabase(access: access, opened: opened)
    }
}

struct FakeDirectory: TenantDirectory {
    func origins(of tenant: TenantID) async throws(Problem) -> Set<String>? {
        ["h1", "h2"].contains(tenant.rawValue) ? ["https://portal.example"] : nil
    }

    func hasRecords(_ tenant: TenantID) async throws(Problem) -> Bool {
        ["h1", "h2"].contains(tenant.rawValue)
    }
}

/// Answers with what reached it; `Slow` types wait, hot reads of `Held` wait until they are let go.
final class FakeModule: Module, HotRead {
    let identifier = "fake"
    let version = "1.0"
    let mount = ModuleMount.fhir
    let routes = [
        ModuleRoute(.get, "/metadata", "readCapabilities", isPublic: true),
        ModuleRoute(.get, "/{type}/{id}", "readResource"), ModuleRoute(.get, "/{type}", "searchType"),
        ModuleRoute(.post, "", "processBundle"), ModuleRoute(.put, "/{type}/{id}", "updateResource"),
    ]
    private let held = Mutex<[EventLoopPromise<ModuleResponse>]>([])

    var hotRead: (any HotRead)? { self }

    static let echoRoute = Route(.post, "/echo/{name}", "echo", queryNames: ["q"], bodyLimit: 1000) { request in
        ModuleResponse(status: .ok, headers: [.contentType: "text/plain"], body: request.body)
    }

    func handle(_ request: ModuleRequest, in tenant: TenantServices) async throws -> ModuleResponse {
        switch request.path.first {
        case "Slow": try await Task.sleep(for: .seconds(60))
        case "Broken": throw CancellationTrap()
        case "Refused": throw Problem(.preconditionFailed, "stale")
        default: break
        }
        let text = "routed \(request.method.rawValue) \(request.path.joined(separator: "/")) \(request.query) "
        return ModuleResponse(
            status: .ok, headers: [.contentType: "text/plain"],
            body: ByteBuffer(string: text + "\(request.body.readableBytes) \(request.context.principal.clientID)"))
    }

    struct CancellationTrap: Error {}

    func handlePublic(_ request: PublicRequest) async throws -> ModuleResponse? {
        request.path == ["metadata"] ? ModuleResponse(status: .ok, body: ByteBuffer(string: request.fhirBase)) : nil
    }

    func read(
        _ request: HotReadRequest, in database: TenantDatabase, on eventLoop: any EventLoop,
        completion: @escaping (Result<HotReadAnswer, any Error>) -> Void
    ) -> Bool {
        let promise = eventLoop.makePromise(of: ModuleResponse.self)
        switch request.type {
        case "Held": held.withLock { $0.append(promise) }
        case "Failing": eventLoop.execute { promise.fail(ChannelError.eof) }
        case "Unknown":
            promise.fail(ChannelError.eof)
            return false
        default:
            let text = "hot \(request.type)/\(request.id)"
            eventLoop.execute {
                promise.succeed(
                    ModuleResponse(
                        status: .ok, headers: [.contentType: "text/plain"], body: ByteBuffer(string: text)))
            }
        }
        promise.futureResult.assumeIsolated().whenComplete { completion($0.map { .other($0) }) }
        return true
    }

    /// How many hot reads wait.
    var heldCount: Int { held.withLock { $0.count } }

    /// Answers those that wait, the last first.
    func letGo() {
        let promises = held.withLock { held in
            defer { held = [] }
            return held
        }
        for (index, promise) in promises.enumerated().reversed() {
            promise.succeed(ModuleResponse(status: .ok, body: ByteBuffer(string: "held \(index)")))
        }
    }
}
