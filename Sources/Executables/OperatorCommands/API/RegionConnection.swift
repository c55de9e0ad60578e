package import AsyncHTTPClient
import CloudModel
import Foundation
package import NIOCore
import NIOHTTP1

/// HTTP to one region.
package struct RegionConnection: Sendable {
    package struct Request: Sendable {
        package var method: String
        package var url: String
        package var body: [UInt8]?
        package var headers: [(String, String)] = []
        package var timeout: TimeAmount = .seconds(60)
    }

    package struct Answer: Sendable {
        package let status: Int
        package let headers: [(String, String)]
        package let body: [UInt8]

        package init(status: Int, headers: [(String, String)], body: [UInt8]) {
            self.status = status
            self.headers = headers
            self.body = body
        }

        package var json: JSONValue? { try? JSONValue(parsing: body) }

        package func header(_ name: String) -> String? {
            headers.first { $0.0.lowercased() == name.lowercased() }?.1
        }
    }

    /// How long what is away for a moment is asked again.
    private static let patience = Duration.seconds(10)

    /// The largest answer that is read into memory.
    package static let largestAnswer = 256 << 20

    package let client: HTTPClient
    let trust: Trust

    /// Gives `body` a connection and closes it afterwards.
    package static func with<Result: Sendable>(
        trust: Trust, _ body: (RegionConnection) async throws -> Result
    ) async throws -> Result {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(5)
        // A token must never follow a redirect to another server.
        configuration.redirectConfiguration = .disallow
        configuration.tlsConfiguration = try trust.configuration()
        // What refuses a connection, or has another certificate, does so the next time too.
        configuration.connectionPool.retryConnectionEstablishment = false
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let result = try await body(RegionConnection(client: client, trust: trust))
            try await client.shutdown()
            return result
        } catch {
            // The error of `body` is the one that counts.
            try? await client.shutdown()
            throw error
        }
    }

    /// What may be done twice: asked again as long as the region says that something is away and when to come back.
    package static func patiently(_ attempt: () async throws -> Answer) async throws -> Answer {
        let end = ContinuousClock.now + patience
        while true {
            let answer = try await attempt()
            guard answer.status == 503, let pause = answer.header("retry-after").flatMap(Int.init),
                ContinuousClock.now + .seconds(pause) < end
            else { return answer }
            try await Task.sleep(for: .seconds(pause))
        }
    }

    /// One request and its whole answer.
    /// - Throws: ``CommandFailure`` with `unreachable` when nobody answers.
    package func send(_ request: Request) async throws -> Answer {
        var message = HTTPClientRequest(url: request.url)
        message.method = .init(rawValue: request.method)
        for (name, value) in request.headers { message.headers.add(name: name, value: value) }
        message.headers.add(name: "user-agent", value: "medcloud/\(Release.version)")
        if let body = request.body { message.body = .bytes(body) }
        do {
            let response = try await client.execute(message, timeout: request.timeout)
            let body = try await response.body.collect(upTo: Self.largestAnswer)
            return Answer(
                status: Int(response.status.code), headers: response.headers.map { ($0.name, $0.value) },
                body: Array(body.readableBytesView))
        } catch let error as CancellationError {
            throw error
        } catch {
            if let refusal = trust.refusal(of: request.url, for: error) { throw refusal }
            throw CommandFailure(
                .unreachable,
                "\(request.url) does not answer: `medcloud status` shows what runs, `medcloud doctor` what is missing.")
        }
    }
}
