import Testing

@testable import Gateway

struct IdleMemoryTests {
    /// What a process looks like at one time, and what is resident after a trim.
    private struct Look {
        let mebibytes: Int64
        let cpu: Int64
        var after: Int64?
    }

    @Test func `memory is given back once the work is over`() {
        let looks = [
            Look(mebibytes: 41, cpu: 950), Look(mebibytes: 39, cpu: 1000),
            // A large bundle: while it is worked on, while its rows are written, and when it is over.
            Look(mebibytes: 200, cpu: 4000), Look(mebibytes: 200, cpu: 4100, after: 190),
            Look(mebibytes: 190, cpu: 4110),
            Look(mebibytes: 190, cpu: 4200, after: 45), Look(mebibytes: 46, cpu: 4300),
        ]
        var memory = IdleMemory(resident: 40 << 20, cpu: 900)
        for look in looks {
            let isTime = memory.shouldTrim(resident: look.mebibytes << 20, cpu: look.cpu)
            #expect(isTime == (look.after != nil), "\(look)")
            if let after = look.after { memory.trimmed(resident: after << 20, cpu: look.cpu) }
        }
    }

    @Test func `what was in use at a trim and freed with hardly any work is given back later`() {
        var memory = IdleMemory(resident: 40 << 20, cpu: 900)
        let first = memory.shouldTrim(resident: 300 << 20, cpu: 5000)
        let second = memory.shouldTrim(resident: 300 << 20, cpu: 5100)
        #expect([first, second] == [false, true])
        memory.trimmed(resident: 280 << 20, cpu: 5100)
        var looks: [Bool] = []
        for look in 1...IdleMemory.patience {
            looks.append(memory.shouldTrim(resident: 280 << 20, cpu: 5100 + Int64(look)))
        }
        #expect(looks == Array(repeating: false, count: IdleMemory.patience - 1) + [true])
    }
}
