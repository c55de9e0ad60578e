import NIOCore

/// When a connection has been too slow. Decides only; the handler asks it when its timer fires.
struct ConnectionClock: Sendable, Hashable {
    private enum Reading: Sendable, Hashable {
        /// Waits for a head. The first one of a connection has less time.
        case head(since: NIODeadline, isFirst: Bool)
        case body(since: NIODeadline, lastPart: NIODeadline)
        /// Has read the request.
        case done(since: NIODeadline)
    }

    private let limits: GatewayLimits
    private var reading: Reading
    private var isStalledSince: NIODeadline?

    init(limits: GatewayLimits, now: NIODeadline) {
        self.limits = limits
        reading = .head(since: now, isFirst: true)
    }

    mutating func headArrived(now: NIODeadline) {
        reading = .body(since: now, lastPart: now)
    }

    mutating func partArrived(now: NIODeadline) {
        if case .body(let since, _) = reading { reading = .body(since: since, lastPart: now) }
    }

    mutating func requestArrived(now: NIODeadline) {
        reading = .done(since: now)
    }

    mutating func answered(now: NIODeadline) {
        if case .done = reading { reading = .head(since: now, isFirst: false) }
    }

    mutating func writability(_ isWritable: Bool, now: NIODeadline) {
        isStalledSince = isWritable ? nil : now
    }

    /// When the connection is cut unless something happens. While a request is under way (`isBusy`) a complete request
    /// waits as long as the answer takes: that is not the client's slowness.
    func deadline(isBusy: Bool, now: NIODeadline) -> NIODeadline {
        var own: NIODeadline
        switch reading {
        case .head(let since, let isFirst): own = since + (isFirst ? limits.headerTimeout : limits.idleTimeout)
        case .body(let since, let lastPart): return min(since + limits.bodyTimeout, lastPart + limits.bodyPause)
        case .done(let since): own = since + limits.idleTimeout
        }
        if isBusy { own = now + limits.idleTimeout }
        guard let isStalledSince else { return own }
        return min(own, isStalledSince + limits.writeStall)
    }
}
