import CloudModel
import RegionController
import Testing

struct ControllerConfigurationTests {
    @Test func `the state directory is enough, and is a region without compute`() throws {
        let configuration = try ControllerConfiguration(arguments: ["--state", "/var/lib/medcloud"])
        #expect(configuration.state.directory == "/var/lib/medcloud")
        #expect(configuration.hypervisor == nil)
        #expect(configuration.hypervisorAgent == nil)
    }

    @Test func `options come in any order, and the last of the same counts`() throws {
        let configuration = try ControllerConfiguration(arguments: [
            "--hypervisor-agent", "/s/agent", "--state", "/a", "--hypervisor", "qemu:///system", "--state", "/b",
        ])
        #expect(configuration.state.directory == "/b")
        #expect(configuration.hypervisor == "qemu:///system")
        #expect(configuration.hypervisorAgent == "/s/agent")
    }

    @Test(
        arguments: [
            ([], "--state must be the absolute path of the state directory"),
            (["--state"], "--state needs a value"),
            (["--state", "relative"], "--state must be the absolute path of the state directory"),
            (["--state", "/a", "--hypervisor"], "--hypervisor needs a value"),
            (
                ["--state", "/a", "--port", "1"],
                "unknown argument --port; known: --state DIR --hypervisor URI --hypervisor-agent SOCKET"
            ),
            (["/a"], "unknown argument /a; known: --state DIR --hypervisor URI --hypervisor-agent SOCKET"),
        ] as [([String], String)])
    func `what is wrong is named`(_ arguments: [String], _ message: String) {
        #expect {
            try ControllerConfiguration(arguments: arguments)
        } throws: {
            ($0 as? ControllerConfiguration.Failure)?.description == message
        }
    }
}
