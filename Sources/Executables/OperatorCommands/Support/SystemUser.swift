import Glibc

/// A user of the operating system.
package struct SystemUser: Sendable, Equatable {
    package let name: String
    package let uid: UInt32
    package let gid: UInt32

    package init(name: String, uid: UInt32, gid: UInt32) {
        self.name = name
        self.uid = uid
        self.gid = gid
    }

    /// The user called `name`, or nil when the machine has none.
    package static func named(_ name: String) -> SystemUser? {
        lookUp { record, buffer, size, result in getpwnam_r(name, record, buffer, size, result) }
    }

    /// The user this process runs as.
    package static var current: SystemUser {
        let uid = geteuid()
        return lookUp { record, buffer, size, result in getpwuid_r(uid, record, buffer, size, result) }
            ?? SystemUser(name: String(uid), uid: uid, gid: getegid())
    }

    private typealias Entry = UnsafeMutablePointer<passwd>

    private static func lookUp(
        _ call: (Entry, UnsafeMutablePointer<CChar>, Int, UnsafeMutablePointer<Entry?>) -> Int32
    ) -> SystemUser? {
        var record = passwd()
        var found: Entry?
        // "getpwnam_r … ERANGE insufficient buffer space": 16 KiB holds any sane entry.
        var buffer = [CChar](repeating: 0, count: 16 * 1024)
        let size = buffer.count
        return buffer.withUnsafeMutableBufferPointer { storage -> SystemUser? in
            guard let base = storage.baseAddress else { return nil }
            guard call(&record, base, size, &found) == 0, found != nil, let name = record.pw_name else { return nil }
            return SystemUser(name: String(cString: name), uid: record.pw_uid, gid: record.pw_gid)
        }
    }
}
