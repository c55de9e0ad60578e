// What is wrong with a resource.

/// One finding, ready to become an `OperationOutcome.issue`.
///
/// What validation finds is never the sender's JSON grammar (that is `JSONError`), so the usual answer is 422. A caller
/// that distinguishes further answers 400 to `structure` (an unknown element, a wrong JSON type, an array where there
/// is none) and 422 to the rest.
package struct ValidationIssue: Sendable, Hashable {
    /// `OperationOutcome.issue.severity`.
    package enum Severity: String, Sendable {
        case error, warning
    }

    /// `OperationOutcome.issue.code`, from http://hl7.org/fhir/issue-type.
    package enum Code: String, Sendable {
        /// An element that is not defined, or has the wrong JSON type or nesting.
        case structure
        /// A required element is missing.
        case required
        /// A primitive does not have the format of its type, or a reference points at a type that is not allowed.
        case value
        /// A rule between elements is broken.
        case invariant
        /// A code is not in the required value set.
        case codeInvalid = "code-invalid"
        /// A string is longer than FHIR allows.
        case tooLong = "too-long"
    }

    package let severity: Severity
    package let code: Code
    /// Where, such as `Patient.name[0].use`.
    package let expression: String
    /// What, in a sentence; names elements and rules, never a value of the resource.
    package let diagnostics: String

    package init(severity: Severity = .error, code: Code, expression: String, diagnostics: String) {
        self.severity = severity
        self.code = code
        self.expression = expression
        self.diagnostics = diagnostics
    }
}
