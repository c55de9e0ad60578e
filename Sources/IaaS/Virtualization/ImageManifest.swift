/// `NAME.json` beside the files of a base image: what the image consists of. Written when an image is built, replaced as a
/// whole when it is built again; files are named after their content and never written twice, since disks of instances
/// build on them.
package struct ImageManifest: Sendable, Hashable, Codable {
    package struct File: Sendable, Hashable, Codable {
        /// Without a directory.
        package var name: String
        /// Of the content, lower-case hexadecimal.
        package var sha256: String
        /// In bytes.
        package var size: Int64

        package init(name: String, sha256: String, size: Int64) {
            self.name = name
            self.sha256 = sha256
            self.size = size
        }
    }

    package var name: String
    /// What it was made from, for people: `linux 6.1.0-56-cloud-amd64, busybox 1.35.0`.
    package var source: String
    /// Seconds since 1970.
    package var built: Int64
    /// Virtual size of the disk in bytes.
    package var capacity: Int64
    /// The least memory it starts with, in bytes.
    package var memory: Int64
    /// A qcow2 file: `STEM.qcow2`.
    package var disk: File
    /// `STEM.kernel` and `STEM.initrd`: the image has no boot loader and is started directly.
    package var kernel: File
    package var initialFileSystem: File

    package init(
        name: String, source: String, built: Int64, capacity: Int64, memory: Int64, disk: File, kernel: File,
        initialFileSystem: File
    ) {
        self.name = name
        self.source = source
        self.built = built
        self.capacity = capacity
        self.memory = memory
        self.disk = disk
        self.kernel = kernel
        self.initialFileSystem = initialFileSystem
    }

    package var files: [File] { [disk, kernel, initialFileSystem] }

    /// Lower-case letters, digits and inner hyphens, beginning with a letter, at most 40.
    package static func isName(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, (1...40).contains(bytes.count), bytes.last != UInt8(ascii: "-") else {
            return false
        }
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return letters.contains(first)
            && bytes.allSatisfy { letters.contains($0) || digits.contains($0) || $0 == UInt8(ascii: "-") }
    }
}
