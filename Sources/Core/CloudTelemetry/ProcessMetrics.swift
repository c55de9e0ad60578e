import Glibc

/// What the kernel says about this process, under the names that Prometheus client libraries use.
package enum ProcessMetrics {
    /// Adds a collector that reads `/proc/self` at each rendering.
    package static func register(in registry: MetricsRegistry) {
        let started = registry.gauge("process_start_time_seconds", help: "Start time since 1970 in seconds.")
        started.set(Int64(time(nil)))
        let resident = registry.gauge("process_resident_memory_bytes", help: "Resident memory in bytes.")
        let open = registry.gauge("process_open_fds", help: "Open file descriptors.")
        let limit = registry.gauge("process_max_fds", help: "Most file descriptors the process may open.")
        let threads = registry.gauge("process_threads", help: "Operating-system threads.")
        let cpu = registry.gauge(
            "process_cpu_milliseconds", help: "User and system time consumed, in milliseconds.")
        registry.addCollector { _ in
            resident.set(residentBytes() ?? 0)
            open.set(entryCount("/proc/self/fd") ?? 0)
            limit.set(Int64(clamping: descriptorLimit()))
            threads.set(entryCount("/proc/self/task") ?? 0)
            cpu.set(cpuMilliseconds())
        }
    }

    /// Soft RLIMIT_NOFILE.
    package static func descriptorLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }

    /// Raises the soft RLIMIT_NOFILE to the hard one, at most to `wanted`; returns what holds then.
    @discardableResult
    package static func raiseDescriptorLimit(to wanted: Int) -> Int {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return 1024 }
        let target = min(UInt(wanted), UInt(limit.rlim_max))
        if UInt(limit.rlim_cur) < target {
            limit.rlim_cur = rlim_t(target)
            _ = setrlimit(resource, &limit)
        }
        return descriptorLimit()
    }

    /// Resident memory of this process in bytes; nil when `/proc` cannot be read.
    package static func residentBytes() -> Int64? {
        // Second number of statm: resident pages (proc(5)).
        guard let text = read("/proc/self/statm") else { return nil }
        let numbers = text.split(separator: " ")
        guard numbers.count > 1, let pages = Int64(numbers[1]) else { return nil }
        return pages * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// User and system time that this process has consumed, in milliseconds.
    package static func cpuMilliseconds() -> Int64 {
        var usage = rusage()
        guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
        let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
        let microseconds = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
        return Int64(seconds) * 1000 + Int64(microseconds) / 1000
    }

    private static func entryCount(_ directory: String) -> Int64? {
        guard let handle = opendir(directory) else { return nil }
        defer { closedir(handle) }
        var count: Int64 = 0
        while readdir(handle) != nil { count += 1 }
        // Without "." and "..".
        return count - 2
    }

    private static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return nil }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
