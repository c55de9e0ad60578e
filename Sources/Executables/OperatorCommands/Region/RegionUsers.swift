import Glibc

/// The operating-system users that a region's processes run as.
///
/// Started by root: Postgres and the controller as `postgres`, the workers as `medcloud`, so that the process that
/// faces the network is neither root nor the database's superuser. Otherwise everything is the one user.
package struct RegionUsers: Sendable, Equatable {
    /// Runs the clusters and the controller; nil = the current user.
    package let database: SystemUser?
    /// Runs the gateway workers; nil = the current user.
    package let gateway: SystemUser?

    package static let single = RegionUsers(database: nil, gateway: nil)

    package init(database: SystemUser?, gateway: SystemUser?) {
        self.database = database
        self.gateway = gateway
    }

    /// The users for this process.
    /// - Throws: ``CommandFailure`` when root lacks one of the two users.
    package static func resolve() throws -> RegionUsers {
        guard geteuid() == 0 else { return .single }
        guard let database = SystemUser.named("postgres") else {
            throw CommandFailure(
                .refused, "This machine has no user postgres: install Debian's postgresql-15, or run ops/up.")
        }
        guard let gateway = SystemUser.named("medcloud") else {
            throw CommandFailure(
                .refused,
                "This machine has no user medcloud: run `useradd --system --no-create-home --shell /usr/sbin/nologin "
                    + "medcloud`, or ops/up.")
        }
        return RegionUsers(database: database, gateway: gateway)
    }

    /// The operating-system user name that peer authentication maps to the superuser role.
    package var databaseUserName: String { database?.name ?? SystemUser.current.name }
}
