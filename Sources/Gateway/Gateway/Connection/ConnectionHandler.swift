import CloudHTTP
import HTTPTypes
import ModuleKit
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// One connection's edge, between the HTTP decoder and the router: limits of the head, timeouts, hot reads, order of
/// answers, and an orderly end.
///
/// All state belongs to the channel's event loop, on which NIO calls every method.
final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    enum Ending {
        case open
        /// Closes once the answer now being written, or the hot reads under way, have ended. Nothing more is read.
        case afterAnswer
        /// Nothing more is read or written; waits a little for the client to take the answer.
        case lingering
    }

    let limits: GatewayLimits
    private let gate: HotReadGate?
    let metrics: GatewayMetrics
    let responses: EdgeResponses
    private var remoteAddress = ""
    private var randomness = RequestRandomness()
    /// These two are nil before this handler is in a pipeline and after it has left it.
    var context: ChannelHandlerContext?
    var scanner: HotReadScanner?

    var order: ConnectionOrder
    /// Where the parts of the request now arriving go; nil between requests and for those that are dropped.
    var way: ConnectionOrder.Way?
    /// Answers by place, from `order.nextWritten` on; nil = not there yet.
    var answers = CircularBuffer<HotAnswer?>(initialCapacity: 4)
    var held: [HTTPRequestPart] = []
    var hasHeldRead = false
    /// The client has finished sending; passed on when the hot reads are answered.
    var hasHeldInputClosed = false
    var isDraining = false
    /// The answer being written goes on until the client leaves.
    var isStreaming = false
    var isActive = true
    var ending = Ending.open
    var clock: ConnectionClock
    var timer: Scheduled<Void>?

    init(services: GatewayServices, gate: HotReadGate?) {
        limits = services.limits
        metrics = services.metrics
        responses = EdgeResponses(services: services)
        self.gate = gate
        order = ConnectionOrder(maximumHot: services.limits.pipelinedReads)
        clock = ConnectionClock(limits: services.limits, now: .now())
    }

    func handlerAdded(context: ChannelHandlerContext) {
        remoteAddress = context.remoteAddress?.ipAddress ?? "local"
        do {
            let pipeline = context.pipeline.syncOperations
            let scanner = HotReadScanner(self)
            let encoder = try pipeline.handler(type: HTTPResponseEncoder.self)
            try pipeline.addHandler(scanner, position: .before(encoder))
            self.scanner = scanner
            self.context = context
        } catch {
            // Closed before it began.
            context.close(promise: nil)
        }
        arm(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        deactivate()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deactivate()
        context.fireChannelInactive()
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .open = ending else { return }
        let part = unwrapInboundIn(data)
        switch part {
        case .head(let request):
            clock.headArrived(now: .now())
            received(request, context: context)
        case .body:
            clock.partArrived(now: .now())
            pass(part, context: context)
        case .end:
            clock.requestArrived(now: .now())
            pass(part, context: context)
            way = nil
        }
    }

    private func received(_ request: HTTPRequest, context: ChannelHandlerContext) {
        if let target = request.path, target.utf8.count > limits.targetBytes {
            refuse(
                Problem(.uriTooLong, "At most \(limits.targetBytes) bytes; post the search to _search."),
                as: ErrorStyle(target: target), context)
            return
        }
        let place = order.nextHot
        if order.admitsHot, !isDraining, let gate,
            gate.begin(
                request, from: origin(context), completion: { self.completed(place: place, $0, context: context) })
        {
            way = .hot(order.lastWords())
            answers.append(nil)
            return
        }
        way = order.received(isHot: false)
        pass(.head(request), context: context)
    }

    /// Begins the hot read that `bytes` begin with, for the scanner.
    ///
    /// - Returns: how many bytes it was; nil when the decoder must look at them.
    func begin(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let place = order.nextHot
        guard case .open = ending, way == nil, order.admitsHot, !isDraining, let gate, let context,
            let length = gate.begin(
                bytes, from: origin(context), completion: { self.completed(place: place, $0, context: context) })
        else { return nil }
        clock.requestArrived(now: .now())
        _ = order.lastWords()
        answers.append(nil)
        return length
    }

    private func origin(_ context: ChannelHandlerContext) -> HotReadGate.Origin {
        HotReadGate.Origin(
            remoteAddress: remoteAddress, requestID: RequestID.make(using: &randomness), channel: context.channel)
    }

    private func pass(_ part: HTTPRequestPart, context: ChannelHandlerContext) {
        switch way {
        case .router: context.fireChannelRead(wrapInboundOut(part))
        case .held: held.append(part)
        case .hot, nil: break
        }
    }

    // MARK: Hot answers

    private func completed(place: Int, _ completed: HotAnswer, context: ChannelHandlerContext) {
        guard isActive, place >= order.nextWritten else { return }
        answers[answers.index(answers.startIndex, offsetBy: place - order.nextWritten)] = completed
        var hasWritten = false
        while isActive, let answer = answers.first ?? nil {
            answers.removeFirst()
            let isLast = isDraining && order.hotUnderWay == 1 && order.heldRequests == 0
            answer.write(closing: isLast) { bytes in scanner?.write(bytes) }
            clock.answered(now: .now())
            hasWritten = true
            if order.wroteHot() > 0 { release(context) }
        }
        guard hasWritten, isActive else { return }
        scanner?.flush()
        guard order.hotUnderWay == 0 else { return }
        if case .afterAnswer = ending {
            finish(context)
        } else if isDraining, order.isIdle {
            finish(context)
        } else if hasHeldInputClosed {
            hasHeldInputClosed = false
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
    }

    /// Gives the held requests to the router, in order, and reads on.
    private func release(_ context: ChannelHandlerContext) {
        let parts = held
        held = []
        if case .held = way { way = .router }
        for part in parts { context.fireChannelRead(wrapInboundOut(part)) }
        context.fireChannelReadComplete()
        resumeReading(context)
    }

    // MARK: Back-pressure

    func read(context: ChannelHandlerContext) {
        let mayRead = held.isEmpty && (context.channel.isWritable || order.withRouter > 0)
        if case .lingering = ending {
            context.read()
        } else if mayRead {
            context.read()
        } else {
            hasHeldRead = true
        }
    }

    private func resumeReading(_ context: ChannelHandlerContext) {
        guard hasHeldRead, held.isEmpty else { return }
        hasHeldRead = false
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        clock.writability(context.channel.isWritable, now: .now())
        if context.channel.isWritable { resumeReading(context) } else { arm(context) }
        context.fireChannelWritabilityChanged()
    }

    // MARK: The router's answers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var response) where response.status.kind != .informational:
            if isDraining, order.withRouter == 1 { response.headerFields[.connection] = "close" }
            if case .open = ending, response.headerFields[.connection] == "close" { ending = .afterAnswer }
            isStreaming = response.headerFields[.contentType] == "text/event-stream"
            context.write(wrapOutboundOut(.head(response)), promise: promise)
        case .head, .body:
            context.write(data, promise: promise)
        case .end:
            order.routerAnswered()
            isStreaming = false
            clock.answered(now: .now())
            guard case .afterAnswer = ending else {
                context.write(data, promise: promise)
                return
            }
            context.writeAndFlush(data, promise: promise)
            finish(context)
        }
    }
}
