import CloudModel
import OperatorCommands
import TenantManifest
import Testing

struct YAMLReaderTests {
    private func read(_ text: String) throws(YAMLFailure) -> [YAMLSource] {
        try YAMLReader.documents(Array(text.utf8))
    }

    @Test(arguments: ["id: a\n", "---\nid: a\n", "# c\nid: a\n", "\r\nid: a\r\n"])
    func `a byte order mark may begin a file`(text: String) throws {
        #expect(try read("\u{FEFF}" + text).map(\.value) == [.object([.init(key: "id", value: .string("a"))])])
    }

    private func value(_ text: String) throws(YAMLFailure) -> ManifestValue? {
        try read("key: \(text)\n").first.flatMap { source in
            guard case .object(let members) = source.value else { return nil }
            return members.first?.value
        }
    }

    @Test(arguments: [
        ("12", ManifestValue.integer(12)), ("-3", .integer(-3)), ("'12'", .string("12")), ("1.5", .number("1.5")),
        ("true", .bool(true)), ("no", .string("no")), ("on", .string("on")), ("~", .null), ("null", .null),
        ("\"null\"", .string("null")), ("2GiB", .string("2GiB")), ("12:30", .string("12:30")),
        ("[a, b]", .array([.string("a"), .string("b")])),
    ])
    func `plain words are what YAML 1_2 says`(text: String, expected: ManifestValue) throws {
        #expect(try value(text) == expected)
    }

    @Test func `lines are known by pointer and by name`() throws {
        let source = try #require(
            try read("id: h1\nnetworks:\n  - name: lan\n    cidr: 10.0.0.0/24\n  - name: dmz\n    cidr: x\n").first)
        #expect(source.line(of: "/id") == 1)
        #expect(source.line(of: "/networks/1/cidr") == 6)
        #expect(source.line(of: "/networks/dmz/cidr") == 6)
        #expect(source.line(of: "/networks/dmz/other") == 5)
        #expect(source.line(of: "/nothing/there") == 1)
    }

    @Test(arguments: [
        ("a: 1\nb: 2\na: 3\n", 1, "there twice"), ("a: [1, 2\nb: 3\n", 2, "not YAML"), ("a: \"x\n", 1, "not YAML"),
        ("a: !!binary x\n", 1, "tags"), ("a: *nothing\n", 1, "not YAML"), ("? [a, b]\n: 1\n", 1, "plain word"),
    ])
    func `what is not taken is named by its line`(text: String, line: Int, words: String) {
        do throws(YAMLFailure) {
            _ = try read(text)
            Issue.record("it was read")
        } catch {
            #expect(error.line >= line)
            #expect(error.message.contains(words))
        }
    }

    @Test func `an anchor may be used, a bomb may not`() throws {
        #expect(try read("a: &x [1, 2]\nb: *x\n").count == 1)
        var bomb = "a: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<9 {
            bomb += "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", "))]\n"
        }
        #expect(throws: YAMLFailure.self) { try self.read(bomb) }
        // Within the number of uses, but too long when written out.
        let wide =
            "a: &a [\(Array(repeating: "x", count: 3000).joined(separator: ", "))]\nb: [*a, *a, *a, *a, *a, *a, *a]\n"
        #expect(throws: YAMLFailure.self) { try self.read(wide) }
    }

    @Test func `deep nesting, large files and bytes that are no text are refused`() {
        #expect(throws: YAMLFailure.self) {
            try self.read("a: " + String(repeating: "[", count: 200) + String(repeating: "]", count: 200))
        }
        #expect(throws: YAMLFailure.self) {
            try YAMLReader.documents([UInt8](repeating: UInt8(ascii: "#"), count: 300_000))
        }
        #expect(throws: YAMLFailure.self) { try YAMLReader.documents([0x61, 0x3A, 0x20, 0xFF]) }
    }
}

struct ManifestFileTests {
    private let head = "name: One\ntimeZone: Europe/Berlin\nlanguage: de\n"

    private func message(_ files: [String: String]) throws -> String {
        let directory = try TemporaryDirectory()
        for (name, text) in files { try directory.write(text, to: name) }
        do {
            _ = try ManifestFiles.read([directory.path])
            return ""
        } catch let failure as CommandFailure {
            #expect(failure.code == .invalid)
            return failure.message.replacing(directory.path + "/", with: "")
        }
    }

    @Test func `good manifests are read`() throws {
        #expect(
            try message(["a.yaml": "id: a\ntemplate: clinic\n" + head, "b.yml": "id: b\ntemplate: partner\n" + head])
                == "")
    }

    @Test func `a mistyped key is named with its line and the one that was meant`() throws {
        let text = try message(["a.yaml": "id: a\ntemplate: clinic\n" + head + "lables: {}\n"])
        #expect(text.contains("a.yaml:6: /lables:"))
        #expect(text.contains("Did you mean \"labels\"?"))
        #expect(text.contains("Allowed:"))
    }

    @Test func `a wrong unit is named with those that are right`() throws {
        let text = try message(["a.yaml": "id: a\ntemplate: clinic\n" + head + "quota:\n  memory: 2GB\n"])
        #expect(text.contains("a.yaml:7: /quota/memory:"))
        #expect(text.contains("MiB"))
    }

    @Test func `a tenant in two files names both places`() throws {
        let text = try message([
            "a.yaml": "id: a\ntemplate: clinic\n" + head, "b.yaml": "# again\nid: a\ntemplate: clinic\n" + head,
        ])
        #expect(text.contains("b.yaml:2: /id:"))
        #expect(text.contains("a.yaml:1"))
    }

    @Test func `overlapping networks of two files are named by line`() throws {
        let networks = "networks:\n  - name: lan\n    cidr: "
        let text = try message([
            "a.yaml": "id: a\ntemplate: clinic\n" + head + networks + "10.1.0.0/16\n",
            "b.yaml": "id: b\ntemplate: clinic\n" + head + networks + "10.1.7.0/24\n",
        ])
        #expect(text.contains("b.yaml:8: /networks/lan/cidr:"))
        #expect(text.contains("tenant a"))
    }

    @Test func `everything that is wrong is said at once`() throws {
        let text = try message([
            "a.yaml": "id: A\ntemplate: clinic\n" + head, "b.yaml": "id: b\ntemplate: hopsital\n" + head,
            "c.yaml": "id: c\ntemplate: clinic\nname: C\ntimeZone: Europe/Berln\nlanguage: de\n", "d.yaml": "",
        ])
        for part in ["a.yaml:1:", "Did you mean \"hospital\"?", "Did you mean \"Europe/Berlin\"?", "d.yaml:1:"] {
            #expect(text.contains(part))
        }
        #expect(text.hasPrefix("4 things are wrong"))
    }

    @Test func `keys come from a file beside the manifest, and never a private one`() throws {
        let client = "clients:\n  - id: x\n    scopes: system/*.rs\n    keys:\n      file: keys.json\n"
        let key = try ClientKey.generate().publicJWK().serialized(pretty: false)
        let manifest = "id: a\ntemplate: clinic\n" + head + client
        #expect(try message(["a.yaml": manifest, "keys.json": "{\"keys\":[\(key)]}"]) == "")
        #expect(try message(["a.yaml": manifest]).contains("a.yaml:10: /clients/0/keys/file:"))
        #expect(try message(["a.yaml": manifest, "keys.json": "-----BEGIN PRIVATE KEY-----"]).contains("private key"))
    }
}

struct PlanTextTests {
    private func tenant(_ name: String) throws -> TenantSpecification {
        TenantSpecification(
            id: try #require(TenantID("h1")), kind: .hospital, name: name, timeZone: "UTC", language: "en")
    }

    @Test func `a plan is a line a change, without colours where nobody sees them`() throws {
        let plan = try SpecificationPlan(from: [try tenant("Old")], to: [try tenant("New")])
        let text = PlanText(plan: plan, usesColor: false).text
        #expect(text.contains("~ name  live"))
        #expect(text.contains("Old → New"))
        #expect(text.hasSuffix("Plan: 1 live."))
        #expect(!text.contains("\u{1B}"))
        #expect(PlanText(plan: plan, usesColor: true).text.contains("\u{1B}["))
    }

    @Test func `a change of a probe is said in words`() throws {
        func tenant(_ probe: TenantInstance.Probe) throws -> TenantSpecification {
            var quota = TenantQuota()
            for dimension in TenantQuota.Dimension.all { quota[dimension] = dimension.isBytes ? 1 << 40 : 10 }
            return TenantSpecification(
                id: try #require(TenantID("h1")), kind: .hospital, name: "One", timeZone: "UTC", language: "en",
                quota: quota, networks: [TenantNetwork(name: "lan", block: try AddressBlock("10.1.0.0/24"))],
                instances: [
                    TenantInstance(
                        name: "vm", image: "probe", virtualCPUs: 1, memory: 96 << 20, disk: 64 << 20, network: "lan",
                        probe: probe)
                ])
        }
        let plan = try SpecificationPlan(
            from: [try tenant(.tcp(port: 22))], to: [try tenant(.http(port: 80, path: "/health"))])
        #expect(PlanText(plan: plan, usesColor: false).text.contains("TCP port 22 → HTTP port 80 /health"))
    }

    @Test func `a plan file is read back as it was written`() throws {
        let plan = try SpecificationPlan(from: [], to: [try tenant("One")])
        let directory = try TemporaryDirectory()
        let file = PlanFile(
            baseURL: "http://127.0.0.1:8080", revision: 7, prune: true, hash: plan.hash,
            specifications: [try tenant("One")])
        try file.write(to: directory.path + "/p.plan", with: plan)
        let again = try PlanFile.read(directory.path + "/p.plan")
        #expect(again.revision == 7)
        #expect(again.prune)
        #expect(again.hash == plan.hash)
        #expect(again.specifications == [try tenant("One")])
        try directory.write("{}", to: "q.plan")
        #expect(throws: CommandFailure.self) { try PlanFile.read(directory.path + "/q.plan") }
    }
}
