/// The control database's migrations that belong to this target; they follow those of `TenantRegistry`.
package enum ApplicationRegistryMigrations {
    /// File names and contents, for the `control` series.
    package static var files: [(name: String, bytes: [UInt8])] {
        [
            ("V0002__create_client.sql", PackageResources.V0002__create_client_sql),
            ("V0003__create_idempotency.sql", PackageResources.V0003__create_idempotency_sql),
            ("V0004__region_client.sql", PackageResources.V0004__region_client_sql),
            ("V0008__create_specification.sql", PackageResources.V0008__create_specification_sql),
            ("V0009__note_requests.sql", PackageResources.V0009__note_requests_sql),
            ("V0012__rotate_signing_keys.sql", PackageResources.V0012__rotate_signing_keys_sql),
            ("V0015__note_actions.sql", PackageResources.V0015__note_actions_sql),
            ("V0017__wait_for_addresses.sql", PackageResources.V0017__wait_for_addresses_sql),
            ("V0020__forget_requests.sql", PackageResources.V0020__forget_requests_sql),
        ]
    }
}
