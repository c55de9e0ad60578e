import CloudModel
import HTTPTypes
import ModuleKit
import NIOCore
import Testing

@testable import Gateway

@Suite struct ConnectionOrderTests {
    @Test func `a routed request waits for the hot reads before it`() {
        var order = ConnectionOrder(maximumHot: 8)
        #expect(order.received(isHot: true) == .hot(0))
        #expect(order.received(isHot: true) == .hot(1))
        #expect(order.received(isHot: false) == .held)
        #expect(!order.admitsHot)
        #expect(order.received(isHot: false) == .held)
        #expect(order.wroteHot() == 0)
        #expect(order.wroteHot() == 2)
        #expect(order.withRouter == 2 && !order.isIdle)
        order.routerAnswered()
        order.routerAnswered()
        #expect(order.isIdle && order.admitsHot)
    }

    @Test func `a hot read never begins while the router has a request`() {
        var order = ConnectionOrder(maximumHot: 8)
        #expect(order.received(isHot: false) == .router)
        #expect(order.received(isHot: true) == .router)
        order.routerAnswered()
        #expect(!order.admitsHot)
        order.routerAnswered()
        #expect(order.received(isHot: true) == .hot(0))
    }

    @Test func `more hot reads than allowed are held`() {
        var order = ConnectionOrder(maximumHot: 1)
        #expect(order.received(isHot: true) == .hot(0))
        #expect(order.received(isHot: true) == .held)
        #expect(order.wroteHot() == 1)
    }
}

@Suite struct ConnectionClockTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test func `a first head has less time than a later one`() {
        let limits = GatewayLimits()
        var clock = ConnectionClock(limits: limits, now: start)
        #expect(clock.deadline(isBusy: false, now: start) == start + limits.headerTimeout)
        clock.headArrived(now: start)
        clock.requestArrived(now: start)
        clock.answered(now: start + .seconds(1))
        #expect(clock.deadline(isBusy: false, now: start) == start + .seconds(1) + limits.idleTimeout)
    }

    @Test func `a trickling body ends at its whole time, a stopped one after its pause`() {
        let limits = GatewayLimits()
        var clock = ConnectionClock(limits: limits, now: start)
        clock.headArrived(now: start)
        #expect(clock.deadline(isBusy: true, now: start) == start + limits.bodyPause)
        let late = start + limits.bodyTimeout - .seconds(1)
        clock.partArrived(now: late)
        #expect(clock.deadline(isBusy: true, now: late) == start + limits.bodyTimeout)
    }

    @Test func `a client that does not take its answer is cut even while busy`() {
        let limits = GatewayLimits()
        var clock = ConnectionClock(limits: limits, now: start)
        clock.headArrived(now: start)
        clock.requestArrived(now: start)
        clock.writability(false, now: start)
        let later = start + .seconds(30)
        #expect(clock.deadline(isBusy: true, now: later) == start + limits.writeStall)
        clock.writability(true, now: later)
        #expect(clock.deadline(isBusy: true, now: later) == later + limits.idleTimeout)
    }
}

@Suite struct HotTargetTests {
    @Test func `a read by id is recognised`() throws {
        let target = try #require(HotTarget("/t/h1/fhir/Patient/a-1.B"))
        #expect(target.tenant == "h1" && target.type == "Patient" && target.id == "a-1.B")
    }

    @Test(arguments: [
        "/t/h1/fhir/Patient", "/t/h1/fhir/Patient/1/", "/t/h1/fhir/Patient/1/_history", "/t/h1/fhir/Patient/1?x=1",
        "/t/h1/fhir/Patient/%31", "/t/h1/fhir/Patient/..", "/t/h1/fhir/patient/1", "/t/h1/oauth2/Patient/1",
        "/t//fhir/P/1",
        "/t/h1/fhir/Patient/_history", "/x/h1/fhir/Patient/1",
        "/t/h1/fhir/Patient/\(String(repeating: "a", count: 65))",
    ])
    func `anything else takes the ordinary way`(_ path: String) {
        #expect(HotTarget(path) == nil)
    }

    @Test(arguments: [
        (HTTPField.Name.ifNoneMatch, #"W/"1""#), (.accept, "application/fhir+xml"), (.origin, "https://x"),
        (.contentLength, "5"), (.transferEncoding, "chunked"), (.connection, "close"), (.range, "bytes=0-1"),
    ])
    func `a head that asks for more takes the ordinary way`(_ name: HTTPField.Name, _ value: String) {
        #expect(HeadHints([.authorization: "Bearer x", name: value]) == nil)
    }
}

@Suite struct RouteTableTests {
    private let table = RouteTable([
        Route(.get, "/v1/things/{id}", "show") { _ in .init(status: .ok) },
        Route(.get, "/v1/things/special", "special") { _ in .init(status: .ok) },
        Route(.post, "/v1/things", "create") { _ in .init(status: .ok) },
    ])

    @Test func `literals win over parameters`() {
        guard case .route(let route, _) = table.match(.get, ["v1", "things", "special"]) else {
            Issue.record("no route")
            return
        }
        #expect(route.operationID == "special")
    }

    @Test func `parameters are taken from the path`() {
        guard case .route(let route, let parameters) = table.match(.head, ["v1", "things", "7"]) else {
            Issue.record("no route")
            return
        }
        #expect(route.operationID == "show" && parameters == ["id": "7"])
    }

    @Test func `another method names those there are`() {
        guard case .otherMethods(let methods) = table.match(.put, ["v1", "things"]) else {
            Issue.record("a route")
            return
        }
        #expect(methods == ["OPTIONS", "POST"])
    }
}

@Suite struct TenantBudgetTests {
    @Test func `one tenant cannot take the others' share`() throws {
        let budget = TenantBudget(perTenant: 2, total: 3)
        let a = try #require(TenantID("a"))
        let b = try #require(TenantID("b"))
        let first = try budget.acquire(a)
        _ = try budget.acquire(a)
        #expect(throws: TenantBudget.Refusal.tenant) { try budget.acquire(a) }
        _ = try budget.acquire(b)
        #expect(throws: TenantBudget.Refusal.worker) { try budget.acquire(b) }
        budget.release(first)
        _ = try budget.acquire(b)
        #expect(budget.underWay == 3)
    }
}

@Suite struct WorkerConfigurationTests {
    private static let minimal = ["--state", "/s", "--base-url", "http://h:1/"]

    @Test func `arguments win over the environment`() throws {
        let configuration = try WorkerConfiguration(
            arguments: Self.minimal + ["--worker=2", "--listen-fd", "3"],
            environment: ["MEDCLOUD_WORKER": "9", "MEDCLOUD_IDLE_TIMEOUT": "7"], cores: 2)
        #expect(configuration.worker == "2" && configuration.baseURL == "http://h:1")
        #expect(configuration.socket == .inherited(descriptor: 3))
        #expect(configuration.limits.idleTimeout == .seconds(7))
        #expect(configuration.eventLoops == 1)
    }

    @Test func `a region bars nobody by itself unless it is told to`() throws {
        let silent = try WorkerConfiguration(arguments: Self.minimal, environment: [:], cores: 2)
        #expect(silent.barNoShows == nil)
        let told = try WorkerConfiguration(
            arguments: Self.minimal, environment: ["MEDCLOUD_BAR_NO_SHOWS": "3"], cores: 2)
        #expect(told.barNoShows == 3 && told.barWithinMonths == 12 && told.barMonths == 1)
    }

    @Test(arguments: [
        (["--state", "relative", "--base-url", "http://x"], "--state"), (["--state", "/s"], "--base-url"),
        (minimal + ["--nonsense", "1"], "--nonsense"), (minimal + ["--listen-fd", "three"], "--listen-fd"),
        (minimal + ["--tls-key", "/k"], "--tls-certificate"), (minimal + ["--worker"], "--worker"),
        (minimal + ["--log-level", "loud"], "--log-level"), (minimal + ["--bar-no-shows", "0"], "--bar-no-shows"),
    ])
    func `a bad value says which and what would do`(_ arguments: [String], _ word: String) {
        let failure = #expect(throws: WorkerConfiguration.Failure.self) {
            try WorkerConfiguration(arguments: arguments, environment: [:], cores: 1)
        }
        #expect(failure?.description.contains(word) == true)
    }

    @Test func `connections leave room for databases and files`() {
        #expect(GatewayLimits().fitting(descriptors: 65_536, reserved: 500).connections == 16_384)
        #expect(GatewayLimits().fitting(descriptors: 1024, reserved: 500).connections == 512)
        #expect(GatewayLimits().fitting(descriptors: 256, reserved: 500).connections == 128)
        #expect(GatewayLimits().fitting(descriptors: 1000, reserved: 100).connections == 836)
    }
}

@Suite struct Base64Tests {
    @Test func `base64 pads as RFC 4648 says`() {
        let vectors = ["": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg==", "foobar": "Zm9vYmFy"]
        for (plain, encoded) in vectors { #expect(Base64.encoded(Array(plain.utf8)) == encoded) }
    }
}
