import CloudModel
import Foundation
import OperatorCommands
import Testing

struct StateDirectoryTests {
    private func directory(_ path: String) -> StateDirectory {
        StateDirectory(state: RegionState(directory: path), users: .single)
    }

    @Test func `a missing or empty directory is empty`() throws {
        let temporary = try TemporaryDirectory()
        #expect(try directory(temporary.path).content() == .empty)
        #expect(try directory(temporary.path + "/none").content() == .empty)
        // What a first start that is killed leaves behind.
        for name in ["lock", "demo.pending", "demo.pending.new-17", "format.new-17"] {
            try temporary.write("", to: name)
            #expect(try directory(temporary.path).content() == .empty)
        }
    }

    @Test func `a directory with the present format is a region`() throws {
        let temporary = try TemporaryDirectory()
        try directory(temporary.path).writeFormat()
        #expect(try directory(temporary.path).content() == .region)
    }

    @Test func `a newer format is refused in one line`() throws {
        let temporary = try TemporaryDirectory()
        try temporary.write("\(RegionState.formatVersion + 1)\n", to: "format")
        #expect {
            try directory(temporary.path).content()
        } throws: { error in
            guard let failure = error as? CommandFailure else { return false }
            return failure.code == .refused && failure.message.contains("newer") && !failure.message.contains("\n")
        }
    }

    @Test(arguments: ["", "one", "0", "-3"])
    func `a damaged format file is refused`(text: String) throws {
        let temporary = try TemporaryDirectory()
        try temporary.write(text, to: "format")
        #expect(throws: CommandFailure.self) { try directory(temporary.path).content() }
    }

    @Test func `a directory of something else is refused`() throws {
        let temporary = try TemporaryDirectory()
        try temporary.write("mine", to: "thesis.txt")
        #expect(throws: CommandFailure.self) { try directory(temporary.path).content() }
        #expect(throws: CommandFailure.self) { try directory(temporary.path + "/thesis.txt").makeRoot() }
    }

    @Test func `a path that Postgres cannot use is refused`() {
        #expect(throws: CommandFailure.self) {
            try directory("/tmp/" + String(repeating: "x", count: 90)).checkPlace()
        }
        #expect(throws: CommandFailure.self) { try directory("/tmp/it's").checkPlace() }
        #expect(throws: Never.self) { try directory("/var/lib/medcloud").checkPlace() }
    }

    @Test func `a nearly full disk is refused`() {
        #expect(throws: CommandFailure.self) {
            try StateDirectory.checkDiskSpace(free: StateDirectory.leastFreeBytes - 1, directory: "/d")
        }
        #expect(throws: Never.self) {
            try StateDirectory.checkDiskSpace(free: StateDirectory.leastFreeBytes, directory: "/d")
        }
    }

    @Test func `the default directory follows option, environment and user`() {
        func chosen(_ option: String?, _ environment: [String: String], root: Bool) -> String {
            StateDirectory.directory(option: option, environment: environment, isRoot: root)
        }
        #expect(chosen("/a/", ["MEDCLOUD_STATE": "/b"], root: true) == "/a")
        #expect(chosen(nil, ["MEDCLOUD_STATE": "/b"], root: true) == "/b")
        #expect(chosen(nil, [:], root: true) == "/var/lib/medcloud")
        #expect(chosen(nil, ["HOME": "/home/u"], root: false) == "/home/u/.local/state/medcloud")
        #expect(chosen(nil, ["XDG_STATE_HOME": "/x"], root: false) == "/x/medcloud")
    }

    @Test func `secrets are made once and for their reader only`() throws {
        let temporary = try TemporaryDirectory()
        let state = RegionState(directory: temporary.path)
        try directory(temporary.path).prepare()
        try RegionSecrets.ensure(state, users: .single)
        let key = try DurableFile.read(state.gatewaySecrets + "/region.key")
        #expect(key.count == 32)
        #expect(try DurableFile.read(state.controllerSecrets + "/region.key") == key)
        #expect(try temporary.mode(of: "secrets/gateway/region.key") == 0o600)
        #expect(try temporary.mode(of: "secrets/gateway") == 0o700)
        try RegionSecrets.ensure(state, users: .single)
        #expect(try DurableFile.read(state.gatewaySecrets + "/region.key") == key)
    }

    @Test func `a key that cannot be read is not made anew`() throws {
        let temporary = try TemporaryDirectory()
        let state = RegionState(directory: temporary.path)
        try directory(temporary.path).prepare()
        let file = state.controllerSecrets + "/region.key"
        // Reading a directory fails, also for root.
        try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: false)
        #expect(throws: CommandFailure.self) { try RegionSecrets.ensure(state, users: .single) }
        #expect(!FileManager.default.fileExists(atPath: state.gatewaySecrets + "/region.key"))
    }

    @Test func `a profile that is damaged or open to others is left to the operator`() throws {
        let temporary = try TemporaryDirectory()
        let state = RegionState(directory: temporary.path)
        try directory(temporary.path).prepare()
        try RegionSecrets.ensureOperator(state, users: .single, baseURL: "http://127.0.0.1:1")
        let before = try DurableFile.read(state.operatorProfile)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: state.operatorProfile)
        let open = #expect(throws: CommandFailure.self) {
            try RegionSecrets.ensureOperator(state, users: .single, baseURL: "http://127.0.0.1:2")
        }
        #expect(open?.message.contains("chmod 600") == true)
        #expect(try DurableFile.read(state.operatorProfile) == before)
        try DurableFile.write("{", to: state.operatorProfile, mode: 0o600)
        #expect(throws: CommandFailure.self) {
            try RegionSecrets.ensureOperator(state, users: .single, baseURL: "http://127.0.0.1:2")
        }
        #expect(DurableFile.text(state.operatorProfile) == "{")
    }

    @Test func `profiles name the authority that vouches for the region`() throws {
        let temporary = try TemporaryDirectory()
        let state = RegionState(directory: temporary.path)
        try directory(temporary.path).prepare()
        try RegionSecrets.ensureOperator(state, users: .single, baseURL: "https://h", caFile: "/ca.pem")
        #expect(try OperatorProfile.read(state.operatorProfile).caFile == "/ca.pem")
        try RegionSecrets.ensureOperator(state, users: .single, baseURL: "https://h")
        #expect(try OperatorProfile.read(state.operatorProfile).caFile == nil)
    }

    @Test func `the operator keeps the key when the address changes`() throws {
        let temporary = try TemporaryDirectory()
        let state = RegionState(directory: temporary.path)
        try directory(temporary.path).prepare()
        try RegionSecrets.ensureOperator(state, users: .single, baseURL: "http://127.0.0.1:1")
        let first = try OperatorProfile.read(state.operatorProfile)
        try RegionSecrets.ensureOperator(state, users: .single, baseURL: "http://127.0.0.1:2")
        let second = try OperatorProfile.read(state.operatorProfile)
        #expect(first.privateKey == second.privateKey)
        #expect(second.baseURL == "http://127.0.0.1:2")
        #expect(try temporary.mode(of: "operator.json") == 0o600)
        let published = try JSONValue(parsing: try DurableFile.read(state.operatorPublicKey))
        #expect(published[key: "d"] == nil)
        #expect(published[key: "kid"]?.string == first.privateKey.keyID)
    }

    @Test
    func `client files follow the region to another address and keep their key`() throws {
        let temporary = try TemporaryDirectory()
        let state = RegionState(directory: temporary.path)
        try directory(temporary.path).prepare()
        let path = state.clientFile(tenant: "h1", client: "h1-system")
        try FileManager.default.createDirectory(
            atPath: state.clientsDirectory + "/h1", withIntermediateDirectories: true)
        let written = ClientProfile(
            tenant: "h1", clientID: "h1-system", tokenURL: "http://old/t/h1/oauth2/token",
            fhirBase: "http://old/t/h1/fhir", scope: "system/*.rs", privateKey: .generate())
        try written.write(to: path)
        try RegionSecrets.ensureOperator(state, users: .single, baseURL: "http://new:1")
        let moved = try ClientProfile.read(path)
        #expect(moved.tokenURL == "http://new:1/t/h1/oauth2/token")
        #expect(moved.fhirBase == "http://new:1/t/h1/fhir")
        #expect(moved.privateKey == written.privateKey)
    }

    @Test func `the profile of Postgres keeps what was acknowledged and logs no values`() {
        let text = PostgresProfile.configuration(cluster: "cell-1", state: RegionState(directory: "/s"))
        for line in [
            "fsync = on", "full_page_writes = on", "synchronous_commit = on", "recovery_init_sync_method = syncfs",
            "listen_addresses = ''", "log_statement = none", "log_parameter_max_length = 0",
            "log_parameter_max_length_on_error = 0", "log_min_error_statement = panic",
            "log_error_verbosity = terse", "unix_socket_directories = '/s/run/cell-1'",
        ] {
            #expect(text.contains(line + "\n"))
        }
        #expect(PostgresProfile.hostBasedAuthentication.contains("local samerole     all       scram-sha-256"))
        #expect(PostgresProfile.hostBasedAuthentication.hasSuffix("local all          all       reject\n"))
    }
}
