package import PostgresDriver

/// What tells a request to write something of the region from others, when its client may repeat it: the Idempotency-Key and
/// the request.
package struct RepeatableRequest: Sendable, Hashable {
    /// `POST`, or `PUT` with the resource's id.
    package let operation: String
    /// 1 to 255 characters.
    package let key: String
    /// Of all that the answer depends on.
    package let digest: [UInt8]

    package init(operation: String, key: String, digest: [UInt8]) {
        self.operation = operation
        self.key = key
        self.digest = digest
    }

    /// The arguments operation, key and digest of the functions that write.
    package var values: [PostgresValue] { [.text(operation), .text(key), .bytes(digest)] }
}
