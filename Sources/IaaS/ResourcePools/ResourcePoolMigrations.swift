/// The control database's migrations that belong to this target; they follow those of `Coordination`.
package enum ResourcePoolMigrations {
    /// File names and contents, for the `control` series.
    package static var files: [(name: String, bytes: [UInt8])] {
        [
            ("V0006__create_resource_pools.sql", PackageResources.V0006__create_resource_pools_sql),
            ("V0010__say_what_is_known.sql", PackageResources.V0010__say_what_is_known_sql),
            ("V0014__page_usage.sql", PackageResources.V0014__page_usage_sql),
            ("V0016__hand_ranges_over.sql", PackageResources.V0016__hand_ranges_over_sql),
            ("V0018__lower_quotas_later.sql", PackageResources.V0018__lower_quotas_later_sql),
            ("V0019__begin_use_anew.sql", PackageResources.V0019__begin_use_anew_sql),
            ("V0021__settle_instances.sql", PackageResources.V0021__settle_instances_sql),
            ("V0023__keep_replaced_ranges.sql", PackageResources.V0023__keep_replaced_ranges_sql),
        ]
    }
}
