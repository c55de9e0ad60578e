package import CloudModel

/// The configuration of a region's private Postgres clusters (docs/operations.md, "Postgres").
package enum PostgresProfile {
    /// The text of `postgresql.conf`.
    ///
    /// Durability is not negotiable (fsync, full_page_writes, synchronous_commit). `recovery_init_sync_method=syncfs`
    /// makes a restart after a crash take a tenth of a second instead of seconds. The log shows no statement, parameter
    /// or row value: `log_min_messages=log` leaves out errors, whose texts quote values, and terse omits DETAIL.
    package static func configuration(cluster: String, state: RegionState) -> String {
        // Tenants' pools meet in the cell; the control cluster serves two databases.
        let connections = cluster == "control" ? 100 : 400
        return """
            # Written by medcloud at every start. Own settings belong into operator.conf beside this file.
            cluster_name = 'medcloud \(cluster)'
            listen_addresses = ''
            port = 5432
            unix_socket_directories = '\(state.socketDirectory(cluster: cluster))'
            unix_socket_permissions = 0777
            max_connections = \(connections)
            superuser_reserved_connections = 8
            password_encryption = 'scram-sha-256'

            shared_buffers = 128MB
            effective_cache_size = 1GB
            work_mem = 8MB
            maintenance_work_mem = 64MB
            max_locks_per_transaction = 128
            dynamic_shared_memory_type = posix
            random_page_cost = 1.1
            jit = off
            max_parallel_workers_per_gather = 0
            default_toast_compression = 'lz4'

            fsync = on
            full_page_writes = on
            synchronous_commit = on
            wal_level = replica
            wal_compression = lz4
            wal_buffers = 16MB
            min_wal_size = 80MB
            max_wal_size = 1GB
            max_wal_senders = 4
            checkpoint_timeout = 15min
            recovery_init_sync_method = syncfs

            autovacuum_naptime = 30s
            autovacuum_vacuum_scale_factor = 0.1
            autovacuum_analyze_scale_factor = 0.05

            lock_timeout = 10s
            statement_timeout = 5min
            idle_in_transaction_session_timeout = 1min

            timezone = 'UTC'
            log_timezone = 'UTC'
            datestyle = 'iso, ymd'
            lc_messages = 'C'

            log_destination = 'stderr'
            logging_collector = off
            log_line_prefix = '%m [%p] %q%u@%d '
            log_min_messages = log
            log_min_error_statement = panic
            log_error_verbosity = terse
            log_statement = none
            log_parameter_max_length = 0
            log_parameter_max_length_on_error = 0
            log_connections = off
            log_lock_waits = off
            log_checkpoints = off

            include_if_exists = 'operator.conf'

            """
    }

    /// The text of `pg_hba.conf`: Unix sockets only; the superuser by operating-system identity; a login role only into
    /// the database whose name is a role it is a member of.
    package static let hostBasedAuthentication = """
        # Written by medcloud.
        local all          postgres  peer map=medcloud
        local replication  postgres  peer map=medcloud
        local samerole     all       scram-sha-256
        local all          all       reject

        """

    /// The text of `pg_ident.conf`.
    package static func identities(operatingSystemUser name: String) -> String {
        """
        # Written by medcloud.
        medcloud "\(name)" postgres

        """
    }
}
