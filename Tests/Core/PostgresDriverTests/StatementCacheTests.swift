import Testing

@testable import PostgresDriver

@Suite struct StatementCacheTests {
    private let select = PostgresStatement("select $1")

    @Test func `a statement is prepared once`() throws {
        var cache = StatementCache(capacity: 4)
        let values = try EncodedParameters([.int4(1)])
        #expect(cache.plan(select, values) == .prepare(number: 1, types: [TypeID.int4]))
        #expect(cache.plan(PostgresStatement("select $1"), values) == .use(number: 1))
        #expect(cache.takeDiscarded().isEmpty)
    }

    @Test func `a null fits any type and a type fills in for an earlier null`() throws {
        var cache = StatementCache(capacity: 4)
        let statement = PostgresStatement("select $1, $2")
        #expect(
            cache.plan(statement, try EncodedParameters([.null, .int4(1)]))
                == .prepare(number: 1, types: [0, TypeID.int4]))
        #expect(
            cache.plan(statement, try EncodedParameters([.text("a"), .null]))
                == .prepare(number: 2, types: [TypeID.text, TypeID.int4]))
        #expect(cache.plan(statement, try EncodedParameters([.null, .null])) == .use(number: 2))
        #expect(cache.takeDiscarded() == [1])
    }

    @Test func `another type prepares the statement anew`() throws {
        var cache = StatementCache(capacity: 4)
        _ = cache.plan(select, try EncodedParameters([.int4(1)]))
        #expect(cache.plan(select, try EncodedParameters([.int8(1)])) == .prepare(number: 2, types: [TypeID.int8]))
        #expect(cache.takeDiscarded() == [1])
        #expect(cache.takeDiscarded().isEmpty)
    }

    @Test func `the least recently used statement makes room`() throws {
        var cache = StatementCache(capacity: 2)
        let none = EncodedParameters()
        let statements = (0..<3).map { number in PostgresStatement("select \(number)") }
        _ = cache.plan(statements[0], none)
        _ = cache.plan(statements[1], none)
        #expect(cache.plan(statements[0], none) == .use(number: 1))
        _ = cache.plan(statements[2], none)
        #expect(cache.takeDiscarded() == [2])
        #expect(cache.plan(statements[0], none) == .use(number: 1))
        #expect(cache.count == 2)
    }

    @Test func `a statement the server does not have is prepared again`() throws {
        var cache = StatementCache(capacity: 2)
        let none = EncodedParameters()
        _ = cache.plan(select, none)
        cache.remove(number: 1)
        #expect(cache.plan(select, none) == .prepare(number: 2, types: []))
        cache.discard(select)
        cache.keepForLater(number: 9)
        #expect(cache.takeDiscarded() == [2, 9])
    }
}
