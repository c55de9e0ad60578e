package import ClinicalData

/// One change of one resource, as a consumer gets it.
package struct OutboxEvent: Sendable, Hashable, Identifiable {
    /// The same whenever the event is delivered again, and unlike that of any other event of any tenant.
    package struct ID: Sendable, Hashable, CustomStringConvertible {
        /// The tenant's database, whose name no other database ever has.
        package let database: String
        /// The change's number there.
        package let sequence: Int64

        package var description: String { "\(database)-\(sequence)" }
    }

    package let id: ID
    /// What events are ordered by: the resource's row.
    package let aggregate: Int64
    package let type: ResourceType
    package let resourceID: String
    /// The version that this change made.
    package let version: Int32
    package let method: WriteMethod
    /// When it was written: microseconds since 1970 in the tenant's time.
    package let at: Int64

    package init(
        id: ID, aggregate: Int64, type: ResourceType, resourceID: String, version: Int32, method: WriteMethod, at: Int64
    ) {
        self.id = id
        self.aggregate = aggregate
        self.type = type
        self.resourceID = resourceID
        self.version = version
        self.method = method
        self.at = at
    }

    package var sequence: Int64 { id.sequence }
}

extension OutboxEvent.ID {
    package init(_ database: String, _ sequence: Int64) {
        self.database = database
        self.sequence = sequence
    }
}
