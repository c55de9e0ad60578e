import ClinicalData
import CloudHTTP
import CloudIdentity
import NIOCore
import StrictJSON

/// One write of a request or of a bundle entry, understood but not yet matched with what is stored.
struct WriteRequest: Sendable {
    enum Action: Sendable, Hashable {
        /// `criteria` of If-None-Exist.
        case create(ResourceType, criteria: String?)
        case update(ResourceType, id: String)
        case updateWhere(ResourceType, criteria: String)
        case patch(ResourceType, id: String)
        case patchWhere(ResourceType, criteria: String)
        case delete(ResourceType, id: String)
        case deleteWhere(ResourceType, criteria: String)
    }

    /// What If-Match asks of the current representation (RFC 9110 §13.1.1).
    enum Match: Sendable, Hashable {
        /// `*`: there is one.
        case any
        case version(Int32)
    }

    let action: Action
    var match: Match?
    /// If-Unmodified-Since, where there is no If-Match. Seconds since 1970.
    var unmodifiedSince: Int64?
    /// If-None-Match: *
    var mustNotExist = false
    /// A resource, or a JSON Patch; nil for a delete.
    var body: JSONDocument?
    /// The bundle entry, `Bundle.entry[3]`; "" for a request of its own.
    var place = ""
    /// The entry's temporary identity.
    var fullURL: String?

    init(_ action: Action) {
        self.action = action
    }

    var type: ResourceType {
        switch action {
        case .create(let type, _), .update(let type, _), .updateWhere(let type, _), .patch(let type, _),
            .patchWhere(let type, _), .delete(let type, _), .deleteWhere(let type, _):
            type
        }
    }

    /// The id in the URL.
    var id: String? {
        switch action {
        case .update(_, let id), .patch(_, let id), .delete(_, let id): id
        case .create, .updateWhere, .patchWhere, .deleteWhere: nil
        }
    }

    /// The search of a conditional write.
    var criteria: String? {
        switch action {
        case .create(_, let criteria): criteria
        case .updateWhere(_, let criteria), .patchWhere(_, let criteria), .deleteWhere(_, let criteria): criteria
        case .update, .patch, .delete: nil
        }
    }

    var isCreate: Bool {
        switch action {
        case .create: true
        case .update, .updateWhere, .patch, .patchWhere, .delete, .deleteWhere: false
        }
    }

    var isDelete: Bool {
        switch action {
        case .delete, .deleteWhere: true
        case .create, .update, .updateWhere, .patch, .patchWhere: false
        }
    }

    var isPatch: Bool {
        switch action {
        case .patch, .patchWhere: true
        case .create, .update, .updateWhere, .delete, .deleteWhere: false
        }
    }

    /// Whether the current version is locked and looked at before the write is made.
    var looksFirst: Bool { isPatch || match == .any || unmodifiedSince != nil || (isDelete && mustNotExist) }

    /// Whether this is a JSON Patch that tests what the resource holds.
    var hasTest: Bool {
        guard isPatch, let body, let patch = try? JSONPatch(parsing: body) else { return false }
        return patch.hasTest
    }

    /// Refuses parameters in the URL of one resource, where nothing is searched.
    func check(_ query: HTTPQuery) throws(FHIRFailure) {
        guard id != nil else { return }
        for parameter in query.parameters where parameter.name != "_format" && parameter.name != "_pretty" {
            throw FHIRFailure(
                400, "not-supported",
                "A write of one resource has no parameter '\(parameter.name)'. Valid: _format, _pretty.",
                at: place.isEmpty ? parameter.name : place + ".request.url")
        }
    }

    var permission: ScopeSet.Permission {
        switch action {
        case .create: .create
        case .update, .updateWhere, .patch, .patchWhere: .update
        case .delete, .deleteWhere: .delete
        }
    }

    var interaction: AuditInteraction {
        switch action {
        case .create: .create
        case .update, .updateWhere: .update
        case .patch, .patchWhere: .patch
        case .delete, .deleteWhere: .delete
        }
    }

    /// What is audited when it is refused.
    var refusal: AuditEntry {
        AuditEntry(interaction, outcome: .minorFailure, type: type, resourceID: id, query: criteria)
    }
}

/// What became of a ``WriteRequest``.
struct WriteResult: Sendable {
    enum Effect: Sendable, Hashable {
        case created
        case updated
        case deleted
        /// A conditional create found its resource.
        case found
        /// Nothing was there to delete.
        case nothing
    }

    let effect: Effect
    let type: ResourceType
    let id: String
    let version: Int32
    let lastUpdated: Int64
    /// Stored form of what was written; nil after a delete and when nothing was written.
    let content: ByteBuffer?
}
