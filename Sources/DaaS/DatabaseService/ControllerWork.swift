package import Coordination
package import PostgresDriver

/// What a controller does while it leads: kinds of operations, duties, and what must be there before either.
///
/// Each target that has something for the controller offers one of these; the composition root adds them up.
package struct ControllerWork: Sendable {
    /// One for each kind of operation.
    package var handlers: [any OperationHandler]
    package var duties: [LeaderDuty]
    /// After the migrations, before the first operation is looked at, on a connection to the control database; may be run
    /// again.
    package var prepare: [@Sendable (PostgresConnection) async throws -> Void]
    /// When the controller ends, after the last of its work.
    package var cleanUp: [@Sendable () async -> Void]

    package init(
        handlers: [any OperationHandler] = [], duties: [LeaderDuty] = [],
        prepare: [@Sendable (PostgresConnection) async throws -> Void] = [],
        cleanUp: [@Sendable () async -> Void] = []
    ) {
        self.handlers = handlers
        self.duties = duties
        self.prepare = prepare
        self.cleanUp = cleanUp
    }

    package static func + (left: ControllerWork, right: ControllerWork) -> ControllerWork {
        ControllerWork(
            handlers: left.handlers + right.handlers, duties: left.duties + right.duties,
            prepare: left.prepare + right.prepare, cleanUp: left.cleanUp + right.cleanUp)
    }
}
