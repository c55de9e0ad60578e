import PostgresDriver

/// When the region bars somebody by itself: so many no-shows within so many months, for so many months from the last of them.
package struct BlacklistRule: Sendable, Hashable {
    package let noShows: Int
    package let withinMonths: Int
    package let barMonths: Int

    package init(noShows: Int, withinMonths: Int, barMonths: Int) {
        self.noShows = noShows
        self.withinMonths = withinMonths
        self.barMonths = barMonths
    }
}

extension BlacklistRule? {
    /// What the functions of `blacklist` take.
    var value: PostgresValue {
        map { .int4Array([Int32($0.noShows), Int32($0.withinMonths), Int32($0.barMonths)]) } ?? .null
    }
}
