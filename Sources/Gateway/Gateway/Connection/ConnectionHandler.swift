import CloudHTTP
import HTTPTypes
import ModuleKit
import NIOCore
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

    var order: ConnectionOrder
    /// Where the parts of the request now arriving go; nil between requests and for those that are dropped.
    var way: ConnectionOrder.Way?
    /// Answers by place, from `order.nextWritten` on; nil = not there yet.
    var answers = CircularBuffer<ModuleResponse?>(initialCapacity: 4)
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
        if (request.path?.utf8.count ?? 0) > limits.targetBytes {
            refuse(Problem(.uriTooLong, "At most \(limits.targetBytes) bytes; post the search to _search."), context)
            return
        }
        if order.admitsHot, !isDraining, let gate,
            let ticket = gate.begin(request, remoteAddress: remoteAddress, on: context.eventLoop)
        {
            let place = order.lastWords()
            way = .hot(place)
            answers.append(nil)
            ticket.answer.assumeIsolated().whenComplete { result in
                self.completed(place: place, gate.finish(ticket, result), context: context)
            }
            return
        }
        way = order.received(isHot: false)
        pass(.head(request), context: context)
    }

    private func pass(_ part: HTTPRequestPart, context: ChannelHandlerContext) {
        switch way {
        case .router: context.fireChannelRead(wrapInboundOut(part))
        case .held: held.append(part)
        case .hot, nil: break
        }
    }

    // MARK: Hot answers

    private func completed(place: Int, _ response: ModuleResponse, context: ChannelHandlerContext) {
        guard isActive, place >= order.nextWritten else { return }
        answers[answers.index(answers.startIndex, offsetBy: place - order.nextWritten)] = response
        var hasWritten = false
        while isActive, let answer = answers.first ?? nil {
            answers.removeFirst()
            writeHot(answer, context: context)
            hasWritten = true
            if order.wroteHot() > 0 { release(context) }
        }
        guard hasWritten, isActive else { return }
        context.flush()
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

    private func writeHot(_ response: ModuleResponse, context: ChannelHandlerContext) {
        var headers = response.headers
        if isDraining, order.hotUnderWay == 1, order.heldRequests == 0 { headers[.connection] = "close" }
        let head = HTTPResponse(status: response.status, headerFields: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if response.body.readableBytes > 0 {
            context.write(wrapOutboundOut(.body(response.body)), promise: nil)
        }
        context.write(wrapOutboundOut(.end(nil)), promise: nil)
        clock.answered(now: .now())
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
