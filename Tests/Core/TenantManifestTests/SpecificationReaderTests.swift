import CloudModel
import StrictJSON
import TenantManifest
import Testing

struct SpecificationReaderTests {
    private func read(
        _ json: String, form: SpecificationReader.Form = .manifest
    ) throws -> TenantSpecification {
        let document = try JSONDocument(Array(json.utf8))
        return try SpecificationReader.specification(ManifestValue(document.root), form: form)
    }

    /// The first issue of a manifest that is like a good one but for some members.
    private func issue(_ members: String) throws -> ManifestIssue? {
        let json = #"{"id":"h1","kind":"hospital","name":"One","timeZone":"UTC","language":"en"\#(members)}"#
        do {
            _ = try read(json)
            return nil
        } catch let error as ManifestError {
            return error.issues.first
        }
    }

    @Test func `a clinic is its template and four lines`() throws {
        let clinic = try read(
            #"{"template":"clinic","id":"c1","name":"Clinic One","timeZone":"Europe/Berlin","language":"de"}"#)
        #expect(clinic.kind == .clinic)
        #expect(clinic.clients.map(\.id) == ["c1-system"])
        #expect(clinic.clients.first?.keys == .generate)
        #expect(clinic.quota[.instances] == 1)
        #expect(clinic.quota[.memory] == 2 << 30)
    }

    @Test func `a manifest says more than its template`() throws {
        let hospital = try read(
            #"""
            {"template":"hospital","id":"h1","name":"One","timeZone":"UTC","language":"en","quota":{"vcpus":2},
             "clients":[{"id":"h1-system","scopes":"system/*.rs"},{"id":"lab","scopes":"system/Observation.cruds"}]}
            """#)
        #expect(hospital.quota[.vcpus] == 2)
        #expect(hospital.quota[.instances] == 4)
        #expect(hospital.clients.map(\.scopes) == ["system/*.rs", "system/Observation.cruds"])
    }

    @Test func `the canonical form is read back as it was, for 300 random specifications`() throws {
        var generator = SeededGenerator(seed: 1)
        for number in 0..<300 {
            let one = SampleSpecifications.tenant(number, using: &generator)
            let document = try JSONDocument(one.canonicalJSON)
            // The sample keys are no points of the curve; the recorded form takes them as they are.
            let again = try SpecificationReader.specification(ManifestValue(document.root), form: .recorded)
            #expect(again == one)
            #expect(again.canonicalJSON == one.canonicalJSON)
        }
    }

    @Test func `a region that holds more than a manifest may name is read all the same`() throws {
        let clients = (0...SpecificationReader.maximumClients).map { number in
            TenantClient(id: "client-\(number)", name: "Client", scopes: "system/*.rs")
        }
        let one = TenantSpecification(
            id: SampleSpecifications.id("h1"), kind: .hospital, name: "One", timeZone: "UTC", language: "en",
            clients: clients)
        let root = try JSONDocument(one.canonicalJSON).root
        let read = try SpecificationReader.specification(ManifestValue(root), form: .recorded)
        #expect(read.clients.count == SpecificationReader.maximumClients + 1)
        #expect(throws: ManifestError.self) {
            _ = try SpecificationReader.specification(ManifestValue(root), form: .canonical)
        }
    }

    @Test func `a client of a type that FHIR R4 does not have can be read from a region, not asked for`() throws {
        let one = TenantSpecification(
            id: SampleSpecifications.id("h1"), kind: .hospital, name: "One", timeZone: "UTC", language: "en",
            clients: [TenantClient(id: "x", name: "X", scopes: "system/Patiant.rs")])
        let root = try JSONDocument(one.canonicalJSON).root
        let read = try SpecificationReader.specification(ManifestValue(root), form: .recorded)
        #expect(read.clients.map(\.scopes) == ["system/Patiant.rs"])
        let error = #expect(throws: ManifestError.self) {
            _ = try SpecificationReader.specification(ManifestValue(root), form: .canonical)
        }
        #expect(error?.issues.first?.message.contains("system/Patiant.rs") == true)
    }

    @Test func `the canonical form is whole`() {
        #expect(throws: ManifestError.self) {
            _ = try self.read(
                #"{"id":"h1","kind":"hospital","name":"One","timeZone":"UTC","language":"en"}"#, form: .canonical)
        }
    }

    @Test(arguments: [
        (#","nam":"x""#, "/nam"), (#","quota":{"memory":"2GB"}"#, "/quota/memory"),
        (#","quota":{"memory":2048}"#, "/quota/memory"), (#","quota":{"disks":1}"#, "/quota/disks"),
        (#","quota":{"vcpus":"2"}"#, "/quota/vcpus"), (#","quota":[]"#, "/quota"),
        (#","labels":{"Area":"x"}"#, "/labels/Area"),
        (#","labels":{"area":"a b"}"#, "/labels/area"), (#","labels":{"area":1}"#, "/labels/area"),
        (#","driftPolicy":"ignore""#, "/driftPolicy"), (#","template":"hopsital""#, "/template"),
        (#","networks":[{"name":"lan","cidr":"10.0.0.1/24"}],"quota":{"networks":1}"#, "/networks/0/cidr"),
        (#","networks":[{"name":"lan","cidr":"10.0.0.0/8"}],"quota":{"networks":1}"#, "/networks/0/cidr"),
        (#","networks":[{"name":"lan","cidr":"8.8.8.0/24"}],"quota":{"networks":1}"#, "/networks/0/cidr"),
        (#","networks":[{"name":"lan","cidr":"10.01.0.0/24"}],"quota":{"networks":1}"#, "/networks/0/cidr"),
        (#","networks":[{"name":"lan'; drop table x","cidr":"10.1.0.0/24"}]"#, "/networks/0/name"),
        (#","networks":[{"name":"lan","cidr":"10.1.0.0/24"}]"#, "/quota/networks"),
        (#","clients":[{"id":"x"}]"#, "/clients/0"),
        (#","clients":[{"id":"x","scopes":"everything"}]"#, "/clients/0/scopes"),
        (#","clients":[{"id":"x","scopes":"system/Patiant.rs"}]"#, "/clients/0/scopes"),
        (#","clients":[{"id":"$(x)","scopes":"system/*.rs"}]"#, "/clients/0/id"),
        (
            #","clients":[{"id":"x","scopes":"system/*.rs","keys":{"keySetURL":"https://x.example/k"}}]"#,
            "/clients/0/keys"
        ),
        (#","clients":[{"id":"x","scopes":"system/*.rs","keys":{"generate":true,"jwks":{}}}]"#, "/clients/0/keys"),
        (#","clients":[{"id":"x","scopes":"system/*.rs","keys":{"generate":false}}]"#, "/clients/0/keys/generate"),
        (#","clients":[{"id":"x","scopes":"system/*.rs","keys":{"jwks":{"keys":[]}}}]"#, "/clients/0/keys/jwks"),
        (#","clients":[{"id":"x","scopes":"system/*.rs","origins":["portal.example"]}]"#, "/clients/0/origins/0"),
        (#","clients":[{"id":"x","scopes":"system/*.rs"},{"id":"x","scopes":"system/*.rs"}]"#, "/clients/1/id"),
    ])
    func `what is wrong is named by its place`(members: String, pointer: String) throws {
        #expect(try issue(members)?.pointer == pointer)
    }

    private static let machine =
        #""name":"vm","image":"probe","vcpus":1,"memory":"96MiB","disk":"64MiB","network":"lan""#

    @Test(arguments: [
        (
            #""name":"vm","image":"../probe","vcpus":1,"memory":"96MiB","disk":"64MiB","network":"lan""#,
            "/instances/0/image"
        ),
        (
            #""name":"vm<x/>","image":"probe","vcpus":1,"memory":"96MiB","disk":"64MiB","network":"lan""#,
            "/instances/0/name"
        ),
        (
            #""name":"vm","image":"probe","vcpus":0,"memory":"96MiB","disk":"64MiB","network":"lan""#,
            "/instances/0/vcpus"
        ),
        (
            #""name":"vm","image":"probe","vcpus":1,"memory":"96MB","disk":"64MiB","network":"lan""#,
            "/instances/0/memory"
        ),
        (
            #""name":"vm","image":"probe","vcpus":1,"memory":"96MiB","disk":"64MiB","network":"wan""#,
            "/instances/vm/network"
        ),
        (machine + #","sshKeys":["ssh-ed25519 AAAA x"]"#, "/instances/0/sshKeys/0"),
        (machine + #","sshKeys":["-----BEGIN OPENSSH PRIVATE KEY-----"]"#, "/instances/0/sshKeys/0"),
        (machine + #","probe":{"tcp":{"port":0}}"#, "/instances/0/probe/tcp/port"),
        (machine + #","probe":{"http":{"port":80,"path":"x y"}}"#, "/instances/0/probe/http/path"),
        (machine + #","probe":{"http":{"port":80},"tcp":{"port":22}}"#, "/instances/0/probe"),
        (machine + #","probe":{}"#, "/instances/0/probe"),
    ])
    func `what is wrong with an instance is named by its place`(members: String, pointer: String) throws {
        let rest =
            #","networks":[{"name":"lan","cidr":"10.1.0.0/24"}],"template":"hospital","instances":[{\#(members)}]"#
        #expect(try issue(rest)?.pointer == pointer)
    }

    @Test func `a good instance with an SSH key passes`() throws {
        let key = SampleSpecifications.sshKey
        let rest =
            #","networks":[{"name":"lan","cidr":"10.1.0.0/24"}],"template":"hospital","instances":[{"#
            + Self.machine + #","sshKeys":["\#(key)"]}]"#
        #expect(try issue(rest) == nil)
    }

    @Test func `everything that is wrong is said at once`() throws {
        do {
            _ = try read(#"{"id":"H1","kind":"hopsital","name":"","timeZone":"Mars","language":"english"}"#)
            Issue.record("it was read")
        } catch let error as ManifestError {
            #expect(error.issues.map(\.pointer) == ["/id", "/kind", "/name", "/timeZone", "/language"])
        }
    }

    @Test func `a key that is not known comes with those that are`() throws {
        let found = try #require(try issue(#","timezone":"UTC""#))
        #expect(found.found == "timezone")
        #expect(found.allowed.contains("timeZone"))
    }
}

struct ManifestValueRuleTests {
    @Test(arguments: [("512MiB", 512 << 20), ("2GiB", 2 << 30), ("1TiB", 1 << 40), ("64KiB", 64 << 10), ("0MiB", 0)])
    func `sizes with a unit are bytes`(text: String, bytes: Int64) {
        #expect(ByteSize.bytes(text) == bytes)
    }

    @Test(arguments: [
        "", "512", "MiB", "512MB", "512 MiB", "-1MiB", "1.5GiB", "1e3MiB", "9999999GiB", "0x1MiB", "1mib",
    ])
    func `other sizes are none`(text: String) {
        #expect(ByteSize.bytes(text) == nil)
    }

    @Test(arguments: [("10.0.0.0/16", "10.0.255.0/24", true), ("10.0.0.0/24", "10.0.1.0/24", false)])
    func `blocks overlap when one holds the other`(one: String, other: String, overlap: Bool) {
        let blocks = (SampleSpecifications.block(one), SampleSpecifications.block(other))
        #expect(blocks.0.overlaps(blocks.1) == overlap)
        #expect(blocks.1.overlaps(blocks.0) == overlap)
    }

    @Test(arguments: [
        "10.0.0.0", "10.0.0/24", "10.0.0.0/30", "10.0.0.0/15", "10.0.0.0/024", "10.0.0.256/24", "a/24", "",
    ])
    func `other blocks are refused`(text: String) {
        #expect(throws: AddressBlock.Refusal.self) { try AddressBlock(text) }
    }

    @Test(arguments: ["en", "de", "zh-Hans", "zh-Hans-CN", "yue"])
    func `language tags pass`(tag: String) { #expect(TextRule.language.allows(tag)) }

    @Test(arguments: ["", "english", "EN", "de_DE", "de-", "d", "en-US-x-y-z"])
    func `other languages do not`(tag: String) { #expect(!TextRule.language.allows(tag)) }

    @Test(arguments: ["UTC", "Asia/Shanghai", "America/Argentina/Buenos_Aires", "Etc/GMT+3"])
    func `zones pass`(zone: String) { #expect(TextRule.timeZone.allows(zone)) }

    @Test(arguments: ["", "CET'", "Asia", "asia/shanghai", "Asia/../etc", "Asia/ Shanghai", "/Asia"])
    func `other zones do not`(zone: String) { #expect(!TextRule.timeZone.allows(zone)) }

    @Test(arguments: ["One", "Ärztehaus Süd", "北京医院", "A", "می\u{200C}خواهم", "👩\u{200D}⚕️", "a\u{200F}b"])
    func `names people use pass`(name: String) { #expect(TextRule.displayName.allows(name)) }

    @Test(arguments: [
        "", " ", "a\nb", "a\u{0}b", "a\u{202E}b", "a\u{1B}[31mb", "a\u{2066}b", "\u{FEFF}a", "\u{200C}",
        String(repeating: "x", count: 201),
    ])
    func `names that would mislead do not`(name: String) { #expect(!TextRule.displayName.allows(name)) }
}
