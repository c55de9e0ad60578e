import Glibc

/// Commands as a person can type them in the folder where this one was typed.
package struct TypedCommand: Sendable {
    /// What this executable was called by: `medcloud`, `.build/release/medcloud`.
    private let calledBy: String
    /// Where it lies, without links.
    private let own: String
    /// Folders, separated by colons.
    private let searchPath: String
    /// Where it was called.
    private let folder: String

    package init(calledBy: String, own: String, searchPath: String, folder: String) {
        self.calledBy = calledBy
        self.own = own
        self.searchPath = searchPath
        self.folder = folder
    }

    static func current() throws -> TypedCommand {
        TypedCommand(
            calledBy: CommandLine.arguments.first ?? "", own: try ExecutableLocation.ownPath(),
            searchPath: Environment.current["PATH"] ?? "", folder: StateDirectory.absolute(""))
    }

    /// `medcloud` when a shell finds this very executable under that name, else what it was called by.
    package var name: String {
        let found = searchPath.split(separator: ":").lazy.compactMap { resolved("\($0)/medcloud") }.first
        if found == own { return "medcloud" }
        return path(calledBy.contains("/") && resolved(calledBy) == own ? calledBy : own)
    }

    /// A path as a word of a shell, seen from the folder when it lies below it. Below the root lies everything.
    package func path(_ path: String) -> String {
        var path = path
        let below = folder.hasSuffix("/") ? folder : folder + "/"
        if below != "/", path.hasPrefix(below), path.dropFirst(below.count).contains("/") {
            path = String(path.dropFirst(below.count))
        }
        return Self.word(path)
    }

    /// Text as one word of a shell.
    package static func word(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "/._-+:@%,=".utf8.contains(byte)
            }
        }
        return isPlain && !text.isEmpty ? text : "'" + text.replacing("'", with: #"'\''"#) + "'"
    }

    /// A script of the clone that this executable was built in; nil when there is none.
    func script(_ name: String) -> String? {
        var folder = own[...]
        // .build/x86_64-unknown-linux-gnu/release/medcloud is four levels below its clone.
        for _ in 0..<4 {
            guard let slash = folder.lastIndex(of: "/") else { return nil }
            folder = folder[..<slash]
            if access("\(folder)/ops/\(name)", X_OK) == 0 { return path("\(folder)/ops/\(name)") }
        }
        return nil
    }

    /// The path without links; of one that is not absolute, seen from the folder.
    private func resolved(_ path: String) -> String? {
        let absolute = path.hasPrefix("/") ? path : folder + "/" + path
        guard access(absolute, X_OK) == 0, let resolved = realpath(absolute, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
