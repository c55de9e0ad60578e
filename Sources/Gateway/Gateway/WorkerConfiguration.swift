package import Logging
import NIOCore
package import NIOSSL

/// What a gateway worker is told by its supervisor: arguments first, then `MEDCLOUD_…` of the environment.
///
/// Keys, types and defaults are listed in `docs/configuration.md`; ``keys`` and a test keep the two together.
package struct WorkerConfiguration: Sendable, Hashable {
    /// A key that is missing or has a value that does not do.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// The region's state directory.
    package let stateDirectory: String
    /// How clients reach the region: scheme, host and port, no trailing slash.
    package let baseURL: String
    /// The inherited listening socket; nil binds ``bindHost`` and ``bindPort``.
    package let listeningDescriptor: CInt?
    package let bindHost: String
    package let bindPort: Int
    /// A label of this worker's metrics and log lines.
    package let worker: String
    /// PEM files; both or none.
    package let certificateFile: String?
    package let keyFile: String?
    package let logLevel: Logger.Level
    package let eventLoops: Int
    package let limits: GatewayLimits
    /// Seconds that one institution may take for its part of a regional answer.
    package let holderDeadline: Int
    /// Whether a regional answer says how many institutions hold what no consent permits.
    package let tellsWithheld: Bool
    /// So many no-shows bar a person from booking; nil = the region bars nobody by itself.
    package let barNoShows: Int?
    /// Within so many months, for so many months from the last of them.
    package let barWithinMonths: Int
    package let barMonths: Int

    /// Every key with its argument. The environment's name is `MEDCLOUD_` and the key in capitals.
    package static let keys = [
        "state", "base-url", "listen-fd", "bind", "worker", "tls-certificate", "tls-key", "log-level", "event-loops",
        "max-connections", "tenant-concurrency", "request-deadline", "bundle-deadline", "idle-timeout",
        "header-timeout", "drain-timeout", "holder-deadline", "tell-withheld", "bar-no-shows", "bar-within-months",
        "bar-months",
    ]

    /// - Parameters:
    ///   - arguments: `--key value` pairs, without the program's name.
    ///   - cores: of the machine; the default number of event loops is half of them, because two workers share it.
    package init(arguments: [String], environment: [String: String], cores: Int) throws(Failure) {
        let values = try Values(arguments: arguments, environment: environment)
        guard let state = values["state"], state.hasPrefix("/") else {
            throw Failure(description: "--state (or MEDCLOUD_STATE) must be the absolute path of the state directory")
        }
        guard let baseURL = values["base-url"], baseURL.hasPrefix("http://") || baseURL.hasPrefix("https://") else {
            throw Failure(description: "--base-url (or MEDCLOUD_BASE_URL) must be an http or https URL")
        }
        stateDirectory = state
        self.baseURL = baseURL.hasSuffix("/") ? String(baseURL.dropLast()) : baseURL
        listeningDescriptor = try values.integer("listen-fd", in: 0...1_048_576).map { CInt($0) }
        let bind = (values["bind"] ?? "127.0.0.1:0").split(separator: ":", omittingEmptySubsequences: false)
        guard let port = bind.last.flatMap({ Int($0) }), (0...65_535).contains(port), bind.count >= 2 else {
            throw Failure(description: "--bind must be HOST:PORT")
        }
        bindHost = bind.dropLast().joined(separator: ":")
        bindPort = port
        worker = values["worker"] ?? "1"
        certificateFile = values["tls-certificate"]
        keyFile = values["tls-key"]
        guard (certificateFile == nil) == (keyFile == nil) else {
            throw Failure(description: "--tls-certificate and --tls-key go together")
        }
        let level = values["log-level"] ?? "info"
        guard let logLevel = Logger.Level(rawValue: level) else {
            throw Failure(description: "--log-level must be trace, debug, info, notice, warning, error or critical")
        }
        self.logLevel = logLevel
        eventLoops = try values.integer("event-loops", in: 1...256) ?? max(1, cores / 2)
        var limits = GatewayLimits()
        limits.connections = try values.integer("max-connections", in: 1...1_000_000) ?? limits.connections
        limits.tenantConcurrency = try values.integer("tenant-concurrency", in: 1...100_000) ?? limits.tenantConcurrency
        limits.requestDeadline =
            try values.integer("request-deadline", in: 1...3600).map { .seconds(Int64($0)) } ?? limits.requestDeadline
        limits.bundleDeadline =
            try values.integer("bundle-deadline", in: 1...3600).map { .seconds(Int64($0)) } ?? limits.bundleDeadline
        limits.idleTimeout =
            try values.integer("idle-timeout", in: 1...3600).map { .seconds(Int64($0)) } ?? limits.idleTimeout
        limits.headerTimeout =
            try values.integer("header-timeout", in: 1...3600).map { .seconds(Int64($0)) } ?? limits.headerTimeout
        limits.drain = try values.integer("drain-timeout", in: 0...3600).map { .seconds(Int64($0)) } ?? limits.drain
        self.limits = limits
        holderDeadline = try values.integer("holder-deadline", in: 1...60) ?? 5
        let tells = values["tell-withheld"] ?? "false"
        guard tells == "true" || tells == "false" else {
            throw Failure(description: "--tell-withheld is \"\(tells)\"; true or false would do")
        }
        tellsWithheld = tells == "true"
        barNoShows = try values.integer("bar-no-shows", in: 1...100)
        barWithinMonths = try values.integer("bar-within-months", in: 1...120) ?? 12
        barMonths = try values.integer("bar-months", in: 1...120) ?? 1
    }

    /// Where connections come from.
    package var socket: ListeningSocket {
        if let listeningDescriptor { return .inherited(descriptor: listeningDescriptor) }
        return .address(host: bindHost, port: bindPort)
    }

    /// Nil when the worker does not end TLS itself.
    package var tls: TLSConfiguration? {
        get throws {
            guard let certificateFile, let keyFile else { return nil }
            return try TLSFiles.configuration(certificate: certificateFile, key: keyFile)
        }
    }

    /// Arguments over environment.
    private struct Values {
        private var values: [String: String] = [:]

        init(arguments: [String], environment: [String: String]) throws(Failure) {
            for key in WorkerConfiguration.keys {
                let name = "MEDCLOUD_" + key.uppercased().replacing("-", with: "_")
                if let value = environment[name], !value.isEmpty { values[key] = value }
            }
            var rest = arguments[...]
            while let argument = rest.popFirst() {
                guard argument.hasPrefix("--") else { throw Failure(description: "unexpected argument \(argument)") }
                let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1)
                let key = parts.first.map(String.init) ?? ""
                guard WorkerConfiguration.keys.contains(key) else {
                    throw Failure(
                        description: "unknown option --\(key); known: "
                            + WorkerConfiguration.keys.map { "--" + $0 }.joined(separator: " "))
                }
                guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
                    throw Failure(description: "--\(key) needs a value")
                }
                values[key] = value
            }
        }

        subscript(_ key: String) -> String? { values[key] }

        func integer(_ key: String, in range: ClosedRange<Int>) throws(Failure) -> Int? {
            guard let text = values[key] else { return nil }
            guard let number = Int(text), range.contains(number) else {
                throw Failure(
                    description:
                        "--\(key) is \"\(text)\"; a whole number from \(range.lowerBound) to \(range.upperBound) would do"
                )
            }
            return number
        }
    }
}
