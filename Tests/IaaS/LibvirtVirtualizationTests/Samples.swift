import Virtualization

extension InstanceSpecification {
    static func sample(
        name: ResourceName = .random(.instance), network: ResourceName = .random(.network),
        address: String = "10.40.1.7"
    ) -> InstanceSpecification {
        InstanceSpecification(
            name: name, uuid: "0b5a0c5e-7f3c-4e2b-9d55-1c2d3e4f5a6b", virtualCPUs: 1, memory: 80 << 20, image: "probe",
            disk: 32 << 20, network: network, macAddress: "52:54:00:0a:0b:0c", address: address, hostName: "front",
            authorizedKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB operator@h1"])
    }
}
