import Glibc

/// The number of descriptors that the region's processes may have open. A Swift server that runs out of them traps in
/// libdispatch (shared fact of `docs/architecture.md`, "Limits"), so the limit is raised before anything is started.
package enum FileLimit {
    package static let wanted: UInt = 65_536

    /// Raises the soft limit to at least ``wanted`` where the hard limit, or root, allows it; returns what holds.
    package static func raise() -> UInt {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
        if limit.rlim_cur >= wanted { return limit.rlim_cur }
        var raised = rlimit(rlim_cur: wanted, rlim_max: max(wanted, limit.rlim_max))
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { return wanted }
        raised = rlimit(rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max)
        return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 ? limit.rlim_max : limit.rlim_cur
    }
}
