import ApplicationRegistry
import CloudIdentity
import CloudModel
import Logging
import Synchronization
import TestSupport
import Testing

/// Remembers every line, metadata included.
private final class LogRecorder: Sendable {
    private let text = Mutex("")

    var logger: Logger {
        Logger(label: "recorded") { _ in RecordingHandler(recorder: self) }
    }

    func add(_ line: String) { text.withLock { $0 += line + "\n" } }
    var lines: String { text.withLock { $0 } }
}

private struct RecordingHandler: LogHandler {
    let recorder: LogRecorder
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        recorder.add("\(event.message) \(event.metadata ?? [:])")
    }
}

@Suite struct SecrecyTests {
    @Test func `no token and no assertion is ever logged`() async throws {
        let recorder = LogRecorder()
        let worker = await Worker(try await .shared, logger: recorder.logger)
        let client = try await worker.makeClient(in: try await worker.region.makeTenant())
        let good = try client.assertion()
        let token = try await worker.token(client)
        let stranger = TestClient(
            id: client.id, tenant: client.tenant, key: .generate(), endpoints: worker.region.endpoints)
        let texts = [
            good, good, try stranger.assertion(), good.replacing(".", with: ".."), String(good.dropLast(3)), token,
        ]
        for text in texts {
            _ = await worker.server.token(.form(["client_assertion": text]), of: client.tenant)
            _ = await worker.server.introspect(
                .form(["client_assertion": try client.assertion(), "token": text]), of: client.tenant)
            _ = try? await worker.verifier.verify(text)
        }
        #expect(recorder.lines.contains("client assertion refused"))
        #expect(recorder.lines.contains("client assertion replayed"))
        for text in texts {
            for part in text.split(separator: ".") where part.utf8.count > 20 {
                #expect(!recorder.lines.contains(part))
            }
        }
    }

    @Test func `an assertion stays used when Postgres is killed and comes back`() async throws {
        let region = try await TestRegion()
        try await region.startController()
        let worker = await Worker(region)
        let client = try await worker.makeClient(in: try await region.makeTenant())
        let form = OAuthRequest.form(["client_assertion": try client.assertion()])
        #expect(await worker.server.token(form, of: client.tenant).status == 200)
        try region.crashControlCluster()
        let later = await Worker(region)
        var answer = await later.server.token(form, of: client.tenant)
        while answer.status == 503 { answer = await later.server.token(form, of: client.tenant) }
        #expect(answer.status == 401)
        #expect(answer.error == "invalid_client")
        try await region.stopController()
    }
}
