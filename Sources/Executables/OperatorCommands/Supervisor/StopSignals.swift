import Dispatch
import Glibc

/// Turns Ctrl-C, SIGTERM and a closed terminal into a request to stop.
///
/// `@unchecked Sendable`: the sources are made and resumed in `init` and cancelled in `deinit`, nowhere else.
final class StopSignals: @unchecked Sendable {
    private let sources: [any DispatchSourceSignal]

    init(_ handler: @escaping @Sendable () -> Void) {
        // A closed pipe (`ops/up | head`) must not end the region: a failed write is noticed where it is made.
        signal(SIGPIPE, SIG_IGN)
        let queue = DispatchQueue(label: "medcloud.signals")
        sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            // The default action would end the process before the source sees the signal.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler(handler: handler)
            source.resume()
            return source
        }
    }

    deinit {
        for source in sources { source.cancel() }
    }
}
