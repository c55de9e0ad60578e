import Foundation
import Testing
import Virtualization

@testable import LibvirtVirtualization

/// The NoCloud seed, as bytes.
@Suite struct SeedTests {
    @Test func `a seed says who the instance is`() throws {
        let seed = try InstanceSeed(.sample())
        #expect(
            seed.metaData == "instance-id: 0b5a0c5e-7f3c-4e2b-9d55-1c2d3e4f5a6b-d646a0ca\nlocal-hostname: front\n")
        #expect(seed.userData.hasPrefix("#cloud-config\n"))
        #expect(
            seed.userData.contains("ssh_authorized_keys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB operator@h1\"]"))
    }

    @Test func `changed keys are another instance to cloud-init, and the same seed is the same`() throws {
        var instance = InstanceSpecification.sample()
        let first = try InstanceSeed(instance)
        #expect(first.instanceID.hasPrefix(instance.uuid + "-"))
        #expect(try InstanceSeed(instance).image == first.image)
        instance.authorizedKeys += ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC other@h1"]
        let second = try InstanceSeed(instance)
        instance.authorizedKeys = []
        let third = try InstanceSeed(instance)
        #expect(Set([first, second, third].map(\.instanceID)).count == 3)
        #expect(third.instanceID.hasPrefix(instance.uuid + "-"))
    }

    @Test func `a key's comment cannot write YAML`() throws {
        var instance = InstanceSpecification.sample()
        instance.authorizedKeys = [#"ssh-ed25519 AAAA "], runcmd: [id] \"#]
        let line = try #require(
            InstanceSeed(instance).userData.split(separator: "\n").first { $0.hasPrefix("ssh_authorized_keys") })
        let list = line.dropFirst("ssh_authorized_keys: ".count)
        #expect(try JSONDecoder().decode([String].self, from: Data(list.utf8)) == instance.authorizedKeys)
    }

    @Test(arguments: ["", "a b", "a\nb: c", "-a", "a-", "A", "a.b", String(repeating: "a", count: 64)])
    func `a host name is one label`(name: String) {
        var instance = InstanceSpecification.sample()
        instance.hostName = name
        #expect(throws: VirtualizationError.self) { try InstanceSeed(instance) }
    }

    @Test(arguments: ["", "ssh-ed25519 AAAA\nruncmd: [id]", "ssh-ed25519 é"])
    func `a key is one line of ASCII`(key: String) {
        var instance = InstanceSpecification.sample()
        instance.authorizedKeys = [key]
        #expect(throws: VirtualizationError.self) { try InstanceSeed(instance) }
    }

    @Test func `an image can be read by the rules of ECMA-119`() throws {
        let long = [UInt8]((0..<5_000).map { UInt8(truncatingIfNeeded: $0) })
        let image = ISOImage(label: "cidata", files: [("user-data", long), ("meta-data", Array("x".utf8))]).bytes
        #expect(image.count % 2_048 == 0)
        func little32(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(image[offset + $1]) << (8 * $1) } }
        let descriptor = 16 * 2_048
        #expect(Array(image[descriptor..<descriptor + 7]) == [1] + Array("CD001".utf8) + [1])
        #expect(
            String(decoding: image[descriptor + 40..<descriptor + 72], as: UTF8.self)
                == "cidata".padding(toLength: 32, withPad: " ", startingAt: 0))
        #expect(little32(descriptor + 80) * 2_048 == image.count)
        #expect(Array(image[descriptor + 2_048..<descriptor + 2_054]) == [255] + Array("CD001".utf8))
        // The root directory's record lies in the descriptor; its first two entries are itself and its parent.
        var offset = little32(descriptor + 156 + 2) * 2_048
        var found: [String: [UInt8]] = [:]
        while image[offset] > 0 {
            let length = Int(image[offset + 32])
            let name = String(decoding: image[offset + 33..<offset + 33 + length], as: UTF8.self)
            let start = little32(offset + 2) * 2_048
            if length > 1 { found[name] = Array(image[start..<start + little32(offset + 10)]) }
            offset += Int(image[offset])
        }
        #expect(found == ["META-DATA;1": Array("x".utf8), "USER-DATA;1": long])
    }
}
