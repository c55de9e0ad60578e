package import CloudModel
import Glibc

/// The lock of a state directory: one supervisor, or one restore, at a time.
///
/// A POSIX record lock: it goes with the process however that dies, is not inherited by children, and names its holder
/// (`F_GETLK`). "… locks are released when the process closes any file descriptor referring to the file" (fcntl(2)), so
/// the file is opened here only, once.
package struct RegionLock: ~Copyable {
    private let descriptor: Int32

    /// Takes the lock.
    /// - Throws: ``CommandFailure`` when another process holds it.
    package init(_ state: RegionState) throws {
        let descriptor = open(state.lockFile, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw CommandFailure.system("open \(state.lockFile)", errno: errno) }
        var request = Self.wholeFile(F_WRLCK)
        guard fcntl(descriptor, F_SETLK, &request) == 0 else {
            let holder = Self.holder(of: descriptor)
            close(descriptor)
            throw CommandFailure(
                .refused,
                "\(state.directory) is in use by process \(holder.map(String.init) ?? "unknown"): "
                    + "`medcloud down --state \(state.directory)` stops it, or choose another --state.")
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// The process that holds the lock of `state`, or nil. Not to be asked by the holder itself.
    package static func holder(of state: RegionState) -> Int32? {
        let descriptor = open(state.lockFile, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return holder(of: descriptor)
    }

    private static func holder(of descriptor: Int32) -> pid_t? {
        var request = wholeFile(F_WRLCK)
        guard fcntl(descriptor, F_GETLK, &request) == 0, request.l_type != Int16(F_UNLCK) else { return nil }
        return request.l_pid
    }

    private static func wholeFile(_ type: Int32) -> flock {
        var request = flock()
        request.l_type = Int16(type)
        request.l_whence = Int16(SEEK_SET)
        request.l_start = 0
        request.l_len = 0
        return request
    }
}
