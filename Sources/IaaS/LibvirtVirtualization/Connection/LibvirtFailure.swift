import CLibvirt
import Virtualization

/// Turns libvirt's last error into ours.
enum LibvirtFailure {
    /// The error of the call that has just failed on this thread: "The virGetLastError function … is thread local"
    /// (libvirt's manual, "Error handling").
    static func last(_ action: String) -> VirtualizationError {
        guard let error = unsafe virGetLastError() else { return VirtualizationError(.failed, "\(action) failed") }
        let text = unsafe error.pointee.message.map { unsafe String(cString: $0) } ?? "no reason given"
        let number = unsafe error.pointee.code
        return VirtualizationError(code(number, text), "\(action): \(withoutPaths(text))")
    }

    /// Whether the call that has just failed on this thread found no such object.
    static var lastSaysMissing: Bool {
        guard let error = unsafe virGetLastError() else { return false }
        return code(unsafe error.pointee.code, "") == .notFound
    }

    static func code(_ number: Int32, _ text: String) -> VirtualizationError.Code {
        switch virErrorNumber(rawValue: UInt32(number)) {
        case VIR_ERR_NO_DOMAIN, VIR_ERR_NO_NETWORK, VIR_ERR_NO_STORAGE_POOL, VIR_ERR_NO_STORAGE_VOL,
            VIR_ERR_NO_NWFILTER:
            .notFound
        case VIR_ERR_NO_CONNECT, VIR_ERR_RPC, VIR_ERR_INVALID_CONN: .unavailable
        case VIR_ERR_NO_SUPPORT, VIR_ERR_ARGUMENT_UNSUPPORTED, VIR_ERR_CONFIG_UNSUPPORTED,
            VIR_ERR_OPERATION_UNSUPPORTED:
            .unsupported
        case VIR_ERR_OPERATION_INVALID, VIR_ERR_DOM_EXIST, VIR_ERR_NETWORK_EXIST, VIR_ERR_STORAGE_VOL_EXIST:
            .conflict
        case VIR_ERR_RESOURCE_BUSY: .inUse
        case VIR_ERR_OPERATION_TIMEOUT, VIR_ERR_AGENT_UNRESPONSIVE: .timedOut
        default:
            if isConnection(text) {
                .unavailable
            } else if text.contains("No space left on device") {
                .noSpace
            } else {
                .failed
            }
        }
    }

    /// libvirt reports a lost daemon as a system or internal error, told apart by its words only.
    private static func isConnection(_ text: String) -> Bool {
        [
            "End of file while reading data", "Cannot write data", "Cannot recv data", "connect socket",
            "client socket is closed", "Connection reset", "Broken pipe", "connection closed", "keepalive",
        ].contains { text.contains($0) }
    }

    /// The library's words, with the directories of absolute paths left out.
    static func withoutPaths(_ text: String) -> String {
        text.split(separator: " ", omittingEmptySubsequences: false).map { word -> String in
            guard let slash = word.firstIndex(of: "/"), let last = word.lastIndex(of: "/"),
                slash != last || slash == word.startIndex
            else { return String(word) }
            return word[..<slash] + "…/" + word[word.index(after: last)...]
        }.joined(separator: " ")
    }
}
