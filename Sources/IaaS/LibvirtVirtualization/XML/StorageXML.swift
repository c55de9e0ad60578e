/// Pools and volumes.
enum StorageXML {
    static func pool(name: String, path: String) -> XMLElement {
        XMLElement(
            "pool", ["type": "dir"],
            [XMLElement("name", text: name), XMLElement("target", [:], [XMLElement("path", text: path)])])
    }

    /// A qcow2 overlay: version 3 of the format (`compat` 1.1), which later incremental backups need.
    static func overlay(name: String, capacity: Int64, base: String) -> XMLElement {
        XMLElement(
            "volume", [:],
            [
                XMLElement("name", text: name),
                XMLElement("capacity", ["unit": "bytes"], text: String(capacity)),
                XMLElement("allocation", text: "0"),
                XMLElement(
                    "target", [:],
                    [XMLElement("format", ["type": "qcow2"]), XMLElement("compat", text: "1.1")]),
                XMLElement(
                    "backingStore", [:],
                    [XMLElement("path", text: base), XMLElement("format", ["type": "qcow2"])]),
            ])
    }

    /// A plain file.
    static func raw(name: String, capacity: Int64) -> XMLElement {
        XMLElement(
            "volume", [:],
            [
                XMLElement("name", text: name),
                XMLElement("capacity", ["unit": "bytes"], text: String(capacity)),
                XMLElement("allocation", text: "0"),
                XMLElement("target", [:], [XMLElement("format", ["type": "raw"])]),
            ])
    }
}
