import Testing

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
