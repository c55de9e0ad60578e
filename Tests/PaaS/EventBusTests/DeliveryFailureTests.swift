import PostgresDriver
import Testing

@testable import EventBus

@Suite struct DeliveryFailureTests {
    private struct Unexpected: Error {}

    /// I/O, damage, read-only after a failover, a lock that is not given, a schema older than this process, a missing right, a
    /// full disk, a shutdown, a timeout, a deadlock, a refusal of our own functions.
    @Test(arguments: [
        "58030", "XX000", "XX001", "25006", "55P03", "42883", "42P01", "42501", "53100", "57P01", "57014", "40P01",
        "MC403",
    ])
    func `what is wrong with a database parks nothing`(_ state: String) {
        let error = PostgresError(.server, "text", sqlState: state)
        #expect(DeliveryFailure(error) == .unavailable("\(error)"))
    }

    @Test(arguments: ["21000", "22001", "22P02", "23503", "23505", "23514", "54000"])
    func `what is wrong with the data is refused`(_ state: String) {
        let error = PostgresError(.server, "text", sqlState: state)
        #expect(DeliveryFailure(error) == .refused("\(error)"))
    }

    @Test func `refusals and what cannot be read are refused, and everything unexpected is not`() {
        #expect(DeliveryFailure(EventRefusal("no JSON")) == .refused("no JSON"))
        let unreadable = PostgresError(.decoding, "unknown resource type")
        #expect(DeliveryFailure(unreadable) == .refused("\(unreadable)"))
        for code in [PostgresError.Code.connection, .deadline, .poolExhausted, .closed, .protocol] {
            let error = PostgresError(code, "text")
            #expect(DeliveryFailure(error) == .unavailable("\(error)"))
        }
        #expect(DeliveryFailure(Unexpected()) == .unavailable("Unexpected"))
        #expect(DeliveryFailure(CancellationError()) == .unavailable("cancelled"))
        let lost = PostgresError(.server, "the lease was lost", sqlState: "MC423", detail: "7")
        #expect(DeliveryFailure(lost) == .leaseLost(token: 7))
    }
}
