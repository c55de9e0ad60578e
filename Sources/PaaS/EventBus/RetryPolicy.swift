/// What happens to an event that its consumer refused: it is tried again after pauses that grow, and then parked until an
/// operator asks for another try.
package struct RetryPolicy: Sendable, Hashable {
    package enum Decision: Sendable, Hashable {
        case again(after: Duration)
        case park
    }

    /// Tries before an event is parked.
    package var attempts: Int32 = 8
    /// After the first failure; doubles with each.
    package var firstPause: Duration = .seconds(1)
    package var longestPause: Duration = .seconds(60)

    package init() {}

    /// - Parameter attempts: tries so far, the failed one included.
    package func decide(after attempts: Int32) -> Decision {
        attempts >= self.attempts ? .park : .again(after: pause(after: attempts))
    }

    /// The pause after so many failures in a row.
    package func pause(after failures: Int32) -> Duration {
        min(longestPause, firstPause * (1 << min(max(0, failures - 1), 16)))
    }
}
