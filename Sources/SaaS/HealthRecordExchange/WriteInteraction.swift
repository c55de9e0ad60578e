import ClinicalData
import CloudHTTP
import CloudIdentity
import HTTPTypes
import NIOCore

/// create, update, patch and delete as requests of their own, conditional ones included.
struct WriteInteraction: Sendable {
    let exchange: Exchange

    /// Carries out one write and answers as `preference` asks.
    func run(_ request: WriteRequest, preference: Preferences.Return?, in session: Session) async throws -> Answer {
        let results = try await WriteExecution(exchange: exchange, requests: [request]).run(in: session)
        return try await answer(results[0], preference: preference ?? .representation, in: session)
    }

    /// The answer to a write.
    ///
    /// - Parameter preference: `minimal` leaves the resource out, as does a token that may not read it.
    func answer(_ result: WriteResult, preference: Preferences.Return, in session: Session) async throws -> Answer {
        switch result.effect {
        case .created, .updated:
            var answer = Answer(status: result.effect == .created ? 201 : 200)
            answer.version = result.version
            answer.lastUpdated = result.lastUpdated
            answer.location = "\(result.type.name)/\(result.id)/_history/\(result.version)"
            switch preference {
            case .minimal: break
            case .representation:
                if let content = result.content, mayRead(result.type) {
                    answer.resource = ResourceBytes.spliced(
                        content: content, version: result.version, lastUpdated: result.lastUpdated)
                }
            case .operationOutcome:
                answer.outcome = OperationOutcome.success(result.effect == .created ? "Created." : "Updated.")
            }
            return answer
        case .found:
            return try await found(result, preference: preference, in: session)
        case .deleted, .nothing:
            var answer = Answer(status: 204)
            if result.version > 0 { answer.version = result.version }
            if preference == .operationOutcome {
                answer.status = 200
                answer.outcome = OperationOutcome.success(
                    result.effect == .deleted ? "Deleted." : "There was nothing to delete.")
            }
            return answer
        }
    }

    private func mayRead(_ type: ResourceType) -> Bool {
        exchange.principal.scopes.allows(.read, on: type.name)
    }

    /// The resource that a conditional create found; handing it out is a read and audited as one.
    private func found(
        _ result: WriteResult, preference: Preferences.Return, in session: Session
    ) async throws -> Answer {
        let stored = try await exchange.services.store.read(
            result.type, id: result.id, audit: exchange.audit, on: session.runner)
        guard let stored, !stored.isDeleted else {
            throw FHIRFailure(409, "conflict", "The resource that the criteria matched has just been deleted.")
        }
        var answer = Answer(stored)
        answer.location = "\(result.type.name)/\(result.id)/_history/\(stored.version)"
        switch preference {
        case .representation where mayRead(result.type): break
        case .representation, .minimal: answer.resource = nil
        case .operationOutcome:
            answer.resource = nil
            answer.outcome = OperationOutcome.success("The resource exists already.")
        }
        return answer
    }
}

/// The conditions that a write carries, in the form of header values.
struct WriteConditions: Sendable {
    var match: String?
    var unmodifiedSince: String?
    var noneMatch: String?
    var noneExist: String?

    /// Completes `request`. A date that is none is passed over (RFC 9110 §13.1.4).
    func apply(to request: inout WriteRequest) throws(FHIRFailure) {
        guard noneExist == nil || request.isCreate else {
            throw FHIRFailure(
                400, "invalid", "If-None-Exist is of creates only.",
                at: request.place.isEmpty ? nil : request.place + ".request.ifNoneExist")
        }
        if let match {
            switch EntityTagCondition(parsing: match) {
            case .any: request.match = .any
            case .tags(let tags) where tags.count == 1:
                guard let version = tags[0].version, version > 0 else {
                    throw FHIRFailure(412, "conflict", "No version has the tag in If-Match.")
                }
                request.match = .version(version)
            case .tags, nil:
                throw FHIRFailure(400, "invalid", "If-Match must be * or name one version, as W/\"3\".")
            }
        } else if let unmodifiedSince {
            request.unmodifiedSince = HTTPDate.parse(unmodifiedSince)
        }
        if let noneMatch {
            guard EntityTagCondition(parsing: noneMatch) == .any else {
                throw FHIRFailure(400, "invalid", "If-None-Match of a write must be *.")
            }
            request.mustNotExist = true
        }
    }
}
