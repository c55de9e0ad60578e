/// The region database's migrations that belong to this target; see `SchemaMigration`. The tenant's side of the outbox is
/// part of `TenantSchema`.
package enum EventBusMigrations {
    /// File names and contents, for the `region` series.
    package static var files: [(name: String, bytes: [UInt8])] {
        [
            ("V0003__create_outbox_lease.sql", PackageResources.V0003__create_outbox_lease_sql),
            ("V0010__grant_what_was_begun.sql", PackageResources.V0010__grant_what_was_begun_sql),
            ("V0011__go_back_with_the_region.sql", PackageResources.V0011__go_back_with_the_region_sql),
        ]
    }
}
