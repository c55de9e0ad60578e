import CloudModel
import Foundation
import Glibc
import Testing
import Virtualization

@testable import LibvirtVirtualization

/// Real guests on a private hypervisor: two cores emulate each guest's instructions, so they come one after the other.
@Suite(
    .serialized,
    .enabled(if: HypervisorFixture.obstacle == nil, "\(HypervisorFixture.obstacle ?? "guests can run")"))
struct HypervisorTests {
    private static let page = ReadinessProbe.http(port: 80, path: "/cgi-bin/status")

    private func make(_ instance: InstanceSpecification, on hypervisor: HypervisorFixture) async throws {
        let driver = hypervisor.driver
        try await driver.ensureNetwork(NetworkSpecification(name: instance.network, cidr: "10.40.1.0/24"))
        try await driver.createDisk(instance)
        try await driver.createSeed(instance)
        try await driver.define(instance)
        try await driver.start(instance.name)
    }

    private func remove(_ instance: InstanceSpecification, from hypervisor: HypervisorFixture) async throws {
        try await hypervisor.driver.undefine(instance)
        try await hypervisor.driver.removeVolumes(of: instance.name)
        try await hypervisor.driver.removeNetwork(instance.network)
    }

    /// Everything that instances and networks leave on the host.
    private func expectNothingLeft(on hypervisor: HypervisorFixture) async throws {
        #expect(try await hypervisor.driver.inventory() == HostInventory(instances: [], networks: [], volumes: []))
        #expect(try hypervisor.files().isEmpty)
        #expect(hypervisor.processes("qemu-system").isEmpty)
        #expect(hypervisor.processes("dnsmasq").isEmpty)
    }

    @Test(.timeLimit(.minutes(3))) func `a guest serves, keeps its disk, outlives libvirtd, and leaves nothing`()
        async throws
    {
        let hypervisor = try HypervisorFixture()
        let driver = hypervisor.driver
        let clock = ContinuousClock()
        var figures: [String] = []
        func measured(_ what: String, _ body: () async throws -> Void) async throws {
            figures.append(
                "\(what) \(try await clock.measure(body).formatted(.units(fractionalPart: .show(length: 2))))")
        }
        try await measured("libvirtd, cold:") { try await hypervisor.ready() }
        let instance = InstanceSpecification.sample()
        try await measured("network and definition:") {
            try await driver.ensureNetwork(NetworkSpecification(name: instance.network, cidr: "10.40.1.0/24"))
            try await driver.createDisk(instance)
            try await driver.createSeed(instance)
            try await driver.define(instance)
        }
        try await measured("start:") { try await driver.start(instance.name) }
        func untilReady() async throws {
            try await hypervisor.wait("the guest answers") {
                try await driver.probe(Self.page, address: instance.address, timeout: .seconds(1))
            }
        }
        try await measured("from start to answer:") { try await untilReady() }
        let first = try #require(try hypervisor.request("GET /cgi-bin/status HTTP/1.0\r\n\r\n", of: instance.address))
        #expect(
            first.contains(
                "\"host\":\"front\",\"instance\":\"\(try InstanceSeed(instance).instanceID)\",\"starts\":1,"),
            "\(first)")
        #expect(try await !driver.probe(.tcp(port: 81), address: instance.address, timeout: .seconds(1)))
        #expect(try await driver.probe(.tcp(port: 80), address: instance.address, timeout: .seconds(1)))
        #expect(
            try await !driver.probe(.http(port: 80, path: "/nothing"), address: instance.address, timeout: .seconds(1)))

        let note = "POST /cgi-bin/note HTTP/1.0\r\nContent-Length: 5\r\n\r\nkept\n"
        #expect(try hypervisor.request(note, of: instance.address) == "kept")

        // libvirtd goes, the guest does not notice.
        let daemon = try #require(hypervisor.processes("libvirtd").first)
        let guest = hypervisor.processes("qemu-system")
        kill(daemon, SIGKILL)
        try await measured("libvirtd back after kill -9:") {
            try await hypervisor.wait("libvirtd is back") {
                guard let next = hypervisor.processes("libvirtd").first, next != daemon else { return false }
                return (try? await driver.state(of: instance.name)) == .running
            }
        }
        #expect(hypervisor.processes("qemu-system") == guest)
        let second = try #require(try hypervisor.request("GET /cgi-bin/status HTTP/1.0\r\n\r\n", of: instance.address))
        #expect(second.contains("\"starts\":1,"), "\(second)")

        // Made once more in the same shape, nothing changes.
        try await make(instance, on: hypervisor)
        #expect(hypervisor.processes("qemu-system") == guest)

        try await driver.reboot(instance.name)
        try await hypervisor.wait("the guest starts again") {
            (try? hypervisor.request("GET /cgi-bin/status HTTP/1.0\r\n\r\n", of: instance.address))?
                .contains("\"starts\":2,") == true
        }
        #expect(try hypervisor.request("GET /cgi-bin/note HTTP/1.0\r\n\r\n", of: instance.address) == "kept")
        let console = try await driver.consoleLog(of: instance.name, from: 0, limit: 100_000)
        #expect(String(decoding: console, as: UTF8.self).contains("probe: front serves, start 2"))
        #expect(try await driver.consoleLog(of: instance.name, from: Int64(console.count), limit: 100).isEmpty)

        try await driver.requestShutdown(instance.name)
        try await measured("power-off by ACPI:") {
            try await hypervisor.wait("the guest powers off") { try await driver.state(of: instance.name) == .shutOff }
        }
        // As after a restart of the region: what is kept is there again, its network runs.
        try hypervisor.restart()
        try await hypervisor.ready()
        #expect(try await driver.state(of: instance.name) == .shutOff)
        try await driver.start(instance.name)
        try await hypervisor.wait("the guest answers after the restart") {
            try await driver.probe(Self.page, address: instance.address, timeout: .seconds(1))
        }
        try await measured("undefine a running guest, and its volumes and network:") {
            try await remove(instance, from: hypervisor)
        }
        try await expectNothingLeft(on: hypervisor)
        try await driver.removeVolumes(of: instance.name)
        print("hypervisor: " + figures.joined(separator: ", "))
    }

    @Test(.timeLimit(.minutes(3)))
    func `guests power off with their hypervisor, and a second one beside it does not notice`()
        async throws
    {
        let one = try HypervisorFixture()
        let other = try HypervisorFixture()
        try await one.ready()
        try await other.ready()
        // The same names and addresses in both.
        let instance = InstanceSpecification.sample()
        for hypervisor in [one, other] { try await make(instance, on: hypervisor) }
        for hypervisor in [one, other] {
            try await hypervisor.wait("the guest answers") {
                try await hypervisor.driver.probe(Self.page, address: instance.address, timeout: .seconds(1))
            }
        }
        one.stop()
        let log = try String(
            contentsOfFile: one.state.instancesDirectory + "/\(instance.name).log", encoding: .utf8)
        #expect(log.contains("probe: power button"), "\(log)")
        #expect(one.processes("qemu-system").isEmpty)
        #expect(try await other.driver.probe(Self.page, address: instance.address, timeout: .seconds(2)))
        try await remove(instance, from: other)
        try await expectNothingLeft(on: other)
    }

    @Test(.timeLimit(.minutes(3))) func `an address that was left behind is given again, and one in use is not`()
        async throws
    {
        let hypervisor = try HypervisorFixture()
        try await hypervisor.ready()
        let driver = hypervisor.driver
        let instance = InstanceSpecification.sample()
        var rival = InstanceSpecification.sample(network: instance.network)
        rival.uuid = UUID().uuidString.lowercased()
        rival.macAddress = "52:54:00:0a:0b:0d"
        try await driver.ensureNetwork(NetworkSpecification(name: instance.network, cidr: "10.40.1.0/24"))
        for one in [instance, rival] {
            try await driver.createDisk(one)
            try await driver.createSeed(one)
        }
        // As `virsh undefine` leaves it.
        try await driver.call { connection throws(VirtualizationError) in
            _ = try connection.withNetwork(instance.network) { network throws(VirtualizationError) in
                try connection.reserve(instance.address, for: "52:54:00:0a:0b:0e", in: network)
            }
        }
        // Whoever was interrupted between reservation and definition leaves the one without the other.
        let reserved = {
            try await driver.call { connection throws(VirtualizationError) in
                try connection.withNetwork(instance.network) { network throws(VirtualizationError) in
                    try connection.description(ofNetwork: network).all("network/ip/dhcp/host")
                        .compactMap { $0.attributes["mac"] }
                }
            }
        }
        var interrupted = instance
        interrupted.macAddress = "52:54:00:0a:0b:0e"
        #expect(try await reserved() == ["52:54:00:0a:0b:0e"])
        try await driver.undefine(interrupted)
        #expect(try await reserved() == [])
        try await driver.call { connection throws(VirtualizationError) in
            _ = try connection.withNetwork(instance.network) { network throws(VirtualizationError) in
                try connection.reserve(instance.address, for: "52:54:00:0a:0b:0e", in: network)
            }
        }
        try await driver.define(instance)
        await #expect {
            try await driver.define(rival)
        } throws: {
            ($0 as? VirtualizationError)?.code == .conflict
        }
        try await driver.undefine(instance)
        try await driver.define(rival)
        try await driver.undefine(rival)
        for one in [instance, rival] { try await driver.removeVolumes(of: one.name) }
        try await driver.removeNetwork(instance.network)
        try await expectNothingLeft(on: hypervisor)
    }

    @Test(.timeLimit(.minutes(5))) func `making and removing again and again leaves nothing`() async throws {
        let rounds = ProcessInfo.processInfo.environment["MEDCLOUD_TEST_LONG"] == nil ? 3 : 20
        let hypervisor = try HypervisorFixture()
        try await hypervisor.ready()
        func round() async throws {
            let instance = InstanceSpecification.sample()
            try await make(instance, on: hypervisor)
            try await remove(instance, from: hypervisor)
        }
        // The first network makes chains that stay, empty, for all that follow.
        try await round()
        let before = try hypervisor.traces()
        let took = try await ContinuousClock().measure {
            for _ in 0..<rounds { try await round() }
        }
        try await expectNothingLeft(on: hypervisor)
        // What QEMU said of a guest is removed from time to time.
        var more: Set<String> = []
        for _ in 0..<60 {
            more = try hypervisor.traces().subtracting(before)
            if more.isEmpty { break }
            try await Task.sleep(for: .milliseconds(500))
        }
        #expect(more.isEmpty, "\(more.sorted().joined(separator: "\n"))")
        // `ops/test --long` collects it.
        let figure = "guest.probe.round \(String(format: "%.2f", took / .seconds(rounds))) s - measured\n"
        print(figure, terminator: "")
        if let file = ProcessInfo.processInfo.environment["MEDCLOUD_FIGURES"],
            let figures = FileHandle(forWritingAtPath: file)
        {
            try figures.seekToEnd()
            try figures.write(contentsOf: Data(figure.utf8))
        }
    }
}
