import ArgumentParser
import OperatorCommands
import Testing

struct ArgumentTests {
    @Test(arguments: [
        (["tenat", "list"], "tenant"), (["tenant", "crate"], "create"), (["backup", "restor"], "restore"),
        (["stauts"], "status"),
    ])
    func `an unknown command names the one that was meant and exits with 64`(words: [String], meant: String) throws {
        let failure = try #require(UnknownNames.check(words, root: MedcloudCommand.self))
        #expect(failure.code == .usage)
        #expect(failure.message.contains("Did you mean \"\(meant)\"?"))
    }

    @Test(arguments: [
        ["tenant", "list"], ["tenant"], ["--help"], ["help", "tenant"], ["tenant", "show", "no-such-tenant"],
        ["load", "--tenant", "h1", "file"], [],
    ])
    func `known commands pass`(words: [String]) {
        #expect(UnknownNames.check(words, root: MedcloudCommand.self) == nil)
    }

    @Test(arguments: [
        ["up", "--port", "70000"], ["up", "--workers", "0"], ["load", "--tenant", "h1"], ["tenant", "create", "h1"],
        ["load", "--tenant", "h1", "--parallel", "0", "x"], ["instance", "list"], ["usage", "--tenant", "Upper"],
        ["status", "-o", "xml"],
    ])
    func `bad arguments are usage errors`(words: [String]) {
        #expect {
            try MedcloudCommand.parseAsRoot(words)
        } throws: { error in
            MedcloudCommand.exitCode(for: error).rawValue == CommandFailure.Code.usage.rawValue
        }
    }

    @Test(arguments: [
        ["up", "--state", "/tmp/x", "--port", "0", "--empty", "--detach"], ["down"], ["logs", "gateway-1", "-f"],
        ["tenant", "create", "h1", "--name", "N", "--time-zone", "UTC", "--language", "en"],
        ["tenant", "delete", "h1", "--yes"], ["tenant", "export", "h1", "out"], ["client", "list", "--tenant", "h1"],
        ["token", "--tenant", "h1", "--practitioner", "Practitioner/1", "--purpose", "TREAT"],
        [
            "instance", "create", "web", "--tenant", "h1", "--image", "probe", "--memory", "128MiB", "--disk", "1GiB",
            "--network", "lan", "--probe", "http:80/up",
        ], ["instance", "list", "--tenant", "h1"], ["instance", "delete", "web", "--tenant", "h1", "--yes"],
        ["instance", "console", "web", "--tenant", "h1"], ["drift"],
        ["network", "create", "lan", "--tenant", "h1", "--cidr", "10.40.1.0/24"],
        ["quota", "set", "--tenant", "h1", "--memory", "16GiB"],
        ["usage", "--tenant", "h1", "--from", "2026-11-01T00:00:00Z"],
        ["backup", "create", "--to", "/tmp"], ["explain", "not-found"], ["version", "-o", "json"], ["doctor"],
    ])
    func `the documented commands parse`(words: [String]) throws {
        _ = try MedcloudCommand.parseAsRoot(words)
    }

    @Test func `exit codes are distinct`() {
        let codes = CommandFailure.Code.allCases.map(\.rawValue)
        #expect(Set(codes).count == codes.count)
        #expect(!codes.contains(0))
    }
}
