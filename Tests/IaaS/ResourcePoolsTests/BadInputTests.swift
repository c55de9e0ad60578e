import CloudModel
import PostgresDriver
import ResourcePools
import Testing

struct BadInputTests {
    static let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJ"

    @Test(arguments: [
        (PoolFixture.instance("Upper"), "name"), (PoolFixture.instance("-a"), "name"),
        (PoolFixture.instance("a-"), "name"), (PoolFixture.instance(""), "name"),
        (PoolFixture.instance(String(repeating: "a", count: 32)), "name"),
        (PoolFixture.instance("a'; drop table"), "name"), (PoolFixture.instance("a\\n"), "name"),
        (PoolFixture.instance("a", vcpus: 0), "vcpus"), (PoolFixture.instance("a", vcpus: 65), "vcpus"),
        (PoolFixture.instance("a", memory: 134_217_729), "memory"),
        (PoolFixture.instance("a", memory: 1 << 20), "memory"),
        (PoolFixture.instance("a", memory: -1), "memory"), (PoolFixture.instance("a", memory: 1 << 50), "memory"),
        (PoolFixture.instance("a", disk: 1 << 20), "disk"), (PoolFixture.instance("a", disk: 3), "disk"),
        (PoolFixture.instance("a", network: "nowhere"), "network"),
        (PoolFixture.instance("a", network: "../x"), "network"),
        (PoolFixture.instance("a", more: #""image2": "x""#), "image2"),
        (PoolFixture.instance("a", more: #""running": "yes""#), "running"),
        (PoolFixture.instance("a", more: #""sshKeys": "x""#), "sshKeys"),
        (PoolFixture.instance("a", more: #""sshKeys": [7]"#), "sshKeys"),
        (PoolFixture.instance("a", more: #""sshKeys": ["command=\"sh\" \#(key)"]"#), "sshKeys"),
        (PoolFixture.instance("a", more: #""sshKeys": ["\#(key)\n\#(key)"]"#), "sshKeys"),
        (
            PoolFixture.instance("a", more: #""sshKeys": ["\#(key.replacing("ssh-ed25519", with: "ssh-rsa"))"]"#),
            "sshKeys"
        ),
        (PoolFixture.instance("a", more: #""sshKeys": ["ssh-ed25519 nothing"]"#), "sshKeys"),
        (PoolFixture.instance("a", more: #""probe": {}"#), "probe"),
        (PoolFixture.instance("a", more: #""probe": {"icmp": {}}"#), "probe"),
        (PoolFixture.instance("a", more: #""probe": {"tcp": {"port": 1}, "http": {"port": 1, "path": "/"}}"#), "probe"),
        (PoolFixture.instance("a", more: #""probe": {"tcp": {"port": 0}}"#), "port"),
        (PoolFixture.instance("a", more: #""probe": {"tcp": {}}"#), "port"),
        (PoolFixture.instance("a", more: #""probe": {"tcp": {"port": 22, "path": "/"}}"#), "path"),
        (PoolFixture.instance("a", more: #""probe": {"http": {"port": 80, "path": "/a b"}}"#), "path"),
        (PoolFixture.instance("a", more: #""probe": {"http": {"port": 80, "path": "/\r\nHost: x"}}"#), "path"),
        (PoolFixture.instance("a", more: #""probeDeadline": 0"#), "probeDeadline"),
        (PoolFixture.instance("a", more: #""probeDeadline": 1.5"#), "probeDeadline"),
        (#"{"name": "a", "image": "probe", "memory": 134217728, "disk": 16777216, "network": "lan"}"#, "vcpus"),
        (
            #"{"name": "a", "image": "no-such", "vcpus": 1, "memory": 134217728, "disk": 16777216, "network": "lan"}"#,
            "image"
        ),
        (
            #"{"name": "a", "image": "../x", "vcpus": 1, "memory": 134217728, "disk": 16777216, "network": "lan"}"#,
            "image"
        ),
        ("[]", ""), ("7", ""),
    ])
    func `a bad instance is refused with its field`(_ json: String, _ field: String) async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            await #expect { try await fixture.ask(.create(json)) } throws: { error in
                guard let error = error as? ResourcePoolError, case .invalidValue(let found, let rule) = error.reason
                else {
                    return false
                }
                return found == field && !rule.isEmpty
            }
            #expect(try await fixture.used()["instances"] == 0)
        }
    }

    @Test(arguments: [
        "10.40.1.0", "10.40.1.1/24", "10.40.1.0/30", "10.0.0.0/8", "8.8.8.0/24", "127.0.0.0/16", "fd00::/64",
        "10.40.1/24",
        "010.40.1.0/24", "", "10.40.1.0/24; drop",
    ])
    func `a bad address range is refused`(_ cidr: String) async throws {
        try await PoolFixture.run { fixture in
            await #expect {
                try await fixture.gateway.createNetwork(
                    PoolFixture.network("lan", cidr), of: PoolFixture.tenant, acting: nil, actor: "test")
            } throws: { error in
                guard let error = error as? ResourcePoolError, case .invalidValue("cidr", _) = error.reason else {
                    return false
                }
                return true
            }
        }
    }

    @Test(arguments: [#"{"cores": 1}"#, #"{"vcpus": -1}"#, #"{"vcpus": "2"}"#, #"{"vcpus": 1.5}"#, "[]"])
    func `a bad quota is refused`(_ json: String) async throws {
        try await PoolFixture.run { fixture in
            await #expect(throws: ResourcePoolError.self) {
                try await fixture.gateway.setQuota(json, of: PoolFixture.tenant, acting: nil, actor: "test")
            }
        }
    }

    @Test func `a good key is taken`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            try await fixture.ask(
                .create(PoolFixture.instance("a", more: #""sshKeys": ["\#(Self.key) somebody@somewhere"]"#)))
        }
    }

    @Test func `others' pools do not exist`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.makeNetwork()
            try await fixture.ask(.create(PoolFixture.instance("one")))
            func isNotFound(_ body: () async throws -> Void) async -> Bool {
                do {
                    try await body()
                    return false
                } catch {
                    return (error as? ResourcePoolError)?.reason == .notFound
                }
            }
            let (mine, other, gateway) = (PoolFixture.tenant, PoolFixture.other, fixture.gateway)
            #expect(
                await isNotFound {
                    _ = try await gateway.ask(
                        instance: .change(.delete, name: "one"), of: mine, acting: other, actor: "x")
                })
            #expect(await isNotFound { _ = try await gateway.instances(of: mine, acting: other) })
            #expect(await isNotFound { _ = try await gateway.networks(of: mine, acting: other) })
            #expect(await isNotFound { _ = try await gateway.quotas(of: mine, acting: other) })
            #expect(
                await isNotFound {
                    _ = try await gateway.console(of: "one", tenant: mine, acting: other, within: .seconds(1))
                })
            #expect(
                await isNotFound {
                    _ = try await gateway.deleteNetwork("lan", of: mine, acting: other, actor: "x")
                })
            #expect(try await gateway.drifts(acting: other) == [])
        }
    }

    @Test func `without compute nothing is taken`() async throws {
        try await PoolFixture.run { fixture in
            try await fixture.withLeader { try await PoolStore(leader: $0).loseHost() }
            await #expect { try await fixture.makeNetwork() } throws: {
                ($0 as? ResourcePoolError)?.reason == .noCompute
            }
            await #expect { try await fixture.ask(.create(PoolFixture.instance("one"))) } throws: {
                ($0 as? ResourcePoolError)?.reason == .noCompute
            }
        }
    }
}
