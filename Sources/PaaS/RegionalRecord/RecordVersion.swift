package import ClinicalData
package import NIOCore
package import PostgresDriver

/// One version of a resource that the region keeps itself, as it is stored: a consent, an entry of the booking blacklist.
package struct RecordVersion: Sendable {
    package let id: RegionID
    package let version: Int32
    /// Microseconds since 1970.
    package let recordedAt: Int64
    package let method: WriteMethod
    /// Stored form, see `ResourceBytes`.
    package let content: ByteBuffer

    /// What is served.
    package var bytes: ByteBuffer {
        ResourceBytes.spliced(content: content, version: version, lastUpdated: recordedAt)
    }

    /// The current versions in rows of id, version, time and content.
    package static func current(_ rows: PostgresResult) throws(PostgresError) -> [RecordVersion] {
        var records: [RecordVersion] = []
        for row in rows {
            guard let id = RegionID(try row.string(0)) else {
                throw PostgresError(.decoding, "not an id of the region")
            }
            records.append(
                RecordVersion(
                    id: id, version: try row.int4(1), recordedAt: try row.timestamptz(2), method: .update,
                    content: try row.buffer(3)))
        }
        return records
    }

    /// The versions of one resource in rows of version, time, method and content.
    package static func history(of id: RegionID, _ rows: PostgresResult) throws(PostgresError) -> [RecordVersion] {
        var records: [RecordVersion] = []
        for row in rows {
            records.append(
                RecordVersion(
                    id: id, version: try row.int4(0), recordedAt: try row.timestamptz(1),
                    method: WriteMethod(rawValue: UInt8(truncatingIfNeeded: try row.int2(2))) ?? .update,
                    content: try row.buffer(3)))
        }
        return records
    }
}

extension RecordVersion {
    /// The place behind a resource in the order of searches: newest first.
    package struct Position: Sendable, Hashable {
        /// Microseconds since 1970.
        package let recordedAt: Int64
        package let id: RegionID

        package init(recordedAt: Int64, id: RegionID) {
            self.recordedAt = recordedAt
            self.id = id
        }

        /// nil for what ``text`` does not give.
        package init?(_ text: String) {
            let parts = text.split(separator: "/")
            guard parts.count == 2, let at = Int64(parts[0]), let id = RegionID(parts[1]) else { return nil }
            self.init(recordedAt: at, id: id)
        }

        package var text: String { "\(recordedAt)/\(id.text)" }
    }

    package var position: Position { Position(recordedAt: recordedAt, id: id) }
}
