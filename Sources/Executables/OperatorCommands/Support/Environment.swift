import Foundation

/// The environment of this process and of its children.
package enum Environment {
    package static var current: [String: String] { ProcessInfo.processInfo.environment }

    /// What every child gets: nothing of the caller's shell.
    package static let minimal = [
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TZ": "UTC",
    ]

    /// For our own executables: MEDCLOUD_* is handed on, and a trap ends the process within a second with its addresses
    /// kept, instead of half a minute of symbolication.
    package static func service(_ own: [String: String] = current) -> [String: String] {
        var result = minimal
        for (name, value) in own where name.hasPrefix("MEDCLOUD_") { result[name] = value }
        result["SWIFT_BACKTRACE"] = "enable=yes,symbolicate=off"
        return result
    }
}
