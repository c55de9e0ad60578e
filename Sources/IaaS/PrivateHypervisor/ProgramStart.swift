import CLinux
import Glibc

/// Starts a program as a child of the calling thread, with no signal blocked or ignored.
enum ProgramStart {
    static func start(_ path: String, _ arguments: [String]) throws(HypervisorError) -> pid_t {
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        var signals = sigset_t()
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        var words: [UnsafeMutablePointer<CChar>?] = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
        defer {
            for index in unsafe words.indices { unsafe free(words[index]) }
        }
        var pid: pid_t = 0
        let result = unsafe posix_spawn(&pid, path, nil, &attributes, &words, environ)
        guard result == 0 else { throw HypervisorError("start \(path)", errno: result) }
        return pid
    }
}
