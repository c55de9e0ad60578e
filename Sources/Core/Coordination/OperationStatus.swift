package import PostgresDriver
package import StrictJSON

/// An operation as `/v1` shows it.
package struct OperationStatus: Sendable, Hashable {
    package enum Phase: String, Sendable, Hashable, CaseIterable {
        /// Waits for its turn, or for others.
        case queued
        case running
        /// Being taken back, because it failed or somebody cancelled it.
        case undoing
        case succeeded
        case failed
        case cancelled

        package var isEnd: Bool {
            switch self {
            case .queued, .running, .undoing: false
            case .succeeded, .failed, .cancelled: true
            }
        }
    }

    package let id: String
    package let kind: String
    /// Nil is the region.
    package let tenant: String?
    package let subject: String
    package let phase: Phase
    package let percent: Int
    /// The step that is being done, or was done last.
    package let step: String?
    /// Why it does not go on just now.
    package let message: String?
    package let error: OperationFailure?
    package let parent: String?
    /// RFC 3339, UTC, with milliseconds; so are the other times.
    package let createdAt: String
    package let startedAt: String?
    package let endedAt: String?
    package let deadline: String

    /// Columns of `control.operations` after `seq`, and of `control.operation_events` after `number`.
    package static let columns = """
        id, kind, tenant, subject, phase, percent, step, message, error_code, error_message, parent,
        created_at, started_at, ended_at, deadline
        """

    /// - Parameter first: where ``columns`` begin in the row.
    package init(row: PostgresRow, from first: Int) throws(PostgresError) {
        id = try row.string(first)
        kind = try row.string(first + 1)
        tenant = try row.optionalString(first + 2)
        subject = try row.string(first + 3)
        // A phase that only a newer version knows is none of the ends.
        phase = Phase(rawValue: try row.string(first + 4)) ?? .running
        percent = Int(try row.int2(first + 5))
        step = try row.optionalString(first + 6)
        message = try row.optionalString(first + 7)
        let code = try row.optionalString(first + 8)
        let text = try row.optionalString(first + 9)
        error = code.map { OperationFailure($0, text ?? "") }
        parent = try row.optionalString(first + 10)
        createdAt = try row.string(first + 11)
        startedAt = try row.optionalString(first + 12)
        endedAt = try row.optionalString(first + 13)
        deadline = try row.string(first + 14)
    }

    /// The JSON of `/v1`.
    package func write(to writer: inout JSONWriter) {
        writer.object { object in
            object.member("id", id)
            object.member("kind", kind)
            object.nullable("tenant", tenant)
            object.member("subject", subject)
            object.member("phase", phase.rawValue)
            object.member("percent", percent)
            object.nullable("step", step)
            object.nullable("message", message)
            if let error {
                object.member("error") { member in
                    member.member("code", error.code)
                    member.member("message", error.message)
                }
            } else {
                object.nullable("error", nil)
            }
            object.nullable("parent", parent)
            object.member("createdAt", createdAt)
            object.nullable("startedAt", startedAt)
            object.nullable("endedAt", endedAt)
            object.member("deadline", deadline)
        }
    }
}

/// An operation as it was after one change.
package struct OperationEvent: Sendable, Hashable {
    /// Counts from 1 without gaps, for each operation.
    package let number: Int32
    package let operation: OperationStatus

    package init(number: Int32, operation: OperationStatus) {
        self.number = number
        self.operation = operation
    }
}

extension JSONWriter {
    /// A member that is always there.
    fileprivate mutating func nullable(_ key: String, _ value: String?) {
        self.key(key)
        if let value { string(value) } else { null() }
    }
}
