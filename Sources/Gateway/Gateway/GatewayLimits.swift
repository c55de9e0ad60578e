package import NIOCore

/// Every limit of the edge with its default. Keys and reasons: `docs/configuration.md`.
package struct GatewayLimits: Sendable, Hashable {
    // MARK: Connections

    /// Open connections of one worker; further ones wait in the accept queue.
    package var connections = 16_384
    /// A new connection's first request head must have arrived by then; later ones have ``idleTimeout``.
    package var headerTimeout: TimeAmount = .seconds(10)
    /// A kept-alive connection without a request is closed then.
    package var idleTimeout: TimeAmount = .seconds(60)
    /// Longest pause between two parts of a body.
    package var bodyPause: TimeAmount = .seconds(20)
    /// A whole body must have arrived by then.
    package var bodyTimeout: TimeAmount = .seconds(300)
    /// A client that does not take its answer is cut then.
    package var writeStall: TimeAmount = .seconds(60)
    /// How long a connection that must close still reads, so that the client gets the answer before the reset.
    package var linger: TimeAmount = .seconds(2)
    /// Hot reads of one connection that may be under way at once; further requests wait.
    package var pipelinedReads = 64

    // MARK: Heads

    package var headerFields = 256
    /// All header fields of a request together, in bytes.
    package var headerBytes = 16_384
    /// The request target, in bytes. Longer searches go by `POST _search`.
    package var targetBytes = 8192

    // MARK: Bodies, in bytes

    /// A batch or transaction posted to the FHIR base.
    package var bundleBytes = 64 << 20
    /// Any other body inside a FHIR base.
    package var resourceBytes = 8 << 20
    /// A body outside.
    package var bodyBytes = 1 << 20
    /// A form at the authorization server.
    package var formBytes = 64 << 10
    /// Bodies held in memory at once by one worker; more is answered with 503.
    package var bufferedBytes = 512 << 20

    // MARK: Work

    /// Requests of one tenant under way in one worker; more is answered with 429.
    package var tenantConcurrency = 256
    /// Requests under way in one worker; more is answered with 503.
    package var concurrency = 2048
    /// Time for an answer; 504 then.
    package var requestDeadline: TimeAmount = .seconds(30)
    /// Time for the answer to a bundle.
    package var bundleDeadline: TimeAmount = .seconds(300)
    /// Answers of one worker that may be event streams; more is answered with 503.
    package var streams = 256
    /// An event stream ends then, and the client comes back for the rest.
    package var streamDuration: TimeAmount = .seconds(600)
    /// Time that open requests have to finish after SIGTERM.
    package var drain: TimeAmount = .seconds(10)

    package init() {}

    /// The same with no more connections than the descriptors that are left when databases and files have theirs.
    ///
    /// libdispatch reads `/proc` with a descriptor of its own and traps when there is none (reliability.md §0.1), so the
    /// reserve is never given away. With a small limit half of it is kept back.
    package func fitting(descriptors: Int, reserved: Int) -> GatewayLimits {
        var limits = self
        let reserve = min(reserved + 64, descriptors / 2)
        limits.connections = max(1, min(connections, descriptors - reserve))
        return limits
    }
}
