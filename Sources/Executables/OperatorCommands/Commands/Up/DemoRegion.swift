import CloudModel
import Glibc

/// The two demo hospitals of an empty state, made through the same API as `medcloud tenant create`.
struct DemoRegion: Sendable {
    let state: RegionState
    let connection: RegionConnection

    static let hospitals = [
        TenantDraft(id: "h1", name: "Hospital One", timeZone: "Europe/Berlin", language: "de"),
        TenantDraft(id: "h2", name: "Hospital Two", timeZone: "Asia/Shanghai", language: "zh"),
    ]

    /// Stays until the hospitals are there, so a start that was interrupted is finished by the next.
    private static func marker(_ state: RegionState) -> String { state.directory + "/demo.pending" }

    static func request(in state: RegionState) throws {
        try DurableFile.write("", to: marker(state), mode: 0o644)
    }

    static func isRequested(in state: RegionState) -> Bool {
        access(marker(state), F_OK) == 0
    }

    func make() async throws {
        let api = try PlatformAPI(connection: connection, state: state)
        for hospital in Self.hospitals {
            if try await api.tenant(hospital.id) == nil { try await api.createTenant(hospital) }
            _ = try await api.waitUntilReady(hospital.id)
            try await api.ensureDefaultClient(of: hospital.id)
        }
        unlink(Self.marker(state))
    }
}
