package import SchemaMigration

/// The schema of a tenant database: the migration series `tenant`.
package enum TenantSchema {
    /// The embedded files in order: names as on disk, contents as bytes.
    package static let files: [(name: String, bytes: [UInt8])] = [
        ("V0001__clinical_store.sql", PackageResources.V0001__clinical_store_sql),
        ("V0002__write.sql", PackageResources.V0002__write_sql),
        ("V0003__answers_and_grants.sql", PackageResources.V0003__answers_and_grants_sql),
        ("V0004__outbox.sql", PackageResources.V0004__outbox_sql),
        ("V0005__read_batches.sql", PackageResources.V0005__read_batches_sql),
        ("V0006__search_in_order.sql", PackageResources.V0006__search_in_order_sql),
        ("V0007__booking_blacklist.sql", PackageResources.V0007__booking_blacklist_sql),
        ("V0008__sort_by_value.sql", PackageResources.V0008__sort_by_value_sql),
        ("V0009__outbox_goes_back.sql", PackageResources.V0009__outbox_goes_back_sql),
    ]

    /// Runs as superuser under the owner's role, after the group role `medcloud_tenant` has been made.
    ///
    /// - Throws: `MigrationError` when the embedded files are no series, which a test rules out.
    package static var series: MigrationSeries {
        get throws(MigrationError) { try MigrationSeries.from(name: "tenant", embedded: files) }
    }
}
