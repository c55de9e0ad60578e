import Foundation
import Testing
import Virtualization

@testable import OperatorCommands

/// Images: their parts, and the store that keeps them.
struct ImageTests {
    @Test func `an initial file system can be read by the rules of newc`() throws {
        var files = InitialFileSystem()
        files.directory("bin")
        files.file("bin/tool", [1, 2, 3], executable: true)
        files.link("bin/other", to: "tool")
        files.end()
        var rest = files.bytes[...]
        func number(_ field: Int) throws -> Int {
            let begin = rest.startIndex + 6 + 8 * field
            return try #require(Int(String(decoding: rest[begin..<begin + 8], as: UTF8.self), radix: 16))
        }
        var found: [String] = []
        while !rest.isEmpty {
            #expect(rest.prefix(6).elementsEqual("070701".utf8))
            let (mode, size, length) = (try number(1), try number(6), try number(11))
            let name = String(decoding: rest.dropFirst(110).prefix(length - 1), as: UTF8.self)
            let content = (110 + length + 3) / 4 * 4
            found.append("\(name) \(String(mode, radix: 8)) \(rest.dropFirst(content).prefix(size).count)")
            rest = rest.dropFirst(content + (size + 3) / 4 * 4)
        }
        #expect(found == ["bin 40755 0", "bin/tool 100755 3", "bin/other 120777 4", "TRAILER!!! 0 0"])
    }

    @Test func `a module says what it needs`() {
        let module = Array("rubbish\u{0}license=GPL\u{0}depends=virtio-ring,virtio\u{0}name=x\u{0}".utf8)
        #expect(KernelPackage.needs(of: module) == ["virtio_ring", "virtio"])
        #expect(KernelPackage.needs(of: Array("x\u{0}depends=\u{0}".utf8)).isEmpty)
        #expect(KernelPackage.needs(of: []).isEmpty)
    }

    @Test(arguments: [
        ("probe", true), ("debian-12", true), ("", false), ("-a", false), ("a-", false), ("A", false), ("../x", false),
        ("a/b", false), ("a.b", false), (String(repeating: "a", count: 41), false),
    ]) func `an image's name is plain`(name: String, isName: Bool) {
        #expect(ImageManifest.isName(name) == isName)
    }

    /// A store with an image of three small files.
    private func store(in folder: String, disk: String) throws -> (ImageStore, ImageManifest) {
        let store = ImageStore(directory: folder + "/store")
        try store.prepare()
        for (name, text) in [("disk", disk), ("kernel", "kernel of " + disk), ("initrd", "initrd of " + disk)] {
            try DurableFile.write(text, to: "\(folder)/\(name)", mode: 0o644)
        }
        let file = try store.take("\(folder)/disk", image: "probe", kind: "qcow2")
        let stem = ImageStore.stem(file.name)
        let manifest = ImageManifest(
            name: "probe", source: "test", built: 0, capacity: 1, memory: 1, disk: file,
            kernel: try store.take("\(folder)/kernel", as: stem + ".kernel"),
            initialFileSystem: try store.take("\(folder)/initrd", as: stem + ".initrd"))
        try store.publish(manifest)
        return (store, manifest)
    }

    @Test func `an image that is built anew gets new files, and the old ones stay as long as disks build on them`()
        throws
    {
        let folder = try TemporaryDirectory()
        let (store, first) = try store(in: folder.path, disk: "one")
        let (_, second) = try self.store(in: folder.path, disk: "two")
        #expect(first.disk.name != second.disk.name)
        #expect(try store.images() == [second])
        let instances = folder.path + "/instances"
        try FileManager.default.createDirectory(atPath: instances, withIntermediateDirectories: true)
        try Self.overlay(on: "/elsewhere/" + first.disk.name).write(to: URL(filePath: instances + "/i-x.qcow2"))
        try store.sweep("probe", instances: instances)
        #expect(
            Set(first.files.map(\.name)).isSubset(
                of: try FileManager.default.contentsOfDirectory(atPath: store.directory)))
        // Another image's files are its own, also before it has a manifest.
        let others = store.directory + "/probe-two-0123456789abcdef.qcow2"
        try DurableFile.write("other", to: others, mode: 0o444)
        try store.sweep("probe", instances: nil)
        #expect(access(others, F_OK) == 0)
        unlink(others)
        #expect(access("\(store.directory)/\(first.disk.name)", F_OK) != 0)
        _ = try self.store(in: folder.path, disk: "one")
        try store.publish(second)
        // The image of today is used by nobody.
        try store.remove("probe", instances: instances)
        #expect(
            try Set(FileManager.default.contentsOfDirectory(atPath: store.directory)) == Set(first.files.map(\.name)))
    }

    @Test func `an image that disks build on is not removed`() throws {
        let folder = try TemporaryDirectory()
        let (store, image) = try store(in: folder.path, disk: "one")
        try Self.overlay(on: image.disk.name).write(to: URL(filePath: folder.path + "/i-x.qcow2"))
        let failure = #expect(throws: CommandFailure.self) { try store.remove("probe", instances: folder.path) }
        #expect(failure?.code == .refused)
        #expect(try store.images() == [image])
        let missing = #expect(throws: CommandFailure.self) { try store.remove("prob", instances: nil) }
        #expect(missing?.code == .notFound)
        #expect(missing?.message.hasSuffix("Did you mean \"probe\"?") == true, "\(missing?.message ?? "")")
    }

    @Test func `a disk that cannot be read may build on anything, so nothing is removed`() throws {
        let folder = try TemporaryDirectory()
        let (store, image) = try store(in: folder.path, disk: "one")
        try DurableFile.write("QFI", to: folder.path + "/i-x.qcow2", mode: 0o644)
        #expect(throws: CommandFailure.self) { try store.remove("probe", instances: folder.path) }
        #expect(throws: CommandFailure.self) { try store.sweep("probe", instances: folder.path) }
        #expect(try store.images() == [image])
        try store.check(image)
    }

    @Test func `files that are not what their manifest says are refused`() throws {
        let folder = try TemporaryDirectory()
        let (store, image) = try store(in: folder.path, disk: "one")
        let other = ImageStore(directory: folder.path + "/other")
        try other.prepare()
        try other.adopt(image, from: store)
        try other.check(image)
        // Damaged since, or cut short by a power cut.
        let copy = other.directory + "/" + image.disk.name
        try FileManager.default.removeItem(atPath: copy)
        try DurableFile.write("short", to: copy, mode: 0o444)
        try other.adopt(image, from: store)
        try other.check(image)
        #expect(try other.images() == [image])
        try FileManager.default.removeItem(atPath: store.directory + "/" + image.kernel.name)
        try DurableFile.write("changed", to: store.directory + "/" + image.kernel.name, mode: 0o444)
        #expect(throws: CommandFailure.self) { try store.check(image) }
        #expect(throws: CommandFailure.self) { try other.adopt(image, from: store) }
    }

    /// The beginning of a qcow2 file that builds on `base`.
    private static func overlay(on base: String) -> Data {
        var bytes: [UInt8] = [0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 3]
        bytes += [0, 0, 0, 0, 0, 0, 0, 24] + [0, 0, 0, UInt8(base.utf8.count)] + [0, 0, 0, 0]
        return Data(bytes + Array(base.utf8))
    }
}
