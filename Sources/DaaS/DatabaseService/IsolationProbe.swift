package import PostgresDriver

/// One thing a tenant's own role tries that it must not be able to do (reliability: "multi-tenant Postgres pitfalls").
package struct IsolationProbe: Sendable {
    enum Attempt: Sendable {
        /// Enter with this configuration.
        case enter(PostgresConfiguration)
        /// Run this as the tenant's gateway role in the tenant's own database.
        case statement(String)
        /// The same, and the first column of the first row says whether the secret stayed hidden.
        case hidden(String)
    }

    package let name: String
    let attempt: Attempt
    /// What Postgres 15 lets every role do, whatever is granted; it is noted, and bounded from outside.
    let isKnownToBeAllowed: Bool

    init(_ name: String, _ attempt: Attempt, isKnownToBeAllowed: Bool = false) {
        self.name = name
        self.attempt = attempt
        self.isKnownToBeAllowed = isKnownToBeAllowed
    }

    package enum Outcome: Sendable, Hashable {
        /// Refused, with what the server said.
        case denied(String)
        case allowed
        /// It could not be tried: no refusal, but no success either.
        case unclear(String)
    }

    package struct Result: Sendable {
        package let name: String
        package let outcome: Outcome
        /// Whether the boundary held, or the probe is one of those that are only noted.
        package let holds: Bool
    }
}

/// The attempts on one new tenant database.
package struct IsolationProbes: Sendable {
    package let probes: [IsolationProbe]

    /// - Parameters:
    ///   - own: how the tenant's gateway role enters its own database.
    ///   - foreignDatabase: another tenant's database in the same cell.
    ///   - foreignRole: that database's gateway role.
    ///   - foreignBackend: process id of a connection that is not the tenant's.
    ///   - controlSocket: socket directory of the control cluster.
    package init(
        own: PostgresConfiguration, foreignDatabase: String, foreignRole: String, foreignBackend: Int32,
        controlSocket: String
    ) {
        func entering(_ change: (inout PostgresConfiguration) -> Void) -> IsolationProbe.Attempt {
            var configuration = own
            change(&configuration)
            return .enter(configuration)
        }
        let role = quotedIdentifier(own.user)
        probes = [
            // Other databases.
            IsolationProbe("enter another tenant's database", entering { $0.database = foreignDatabase }),
            IsolationProbe(
                "enter as another tenant with one's own password",
                entering {
                    $0.database = foreignDatabase
                    $0.user = foreignRole
                }),
            IsolationProbe("enter database postgres", entering { $0.database = "postgres" }),
            IsolationProbe("enter database template1", entering { $0.database = "template1" }),
            IsolationProbe("enter the template of tenant databases", entering { $0.database = "medcloud_template" }),
            IsolationProbe(
                "enter the control database",
                entering {
                    $0.host = controlSocket
                    $0.database = "control"
                }),
            IsolationProbe("enter with a wrong password", entering { $0.password = "wrong" }),
            IsolationProbe("log in as the entry role", entering { $0.user = own.database }),
            // The machine.
            IsolationProbe("run a program", .statement("copy (select 1) to program 'true'")),
            IsolationProbe("read a file by COPY", .statement("copy pg_temp.x from '/etc/passwd'")),
            IsolationProbe("write a file by COPY", .statement("copy (select 1) to '/tmp/medcloud-probe'")),
            IsolationProbe("read a file by function", .statement("select pg_read_file('PG_VERSION')")),
            IsolationProbe("list a directory", .statement("select pg_ls_dir('.')")),
            IsolationProbe("import a large object", .statement("select lo_import('/etc/passwd')")),
            IsolationProbe("create extension dblink", .statement("create extension dblink schema public")),
            IsolationProbe("create extension file_fdw", .statement("create extension file_fdw schema public")),
            IsolationProbe("create a trusted extension", .statement("create extension citext schema public")),
            IsolationProbe("change the server's configuration", .statement("alter system set work_mem = '1GB'")),
            // Roles.
            IsolationProbe("create a role", .statement("create role medcloud_probe")),
            IsolationProbe("give oneself CREATEROLE", .statement("alter role \(role) createrole")),
            IsolationProbe("join pg_execute_server_program", .statement("grant pg_execute_server_program to \(role)")),
            IsolationProbe("become the owner", .statement("set role medcloud_owner")),
            IsolationProbe("become the superuser", .statement("set session authorization postgres")),
            IsolationProbe("read password verifiers", .statement("select rolpassword from pg_authid")),
            // Objects.
            IsolationProbe("create a database", .statement("create database medcloud_probe")),
            IsolationProbe(
                "drop another tenant's database", .statement("drop database \(quotedIdentifier(foreignDatabase))")),
            IsolationProbe("create a schema", .statement("create schema medcloud_probe")),
            IsolationProbe("create a table in public", .statement("create table public.medcloud_probe (a int)")),
            IsolationProbe("create a temporary table", .statement("create temporary table medcloud_probe (a int)")),
            // Others' sessions and limits.
            IsolationProbe(
                "read others' statements",
                .hidden(
                    "select coalesce(bool_and(query = '<insufficient privilege>'), true) "
                        + "from pg_stat_activity where pid = \(foreignBackend)")),
            IsolationProbe("end another's session", .statement("select pg_terminate_backend(\(foreignBackend))")),
            IsolationProbe("lift the limit of temporary files", .statement("set temp_file_limit = -1")),
            IsolationProbe("switch off triggers", .statement("set session_replication_role = replica")),
            // What nothing in Postgres 15 forbids. Names are opaque, memory is bounded by the cell's own limits.
            IsolationProbe(
                "list databases",
                .hidden(
                    "select bool_and(datname ~ '^(t_[a-z2-7]{26}|postgres|template[01]|medcloud_template)$') "
                        + "from pg_database")),
            IsolationProbe("ask for much memory", .statement("set work_mem = '8GB'"), isKnownToBeAllowed: true),
            IsolationProbe(
                "set defaults of one's own role",
                .statement("alter role \(role) set search_path = ''; alter role \(role) reset search_path"),
                isKnownToBeAllowed: true),
        ]
        self.own = own
    }

    let own: PostgresConfiguration
}
