package import CloudModel
import Glibc

/// Where the region's executables lie: beside `medcloud` itself, unless MEDCLOUD_EXECUTABLES names another directory.
package struct ExecutableLocation: Sendable {
    package let directory: String

    package static func find(environment: [String: String]) throws -> ExecutableLocation {
        let directory: String
        if let named = environment["MEDCLOUD_EXECUTABLES"], !named.isEmpty {
            directory = named
        } else {
            let own = try ownPath()
            directory = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? "/"
        }
        for name in ["medcloudd", "medcloud-controller"] {
            guard access("\(directory)/\(name)", X_OK) == 0 else {
                throw CommandFailure(
                    .refused, "\(directory)/\(name) is missing: build it with `swift build -c release`, or run ops/up.")
            }
        }
        return ExecutableLocation(directory: directory)
    }

    /// The path of the running executable.
    package static func ownPath() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4_097)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { throw CommandFailure.system("find medcloud's own path", errno: errno) }
        let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // The kernel says so when the file was replaced by a new build.
        return path.hasSuffix(" (deleted)") ? String(path.dropLast(10)) : path
    }

    /// The path of an executable that `user` can start: the one it was built at, or a copy in the state directory when
    /// the user cannot enter that place (a clone below /root, say).
    package func path(of name: String, for user: SystemUser?, state: RegionState) throws -> String {
        let original = "\(directory)/\(name)"
        guard let user else { return original }
        if try Self.canExecute(original, as: user) { return original }
        let copy = "\(state.executablesDirectory)/\(name)"
        if mkdir(state.executablesDirectory, 0o755) != 0, errno != EEXIST {
            throw CommandFailure.system("make \(state.executablesDirectory)", errno: errno)
        }
        try DurableFile.write(try DurableFile.read(original), to: copy, mode: 0o755)
        guard try Self.canExecute(copy, as: user) else {
            throw CommandFailure(
                .refused,
                "The user \(user.name) cannot enter \(state.directory): make it and the directories above it "
                    + "enterable (chmod o+x).")
        }
        return copy
    }

    /// Whether `user` may start the program at `path`.
    package static func canExecute(_ path: String, as user: SystemUser) throws -> Bool {
        try test("-x", path, as: user)
    }

    /// Refuses a state directory that Postgres's user cannot enter.
    package static func checkReachable(_ state: RegionState, users: RegionUsers) throws {
        for user in [users.database, users.gateway].compactMap({ $0 }) {
            guard try test("-x", state.directory, as: user) else {
                throw CommandFailure(
                    .refused,
                    "The user \(user.name) cannot enter \(state.directory): make it and the directories above it "
                        + "enterable (chmod o+x), or choose another --state.")
            }
        }
    }

    /// Whether `user` may read the file at `path`.
    static func canRead(_ path: String, as user: SystemUser) throws -> Bool {
        try test("-r", path, as: user)
    }

    private static func test(_ condition: String, _ path: String, as user: SystemUser) throws -> Bool {
        var specification = ProcessSpecification(
            name: "test", executable: "/usr/bin/test", arguments: [condition, path], environment: Environment.minimal)
        specification.user = user
        specification.logFile = "/dev/null"
        return try ChildProcess.run(specification) == .exited(0)
    }
}
