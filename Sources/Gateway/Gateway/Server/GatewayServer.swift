import HummingbirdCore
import HummingbirdTLS
import Logging
package import NIOCore
import NIOExtras
import NIOPosix
package import NIOSSL
import ServiceLifecycle
import Synchronization

/// Takes connections from a listening socket and serves them until the service group shuts down.
///
/// Hummingbird's own server binds its address itself; this one serves a socket that is bound already, caps connections and
/// ends the process's service when accepting fails instead of living on deaf.
package struct GatewayServer: Service {
    private let services: GatewayServices
    private let socket: ListeningSocket
    private let tls: TLSConfiguration?
    private let eventLoopGroup: any EventLoopGroup
    private let onListening: @Sendable (SocketAddress?) async -> Void

    /// - Parameter onListening: called once connections are taken, with the socket's address.
    package init(
        services: GatewayServices, socket: ListeningSocket, tls: TLSConfiguration?, eventLoopGroup: any EventLoopGroup,
        onListening: @escaping @Sendable (SocketAddress?) async -> Void = { _ in }
    ) {
        self.services = services
        self.socket = socket
        self.tls = tls
        self.eventLoopGroup = eventLoopGroup
        self.onListening = onListening
    }

    package func run() async throws {
        let plain = HTTP1Channel(responder: responder, configuration: channelConfiguration)
        if let tls {
            try await serve(TLSChannel(plain, tlsConfiguration: tls))
        } else {
            try await serve(plain)
        }
    }

    private var responder: HTTPChannelHandler.Responder {
        let responder = GatewayResponder(services: services)
        return { request, writer, channel in
            try await responder.respond(
                request, writer, remoteAddress: channel.remoteAddress?.ipAddress ?? "local",
                closed: channel.closeFuture)
        }
    }

    private var channelConfiguration: HTTP1Channel.Configuration {
        let services = services
        let gate = HotReadGate(services: services)
        let limits = services.limits
        return HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionHandler(services: services, gate: gate)],
            // Timeouts are ConnectionHandler's: Hummingbird's handler does not see hot reads.
            idleTimeout: nil,
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: limits.headerBytes, maxHeaderListSize: limits.headerBytes,
                maxHeaderFieldCount: limits.headerFields))
    }

    private func serve(_ child: some ServerChildChannel) async throws {
        let quiescing = ServerQuiescingHelper(group: eventLoopGroup)
        let logger = services.logger
        let limit = services.limits.drain
        let listener = try await listen(child, quiescing: quiescing)
        logger.info("taking connections")
        await onListening(listener.channel.localAddress)
        let loop = listener.channel.eventLoop
        let drained = loop.makePromise(of: Void.self)
        let isShuttingDown = Flag()
        try await withGracefulShutdownHandler {
            try await listener.executeThenClose { connections in
                try await withThrowingDiscardingTaskGroup { group in
                    for try await connection in connections {
                        group.addTask { await child.handle(value: connection, logger: logger) }
                    }
                    guard isShuttingDown.isSet else {
                        drained.succeed()
                        throw AcceptingEnded()
                    }
                    // Open requests may finish, for a while; a promise that is kept already stays as it is.
                    loop.scheduleTask(in: limit) { drained.succeed() }
                    try await drained.futureResult.get()
                    group.cancelAll()
                }
            }
        } onGracefulShutdown: {
            isShuttingDown.set()
            quiescing.initiateShutdown(promise: drained)
        }
        logger.info("connections drained")
    }

    /// The listening channel closed although nobody asked for it: the process must end and be started again.
    private struct AcceptingEnded: Error {}

    private final class Flag: Sendable {
        private let value = Atomic<Bool>(false)
        var isSet: Bool { value.load(ordering: .acquiring) }
        func set() { value.store(true, ordering: .releasing) }
    }

    private func listen<Child: ServerChildChannel>(
        _ child: Child, quiescing: ServerQuiescingHelper
    ) async throws -> NIOAsyncChannel<Child.Value, Never> {
        let services = services
        let bootstrap = ServerBootstrap(group: eventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 4096)
            // One connection a wake-up: workers on one socket share the connections evenly.
            .serverChannelOption(.maxMessagesPerRead, value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(
                        AcceptGate(maximum: services.limits.connections, metrics: services.metrics))
                    try pipeline.addHandler(quiescing.makeServerChannelHandler(channel: channel))
                }
            }
            // A client may close its half after the request and still wants the answer.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        let initializer = { @Sendable (channel: any Channel) in
            child.setup(channel: channel, logger: services.logger)
        }
        switch socket {
        case .inherited(let descriptor):
            return try await bootstrap.bind(descriptor, childChannelInitializer: initializer)
        case .address(let host, let port):
            return try await bootstrap.bind(host: host, port: port, childChannelInitializer: initializer)
        }
    }
}
