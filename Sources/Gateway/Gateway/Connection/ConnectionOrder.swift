/// Which way the next request of a connection goes, so that answers leave in the order in which requests came (RFC 9112
/// §9.3.2) although some are answered on the event loop and others by the router. Decides only; does nothing.
///
/// Invariant: the router never has a request while hot reads that came earlier are unanswered, and no hot read begins while
/// the router has one.
struct ConnectionOrder: Sendable, Hashable {
    /// Where a request's parts go.
    enum Way: Sendable, Hashable {
        /// Answered on the event loop; the number is its place.
        case hot(Int)
        /// To the router, now.
        case router
        /// Kept until the hot reads before it are answered, then to the router.
        case held
    }

    /// Requests given to the router whose answers have not ended.
    private(set) var withRouter = 0
    /// Hot reads begun and not yet written have the places `nextWritten ..< nextHot`.
    private(set) var nextHot = 0
    private(set) var nextWritten = 0
    /// Requests held back.
    private(set) var heldRequests = 0
    private let maximumHot: Int

    init(maximumHot: Int) {
        self.maximumHot = maximumHot
    }

    var hotUnderWay: Int { nextHot - nextWritten }
    var isIdle: Bool { withRouter == 0 && hotUnderWay == 0 && heldRequests == 0 }

    /// Whether the next request may be a hot read at all; ask before doing the work of finding out if it can.
    var admitsHot: Bool { withRouter == 0 && heldRequests == 0 && hotUnderWay < maximumHot }

    /// A head has come; `isHot` only when ``admitsHot``.
    mutating func received(isHot: Bool) -> Way {
        if isHot, admitsHot { return .hot(lastWords()) }
        if hotUnderWay > 0 || heldRequests > 0 {
            heldRequests += 1
            return .held
        }
        withRouter += 1
        return .router
    }

    /// A place behind the hot reads under way for an answer that the connection gives itself.
    mutating func lastWords() -> Int {
        defer { nextHot += 1 }
        return nextHot
    }

    /// The answer at the oldest place was written. Returns how many held requests go to the router now.
    mutating func wroteHot() -> Int {
        nextWritten += 1
        guard hotUnderWay == 0, heldRequests > 0 else { return 0 }
        defer { heldRequests = 0 }
        withRouter += heldRequests
        return heldRequests
    }

    /// The router's answer to its oldest request has ended.
    mutating func routerAnswered() {
        withRouter = max(0, withRouter - 1)
    }
}
