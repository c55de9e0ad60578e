package import CloudModel
import Synchronization

/// Where the verifier gets the public keys of an issuer.
package protocol VerificationKeySource: Sendable {
    /// The key with this `kid` of a tenant, or of the region (nil).
    ///
    /// - Throws: `key` when there is none, `unavailable` when that cannot be told now.
    func verificationKey(_ keyID: String, of tenant: TenantID?) async throws(IdentityError) -> JSONWebKey
}

/// A decision that ends tokens before their time.
package struct Revocation: Sendable, Hashable {
    package enum Subject: Sendable, Hashable {
        /// One token, by its `jti`.
        case token(String)
        /// Every token of a client issued until then.
        case client(String)
        /// Every token of the tenant issued until then, and those of the region's clients that act for it.
        case realm
    }

    package let subject: Subject
    /// Nil is the region.
    package let tenant: TenantID?
    /// Seconds since 1970; tokens issued at or before it are concerned.
    package let at: Int64
    /// Seconds since 1970 after which every token concerned has expired anyway.
    package let expiresAt: Int64

    package init(subject: Subject, tenant: TenantID?, at: Int64, expiresAt: Int64) {
        self.subject = subject
        self.tenant = tenant
        self.at = at
        self.expiresAt = expiresAt
    }
}

/// Checks access tokens, remembers those that were good, and forgets what is revoked.
///
/// Someone must tell it of revocations (``apply(_:)``) and that it has heard of all there are (``controlAnswered(asOf:)``):
/// when that was more than ``freshness`` ago no new token is accepted, and after ``cachedLife`` no remembered one either.
package final class TokenVerifier: Sendable {
    /// Milliseconds for which new tokens are accepted after the last word from the control database.
    package static let freshness: Int64 = 5_000
    /// Milliseconds for which remembered tokens are accepted after it.
    package static let cachedLife: Int64 = 30_000

    private let endpoints: IdentityEndpoints
    private let keys: any VerificationKeySource
    private let clock: IdentityClock
    private let cache: VerifiedTokenCache
    private let revocations = Mutex(RevocationSet())
    /// Uptime in milliseconds; `Int64.min` before the first word.
    private let lastAnswer = Atomic<Int64>(.min)

    /// - Parameter capacity: how many tokens are remembered, about 1 KiB each.
    package init(
        endpoints: IdentityEndpoints, keys: any VerificationKeySource, clock: IdentityClock = .system,
        capacity: Int = 16_384
    ) {
        self.endpoints = endpoints
        self.keys = keys
        self.clock = clock
        cache = VerifiedTokenCache(capacity: capacity)
    }

    /// The token if it was verified before and is still good. Never waits: for the event loop.
    package func cached(_ token: some StringProtocol) -> VerifiedToken? {
        guard age() <= Self.cachedLife else { return nil }
        return cache.find(TokenDigest(token), now: clock.now())
    }

    /// The same for a token that still lies among the bytes of its request.
    package func cached(_ token: UnsafeRawBufferPointer) -> VerifiedToken? {
        guard age() <= Self.cachedLife else { return nil }
        return cache.find(TokenDigest(token), now: clock.now())
    }

    /// Checks a token.
    ///
    /// - Throws: ``IdentityError``; `unavailable` means 503, everything else 401.
    package func verify(_ token: String) async throws(IdentityError) -> VerifiedToken {
        if let known = cached(token) { return known }
        guard age() <= Self.freshness else {
            throw IdentityError(.unavailable, "revocations are not known")
        }
        return try await check(token).verified
    }

    /// Checks a token that is asked about, not used.
    package func inspect(_ token: String) async throws(IdentityError) -> AccessToken {
        guard age() <= Self.freshness else {
            throw IdentityError(.unavailable, "revocations are not known")
        }
        return try await check(token).token
    }

    private func check(_ text: String) async throws(IdentityError) -> (token: AccessToken, verified: VerifiedToken) {
        let compact = try CompactToken(text)
        let realm = try AccessToken.origin(of: compact, endpoints: endpoints)
        try compact.verify(with: try await keys.verificationKey(compact.keyID, of: realm.tenant))
        let token = try AccessToken(
            verified: compact, tenant: realm.tenant, endpoints: endpoints, now: clock.now())
        let verified = VerifiedToken(
            principal: token.principal,
            access: realm.tenant.map { TenantAccess(minting: $0, origin: .token) })
        // First remembered, then compared with what is revoked: apply(_:) does it the other way round, so whichever
        // comes last sees the other.
        let digest = TokenDigest(text)
        cache.insert(verified, issuedAt: token.issuedAt, under: digest, now: clock.now())
        if revocations.withLock({ $0.concerns(token) }) {
            cache.remove(digest)
            throw IdentityError(.revoked, "the token was revoked")
        }
        return (token, verified)
    }

    /// Forgets what was revoked, here and from now on.
    package func apply(_ new: [Revocation]) {
        guard !new.isEmpty else { return }
        let now = clock.now()
        revocations.withLock { $0.add(new, now: now) }
        var set = RevocationSet()
        set.add(new, now: now)
        cache.removeAll { set.concerns($0, issuedAt: $1) }
    }

    /// The control database has told everything it knew at `uptime`, which was taken before it was asked.
    package func controlAnswered(asOf uptime: Int64) {
        lastAnswer.store(uptime, ordering: .releasing)
    }

    /// Milliseconds on the clock that ``controlAnswered(asOf:)`` means.
    package func uptime() -> Int64 { clock.uptime() }

    /// Whether new tokens can be checked: part of readiness.
    package var isFresh: Bool { age() <= Self.freshness }

    /// How many tokens are remembered, for the metrics.
    package var count: Int { cache.count }

    private func age() -> Int64 {
        let last = lastAnswer.load(ordering: .acquiring)
        return last == .min ? .max : clock.uptime() - last
    }
}

/// What was revoked and still matters.
struct RevocationSet {
    private struct ClientKey: Hashable {
        let tenant: TenantID?
        let clientID: String
    }
    private struct TokenKey: Hashable {
        let tenant: TenantID?
        let tokenID: String
    }
    private struct Cut {
        var at: Int64
        var expiresAt: Int64
    }

    private var tokens: [TokenKey: Int64] = [:]
    private var clients: [ClientKey: Cut] = [:]
    private var realms: [TenantID?: Cut] = [:]

    mutating func add(_ new: [Revocation], now: Int64) {
        for revocation in new {
            let cut = Cut(at: revocation.at, expiresAt: revocation.expiresAt)
            switch revocation.subject {
            case .token(let id): tokens[TokenKey(tenant: revocation.tenant, tokenID: id)] = cut.expiresAt
            case .client(let id): clients[ClientKey(tenant: revocation.tenant, clientID: id)] = cut
            case .realm: realms[revocation.tenant] = cut
            }
        }
        tokens = tokens.filter { $0.value >= now }
        clients = clients.filter { $0.value.expiresAt >= now }
        realms = realms.filter { $0.value.expiresAt >= now }
    }

    func concerns(_ token: AccessToken) -> Bool {
        concerns(token.principal, issuedAt: token.issuedAt)
    }

    func concerns(_ principal: Principal, issuedAt: Int64) -> Bool {
        if let cut = realms[principal.tenant], issuedAt <= cut.at { return true }
        if let institution = principal.institution, let cut = realms[institution], issuedAt <= cut.at { return true }
        if let cut = clients[ClientKey(tenant: principal.tenant, clientID: principal.clientID)], issuedAt <= cut.at {
            return true
        }
        return tokens[TokenKey(tenant: principal.tenant, tokenID: principal.tokenID)] != nil
    }
}
