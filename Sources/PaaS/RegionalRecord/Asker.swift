package import CloudModel
package import PostgresDriver
package import TenantRegistry

/// Who asks the region and for whom, as every decision and audit row of the request names it. All of it comes from the
/// verified token.
package struct Asker: Sendable, Hashable {
    /// The tenant that the client acts for.
    package let institution: TenantID
    /// Its database, whose name no other tenant ever has: consents are for an institution as it was then.
    private let database: String
    /// RFC 3339, UTC.
    private let createdAt: String
    package let client: String
    /// The practitioner that the client named in its signed assertion.
    package let practitioner: String?
    /// A code of v3 PurposeOfUse from the signed assertion.
    package let purpose: String?
    package let requestID: String
    /// The client's network address.
    package let source: String

    /// - Parameter record: of the institution, as it is now.
    package init(
        institution: TenantID, record: TenantRecord, client: String, practitioner: String?, purpose: String?,
        requestID: String, source: String
    ) {
        self.institution = institution
        database = record.database
        createdAt = record.createdAt
        self.client = client
        self.practitioner = practitioner
        self.purpose = purpose
        self.requestID = requestID
        self.source = source
    }

    /// The first two arguments of the functions in `region`: acting, asker.
    package var values: [PostgresValue] {
        [
            .text(institution.rawValue),
            .textArray([client, practitioner, purpose, requestID, source, database, createdAt]),
        ]
    }
}
