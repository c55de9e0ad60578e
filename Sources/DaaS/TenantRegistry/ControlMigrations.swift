/// The control database's migrations that belong to this target; see `SchemaMigration`.
package enum TenantRegistryMigrations {
    /// File names and contents, for the `control` series.
    package static var files: [(name: String, bytes: [UInt8])] {
        [
            ("V0001__create_tenant.sql", PackageResources.V0001__create_tenant_sql),
            ("V0007__operate_tenants.sql", PackageResources.V0007__operate_tenants_sql),
            ("V0011__limit_cells.sql", PackageResources.V0011__limit_cells_sql),
            ("V0013__prepared_schemas.sql", PackageResources.V0013__prepared_schemas_sql),
            ("V0024__settle_tenants.sql", PackageResources.V0024__settle_tenants_sql),
        ]
    }
}
