import CloudModel
import Testing

struct TenantIDTests {
    @Test(arguments: ["h1", "a", "north-hospital", "a23456789012345678901234567890x"])
    func `a lower-case name that begins with a letter is a tenant`(name: String) {
        #expect(TenantID(name)?.rawValue == name)
    }

    @Test(arguments: [
        "", "1h", "-h", "h-", "H1", "h_1", "h.1", "h/1", "h%31", "hé", "h 1", "h1\n", "region",
        "a2345678901234567890123456789012",
    ])
    func `a name that could reach a path, a URL or SQL is none`(name: String) {
        #expect(TenantID(name) == nil)
    }
}

struct RegionStateTests {
    @Test func `every path lies inside the state directory`() {
        let state = RegionState(directory: "/var/lib/medcloud")
        let paths = [
            state.formatFile, state.regionFile, state.operatorProfile, state.clientsDirectory, state.gatewaySecrets,
            state.controllerSecrets, state.logsDirectory, state.backupsDirectory,
            state.dataDirectory(cluster: "control"), state.socketDirectory(cluster: "cell-1"),
        ]
        for path in paths {
            #expect(path.hasPrefix("/var/lib/medcloud/"))
        }
        #expect(Set(paths).count == paths.count)
    }
}
