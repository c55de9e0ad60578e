/// The region database's migrations that belong to this target; see `SchemaMigration`.
package enum RegionalRecordMigrations {
    /// File names and contents, for the `region` series.
    package static var files: [(name: String, bytes: [UInt8])] {
        [
            ("V0001__create_patient_index.sql", PackageResources.V0001__create_patient_index_sql),
            ("V0002__consent_and_decisions.sql", PackageResources.V0002__consent_and_decisions_sql),
            ("V0004__feed_in_sets.sql", PackageResources.V0004__feed_in_sets_sql),
            ("V0005__add_consents_up.sql", PackageResources.V0005__add_consents_up_sql),
            ("V0007__part_persons_again.sql", PackageResources.V0007__part_persons_again_sql),
            ("V0008__read_where_links_came_from.sql", PackageResources.V0008__read_where_links_came_from_sql),
            ("V0009__log_refused_reads.sql", PackageResources.V0009__log_refused_reads_sql),
            (
                "V0012__let_denials_name_their_recorder.sql",
                PackageResources.V0012__let_denials_name_their_recorder_sql
            ),
            ("V0013__log_whoever_is_named.sql", PackageResources.V0013__log_whoever_is_named_sql),
            ("V0014__remember_persons.sql", PackageResources.V0014__remember_persons_sql),
        ]
    }
}
