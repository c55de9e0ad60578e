import CloudHTTP
import CloudTelemetry
import HTTPTypes
import ModuleKit
import NIOCore
import NIOExtras
import NIOHTTPTypes

// How a connection ends: by the client, by a limit, by a broken request, by the worker's shutdown.
extension ConnectionHandler {
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent:
            // Not passed on: the last answer closes the connection, in an orderly way.
            isDraining = true
            if order.isIdle, way == nil {
                context.close(promise: nil)
            } else {
                // A client that does not take its answer must not keep the worker.
                let channel = context.channel
                context.eventLoop.scheduleTask(in: limits.drain + limits.linger) { channel.close(promise: nil) }
            }
        case ChannelEvent.inputClosed:
            if case .lingering = ending {
                context.close(promise: nil)
            } else if isStreaming {
                // Nobody half-closes and goes on listening to events: the client has gone.
                context.close(promise: nil)
            } else if order.hotUnderWay > 0 || !held.isEmpty {
                hasHeldInputClosed = true
            } else {
                context.fireUserInboundEventTriggered(event)
            }
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let problem = EdgeResponses.problem(for: error) else {
            context.fireErrorCaught(error)
            return
        }
        metrics.parseErrors.increment()
        if order.withRouter > 0 {
            // The router has an answer to give before this one; Hummingbird says 400 and closes after it.
            context.fireErrorCaught(error)
        } else {
            refuse(problem, context)
        }
    }

    /// Answers with a problem as the connection's last words, behind the answers that are under way.
    func refuse(_ problem: Problem, as style: ErrorStyle = .problem, _ context: ChannelHandlerContext) {
        guard case .open = ending else { return }
        ending = .afterAnswer
        way = nil
        if order.withRouter > 0 { return }
        if order.hotUnderWay > 0 {
            if order.heldRequests == 0 {
                _ = order.lastWords()
                answers.append(HotAnswer(responses.closing(problem, style)))
            }
            held = []
            return
        }
        let response = responses.closing(problem, style)
        let head = HTTPResponse(status: response.status, headerFields: response.headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(response.body)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        finish(context)
    }

    /// Closes our half, reads away what the client still sends, and closes for good when it does or after a moment: a
    /// socket closed with unread bytes sends a reset that can overtake the answer.
    func finish(_ context: ChannelHandlerContext) {
        if case .lingering = ending { return }
        ending = .lingering
        held = []
        way = nil
        let channel = context.channel
        context.close(mode: .output, promise: nil)
        context.eventLoop.scheduleTask(in: limits.linger) { channel.close(promise: nil) }
        if hasHeldRead {
            hasHeldRead = false
            context.read()
        }
    }

    func deactivate() {
        isActive = false
        scanner = nil
        context = nil
        timer?.cancel()
        timer = nil
        held = []
    }

    // MARK: Time

    /// The timer is not moved at each part; when it fires it looks whether its time has really come.
    func arm(_ context: ChannelHandlerContext) {
        guard isActive else { return }
        timer?.cancel()
        let deadline = clock.deadline(isBusy: !order.isIdle, now: .now())
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.timerFired(context)
        }
    }

    private func timerFired(_ context: ChannelHandlerContext) {
        timer = nil
        guard isActive else { return }
        let now = NIODeadline.now()
        if now >= clock.deadline(isBusy: !order.isIdle, now: now) {
            metrics.timeouts.increment()
            context.close(promise: nil)
        } else {
            arm(context)
        }
    }
}
