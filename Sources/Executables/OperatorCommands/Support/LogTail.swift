import Glibc

/// The end of a log file.
package enum LogTail {
    /// The last `count` non-empty lines, read from at most the last 256 KiB.
    package static func lines(of path: String, count: Int) -> [String] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        let size = lseek(descriptor, 0, SEEK_END)
        let begin = max(0, size - 256 * 1024)
        guard size >= 0, lseek(descriptor, begin, SEEK_SET) == begin else { return [] }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let got = read(descriptor, &chunk, chunk.count)
            guard got > 0 else { break }
            bytes.append(contentsOf: chunk[0..<got])
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        return lines.suffix(count).map(String.init)
    }

    /// Empties a log that has grown beyond `limit`, keeping its content once as `PATH.1`.
    ///
    /// The writers append (O_APPEND), so they go on at the new beginning.
    package static func rotate(_ path: String, limit: Int = 64 << 20) {
        var status = stat()
        guard stat(path, &status) == 0, status.st_size > limit else { return }
        do {
            try DurableFile.write(try DurableFile.read(path), to: path + ".1", mode: 0o640)
            truncate(path, 0)
        } catch {
            // Keeping the log is worth more than its size: the next round tries again.
            return
        }
    }
}
