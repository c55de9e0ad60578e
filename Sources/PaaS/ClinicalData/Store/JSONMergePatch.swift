package import StrictJSON

/// A JSON Merge Patch (RFC 7396): members replace members, `null` removes. Values that it does not name keep their bytes.
package struct JSONMergePatch: Sendable {
    private let patch: JSONNode

    /// Returns nil when the document is no object: what is merged into a resource must be one.
    package init?(parsing document: JSONDocument) {
        guard document.root.kind == .object else { return nil }
        patch = document.root
    }

    /// The patched bytes: JSON, but not yet known to be a valid resource.
    package func apply(to document: JSONDocument) -> [UInt8] {
        var tree = PatchTree.leaf(document.root)
        tree.merge(patch)
        var writer = JSONWriter(reservingCapacity: document.bytes.count + 256)
        tree.write(to: &writer)
        return writer.bytes
    }
}
