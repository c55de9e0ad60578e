import Glibc

/// Reads what is appended to a file, whole lines at a time; begins again when the file was emptied.
package struct LogFollower {
    private let path: String
    private var offset: Int
    private var rest: [UInt8] = []

    /// - Parameter fromEnd: skip what is there already.
    package init(path: String, fromEnd: Bool) {
        self.path = path
        var status = stat()
        offset = fromEnd && stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    package mutating func newLines() -> [String] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        let size = Int(lseek(descriptor, 0, SEEK_END))
        if size < offset {
            offset = 0
            rest = []
        }
        guard size > offset, lseek(descriptor, off_t(offset), SEEK_SET) == off_t(offset) else { return [] }
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            offset += count
            rest.append(contentsOf: chunk[0..<count])
        }
        guard let end = rest.lastIndex(of: 0x0A) else { return [] }
        let text = String(decoding: rest[..<end], as: UTF8.self)
        rest.removeFirst(end + 1)
        return text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
}
