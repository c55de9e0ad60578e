import Foundation
import OperatorCommands
import Testing

struct ChildProcessTests {
    @Test func `a child runs with its own environment, directory and log`() throws {
        let temporary = try TemporaryDirectory()
        var specification = ProcessSpecification(
            name: "sh", executable: "/bin/sh", arguments: ["-c", "echo $GREETING; pwd; exit 3"],
            environment: ["GREETING": "hello"])
        specification.logFile = temporary.path + "/log"
        specification.workingDirectory = "/usr"
        #expect(try ChildProcess.run(specification) == .exited(3))
        #expect(DurableFile.text(temporary.path + "/log") == "hello\n/usr\n")
    }

    @Test func `a child inherits the one descriptor it is given, as number 3, and no other`() throws {
        let temporary = try TemporaryDirectory()
        let secret = open(temporary.path + "/other", O_RDWR | O_CREAT, 0o600)
        let given = open(temporary.path + "/given", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer {
            close(secret)
            close(given)
        }
        var specification = ProcessSpecification(
            name: "sh", executable: "/bin/sh",
            arguments: ["-c", "echo through >&3; for fd in /proc/self/fd/*; do echo ${fd##*/}; done"])
        specification.logFile = temporary.path + "/log"
        specification.inherited = given
        #expect(try ChildProcess.run(specification) == .exited(0))
        #expect(DurableFile.text(temporary.path + "/given") == "through\n")
        let open = Set((DurableFile.text(temporary.path + "/log") ?? "").split(separator: "\n").map(String.init))
        #expect(open.isSuperset(of: ["0", "1", "2", "3"]))
        #expect(!open.contains(String(secret)))
    }

    @Test func `a child that is not wanted any more is told so first, and killed when it does not listen`() throws {
        let temporary = try TemporaryDirectory()
        let started = temporary.path + "/started"
        func run(_ answer: String) throws -> ExitReason {
            unlink(started)
            let specification = ProcessSpecification(
                name: "sh", executable: "/bin/sh",
                arguments: ["-c", "trap '\(answer)' TERM; : > \(started); while :; do sleep 0.01; done"])
            return try ChildProcess.run(
                specification, while: { access(started, F_OK) != 0 },
                grace: .milliseconds(answer.isEmpty ? 100 : 10_000))
        }
        #expect(try run("exit 7") == .exited(7))
        #expect(try run("") == .signalled(9))
    }

    @Test func `an end by signal is told apart`() throws {
        let specification = ProcessSpecification(name: "sh", executable: "/bin/sh", arguments: ["-c", "kill -9 $$"])
        #expect(try ChildProcess.run(specification) == .signalled(9))
    }

    @Test func `the kernel ends a child with its parent, and the user is changed first`() {
        var specification = ProcessSpecification(name: "p", executable: "/bin/postgres", arguments: ["-D", "/d"])
        specification.user = SystemUser(name: "postgres", uid: 101, gid: 104)
        specification.deathSignal = .quit
        #expect(
            ChildProcess.arguments(for: specification) == [
                "/usr/bin/setpriv", "--reuid", "postgres", "--regid", "104", "--init-groups", "--pdeathsig", "QUIT",
                "--no-new-privs", "--", "/bin/postgres", "-D", "/d",
            ])
    }

    @Test func `a busy port is refused in one line that names it`() throws {
        let first = try ListeningSocket.bind(host: "127.0.0.1", port: 0)
        defer { close(first.descriptor) }
        #expect(first.port > 0)
        #expect {
            _ = try ListeningSocket.bind(host: "127.0.0.1", port: first.port)
        } throws: { error in
            guard let failure = error as? CommandFailure else { return false }
            return failure.code == .refused && failure.message.contains("Port \(first.port) is in use")
        }
        #expect(throws: CommandFailure.self) { try ListeningSocket.bind(host: "203.0.113.7", port: 0) }
    }

    @Test func `a port that becomes free in time is taken`() async throws {
        let first = try ListeningSocket.bind(host: "127.0.0.1", port: 0)
        async let second = Task.detached {
            try ListeningSocket.bind(host: "127.0.0.1", port: first.port, patience: .seconds(30))
        }.value
        close(first.descriptor)
        let taken = try await second
        close(taken.descriptor)
        #expect(taken.port == first.port)
    }

    @Test func `a log that was emptied is followed from its new beginning`() throws {
        let temporary = try TemporaryDirectory()
        let path = temporary.path + "/log"
        try temporary.write("old\n", to: "log")
        var follower = LogFollower(path: path, fromEnd: true)
        #expect(follower.newLines().isEmpty)
        try temporary.write("old\nnew\nhalf", to: "log")
        #expect(follower.newLines() == ["new"])
        try temporary.write("again\n", to: "log")
        #expect(follower.newLines() == ["again"])
        #expect(LogTail.lines(of: path, count: 5) == ["again"])
    }
}
