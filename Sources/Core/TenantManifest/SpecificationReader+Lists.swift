import CloudIdentity
import StrictJSON

// Clients, networks and instances.
extension SpecificationReader {
    // MARK: Clients

    private static let clientKeys = ["id", "name", "realm", "kind", "scopes", "origins", "keys", "disabled"]

    mutating func clients(of tenant: ManifestObject) -> [TenantClient] {
        var clients: [TenantClient] = []
        let pointer = tenant.pointer(to: "clients")
        for (index, element) in list("clients", of: tenant, atMost: Self.maximumClients, isRequired: isWhole)
            .enumerated()
        {
            guard let object = object(element, at: "\(pointer)/\(index)", known: Self.clientKeys) else { continue }
            let id = requiredText("id", of: object, rule: .clientID)
            let name = isWhole || object["name"] != nil ? requiredText("name", of: object, rule: .displayName) : id
            let realm = word("realm", of: object, TenantClient.Realm.self, isRequired: isWhole) ?? .tenant
            let kind = word("kind", of: object, TenantClient.Kind.self, isRequired: isWhole) ?? .system
            let scopes = scopes(of: object)
            let origins = origins(of: object, isRequired: isWhole)
            let keys = keys(of: object)
            let isDisabled = bool("disabled", of: object, isRequired: isWhole) ?? false
            guard let id, let name, let scopes, let keys else { continue }
            guard form == .recorded || realm == .tenant || kind == .system else {
                report("\(pointer)/\(index)/kind", "a client of the region is a system", allowed: ["system"])
                continue
            }
            guard form == .recorded || !clients.contains(where: { $0.id == id }) else {
                report("\(pointer)/\(index)/id", "there are two clients \(quoted(id))")
                continue
            }
            clients.append(
                TenantClient(
                    id: id, name: name, realm: realm, kind: kind, scopes: scopes, origins: origins, keys: keys.keys,
                    keySetURL: keys.url, isDisabled: isDisabled))
        }
        return clients
    }

    private mutating func scopes(of client: ManifestObject) -> String? {
        guard let text = text("scopes", of: client, isRequired: true) else { return nil }
        do throws(IdentityError) {
            return try (form == .recorded ? ScopeSet(parsing: text) : ScopeSet.asked(text)).text
        } catch {
            report(client.pointer(to: "scopes"), "scopes: \(error.reason), as in system/*.cruds or system/Patient.rs")
            return nil
        }
    }

    private mutating func origins(of client: ManifestObject, isRequired: Bool) -> [String] {
        var origins: [String] = []
        for (text, pointer) in texts("origins", of: client, atMost: 16, isRequired: isRequired) {
            guard TextRule.origin.allows(text) else {
                report(pointer, "must be \(TextRule.origin.sentence), not \(quoted(text))")
                continue
            }
            guard !origins.contains(text) else {
                report(pointer, "\(quoted(text)) is there twice")
                continue
            }
            origins.append(text)
        }
        return origins
    }

    /// Exactly one of `generate: true`, `jwks: {…}` and, in a manifest, `file: PATH`; beside it a `keySetURL` if there is one.
    private mutating func keys(of client: ManifestObject) -> (keys: TenantClient.Keys, url: String?)? {
        let sources = form == .manifest ? ["generate", "jwks", "file"] : ["generate", "jwks"]
        guard let value = member("keys", of: client) else {
            if form == .manifest { return (.generate, nil) }
            report(client.pointer, "keys is missing", allowed: sources)
            return nil
        }
        guard let object = object(value, at: client.pointer(to: "keys"), known: sources + ["keySetURL"]) else {
            return nil
        }
        let url = optionalText("keySetURL", of: object, rule: .keySetURL)
        let named = sources.filter { object[$0] != nil }
        guard named.count == 1, let source = named.first else {
            let rule =
                named.isEmpty
                ? "keys must say where the public keys come from; a keySetURL alone does not do, because nothing is fetched"
                : "keys may have one source only, not \(named.joined(separator: " and "))"
            report(object.pointer, rule, allowed: sources)
            return nil
        }
        guard let keys = keys(from: source, of: object) else { return nil }
        return (keys, url)
    }

    private mutating func keys(from source: String, of object: ManifestObject) -> TenantClient.Keys? {
        let json: String
        switch source {
        case "generate":
            guard bool("generate", of: object) != false else {
                report(object.pointer(to: "generate"), "generate can only be true: give jwks or a file instead")
                return nil
            }
            return .generate
        case "file":
            guard let path = text("file", of: object) else { return nil }
            do throws(ManifestFileError) {
                json = try file(path)
            } catch {
                report(object.pointer(to: "file"), error.message)
                return nil
            }
        default:
            guard let value = object["jwks"] else { return nil }
            var writer = JSONWriter()
            value.write(to: &writer)
            json = String(decoding: writer.bytes, as: UTF8.self)
        }
        if form == .recorded { return .registered(json) }
        do throws(IdentityError) {
            return .registered(try JSONWebKeySet(json: json).json)
        } catch {
            report(object.pointer(to: source), "\(source): \(error.reason)")
            return nil
        }
    }

    // MARK: Networks

    mutating func networks(of tenant: ManifestObject) -> [TenantNetwork] {
        var networks: [TenantNetwork] = []
        let pointer = tenant.pointer(to: "networks")
        let elements = list("networks", of: tenant, atMost: Self.maximumNetworks, isRequired: isWhole)
        for (index, element) in elements.enumerated() {
            guard let object = object(element, at: "\(pointer)/\(index)", known: ["name", "cidr"]) else { continue }
            let name = requiredText("name", of: object, rule: .resourceName)
            guard let text = text("cidr", of: object, isRequired: true) else { continue }
            do throws(AddressBlock.Refusal) {
                let block = try AddressBlock(text)
                guard let name else { continue }
                guard !networks.contains(where: { $0.name == name }) else {
                    report("\(pointer)/\(index)/name", "there are two networks \(quoted(name))")
                    continue
                }
                networks.append(TenantNetwork(name: name, block: block))
            } catch {
                report(object.pointer(to: "cidr"), "cidr \(quoted(text)) \(error.sentence)")
            }
        }
        return networks
    }

    // MARK: Instances

    private static let instanceKeys = [
        "name", "image", "vcpus", "memory", "disk", "network", "sshKeys", "running", "probe", "probeDeadline",
    ]
    private static let mebibyte: Int64 = 1 << 20

    mutating func instances(of tenant: ManifestObject) -> [TenantInstance] {
        var instances: [TenantInstance] = []
        let pointer = tenant.pointer(to: "instances")
        let elements = list("instances", of: tenant, atMost: Self.maximumInstances, isRequired: isWhole)
        for (index, element) in elements.enumerated() {
            guard let object = object(element, at: "\(pointer)/\(index)", known: Self.instanceKeys),
                let instance = instance(object)
            else { continue }
            guard !instances.contains(where: { $0.name == instance.name }) else {
                report("\(pointer)/\(index)/name", "there are two instances \(quoted(instance.name))")
                continue
            }
            instances.append(instance)
        }
        return instances
    }

    private mutating func instance(_ object: ManifestObject) -> TenantInstance? {
        let name = requiredText("name", of: object, rule: .resourceName)
        let image = requiredText("image", of: object, rule: .imageName)
        let virtualCPUs = integer("vcpus", of: object, in: 1...64, isRequired: true)
        let memory = wholeMebibytes("memory", of: object, in: (64 << 20)...(1 << 40))
        let disk = wholeMebibytes("disk", of: object, in: Self.mebibyte...(1 << 44))
        let network = requiredText("network", of: object, rule: .resourceName)
        let sshKeys = sshKeys(of: object)
        let isRunning = bool("running", of: object, isRequired: isWhole) ?? true
        let probe = probe(of: object)
        let deadline = integer("probeDeadline", of: object, in: 1...3600, isRequired: isWhole) ?? 120
        guard let name, let image, let virtualCPUs, let memory, let disk, let network, let probe else { return nil }
        return TenantInstance(
            name: name, image: image, virtualCPUs: Int(virtualCPUs), memory: memory, disk: disk, network: network,
            sshKeys: sshKeys, isRunning: isRunning, probe: probe, probeDeadline: Int(deadline))
    }

    private mutating func wholeMebibytes(
        _ key: String, of object: ManifestObject, in range: ClosedRange<Int64>
    ) -> Int64? {
        guard let bytes = size(key, of: object, in: range, isRequired: true) else { return nil }
        guard bytes % Self.mebibyte == 0 else {
            report(object.pointer(to: key), "\(key) must be a multiple of 1MiB, not \(ByteSize.text(bytes))")
            return nil
        }
        return bytes
    }

    private mutating func sshKeys(of object: ManifestObject) -> [String] {
        var keys: [String] = []
        for (text, pointer) in texts("sshKeys", of: object, atMost: 16, isRequired: isWhole) {
            if form != .recorded, let refusal = PublicSSHKey.refusal(text) {
                // The text is not quoted back: it may be a private key.
                report(pointer, "the SSH key \(refusal)")
            } else {
                keys.append(text)
            }
        }
        return keys
    }

    private mutating func probe(of instance: ManifestObject) -> TenantInstance.Probe? {
        guard let value = member("probe", of: instance, isRequired: isWhole) else { return .tcp(port: 22) }
        guard let object = object(value, at: instance.pointer(to: "probe"), known: ["tcp", "http"]) else { return nil }
        switch (object["tcp"], object["http"]) {
        case (let tcp?, nil):
            guard let tcp = self.object(tcp, at: object.pointer(to: "tcp"), known: ["port"]),
                let port = port(of: tcp)
            else { return nil }
            return .tcp(port: port)
        case (nil, let http?):
            guard let http = self.object(http, at: object.pointer(to: "http"), known: ["port", "path"]) else {
                return nil
            }
            let port = port(of: http)
            let path =
                isWhole || http["path"] != nil ? requiredText("path", of: http, rule: .probePath) : "/"
            guard let port, let path else { return nil }
            return .http(port: port, path: path)
        default:
            report(object.pointer, "a probe is either tcp or http", allowed: ["tcp", "http"])
            return nil
        }
    }

    private mutating func port(of object: ManifestObject) -> Int? {
        integer("port", of: object, in: 1...65_535, isRequired: true).map { Int($0) }
    }
}

extension ManifestValue {
    func write(to writer: inout JSONWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let value): writer.bool(value)
        case .integer(let value): writer.integer(value)
        case .number(let text): writer.raw(text.utf8)
        case .string(let text): writer.string(text)
        case .array(let elements): writer.array { for element in elements { element.write(to: &$0) } }
        case .object(let members):
            writer.object {
                for member in members {
                    $0.key(member.key)
                    member.value.write(to: &$0)
                }
            }
        }
    }
}
