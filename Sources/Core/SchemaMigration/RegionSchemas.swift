/// The migrations of the three kinds of database.
package struct RegionSchemas: Sendable {
    package let control: MigrationSeries
    package let region: MigrationSeries
    package let tenant: MigrationSeries

    package init(control: MigrationSeries, region: MigrationSeries, tenant: MigrationSeries) {
        self.control = control
        self.region = region
        self.tenant = tenant
    }

    /// The same for two builds exactly when they make the same schemas: lower-case hexadecimal digits.
    package var mark: String {
        Migration.digest(Array([control, region, tenant].map(\.checksum).joined(separator: "\n").utf8))
    }
}
