import ClinicalData
import CloudHTTP
import CloudIdentity
import CloudModel
import HTTPTypes
import Logging
import ModuleKit
import NIOCore
import PostgresDriver

/// Answers FHIR requests on one tenant's records: understands the request, calls the interaction, renders what it says.
struct RecordService: Sendable {
    let services: ExchangeServices

    /// - Parameter pool: Connections to the tenant's database.
    func handle(_ request: ModuleRequest, pool: PostgresPool) async throws -> ModuleResponse {
        let exchange = exchange(request, pool)
        do {
            do {
                return try await respond(request, exchange)
            } catch let failure as FHIRFailure {
                try await exchange.settle(failure)
                return failure.response
            }
        } catch let error as SearchError {
            return FHIRFailure(error).response
        } catch let error as PostgresError {
            return try Self.unavailable(error, request)
        }
    }

    /// The CapabilityStatement, without a credential.
    func metadata(_ request: PublicRequest) -> ModuleResponse {
        do {
            guard case .capabilities = try Interaction(request.method, path: request.path) else {
                throw FHIRFailure(404, "not-found", "There is nothing at this path.")
            }
            try ContentNegotiation.checkAcceptable(request.headers, try Self.query(request.query))
            return services.capabilities.answer(base: request.fhirBase, request.headers)
                .response(base: request.fhirBase)
        } catch let failure as FHIRFailure {
            return failure.response
        } catch {
            return FHIRFailure(500, "exception", "The request failed.").response
        }
    }

    private func exchange(_ request: ModuleRequest, _ pool: PostgresPool) -> Exchange {
        let context = request.context
        return Exchange(
            services: services, pool: pool, tenant: context.access.tenant, principal: context.principal,
            audit: AuditContext(
                client: context.principal.clientID, practitioner: context.principal.practitioner,
                purpose: context.principal.purposeOfUse, requestID: context.requestID, source: context.remoteAddress,
                origin: context.access.origin.rawValue),
            base: context.fhirBase, deadline: context.deadline, logger: context.logger)
    }

    private func respond(_ request: ModuleRequest, _ exchange: Exchange) async throws -> ModuleResponse {
        let query = try Self.query(request.query)
        try ContentNegotiation.checkAcceptable(request.headers, query)
        let interaction = try Interaction(request.method, path: request.path)
        let preferences = Preferences(parsing: request.headers[.prefer])
        let idempotent: IdempotentAnswer? =
            switch request.method {
            case .post, .put, .patch,
                .delete where !interaction.isSearch:
                try IdempotentAnswer(request)
            default: nil
            }
        let answer = { @Sendable (session: Session) async throws -> ModuleResponse in
            try await self.answer(interaction, request, query, preferences, exchange, in: session)
                .response(base: exchange.base)
        }
        guard let idempotent else { return try await answer(exchange.pooled) }
        return try await idempotent.run(exchange, answer)
    }

    private func answer(
        _ interaction: Interaction, _ request: ModuleRequest, _ query: HTTPQuery, _ preferences: Preferences,
        _ exchange: Exchange, in session: Session
    ) async throws -> Answer {
        switch interaction {
        case .capabilities:
            return services.capabilities.answer(base: exchange.base, request.headers)
        case .read(let type, let id):
            return try await ReadInteraction(exchange: exchange)
                .read(type, id: id, try Self.read(request, query, preferences), in: session)
        case .readVersion(let type, let id, let version):
            return try await ReadInteraction(exchange: exchange)
                .readVersion(type, id: id, version: version, try Self.read(request, query, preferences), in: session)
        case .history(let scope):
            return try await HistoryInteraction(exchange: exchange).run(scope, query: query, in: session)
        case .search(let type, let compartment, let isForm):
            return try await SearchInteraction(exchange: exchange).run(
                type, compartment: compartment,
                parameters: query.parameters + (isForm ? try Self.form(request) : []),
                handling: preferences.handling == .lenient ? .lenient : .strict, in: session)
        case .bundle:
            try ContentNegotiation.checkResource(request.headers)
            return try await BundleInteraction(exchange: exchange).run(
                try ResourceIntake.parse(request.body), preference: preferences.return, in: session)
        case .create, .update, .updateWhere, .patch, .patchWhere, .delete, .deleteWhere:
            return try await WriteInteraction(exchange: exchange).run(
                try Self.write(interaction, request, query, preferences), preference: preferences.return, in: session)
        }
    }

    private static func read(
        _ request: ModuleRequest, _ query: HTTPQuery, _ preferences: Preferences
    ) throws(FHIRFailure) -> ReadInteraction.Request {
        ReadInteraction.Request(
            conditions: try ReadConditions(request.headers), query: query,
            isLenient: preferences.handling == .lenient)
    }

    /// The write that an interaction, its headers and its body ask for.
    private static func write(
        _ interaction: Interaction, _ request: ModuleRequest, _ query: HTTPQuery, _ preferences: Preferences
    ) throws(FHIRFailure) -> WriteRequest {
        let criteria = HTTPQuery(query.parameters.filter { $0.name != "_format" && $0.name != "_pretty" }).text
        var write: WriteRequest
        switch interaction {
        case .create(let type):
            // Criteria in the URL mean what they mean in the header: fhirpy's get_or_create sends them so.
            let header = request.headers[.ifNoneExist]
            guard criteria.isEmpty || header == nil else {
                throw FHIRFailure(
                    400, "invalid", "Criteria of a create are in If-None-Exist or in the URL, not in both.")
            }
            write = WriteRequest(.create(type, criteria: criteria.isEmpty ? header : criteria))
        case .update(let type, let id): write = WriteRequest(.update(type, id: id))
        case .updateWhere(let type): write = WriteRequest(.updateWhere(type, criteria: criteria))
        case .patch(let type, let id): write = WriteRequest(.patch(type, id: id))
        case .patchWhere(let type): write = WriteRequest(.patchWhere(type, criteria: criteria))
        case .delete(let type, let id): write = WriteRequest(.delete(type, id: id))
        case .deleteWhere(let type): write = WriteRequest(.deleteWhere(type, criteria: criteria))
        case .capabilities, .read, .readVersion, .history, .search, .bundle:
            throw FHIRFailure(500, "exception", "This is no write.")
        }
        if preferences.handling != .lenient { try write.check(query) }
        try WriteConditions(
            match: request.headers[.ifMatch], unmodifiedSince: request.headers[.ifUnmodifiedSince],
            noneMatch: request.headers[.ifNoneMatch], noneExist: request.headers[.ifNoneExist]
        ).apply(to: &write)
        if request.method == .delete { return write }
        guard !write.isPatch else {
            try ContentNegotiation.checkFormat(ofPatch: request.headers)
            let patch = try ResourceIntake.parse(request.body)
            try ContentNegotiation.check(patch, request.headers)
            write.body = patch
            return write
        }
        try ContentNegotiation.checkResource(request.headers)
        write.body = try ResourceIntake.parse(request.body)
        return write
    }

    private static func query(_ text: String) throws(FHIRFailure) -> HTTPQuery {
        do {
            return try HTTPQuery(parsing: text)
        } catch {
            throw FHIRFailure(400, "invalid", error.description, at: error.parameter)
        }
    }

    private static func form(_ request: ModuleRequest) throws(FHIRFailure) -> [HTTPQuery.Parameter] {
        try ContentNegotiation.checkForm(request.headers)
        guard let text = String(validating: request.body.readableBytesView, as: UTF8.self) else {
            throw FHIRFailure(400, "invalid", "The form is not UTF-8.")
        }
        return try query(text).parameters
    }

    /// 503 when the database is away or busy, 504 when it was too slow; other errors are ours and go to the gateway.
    private static func unavailable(_ error: PostgresError, _ request: ModuleRequest) throws -> ModuleResponse {
        request.context.logger.warning("database request failed", metadata: ["error": "\(error)"])
        switch error.code {
        case .deadline:
            return FHIRFailure(504, "timeout", "The request took too long. Ask for less, or again later.").response
        case .connection, .poolExhausted, .closed,
            .server where error.isRetryable || error.code != .server:
            var failure = FHIRFailure(503, "transient", "The records cannot be reached now. Ask again in a moment.")
            failure.headers[.retryAfter] = "1"
            return failure.response
        default:
            throw error
        }
    }
}

extension Interaction {
    var isSearch: Bool {
        if case .search = self { return true }
        return false
    }
}
