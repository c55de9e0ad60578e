import ClinicalData
import Logging
import NIOCore
import NIOPosix
import PostgresDriver
import Testing

struct StoreHotReaderTests {
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
                let reads = (0..<100).map { reader.read(type, id: "r\($0)", audit: StoreFixture.audit) }
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
                    from audit.event
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
                    HotReader(pipeline: pipeline, eventLoop: loop).read(type, id: "a", audit: StoreFixture.audit)
                }.get()
            }
        }
    }
}
