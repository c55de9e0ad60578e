import CloudHTTP
import HTTPTypes
import ModuleKit
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1

/// Answers that the connection gives itself, before any router has seen a request.
struct EdgeResponses: Sendable {
    private let headers: AnswerHeaders
    private let typeBase: String

    init(services: GatewayServices) {
        headers = AnswerHeaders(isSecure: services.isSecure)
        typeBase = services.typeBase
    }

    /// A problem as the last answer of a connection.
    func closing(_ problem: Problem, _ style: ErrorStyle) -> ModuleResponse {
        let requestID = RequestID.make()
        var response = style.response(problem, requestID: requestID, typeBase: typeBase)
        response.headers[.contentLength] = String(response.body.readableBytes)
        response.headers[.connection] = "close"
        headers.apply(to: &response.headers, requestID: requestID)
        return response
    }

    /// What to say about bytes that are not a request of ours; nil when the error is about the connection itself.
    static func problem(for error: any Error) -> Problem? {
        switch error {
        case HTTPParserError.headerOverflow: Problem(.headerTooLarge)
        case HTTPParserError.invalidEOFState, HTTPParserError.closedConnection: nil
        case is HTTPParserError, is HTTP1TypeConversionError: Problem(.malformedRequest)
        default: nil
        }
    }
}
