import Foundation
import Synchronization
import Testing

@testable import OperatorCommands

/// Building images: where Debian comes from, and what is left of a tool that fails or is cancelled.
struct ImageBuildTests {
    @Test func `an unknown image is told from those that can be built`() throws {
        #expect(try ImageRecipe.named("debian-12") == .debian12)
        let failure = #expect(throws: CommandFailure.self) { try ImageRecipe.named("debian12") }
        #expect(failure?.code == .usage)
        #expect(
            failure?.message
                == "There is no recipe for an image \"debian12\". Did you mean \"debian-12\"? There are: probe, debian-12."
        )
    }

    @Test func `Debian comes from where apt has it from`() throws {
        let sources = try #require(
            DebianSources(
                targets: [
                    "https://packages.example/apt/ other-bookworm main",
                    "http://mirror.example/security/ bookworm-security main",
                    "http://mirror.example/debian/ bookworm contrib", "http://mirror.example/debian/ bookworm main",
                    "http://mirror.example/debian/ bookworm main",
                    "http://mirror.example/debian/ bookworm-updates main",
                    "http://second.example/debian/ bookworm main", "cdrom://Disc/ bookworm main", "garbage",
                ], environment: [:]))
        #expect(sources.mirror == "http://mirror.example/debian/")
        #expect(
            sources.lines == [
                "deb http://mirror.example/security/ bookworm-security main",
                "deb http://mirror.example/debian/ bookworm main",
                "deb http://mirror.example/debian/ bookworm-updates main",
                "deb http://second.example/debian/ bookworm main",
            ])
        #expect(DebianSources(targets: ["http://mirror.example/debian/ trixie main"], environment: [:]) == nil)
    }

    private func workshop(in temporary: TemporaryDirectory) throws -> ImageWorkshop {
        try ImageWorkshop(folder: temporary.path + "/build", log: temporary.path + "/image.log", progress: Progress())
    }

    @Test func `a tool that fails is one line with its reason and its log, which has all of it`() throws {
        let temporary = try TemporaryDirectory()
        let workshop = try workshop(in: temporary)
        let failure = #expect(throws: CommandFailure.self) {
            try workshop.run(
                "/bin/sh", ["-c", "echo one; echo 'E: Unable to locate package x.'; echo 'W: later' >&2; exit 3"])
        }
        #expect(
            failure?.message == "sh ended with exit code 3: Unable to locate package x. Its log: \(workshop.log)",
            "\(failure?.message ?? "")")
        #expect(DurableFile.text(workshop.log) == "one\nE: Unable to locate package x.\nW: later\n")
        #expect(
            ImageWorkshop.cause(["I: x", "W: Failure while configuring.", "W: See y"]) == "Failure while configuring")
        #expect(ImageWorkshop.cause(["mkfs: no space", ""]) == "mkfs: no space")
        #expect(ImageWorkshop.cause([]) == nil)
        let missing = #expect(throws: CommandFailure.self) { try workshop.run("/usr/bin/no-such-tool", []) }
        #expect(missing?.code == .refused)
    }

    @Test(.timeLimit(.minutes(1))) func `a build that is cancelled ends its tool with all that it started`() throws {
        let temporary = try TemporaryDirectory()
        let workshop = try workshop(in: temporary)
        let started = temporary.path + "/started"
        let thread = Thread {
            while access(started, F_OK) != 0 { usleep(5_000) }
            workshop.cancel()
        }
        thread.start()
        #expect(throws: CancellationError.self) {
            try workshop.run(
                "/bin/sh", ["-c", "sleep 600 & echo $! > '\(started).new'; mv '\(started).new' '\(started)'; wait"])
        }
        let inner = try #require(
            DurableFile.text(started).flatMap { pid_t($0.trimmingCharacters(in: .whitespacesAndNewlines)) })
        // It has its signal, and ends once it gets a processor: gone, or a zombie that nobody has waited for yet.
        var state: Substring?
        repeat {
            state = DurableFile.text("/proc/\(inner)/stat")?.split(separator: ")").last?.split(separator: " ").first
        } while state != nil && state != "Z"
        #expect(throws: CancellationError.self) { try workshop.run("/bin/true", []) }
    }

    @Test func `lines of a tool are shown as they come`() throws {
        let temporary = try TemporaryDirectory()
        let workshop = try workshop(in: temporary)
        let seen = Mutex<[String]>([])
        try workshop.run("/bin/sh", ["-c", "echo I: one; echo two; echo I: three"]) { line in
            seen.withLock { $0.append(line) }
            return line.hasPrefix("I: ") ? line : nil
        }
        #expect(seen.withLock { $0.contains("I: three") })
    }
}
