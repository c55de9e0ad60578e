import ArgumentParser

/// `medcloud instance console`
struct InstanceConsoleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "console", abstract: "Print the end of what an instance wrote to its console.",
        discussion: "At most 64 KiB. Control characters of the guest are shown as ^X, so that they do nothing here.")

    @Argument(help: "The instance.")
    var name: String

    @OptionGroup var tenant: TenantOption
    @OptionGroup var region: ConnectionOptions

    func run() async throws {
        let log = try await region.withAPI { api in
            try await api.console(of: name, tenant: tenant.id)
        }
        Terminal.data(Self.harmless(String(decoding: log, as: UTF8.self)))
    }

    /// The text without anything that a terminal would obey.
    static func harmless(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars where scalar != "\r" {
            switch scalar.value {
            case 0x09, 0x0A: result.append(scalar)
            case 0..<0x20:
                result.append("^")
                result.append(Unicode.Scalar(UInt8(scalar.value) + 0x40))
            case 0x7F..<0xA0: result.append("\u{FFFD}")
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
