import ArgumentParser
import TenantManifest

/// `medcloud quota …`
struct QuotaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota", abstract: "Show and set what a tenant may use.",
        subcommands: [QuotaShowCommand.self, QuotaSetCommand.self])

    static let columns: [Renderer.Column] = [
        .init("DIMENSION", "dimension"), .init("LIMIT", "limit"), .init("USED", "used"),
        .init("REMAINING", "remaining"),
    ]

    /// One row a dimension, in the order in which people think of them; machine formats show the region's own answer.
    static func print(_ quota: JSONValue, _ format: OutputFormat) {
        guard format == .table || format == .name else {
            Terminal.data(Renderer(format: format, columns: columns).object(quota))
            return
        }
        let rows = TenantQuota.Dimension.all.compactMap { dimension -> JSONValue? in
            guard case .object(var members) = quota[key: dimension.name] else { return nil }
            members["dimension"] = .string(dimension.name)
            guard dimension.isBytes else { return .object(members) }
            for (key, value) in members {
                if let bytes = value.integer { members[key] = .string(ByteSize.text(bytes)) }
            }
            return .object(members)
        }
        Terminal.data(Renderer(format: format, columns: columns, name: "dimension").list(rows))
    }
}
