package import Logging

/// Marks a log value that could identify a patient, or that is a secret. ``JSONLogHandler`` writes `[redacted]` in its
/// place; log the id of a record instead where that will do.
package enum Sensitivity: Int64, Sendable, Logger.MetadataValueAttributes.Attribute {
    /// Could identify a patient.
    case patient = 1
    /// Opens something: a token, a key, a password.
    case secret = 2
}

extension Logger.MetadataValue {
    /// A value that the log handler redacts.
    package static func sensitive(
        _ value: some CustomStringConvertible & Sendable, _ sensitivity: Sensitivity = .patient
    ) -> Logger.MetadataValue {
        .attributed(value, attributes: [sensitivity])
    }
}
