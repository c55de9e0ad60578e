import CloudIdentity
import CloudModel
import StrictJSON
import TenantManifest
import TenantRegistry

/// Writes the steps of a plan as `control.apply` reads them.
struct StepsWriter {
    let keys: [String: [String: JSONWebKeySet]]

    /// - Throws: ``SpecificationError`` when a client's public keys are missing.
    func json(of plan: SpecificationPlan) throws(SpecificationError) -> String {
        var writer = JSONWriter(reservingCapacity: 512 * plan.steps.count)
        writer.beginArray()
        for step in plan.steps { try write(step, to: &writer) }
        writer.endArray()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private func write(_ step: PlanStep, to writer: inout JSONWriter) throws(SpecificationError) {
        switch step {
        case .createTenant(let tenant):
            begin("create-tenant", tenant.id, path: "", &writer)
            writer.member("database", DatabaseName.random().rawValue)
            writer.member("cell", "cell-1")
            writer.key("value")
            tenant.writeHead(to: &writer)
        case .updateTenant(let tenant):
            begin("update-tenant", tenant.id, path: "", &writer)
            writer.key("value")
            tenant.writeHead(to: &writer)
        case .setQuota(let tenant, let quota):
            begin("set-quota", tenant, path: "/quota", &writer)
            writer.key("value")
            quota.write(to: &writer)
        case .createClient(let tenant, let client), .updateClient(let tenant, let client):
            begin("put-client", tenant, path: "/clients/" + client.id, name: client.id, &writer)
            writer.key("value")
            try write(client, of: tenant, to: &writer)
        case .disableClient(let tenant, let client):
            begin("disable-client", tenant, path: "/clients/" + client.id, name: client.id, &writer)
            writer.member("value") { $0.member("realm", client.realm.rawValue) }
        case .createNetwork(let tenant, let network):
            begin("create-network", tenant, path: "/networks/" + network.name, name: network.name, &writer)
            writer.key("value")
            network.write(to: &writer)
        case .deleteNetwork(let tenant, let name):
            begin("delete-network", tenant, path: "/networks/" + name, name: name, &writer)
        case .createInstance(let tenant, let instance):
            begin("create-instance", tenant, path: "/instances/" + instance.name, name: instance.name, &writer)
            writer.key("value")
            instance.write(to: &writer)
        case .updateInstance(let tenant, let instance):
            begin("update-instance", tenant, path: "/instances/" + instance.name, name: instance.name, &writer)
            writer.key("value")
            instance.write(to: &writer)
        case .deleteInstance(let tenant, let name):
            begin("delete-instance", tenant, path: "/instances/" + name, name: name, &writer)
        case .deleteTenant(let tenant):
            begin("delete-tenant", tenant, path: "", &writer)
        }
        writer.endObject()
    }

    private func begin(
        _ act: String, _ tenant: TenantID, path: String, name: String? = nil, _ writer: inout JSONWriter
    ) {
        writer.beginObject()
        writer.member("do", act)
        writer.member("tenant", tenant.rawValue)
        writer.member("path", path)
        writer.member("name", name)
    }

    private func write(
        _ client: TenantClient, of tenant: TenantID, to writer: inout JSONWriter
    ) throws(SpecificationError) {
        let json: String
        switch client.keys {
        case .registered(let known): json = known
        case .generate:
            guard let made = keys[tenant.rawValue]?[client.id] else {
                throw .refused([
                    ManifestIssue(
                        tenant: tenant.rawValue, pointer: "/clients/\(client.id)/keys",
                        message: "the public keys that were made for this client are missing from keys")
                ])
            }
            json = made.json
        }
        writer.object {
            $0.member("id", client.id)
            $0.member("name", client.name)
            $0.member("realm", client.realm.rawValue)
            $0.member("kind", client.kind.rawValue)
            $0.member("scopes", client.scopes)
            $0.arrayMember("origins") { list in for origin in client.origins { list.string(origin) } }
            // As text: the database keeps keys as they are written.
            $0.member("keys", json)
            $0.member("keySetURL", client.keySetURL)
            $0.member("disabled", client.isDisabled)
        }
    }
}
