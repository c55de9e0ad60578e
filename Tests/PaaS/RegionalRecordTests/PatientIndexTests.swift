import PostgresDriver
import TenantRegistry
import TestSupport
import Testing

@Suite struct PatientIndexTests {
    @Test func `sources with one identifier are one person`() async throws {
        let index = try await IndexFixture()
        for name in ["a", "b"] { try await index.begin(name) }
        try await index.state("a", "1", ["x"])
        try await index.state("b", "7", ["x", "y"])
        #expect(try await index.find("x") == index.find("y"))
        #expect(try await index.holders(index.find("x")) == ["a/1", "b/7"])
        #expect(try await index.find("z") == nil)
    }

    @Test func `concurrent feeds of one identifier end in one person`() async throws {
        let index = try await IndexFixture()
        let names = ["a", "b", "c", "d", "e", "f"]
        for name in names { try await index.begin(name) }
        for round in 0..<20 {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in names {
                    group.addTask { try await index.state(name, "p\(round)", ["x\(round)", "\(name)\(round)"]) }
                }
                try await group.waitForAll()
            }
            #expect(try await index.holders(index.find("x\(round)")) == names.map { "\($0)/p\(round)" })
        }
        #expect(try await index.candidates().isEmpty)
    }

    @Test func `a source that shares identifiers with two persons joins neither`() async throws {
        let index = try await IndexFixture()
        for name in ["a", "b", "c"] { try await index.begin(name) }
        try await index.state("a", "1", ["x"])
        try await index.state("b", "1", ["y"])
        try await index.state("c", "1", ["x", "y", "z"])
        #expect(try await index.find("x") != index.find("y"))
        #expect(try await index.holders(index.find("x")) == ["a/1"])
        #expect(try await index.holders(index.find("y")) == ["b/1"])
        #expect(try await index.holders(index.find("z")) == ["c/1"])
        #expect(try await index.candidates() == ["c/1", "c/1"])

        // One of the two corrects its identifier: the conflict is over.
        try await index.state("b", "1", ["w"], version: 2)
        #expect(try await index.holders(index.find("x")) == ["a/1", "c/1"])
        #expect(try await index.holders(index.find("y")) == ["a/1", "c/1"])
        #expect(try await index.candidates().isEmpty)
    }

    @Test func `a source that is known with others stays with them in a conflict`() async throws {
        let index = try await IndexFixture()
        for name in ["a", "b", "c"] { try await index.begin(name) }
        try await index.state("a", "1", ["x"])
        try await index.state("c", "1", ["x"])
        try await index.state("b", "1", ["y"])
        try await index.state("c", "1", ["x", "y"], version: 2)
        #expect(try await index.holders(index.find("x")) == ["a/1", "c/1"])
        #expect(try await index.holders(index.find("y")) == ["b/1"])
        #expect(try await index.candidates() == ["c/1"])
    }

    @Test func `a source alone that learns an identifier goes to its person, and the old id leads there`() async throws
    {
        let index = try await IndexFixture()
        for name in ["a", "b"] { try await index.begin(name) }
        try await index.state("b", "1", ["y"])
        let before = try await index.find("y")
        try await index.state("a", "1", ["x"])
        try await index.state("b", "1", ["y", "x"], version: 2)
        let person = try await index.find("x")
        #expect(try await index.holders(person) == ["a/1", "b/1"])
        #expect(try await index.find("y") == person)
        #expect(before != person)
        #expect(try await index.current(before) == person)
    }

    @Test func `a person that was merged comes back when the identifier that did it is taken away`() async throws {
        let index = try await IndexFixture()
        for name in ["a", "b"] { try await index.begin(name) }
        try await index.state("a", "1", ["x"])
        try await index.state("b", "1", ["y"])
        let (first, second) = (try await index.find("x"), try await index.find("y"))
        // Twice: what came back can be merged again.
        for version: Int32 in [2, 4] {
            try await index.state("a", "1", ["x", "y"], version: version)
            #expect(try await index.current(first) == second)
            try await index.state("a", "1", ["x"], version: version + 1)
            #expect(try await index.find("x") == first)
            #expect(try await index.current(first) == first)
            #expect(try await index.holders(first) == ["a/1"])
            #expect(try await index.holders(index.find("y")) == ["b/1"])
            #expect(try await index.find("y") == second)
        }
    }

    @Test func `a merged person goes with its identifiers, not with a source that has left them`() async throws {
        let index = try await IndexFixture()
        for name in ["a", "b", "c", "d"] { try await index.begin(name) }
        try await index.state("a", "1", ["x"])
        try await index.state("b", "1", ["y"])
        let (first, second) = (try await index.find("x"), try await index.find("y"))
        try await index.state("a", "1", ["x", "y"], version: 2)
        try await index.state("c", "1", ["x"])
        #expect(try await index.holders(second) == ["a/1", "b/1", "c/1"])
        try await index.state("a", "1", ["z"], version: 3)
        #expect(try await index.holders(first) == ["c/1"])
        #expect(try await index.find("x") == first)
        #expect(try await index.holders(second) == ["b/1"])
        #expect(try await ![first, second].contains(index.find("z")))

        // To another person as well, and from there back.
        try await index.state("d", "1", ["w"])
        let third = try await index.find("w")
        try await index.state("c", "1", ["x", "y"], version: 2)
        #expect(try await index.current(first) == second)
        try await index.state("c", "1", ["x", "w"], version: 3)
        #expect(try await index.current(first) == third)
        #expect(try await index.holders(third) == ["c/1", "d/1"])
        try await index.state("c", "1", ["x"], version: 4)
        #expect(try await index.current(first) == first)
        #expect(try await index.holders(third) == ["d/1"])
    }

    @Test func `who was merged one after the other comes back one after the other`() async throws {
        let index = try await IndexFixture()
        for name in ["a", "b", "c"] { try await index.begin(name) }
        try await index.state("a", "1", ["x"])
        try await index.state("b", "1", ["y"])
        try await index.state("c", "1", ["z"])
        let first = try await index.find("x")
        let second = try await index.find("y")
        let third = try await index.find("z")
        try await index.state("a", "1", ["x", "y"], version: 2)
        try await index.state("b", "1", nil, version: 2)
        try await index.state("a", "1", ["x", "y", "z"], version: 3)
        #expect(try await index.current(first) == third)
        try await index.state("a", "1", ["x", "y"], version: 4)
        #expect(try await index.current(first) == second)
        #expect(try await index.holders(second) == ["a/1"])
        #expect(try await index.holders(third) == ["c/1"])
        // The last source of two states nothing more of the one.
        try await index.state("a", "1", ["x"], version: 5)
        #expect(try await index.current(first) == first)
        #expect(try await index.holders(first) == ["a/1"])
        #expect(try await index.current(second) == nil)
    }

    @Test func `a corrected identifier moves the source and leaves nothing behind`() async throws {
        let index = try await IndexFixture()
        for name in ["a", "b"] { try await index.begin(name) }
        try await index.state("a", "1", ["x"])
        try await index.state("b", "1", ["wrong"])
        let wrong = try await index.find("wrong")
        try await index.state("b", "1", ["x"], version: 2)
        #expect(try await index.holders(index.find("x")) == ["a/1", "b/1"])
        #expect(try await index.find("wrong") == nil)
        #expect(try await index.current(wrong) == nil)
    }

    @Test func `a source that loses the shared identifier leaves, and those it held together part`() async throws {
        let index = try await IndexFixture()
        for name in ["a", "b", "c", "d"] { try await index.begin(name) }
        try await index.state("c", "1", ["x", "y"])
        try await index.state("a", "1", ["x"])
        try await index.state("b", "1", ["y", "z"])
        try await index.state("d", "1", ["z"])
        #expect(try await index.holders(index.find("x")) == ["a/1", "b/1", "c/1", "d/1"])
        try await index.state("c", "1", ["x"], version: 2)
        #expect(try await index.holders(index.find("x")) == ["a/1", "c/1"])
        #expect(try await index.holders(index.find("y")) == ["b/1", "d/1"])
        #expect(try await index.find("z") == index.find("y"))
        try await index.state("c", "1", [], version: 3)
        #expect(try await index.holders(index.find("x")) == ["a/1"])
    }

    @Test func `a deleted source is gone, and an older version does not bring it back`() async throws {
        let index = try await IndexFixture()
        for name in ["a", "b"] { try await index.begin(name) }
        try await index.state("a", "1", ["x"])
        try await index.state("b", "1", ["x"])
        try await index.count("a", "1", ["Observation"], [3])
        try await index.state("a", "1", nil, version: 3)
        try await index.state("a", "1", ["x"], version: 2)
        try await index.count("a", "1", ["Observation"], [3])
        #expect(try await index.holders(index.find("x")) == ["b/1"])
        try await index.state("b", "1", nil, version: 2)
        #expect(try await index.find("x") == nil)
        try await index.state("a", "1", ["x"], version: 4)
        #expect(try await index.holders(index.find("x")) == ["a/1"])
    }

    @Test func `a replaced patient is one person with its successor, whichever comes first`() async throws {
        let index = try await IndexFixture()
        try await index.begin("a")
        try await index.state("a", "old", [], replacedBy: "new")
        try await index.state("a", "new", ["x"])
        #expect(try await index.holders(index.find("x")) == ["a/new", "a/old"])
        try await index.state("a", "other", ["y"])
        try await index.state("a", "stray", ["z"])
        try await index.state("a", "stray", [], version: 2, replacedBy: "other")
        #expect(try await index.holders(index.find("y")) == ["a/other", "a/stray"])
        // A loop is no harm.
        try await index.state("a", "other", ["y"], version: 2, replacedBy: "stray")
        #expect(try await index.holders(index.find("y")) == ["a/other", "a/stray"])
    }

    @Test func `replays change nothing and versions decide`() async throws {
        let index = try await IndexFixture()
        try await index.begin("a")
        try await index.state("a", "1", ["x"], version: 2)
        let person = try await index.find("x")
        try await index.state("a", "1", ["x"], version: 2)
        try await index.state("a", "1", ["older"], version: 1)
        #expect(try await index.find("x") == person)
        #expect(try await index.find("older") == nil)
    }

    @Test func `counts are those of the last count`() async throws {
        let index = try await IndexFixture()
        try await index.begin("a")
        try await index.count("a", "1", ["Observation"], [1])
        try await index.state("a", "1", ["x"])
        #expect(try await index.holders(index.find("x")) == ["a/1"])
        try await index.count("a", "1", ["Condition", "Observation"], [1, 2])
        #expect(try await index.holders(index.find("x")) == ["a/1:Condition=1,Observation=2"])
        try await index.count("a", "1", ["Observation"], [5])
        #expect(try await index.holders(index.find("x")) == ["a/1:Observation=5"])
    }

    @Test func `a feed of an earlier lease is refused`() async throws {
        let index = try await IndexFixture()
        try await index.begin("a", token: 1)
        try await index.begin("a", token: 2)
        let refusal = await #expect(throws: PostgresError.self) { try await index.state("a", "1", ["x"], token: 1) }
        #expect(refusal?.sqlState == "MC423")
        try await index.state("a", "1", ["x"], token: 2)
        #expect(try await index.holders(index.find("x")) == ["a/1"])
    }

    @Test func `another database of the tenant begins when the former one is forgotten`() async throws {
        let index = try await IndexFixture()
        for name in ["a", "b"] { try await index.begin(name) }
        try await index.state("a", "1", ["x"], version: 9)
        try await index.state("b", "1", ["x"])
        #expect(try await !index.begin("a", life: 2, token: 2))
        try await index.forget("a")
        #expect(try await index.holders(index.find("x")) == ["b/1"])
        #expect(try await index.begin("a", life: 2, token: 2))
        await #expect(throws: PostgresError.self) { try await index.state("a", "1", ["x"], version: 10, token: 9) }
        try await index.state("a", "1", ["x"], life: 2, token: 2)
        #expect(try await index.holders(index.find("x")) == ["a/1", "b/1"])
    }

    @Test func `a rebuild removes what it does not meet and keeps persons`() async throws {
        let index = try await IndexFixture()
        try await index.begin("a")
        try await index.state("a", "1", ["x"], version: 5)
        try await index.state("a", "2", ["y"], version: 5)
        let person = try await index.find("x")
        // A restored database has lower versions.
        try await index.rebuild("a") { try await index.state("a", "1", ["x"], version: 3) }
        #expect(try await index.find("x") == person)
        #expect(try await index.find("y") == nil)
    }

    @Test func `only the region may ask`() async throws {
        let index = try await IndexFixture()
        let refusal = await #expect(throws: PostgresError.self) {
            try await index.region.call(
                PostgresStatement("select patient from region.find_patient('h1', $1, $2)"), [.text("a"), .text("b")])
        }
        #expect(refusal?.sqlState == "MC403")
        for table in ["patient", "patient_identifier", "patient_link", "patient_claim", "holding", "feed"] {
            let denied = await #expect(throws: PostgresError.self) {
                try await index.region.call(PostgresStatement("select * from region.\(table)"), [])
            }
            #expect(denied?.sqlState == "42501")
        }
    }
}
