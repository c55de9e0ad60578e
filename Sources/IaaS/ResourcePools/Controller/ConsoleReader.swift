import Coordination
import PostgresDriver
import Virtualization

/// Reads the ends of console logs that somebody has asked for.
struct ConsoleReader: Sendable {
    let driver: any VirtualizationDriver

    /// What is kept of a log, and what is read of it at most to find its end.
    static let keptBytes = 64 << 10
    static let readBytes = 16 << 20
    private static let chunk = 256 << 10

    /// Answers until cancelled.
    func run(leader: LeaderContext) async throws {
        let store = PoolStore(leader: leader)
        try await store.purgeConsoles()
        try await answer(store)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in leader.control.listen("control_console") { try await answer(store) }
            }
            group.addTask {
                while true {
                    try await Task.sleep(for: .seconds(30))
                    try await store.purgeConsoles()
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func answer(_ store: PoolStore) async throws {
        for (id, resource) in try await store.askedConsoles() {
            do {
                try await store.answerConsole(id, log: try await end(of: resource), error: nil)
            } catch let error as VirtualizationError {
                try await store.answerConsole(id, log: nil, error: "the console cannot be read: \(error.code)")
            }
        }
    }

    /// The last bytes of a log.
    private func end(of resource: ResourceName) async throws(VirtualizationError) -> [UInt8] {
        var kept: [UInt8] = []
        var offset = 0
        while offset < Self.readBytes {
            let part: [UInt8]
            do throws(VirtualizationError) {
                part = try await driver.consoleLog(of: resource, from: Int64(offset), limit: Self.chunk)
            } catch  where error.code == .notFound {
                return []
            }
            kept = Array((kept + part).suffix(Self.keptBytes))
            offset += part.count
            if part.count < Self.chunk { break }
        }
        return kept
    }
}
