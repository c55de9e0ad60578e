import Crypto
import Synchronization

/// SHA-256 of a token's text: what a token is remembered by, so that no cache holds a credential.
struct TokenDigest: Hashable, Sendable {
    private let a: UInt64
    private let b: UInt64
    private let c: UInt64
    private let d: UInt64

    init(_ token: some StringProtocol) {
        let contiguous = token.utf8.withContiguousStorageIfAvailable { Self(UnsafeRawBufferPointer($0)) }
        self = contiguous ?? Array(token.utf8).withUnsafeBytes { Self($0) }
    }

    init(_ token: UnsafeRawBufferPointer) {
        var hasher = SHA256()
        hasher.update(bufferPointer: token)
        (a, b, c, d) = hasher.finalize().withUnsafeBytes {
            (
                $0.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
                $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                $0.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
                $0.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
            )
        }
    }

    var shard: Int { Int(truncatingIfNeeded: a & 15) }

    func hash(into hasher: inout Hasher) {
        // The digest is uniformly distributed already; one word of it is enough.
        hasher.combine(b)
    }
}

/// A bounded memory of verified tokens in 16 shards, each under its own lock, held for a dictionary operation only.
final class VerifiedTokenCache: Sendable {
    private struct Entry: Sendable {
        let token: VerifiedToken
        let issuedAt: Int64
    }

    private final class Shard: Sendable {
        let entries = Mutex<[TokenDigest: Entry]>([:])
    }

    private let shards: [Shard]
    private let shardCapacity: Int

    init(capacity: Int) {
        shards = (0..<16).map { _ in Shard() }
        shardCapacity = max(1, capacity / 16)
    }

    func find(_ digest: TokenDigest, now: Int64) -> VerifiedToken? {
        shards[digest.shard].entries.withLock { entries in
            guard let entry = entries[digest] else { return nil }
            guard entry.token.principal.expiresAt > now else {
                entries[digest] = nil
                return nil
            }
            return entry.token
        }
    }

    func insert(_ token: VerifiedToken, issuedAt: Int64, under digest: TokenDigest, now: Int64) {
        shards[digest.shard].entries.withLock { entries in
            if entries.count >= shardCapacity {
                entries = entries.filter { $0.value.token.principal.expiresAt > now }
            }
            // Still full: let half of it go, so that the next insertion does not sweep again.
            if entries.count >= shardCapacity {
                entries = Dictionary(uniqueKeysWithValues: entries.prefix(shardCapacity / 2).map { ($0.key, $0.value) })
            }
            entries[digest] = Entry(token: token, issuedAt: issuedAt)
        }
    }

    func remove(_ digest: TokenDigest) {
        shards[digest.shard].entries.withLock { $0[digest] = nil }
    }

    func removeAll(where isGone: (Principal, _ issuedAt: Int64) -> Bool) {
        for shard in shards {
            shard.entries.withLock { entries in
                for (digest, entry) in entries where isGone(entry.token.principal, entry.issuedAt) {
                    entries[digest] = nil
                }
            }
        }
    }

    var count: Int { shards.reduce(0) { $0 + $1.entries.withLock { $0.count } } }
}
