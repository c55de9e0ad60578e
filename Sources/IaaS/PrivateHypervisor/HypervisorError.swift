import Glibc

/// Why the private hypervisor cannot run: what was tried, and the system's words.
package struct HypervisorError: Error, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }

    init(_ action: String, errno number: Int32) {
        var text = [CChar](repeating: 0, count: 256)
        let known = unsafe strerror_r(number, &text, text.count) == 0
        let reason =
            known
            ? String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : "error \(number)"
        description = "cannot \(action): \(reason)"
    }
}
