package import CloudModel
package import TenantRegistry

/// The changes of one tenant, handed out under a lease.
package struct OutboxFeed: Sendable {
    package let tenant: TenantID
    /// The tenant's database, opened by the lease.
    package let database: TenantDatabase
    /// The fence: effects outside the tenant's database carry it, and whoever keeps them refuses a lower one. SQLSTATE
    /// MC423 is that refusal.
    package let token: Int64

    /// The database's name, which tells one incarnation of a tenant from the next.
    package var source: String { database.tenant.database }
}

/// Something that follows what is written in the tenants' databases.
///
/// Events come at least once, in order within a resource, from one process at a time for each tenant. A consumer is
/// idempotent, and its effects carry the feed's token.
package protocol EventConsumer: Sendable {
    /// Lower-case, hyphenated, for ever: the position is kept by it.
    var name: String { get }

    /// A lease begins. Before its first events.
    func begin(_ feed: OutboxFeed) async throws

    /// Takes in events, all or none. Throwing ``EventRefusal``, or an error of the database that comes from the data, puts the
    /// events of single resources aside; other errors make the whole feed wait.
    func handle(_ events: [OutboxEvent], from feed: OutboxFeed) async throws

    /// Everything is about to be delivered again from the beginning.
    func beginRebuild(_ feed: OutboxFeed) async throws
    /// Everything that was there at ``beginRebuild(_:)`` has been delivered again.
    func endRebuild(_ feed: OutboxFeed) async throws

    /// Forgets what belongs to tenants that are gone. Called now and then by each process.
    ///
    /// - Parameter tenants: Lists the tenants that there are. Look at what you have before you ask: a tenant may be new.
    func tidy(_ tenants: @Sendable () async throws -> [TenantRecord]) async throws
}

/// An event that its consumer cannot take in, and why. The reason is shown to operators: nothing of a patient in it.
package struct EventRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    package let reason: String

    package init(_ reason: String) {
        self.reason = reason
    }

    package var description: String { reason }
}
