/// An initial file system of Linux in the "newc" format of cpio, with everything owned by root and nothing that says when it
/// was made, so that the same parts give the same bytes.
///
/// The format is the kernel's (Documentation/driver-api/early-userspace/buffer-format.rst): a header of thirteen numbers of
/// eight hexadecimal digits after "070701", the name with a zero byte, padding to four bytes, the content, padding.
struct InitialFileSystem {
    private(set) var bytes: [UInt8] = []
    private var number = 0

    mutating func directory(_ path: String) { append(path, mode: 0o040755, content: []) }

    mutating func file(_ path: String, _ content: [UInt8], executable: Bool = false) {
        append(path, mode: executable ? 0o100755 : 0o100644, content: content)
    }

    mutating func file(_ path: String, _ text: String, executable: Bool = false) {
        file(path, Array(text.utf8), executable: executable)
    }

    mutating func link(_ path: String, to target: String) { append(path, mode: 0o120777, content: Array(target.utf8)) }

    /// Ends the archive.
    mutating func end() { append("TRAILER!!!", mode: 0, content: []) }

    private mutating func append(_ path: String, mode: Int, content: [UInt8]) {
        number += 1
        let name = Array(path.utf8) + [0]
        // inode, mode, user, group, links, time, size, device (2), special device (2), length of the name, checksum
        let fields = [number, mode, 0, 0, 1, 0, content.count, 0, 0, 0, 0, name.count, 0]
        bytes += Array("070701".utf8)
        for field in fields {
            let digits = String(field, radix: 16, uppercase: true)
            bytes += Array((String(repeating: "0", count: 8 - digits.count) + digits).utf8)
        }
        bytes += name
        pad()
        bytes += content
        pad()
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }
}
