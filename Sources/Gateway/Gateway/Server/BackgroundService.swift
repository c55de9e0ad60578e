import ServiceLifecycle

/// Work beside the server that lasts as long as the service group: ends when the group shuts down, and when the work is
/// over earlier the group goes on without it.
package struct BackgroundService: Service {
    private let body: @Sendable () async throws -> Void

    package init(_ body: @escaping @Sendable () async throws -> Void) {
        self.body = body
    }

    package func run() async throws {
        try await cancelWhenGracefulShutdown {
            do {
                try await body()
            } catch is CancellationError {
                return
            }
            while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
        }
    }
}
