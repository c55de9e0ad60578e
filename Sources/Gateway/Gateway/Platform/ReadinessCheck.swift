package import Logging
import Synchronization

/// One thing that must be well before the worker takes work.
package struct ReadinessCheck: Sendable {
    package let name: String
    /// Whether it is well; must end within a few seconds.
    package let isWell: @Sendable () async -> Bool

    package init(_ name: String, isWell: @escaping @Sendable () async -> Bool) {
        self.name = name
        self.isWell = isWell
    }

    /// A check whose errors go to the log: each once when it comes, and once that it is over, however often it is probed.
    package init(_ name: String, logger: Logger, isWell: @escaping @Sendable () async throws -> Bool) {
        let journal = Journal(name: name, logger: logger)
        self.init(name) {
            do {
                let isWell = try await isWell()
                journal.note(nil)
                return isWell
            } catch {
                // A probe that was broken off says nothing about what it asked.
                if !Task.isCancelled { journal.note("\(error)") }
                return false
            }
        }
    }
}

/// What a check has said last.
private final class Journal: Sendable {
    private let name: String
    private let logger: Logger
    private let last = Mutex<String?>(nil)

    init(name: String, logger: Logger) {
        self.name = name
        self.logger = logger
    }

    /// - Parameter error: nil when there is none.
    func note(_ error: String?) {
        let isNew = last.withLock { last in
            defer { last = error }
            return last != error
        }
        guard isNew else { return }
        if let error {
            logger.warning("a readiness check failed", metadata: ["check": "\(name)", "error": "\(error)"])
        } else {
            logger.notice("a readiness check is well again", metadata: ["check": "\(name)"])
        }
    }
}
