/// The control database's migrations that belong to this target; see `SchemaMigration`.
package enum CoordinationMigrations {
    /// File names and contents, for the `control` series.
    package static var files: [(name: String, bytes: [UInt8])] {
        [
            ("V0005__create_operation.sql", PackageResources.V0005__create_operation_sql),
            ("V0022__settle_each_alone.sql", PackageResources.V0022__settle_each_alone_sql),
        ]
    }
}
