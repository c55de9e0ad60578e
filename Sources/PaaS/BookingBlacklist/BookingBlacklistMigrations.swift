/// The region database's migrations that belong to this target; see `SchemaMigration`. The tenant's side, its copy, is part of
/// `TenantSchema`.
package enum BookingBlacklistMigrations {
    /// File names and contents, for the `region` series.
    package static var files: [(name: String, bytes: [UInt8])] {
        [("V0006__create_blacklist.sql", PackageResources.V0006__create_blacklist_sql)]
    }
}
