/// Something that the region says and of which every tenant's database has a copy.
///
/// A copy is brought to the region's last change by one process at a time for each tenant, under a lease whose token the
/// tenant's database checks. Bringing it again changes nothing.
package protocol RegionCopy: Sendable {
    /// Lower-case, hyphenated, for ever: the lease and the report have it.
    var name: String { get }
    /// The region database notifies this channel when something has changed.
    var channel: String { get }

    /// What there is in the region, and what each tenant is known to have.
    func standing() async throws -> RegionCopyStanding

    /// Makes a tenant's copy one from nothing, whatever it says of itself. The next ``bring(_:)`` goes on from there.
    func beginAnew(_ feed: OutboxFeed) async throws

    /// Brings a tenant's copy to the region's last change, and tells the region.
    func bring(_ feed: OutboxFeed) async throws -> BroughtCopy
}

/// A place in the region's changes. `mark` tells it from the same number in another history.
package struct RegionPosition: Sendable, Hashable {
    package let number: Int64
    package let mark: String?

    package init(number: Int64, mark: String?) {
        self.number = number
        self.mark = mark
    }
}

/// What the region and its tenants had at one moment.
package struct RegionCopyStanding: Sendable, Hashable {
    /// A tenant's copy, as the last holder of its lease told.
    package struct Copy: Sendable, Hashable {
        package let tenant: String
        /// The database that it is in.
        package let source: String
        package let position: RegionPosition
        /// Microseconds since 1970, in the region's time.
        package let notedAt: Int64
        /// Changes that it lacks, and how long the first of them waits.
        package let behind: Int64
        package let lag: Duration
        /// An operator asks for it to be looked at.
        package let isAsked: Bool

        package init(
            tenant: String, source: String, position: RegionPosition, notedAt: Int64, behind: Int64, lag: Duration,
            isAsked: Bool
        ) {
            self.tenant = tenant
            self.source = source
            self.position = position
            self.notedAt = notedAt
            self.behind = behind
            self.lag = lag
            self.isAsked = isAsked
        }
    }

    package let head: RegionPosition
    /// The region's time, in microseconds since 1970.
    package let at: Int64
    package let copies: [String: Copy]

    package init(head: RegionPosition, at: Int64, copies: [Copy]) {
        self.head = head
        self.at = at
        self.copies = Dictionary(copies.map { ($0.tenant, $0) }) { first, _ in first }
    }

    /// Whether a tenant's copy is known to be at the head. What was noted before `since` is not known any more: a database may
    /// have been restored while this process was not there.
    package func isAtHead(_ tenant: String, source: String, since: Int64) -> Bool {
        guard let copy = copies[tenant] else { return false }
        return copy.source == source && copy.position == head && copy.notedAt >= since && !copy.isAsked
    }
}

/// What became of a copy.
package struct BroughtCopy: Sendable, Hashable {
    package let position: RegionPosition
    /// How old each change was when it was in the copy.
    package let ages: [Duration]

    package init(position: RegionPosition, ages: [Duration]) {
        self.position = position
        self.ages = ages
    }
}
