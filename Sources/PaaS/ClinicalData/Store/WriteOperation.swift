package import NIOCore

/// One write of a batch, ready for `fhir.write`.
package struct WriteOperation: Sendable {
    /// The values are those of `p_op` in `fhir.write`.
    package enum Kind: Int16, Sendable, Hashable {
        /// A new identity that the server chose.
        case create = 1
        /// Creates what does not exist.
        case update = 2
        /// `If-None-Match: *`: refused when the resource exists.
        case createOnly = 3
        case patch = 4
        case delete = 5
    }

    package let kind: Kind
    package let type: ResourceType
    package let id: String
    /// The version of `If-Match`; nil = any.
    package let expectedVersion: Int32?
    /// Stored form; empty for a delete.
    package let content: ByteBuffer
    /// What the resource contributes to the index; nil for a delete.
    package let index: IndexRows?

    package init(
        _ kind: Kind, _ type: ResourceType, id: String, expectedVersion: Int32? = nil, content: ByteBuffer,
        index: IndexRows
    ) {
        self.kind = kind
        self.type = type
        self.id = id
        self.expectedVersion = expectedVersion
        self.content = content
        self.index = index
    }

    package init(delete type: ResourceType, id: String, expectedVersion: Int32? = nil) {
        kind = .delete
        self.type = type
        self.id = id
        self.expectedVersion = expectedVersion
        content = ByteBuffer()
        index = nil
    }
}

/// What became of one write.
package struct WriteOutcome: Sendable, Hashable {
    /// The values are those of `outcome` in `fhir.write`.
    package enum Effect: Int16, Sendable, Hashable {
        case created = 1
        case updated = 2
        case deleted = 3
        case alreadyDeleted = 4
        case neverExisted = 5
    }

    package let effect: Effect
    /// 0 when the resource never existed.
    package let version: Int32
    /// Microseconds since 1970; 0 when the resource never existed.
    package let lastUpdated: Int64
}
