/// Why a command stopped: one line that says what happened and what to do next, and the exit code.
package struct CommandFailure: Error, CustomStringConvertible, Sendable, Equatable {
    /// The exit codes of `medcloud`, listed in docs/operations.md.
    package enum Code: Int32, Sendable, CaseIterable {
        /// Something failed that the message names.
        case failed = 1
        /// A tenant, client, backup or file that does not exist.
        case notFound = 3
        /// The state of the world forbids it: a busy port, a locked or newer state directory, a missing `--yes`.
        case refused = 4
        /// The region does not answer.
        case unreachable = 5
        /// The region does not accept the credentials, or they do not suffice.
        case unauthorized = 6
        /// Bad arguments (the value ArgumentParser uses too).
        case usage = 64
        /// Manifests that break a rule; each is named with its file, line and key.
        case invalid = 65
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    /// A failed system call, with the text of `errno`.
    static func system(_ action: String, errno number: Int32) -> CommandFailure {
        CommandFailure(.failed, "Cannot \(action): \(SystemError.text(number)).")
    }
}
