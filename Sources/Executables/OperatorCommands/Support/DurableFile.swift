import Foundation
import Glibc

/// Files written so that a power cut leaves the old content or the new, never a mixture:
/// temporary file, fsync, rename, fsync of the directory.
package enum DurableFile {
    /// Writes `bytes` to `path` with `mode`, owned by `owner` where given.
    package static func write(_ bytes: [UInt8], to path: String, mode: UInt32, owner: SystemUser? = nil) throws {
        let temporary = "\(path).new-\(getpid())"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw CommandFailure.system("write \(path)", errno: errno) }
        do {
            try writeAll(bytes, to: descriptor, path: path)
            // The umask must not widen or narrow what was asked.
            guard fchmod(descriptor, mode) == 0 else { throw CommandFailure.system("write \(path)", errno: errno) }
            if let owner {
                guard fchown(descriptor, owner.uid, owner.gid) == 0 else {
                    throw CommandFailure.system("give \(path) to \(owner.name)", errno: errno)
                }
            }
            guard fsync(descriptor) == 0 else { throw CommandFailure.system("write \(path)", errno: errno) }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        close(descriptor)
        guard rename(temporary, path) == 0 else {
            let number = errno
            unlink(temporary)
            throw CommandFailure.system("write \(path)", errno: number)
        }
        syncDirectory(of: path)
    }

    package static func write(_ text: String, to path: String, mode: UInt32, owner: SystemUser? = nil) throws {
        try write(Array(text.utf8), to: path, mode: mode, owner: owner)
    }

    /// The whole content of a file.
    package static func read(_ path: String) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let number = errno
            throw CommandFailure(
                number == ENOENT ? .notFound : .failed, "Cannot read \(path): \(SystemError.text(number)).")
        }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { return content }
            if count < 0 {
                if errno == EINTR { continue }
                throw CommandFailure.system("read \(path)", errno: errno)
            }
            content.append(contentsOf: chunk[0..<count])
        }
    }

    /// The whole content of a file, or nil when there is no such file. What cannot be read is not the same as not there.
    package static func readIfThere(_ path: String) throws -> [UInt8]? {
        do {
            return try read(path)
        } catch let failure as CommandFailure where failure.code == .notFound {
            return nil
        }
    }

    /// Removes a file, or a directory with all that is in it; nothing there is fine.
    package static func remove(_ path: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 || errno != ENOENT else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw CommandFailure(.failed, "Cannot remove \(path): \(error.localizedDescription)")
        }
    }

    /// The text of a small file, or nil when it cannot be read.
    package static func text(_ path: String) -> String? {
        (try? read(path)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Makes a rename or a removal in the directory of `path` durable.
    /// Has the content of a file, which somebody else has written, reach the disk.
    static func sync(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CommandFailure.system("write \(path)", errno: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw CommandFailure.system("write \(path)", errno: errno) }
    }

    package static func syncDirectory(of path: String) {
        let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    private static func writeAll(_ bytes: [UInt8], to descriptor: Int32, path: String) throws {
        try bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    throw CommandFailure.system("write \(path)", errno: errno)
                }
                rest = rest.dropFirst(count)
            }
        }
    }
}
