package import CloudIdentity
import CloudModel
package import Logging
import ServiceLifecycle
import Synchronization
package import TenantRegistry

/// Keeps this process's memory of tokens, keys and tenant databases true: asks the control database twice a second what
/// must be forgotten.
///
/// A poll, not a notification: it proves with each answer that the control database can be asked, and the verifier
/// closes when it cannot.
package final class RevocationFeed: Service {
    /// Time between two questions. With the question itself it stays below the promised second.
    package static let interval: Duration = .milliseconds(400)

    private let control: ControlDatabase
    private let verifier: TokenVerifier
    private let keyRing: KeyRing
    private let tenantDatabases: TenantDatabases?
    private let interval: Duration
    private let logger: Logger
    private let position = Mutex<Int64>(0)

    package init(
        control: ControlDatabase, verifier: TokenVerifier, keyRing: KeyRing, tenantDatabases: TenantDatabases?,
        interval: Duration = RevocationFeed.interval, logger: Logger
    ) {
        self.control = control
        self.verifier = verifier
        self.keyRing = keyRing
        self.tenantDatabases = tenantDatabases
        self.interval = interval
        self.logger = logger
    }

    /// Asks until cancelled or shut down.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var wasWell = true
            while !Task.isCancelled {
                let isWell = await self.poll()
                if isWell != wasWell {
                    self.logger.log(
                        level: isWell ? .info : .error,
                        isWell ? "control database answers again" : "control database does not answer")
                }
                wasWell = isWell
                try? await Task.sleep(for: self.interval)
            }
        }
    }

    /// Asks once; true when there was an answer.
    @discardableResult
    package func poll() async -> Bool {
        let asked = verifier.uptime()
        let new: [Invalidation]
        do {
            new = try await control.invalidations(after: position.withLock { $0 })
        } catch {
            return false
        }
        verifier.apply(new.map(Revocation.init))
        for invalidation in new where invalidation.subject == .tenant {
            keyRing.forget(invalidation.tenant)
            if let tenant = invalidation.tenant { await tenantDatabases?.close(tenant) }
        }
        if let last = new.last { position.withLock { $0 = max($0, last.seq) } }
        verifier.controlAnswered(asOf: asked)
        return true
    }
}

extension Revocation {
    init(_ invalidation: Invalidation) {
        let subject: Subject =
            switch invalidation.subject {
            case .token(let id): .token(id)
            case .client(let id): .client(id)
            case .tenant: .realm
            }
        self.init(
            subject: subject, tenant: invalidation.tenant, at: invalidation.at, expiresAt: invalidation.expiresAt)
    }
}
