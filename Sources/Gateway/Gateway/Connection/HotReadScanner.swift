import NIOCore

/// Before the HTTP decoder: takes complete hot reads out of a connection's bytes, and writes their answers past the encoder.
/// Everything else passes untouched.
///
/// Bytes are looked at only where a request begins, which is when the decoder holds nothing: at first, and when what it
/// got last ended a head (an empty line) and ``ConnectionHandler`` is not in the middle of a request. After a body it is
/// not known whether the decoder holds more, so the next request is the decoder's too.
final class HotReadScanner: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Nil once the connection has ended.
    private var connection: ConnectionHandler?
    private var context: ChannelHandlerContext?
    private var isAtRequest = true
    private var hasPassed = false

    init(_ connection: ConnectionHandler) {
        self.connection = connection
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        connection = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        while isAtRequest, buffer.readableBytes > 0, let connection,
            let read = buffer.withUnsafeReadableBytes({ connection.begin($0) })
        {
            buffer.moveReaderIndex(forwardBy: read)
        }
        guard buffer.readableBytes > 0 else { return }
        isAtRequest = buffer.readableBytesView.suffix(4).elementsEqual("\r\n\r\n".utf8)
        hasPassed = true
        context.fireChannelRead(wrapInboundOut(buffer))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Behind us there is nothing to complete when nothing came.
        guard hasPassed else { return }
        hasPassed = false
        context.fireChannelReadComplete()
    }

    func write(_ bytes: ByteBuffer) {
        guard let context else { return }
        context.write(wrapOutboundOut(bytes), promise: nil)
    }

    func flush() {
        context?.flush()
    }
}
