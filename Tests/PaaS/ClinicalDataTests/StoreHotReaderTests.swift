import ClinicalData
import Logging
import NIOCore
import NIOPosix
import PostgresDriver
import Testing

struct StoreHotReaderTests {
    private static func read(
        _ reader: HotReader, _ type: ResourceType, _ id: String, _ loop: any EventLoop
    ) -> EventLoopFuture<StoredResource?> {
        let promise = loop.makePromise(of: StoredResource?.self)
        if !reader.read(type, id: id, audit: StoreFixture.audit, completion: { promise.completeWith($0) }) {
            promise.fail(ChannelError.eof)
        }
        return promise.futureResult
    }

    @Test func `reads of one tick share a statement and each leaves its audit row`() async throws {
        try await StoreFixture.withPool { pool in
            let store = ClinicalStore()
            let statements = PooledStatements(pool, deadline: nil)
            let type = try StoreFixture.type("Patient")
            let operations = try (0..<50).map { try StoreFixture.operation(.create, "r\($0)") }
            _ = try await store.write(operations, audit: StoreFixture.audit, on: statements)
            _ = try await store.write(
                [WriteOperation(delete: type, id: "r7")], audit: StoreFixture.audit, on: statements)

            let loop = MultiThreadedEventLoopGroup.singleton.next()
            let pipeline = PostgresPipeline(
                configuration: pool.configuration, eventLoop: loop, logger: Logger(label: "test"))
            let found = try await loop.flatSubmit {
                let reader = HotReader(pipeline: pipeline, eventLoop: loop)
                let reads = (0..<100).map { Self.read(reader, type, "r\($0)", loop) }
                return EventLoopFuture.whenAllSucceed(reads, on: loop)
            }.get()
            pipeline.close()

            #expect(found.prefix(50).allSatisfy { $0 != nil })
            #expect(found.dropFirst(50).allSatisfy { $0 == nil })
            #expect(found[7]?.isDeleted == true)
            #expect(found[9]?.content == StoreFixture.content("r9"))
            let rows = try await pool.query(
                PostgresStatement(
                    """
                    select count(*), count(*) filter (where outcome = 4), count(distinct recorded)
                    from audit.read_event
                    where interaction = 1
                    """))
            #expect(try rows[0].int8(0) == 100)
            #expect(try rows[0].int8(1) == 51)
            // One statement, one time: a full batch at once, the rest with the next.
            #expect(try rows[0].int8(2) == 2)
        }
    }

    @Test func `a closed pipeline fails its reads instead of leaving them`() async throws {
        try await StoreFixture.withPool { pool in
            let type = try StoreFixture.type("Patient")
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            let pipeline = PostgresPipeline(
                configuration: pool.configuration, eventLoop: loop, logger: Logger(label: "test"))
            pipeline.close()
            await #expect(throws: PostgresError.self) {
                try await loop.flatSubmit {
                    Self.read(HotReader(pipeline: pipeline, eventLoop: loop), type, "a", loop)
                }.get()
            }
        }
    }
}
