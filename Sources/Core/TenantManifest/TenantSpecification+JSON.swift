import CloudModel
package import StrictJSON

// Canonical JSON: members in the order of their names, every default written, sizes in bytes. Equal specifications give
// equal bytes.

extension TenantSpecification {
    /// The canonical form, which ``SpecificationReader`` reads back.
    package var canonicalJSON: [UInt8] {
        var writer = JSONWriter(reservingCapacity: 1024)
        write(to: &writer)
        return writer.bytes
    }

    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.arrayMember("clients") { list in for client in clients { client.write(to: &list) } }
            $0.member("driftPolicy", driftPolicy.rawValue)
            $0.member("id", id.rawValue)
            $0.arrayMember("instances") { list in for instance in instances { instance.write(to: &list) } }
            $0.member("kind", kind.rawValue)
            $0.key("labels")
            writeLabels(to: &$0)
            $0.member("language", language)
            $0.member("name", name)
            $0.arrayMember("networks") { list in for network in networks { network.write(to: &list) } }
            $0.key("quota")
            quota.write(to: &$0)
            $0.member("timeZone", timeZone)
        }
    }

    /// The tenant without its quota and its lists: those are changes of their own.
    package func writeHead(to writer: inout JSONWriter) {
        writer.object {
            $0.member("driftPolicy", driftPolicy.rawValue)
            $0.member("id", id.rawValue)
            $0.member("kind", kind.rawValue)
            $0.key("labels")
            writeLabels(to: &$0)
            $0.member("language", language)
            $0.member("name", name)
            $0.member("timeZone", timeZone)
        }
    }

    func writeLabels(to writer: inout JSONWriter) {
        writer.object { members in
            for (key, value) in labels.sorted(by: { $0.key < $1.key }) { members.member(key, value) }
        }
    }
}

extension TenantQuota {
    package func write(to writer: inout JSONWriter) {
        writer.object { members in
            for dimension in Dimension.all.sorted(by: { $0.name < $1.name }) {
                members.member(dimension.name, self[dimension])
            }
        }
    }
}

extension TenantClient {
    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("disabled", isDisabled)
            $0.member("id", id)
            $0.key("keys")
            writeKeys(to: &$0)
            $0.member("kind", kind.rawValue)
            $0.member("name", name)
            $0.arrayMember("origins") { list in for origin in origins { list.string(origin) } }
            $0.member("realm", realm.rawValue)
            $0.member("scopes", scopes)
        }
    }

    func writeKeys(to writer: inout JSONWriter) {
        writer.object {
            switch keys {
            case .generate: $0.member("generate", true)
            case .registered(let jwks): $0.member("jwks", raw: jwks.utf8)
            }
            $0.member("keySetURL", keySetURL)
        }
    }
}

extension TenantNetwork {
    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("cidr", block.description)
            $0.member("name", name)
        }
    }
}

extension TenantInstance {
    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("disk", disk)
            $0.member("image", image)
            $0.member("memory", memory)
            $0.member("name", name)
            $0.member("network", network)
            $0.key("probe")
            probe.write(to: &$0)
            $0.member("probeDeadline", probeDeadline)
            $0.member("running", isRunning)
            $0.arrayMember("sshKeys") { list in for key in sshKeys { list.string(key) } }
            $0.member("vcpus", virtualCPUs)
        }
    }
}

extension TenantInstance.Probe {
    func write(to writer: inout JSONWriter) {
        writer.object {
            switch self {
            case .tcp(let port):
                $0.member("tcp") { $0.member("port", port) }
            case .http(let port, let path):
                $0.member("http") {
                    $0.member("path", path)
                    $0.member("port", port)
                }
            }
        }
    }
}
