import Foundation
import OperatorCommands
import Testing

struct TypedCommandTests {
    /// A clone with a build, as SwiftPM lays it out, and what may stand on PATH.
    private struct Clone {
        let directory: TemporaryDirectory
        let root: String
        let own: String

        init() throws {
            directory = try TemporaryDirectory()
            root = try #require(realpath(directory.path, nil).map { String(cString: $0) })
            own = root + "/.build/triple/release/medcloud"
            let files = FileManager.default
            for folder in ["/.build/triple/release", "/bin", "/other"] {
                try files.createDirectory(atPath: root + folder, withIntermediateDirectories: true)
            }
            for file in [own, root + "/other/medcloud"] {
                _ = files.createFile(atPath: file, contents: Data(), attributes: [.posixPermissions: 0o755])
            }
            try files.createSymbolicLink(atPath: root + "/.build/release", withDestinationPath: "triple/release")
            try files.createSymbolicLink(atPath: root + "/bin/medcloud", withDestinationPath: own)
        }

        func name(calledBy: String, path: String = "/nowhere", in folder: String = "") -> String {
            TypedCommand(calledBy: calledBy, own: own, searchPath: path, folder: root + folder).name
        }
    }

    @Test func `what a shell finds under its name is called by that name`() throws {
        let clone = try Clone()
        for called in ["medcloud", clone.own, ".build/release/medcloud"] {
            #expect(clone.name(calledBy: called, path: "/nowhere:\(clone.root)/bin:\(clone.root)/other") == "medcloud")
        }
    }

    @Test func `another executable on PATH does not stand for this one`() throws {
        let clone = try Clone()
        let path = clone.root + "/other:" + clone.root + "/bin"
        #expect(clone.name(calledBy: ".build/release/medcloud", path: path) == ".build/release/medcloud")
    }

    @Test func `else it is called as it was, seen from the folder where it was`() throws {
        let clone = try Clone()
        #expect(clone.name(calledBy: "./.build/release/medcloud") == "./.build/release/medcloud")
        #expect(clone.name(calledBy: clone.root + "/.build/release/medcloud") == ".build/release/medcloud")
        #expect(clone.name(calledBy: "release/medcloud", in: "/.build") == "release/medcloud")
        #expect(clone.name(calledBy: "../medcloud", in: "/.build/triple/release") == clone.own)
        #expect(
            TypedCommand(calledBy: clone.own, own: clone.own, searchPath: "", folder: "/").name == clone.own,
            "everything lies below the root")
        // A name alone would be looked for on PATH.
        #expect(clone.name(calledBy: clone.own, in: "/.build/triple/release") == clone.own)
        #expect(clone.name(calledBy: "medcloud", in: "/bin") == clone.own)
    }

    @Test(arguments: [
        ("a/b-c.d", "a/b-c.d"), ("", "''"), ("a b", "'a b'"), ("it's", #"'it'\''s'"#), ("$(x)", "'$(x)'"),
    ])
    func `a word of a shell stands for itself`(text: String, word: String) {
        #expect(TypedCommand.word(text) == word)
    }
}
