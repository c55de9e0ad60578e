/// Where a database is and how to enter it.
package struct PostgresConfiguration: Sendable, Hashable, CustomStringConvertible {
    /// A socket directory (begins with `/`), an address, or a host name. A host name is resolved by libpq on the event
    /// loop, which blocks it: use addresses on hot paths.
    package var host: String
    package var port: Int
    package var database: String
    package var user: String
    /// `nil` for peer, trust or certificate authentication. Never part of `description`.
    package var password: String?
    package var applicationName: String
    /// The server ends a statement that runs longer (`statement_timeout`); zero turns the limit off.
    package var statementTimeout: Duration
    /// A connection that is not usable after this time counts as failed.
    package var connectTimeout: Duration

    package init(
        host: String,
        port: Int = 5432,
        database: String,
        user: String,
        password: String? = nil,
        applicationName: String = "medcloud",
        statementTimeout: Duration = .seconds(30),
        connectTimeout: Duration = .seconds(5)
    ) {
        self.host = host
        self.port = port
        self.database = database
        self.user = user
        self.password = password
        self.applicationName = applicationName
        self.statementTimeout = statementTimeout
        self.connectTimeout = connectTimeout
    }

    package var description: String { "\(user)@\(host):\(port)/\(database)" }

    /// libpq's connection keywords. The environment's `PG…` variables and password files are kept out.
    var parameters: [(keyword: String, value: String)] {
        var parameters = [
            ("host", host), ("port", String(port)), ("dbname", database), ("user", user),
            ("application_name", applicationName), ("client_encoding", "UTF8"), ("gssencmode", "disable"),
            ("passfile", "/dev/null/none"),
            ("options", "-c statement_timeout=\(statementTimeout.milliseconds) -c timezone=UTC"),
        ]
        if let password {
            parameters.append(("password", password))
        }
        if host.hasPrefix("/") {
            parameters.append(("sslmode", "disable"))
        }
        return parameters
    }
}

extension Duration {
    /// Whole milliseconds, rounded down.
    var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
    /// Whole nanoseconds, rounded down.
    var nanoseconds: Int64 { components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000 }
}
