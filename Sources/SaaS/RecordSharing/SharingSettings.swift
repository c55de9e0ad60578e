/// What an operator may set about reading across institutions.
package struct SharingSettings: Sendable {
    /// How long one holder may take; its part is then missing, and the answer says so.
    package var holderDeadline: Duration = .seconds(5)
    /// Holders that one request reads at the same time.
    package var parallelHolders = 8
    /// Whether an answer says how many institutions hold records that no consent permits. It is a fact about the patient
    /// that no consent permits either, so by default it does not.
    package var tellsWithheld = false

    package init() {}
}
