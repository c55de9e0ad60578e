import Foundation
import Glibc
import Logging
import TestSupport
import Testing
import Virtualization

@testable import PrivateHypervisor

/// What the agent and the first process decide.
@Suite struct AgentTests {
    @Test func `a request names a guest's address, a port and a patience`() throws {
        let request = try #require(AgentRequest("CONNECT 10.40.1.7 80 1500"))
        #expect(request.address == 0x0A28_0107)
        #expect(request.port == 80)
        #expect(request.milliseconds == 1_500)
    }

    @Test(arguments: [
        "", "CONNECT", "GET / HTTP/1.1", "CONNECT 10.40.1.7 80", "CONNECT 10.40.1.7 0 1", "CONNECT 10.40.1.7 65536 1",
        "CONNECT 10.40.1.7 80 0", "CONNECT 10.40.1.7 80 60001", "CONNECT 10.40.1 80 1", "CONNECT 10.40.1.07 80 1",
        "CONNECT 127.0.0.1 80 1", "CONNECT 0.0.0.0 80 1", "CONNECT 224.0.0.1 80 1", "CONNECT 255.255.255.255 80 1",
        "CONNECT localhost 80 1", "CONNECT  10.40.1.7 80 1", "CONNECT 10.40.1.7 80 1 x", "connect 10.40.1.7 80 1",
    ]) func `anything else is refused`(line: String) {
        #expect(AgentRequest(line) == nil)
    }

    /// Two ends of a stream.
    private func pair() throws -> (near: Int32, far: Int32) {
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        return (ends[0], ends[1])
    }

    private func hear(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 100)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    }

    @Test func `who has said all hears the rest, and who has gone holds nothing up`() async throws {
        let (client, clientEnd) = try pair()
        let (guest, guestEnd) = try pair()
        defer { for descriptor in [client, guest, guestEnd] { close(descriptor) } }
        async let end: Void = withCheckedContinuation { done in
            Thread.detachNewThread {
                GuestAgent.relay(client, guest)
                done.resume()
            }
        }
        #expect(write(clientEnd, "ask", 3) == 3)
        #expect(hear(guestEnd) == "ask")
        shutdown(clientEnd, Int32(SHUT_WR))
        #expect(hear(guestEnd) == "")
        #expect(write(guestEnd, "answer", 6) == 6)
        #expect(hear(clientEnd) == "answer")
        // The guest says nothing more and never closes.
        close(clientEnd)
        await end
    }

    @Test(.timeLimit(.minutes(1))) func `guests are stopped though the hypervisor is away for a moment`() async throws {
        let driver = FakeHypervisor()
        let name = ResourceName.random(.instance)
        let network = ResourceName.random(.network)
        let machine = InstanceSpecification(
            name: name, uuid: "0b5a0c5e-7f3c-4e2b-9d55-1c2d3e4f5a6b", virtualCPUs: 1, memory: 80 << 20, image: "probe",
            disk: 32 << 20, network: network, macAddress: "52:54:00:0a:0b:0c", address: "10.40.1.7", hostName: "front",
            authorizedKeys: [])
        try await driver.ensureNetwork(NetworkSpecification(name: network, cidr: "10.40.1.0/24"))
        try await driver.createDisk(machine)
        try await driver.createSeed(machine)
        try await driver.define(machine)
        try await driver.start(name)
        let away = VirtualizationError(.unavailable, "starting again")
        driver.fail(.inventory, with: [away, away])
        driver.fail(.requestShutdown, with: [away])
        await GuestShutdown(
            driver: driver, grace: .seconds(30), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        .run()
        #expect(try await driver.state(of: name) == .shutOff)
    }

    @Test func `libvirtd is started again at once, and slower when it keeps dying`() {
        let begin = ContinuousClock.now
        var pause = RestartPause()
        pause.started(at: begin)
        #expect(pause.ended(at: begin + .seconds(60)) == .zero)
        var pauses: [Duration] = []
        for _ in 0..<8 {
            pause.started(at: begin)
            pauses.append(pause.ended(at: begin + .milliseconds(500)))
        }
        #expect(pauses == [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].map { .milliseconds($0) })
        // A start that fails altogether counts too.
        #expect(pause.ended(at: begin) == .seconds(5))
    }

    @Test(arguments: [
        [], ["--state", "/s"], ["--socket-group", "1"], ["--state", "relative", "--socket-group", "1"],
        ["--state", "/s", "--socket-group", "x"], ["--state", "/s", "--socket-group", "1", "--other"],
    ]) func `arguments are what the usage says`(words: [String]) {
        #expect(HypervisorOptions(["medcloud-hypervisor"] + words) == nil)
        #expect(HypervisorOptions(["medcloud-hypervisor", "--state", "/s", "--socket-group", "1"])?.isInside == false)
    }
}
