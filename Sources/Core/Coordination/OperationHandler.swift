package import CloudModel
package import PostgresDriver

/// An asynchronous piece of work that somebody asked for: a row of `control.operation`.
package struct OperationRecord: Sendable, Hashable {
    /// UUID, canonical lower-case text.
    package let id: String
    /// Such as `tenant.create`, `instance.delete`.
    package let kind: String
    package let tenant: TenantID?
    /// The name of what it works on within the tenant, such as an instance's.
    package let subject: String
    /// What the handler needs to know, JSON.
    package let input: String
    /// Microseconds since 1970; past it the operation is undone and fails with `deadline-exceeded`.
    package let deadline: Int64

    package init(id: String, kind: String, tenant: TenantID?, subject: String, input: String, deadline: Int64) {
        self.id = id
        self.kind = kind
        self.tenant = tenant
        self.subject = subject
        self.input = input
        self.deadline = deadline
    }
}

/// How a kind of operation is carried out: idempotent steps in order.
package protocol OperationHandler: Sendable {
    var kind: String { get }
    var steps: [OperationStep] { get }
    /// The step with which it only goes forward: from its beginning on the operation cannot be cancelled, and once it is done
    /// nothing is undone: when a later step fails for good, the operation fails with what was done. Nil when all of it can be
    /// taken back.
    var pointOfNoReturn: String? { get }
    /// Whether the deadline ends the operation from ``pointOfNoReturn`` on too: it fails at the first step that is not done at
    /// once. Otherwise it goes on until it is done.
    var isBounded: Bool { get }
}

extension OperationHandler {
    package var pointOfNoReturn: String? { nil }
    package var isBounded: Bool { false }
}

/// One step. It is recorded before and after, and may run again at any time after a crash.
package struct OperationStep: Sendable {
    package enum Outcome: Sendable, Hashable {
        case done
        /// Not yet; run it again after this time. `reason` is shown.
        case waiting(reason: String, after: Duration)
    }

    /// Stable, lower-case, hyphenated.
    package let name: String
    /// Shown as progress once the step is done.
    package let percent: Int
    package let run: @Sendable (OperationContext) async throws -> Outcome
    /// Takes back what the step did, also when it was cut off half-way; nil when there is nothing to take back.
    package let undo: (@Sendable (OperationContext) async throws -> Void)?

    package init(
        _ name: String, percent: Int, run: @escaping @Sendable (OperationContext) async throws -> Outcome,
        undo: (@Sendable (OperationContext) async throws -> Void)? = nil
    ) {
        self.name = name
        self.percent = percent
        self.run = run
        self.undo = undo
    }
}

/// Thrown by a step when trying again is of no use: the operation is undone, as far as it can be, and fails with this. Any other error is tried
/// again with a growing pause until the operation's deadline.
package struct OperationFailure: Error, Sendable, Hashable {
    /// Stable, for programs; listed in `docs/errors.md`.
    package let code: String
    /// For people; no patient data, no path of the host.
    package let message: String

    package init(_ code: String, _ message: String) {
        self.code = code
        self.message = message
    }
}

/// What a step works with.
package struct OperationContext: Sendable {
    package let operation: OperationRecord
    package let leader: LeaderContext

    package init(operation: OperationRecord, control: PostgresPool, fencingToken: Int64) {
        self.operation = operation
        leader = LeaderContext(control: control, fencingToken: fencingToken)
    }

    /// Superuser connections to the control database.
    package var control: PostgresPool { leader.control }
    /// The leader's term: writes check it in their own transaction (``transaction(_:)``).
    package var fencingToken: Int64 { leader.fencingToken }

    /// Runs `body` in a transaction of the control database that fails once another controller leads.
    @discardableResult
    package func transaction<Result: Sendable>(
        _ body: (PostgresConnection) async throws -> Result
    ) async throws -> Result {
        try await leader.transaction(body)
    }
}
