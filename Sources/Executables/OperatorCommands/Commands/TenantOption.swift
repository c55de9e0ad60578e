import ArgumentParser

/// The `--tenant` of commands about something that belongs to one.
struct TenantOption: ParsableArguments {
    @Option(name: .customLong("tenant"), help: "The tenant that it belongs to.")
    var id: String

    func validate() throws {
        do {
            try TenantRules.checkID(id)
        } catch let failure as CommandFailure {
            throw ValidationError(failure.message)
        }
    }
}
