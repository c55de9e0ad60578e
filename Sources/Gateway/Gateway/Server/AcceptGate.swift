import CloudTelemetry
import NIOCore

/// Stops accepting while the worker has as many connections as it may; the kernel's queue, and the other workers, hold the
/// rest. Sits on the listening channel.
///
/// All state belongs to the listening channel's event loop.
final class AcceptGate: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = any Channel

    private let maximum: Int
    private let metrics: GatewayMetrics
    private var open = 0
    private var hasHeldRead = false

    init(maximum: Int, metrics: GatewayMetrics) {
        self.maximum = maximum
        self.metrics = metrics
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let child = unwrapInboundIn(data)
        open += 1
        metrics.connections.add(1)
        metrics.connectionsTotal.increment()
        let bound = NIOLoopBound((gate: self, context: context), eventLoop: context.eventLoop)
        child.closeFuture.hop(to: context.eventLoop).whenComplete { _ in
            bound.value.gate.closed(context: bound.value.context)
        }
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        if open < maximum {
            context.read()
        } else {
            hasHeldRead = true
        }
    }

    private func closed(context: ChannelHandlerContext) {
        open -= 1
        metrics.connections.add(-1)
        if hasHeldRead {
            hasHeldRead = false
            context.read()
        }
    }
}
