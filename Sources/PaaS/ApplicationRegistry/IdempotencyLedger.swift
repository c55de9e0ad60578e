package import CloudIdentity
import CloudModel
package import Coordination
import Crypto
import PostgresDriver
import StrictJSON
package import TenantRegistry

/// The platform API's writes by Idempotency-Key (draft-ietf-httpapi-idempotency-key-header), kept for 24 hours and shared by
/// all workers. A key belongs to its caller and to one operation.
package struct IdempotencyLedger: Sendable {
    /// An answer as it was given the first time.
    package struct Answer: Sendable, Hashable {
        package let status: Int
        package let location: String?
        /// UTF-8 text.
        package let body: String

        package init(status: Int, location: String?, body: String) {
            self.status = status
            self.location = location
            self.body = body
        }

        /// 202 with the operation that carries it out.
        init(_ operation: OperationStatus) {
            var writer = JSONWriter()
            operation.write(to: &writer)
            self.init(
                status: 202, location: "/v1/operations/" + operation.id,
                body: String(decoding: writer.bytes, as: UTF8.self))
        }
    }

    package enum Outcome: Sendable, Hashable {
        /// Do it, then say how it ended with ``IdempotencyLedger/finish(_:with:)``. `isMade`: what it is to make or change
        /// is so already, from a worker that died before it could answer.
        case new(isMade: Bool)
        case done(Answer)
        /// The first request is still under way.
        case busy
        /// The key was used with another body.
        case mismatch
    }

    /// One request as the ledger tells it from others.
    package struct Entry: Sendable, Hashable {
        /// For ``ControlDatabase/asked(by:)`` and its like.
        package let request: RequestKey
        fileprivate let digest: [UInt8]

        fileprivate var values: [PostgresValue] {
            [.text(request.realm), .text(request.actor), .text(request.operation), .text(request.key)]
        }

        /// - Parameters:
        ///   - operation: method and path.
        ///   - key: 1 to 255 characters.
        package init(caller: Principal, operation: String, key: String, body: [UInt8]) {
            request = RequestKey(
                realm: ControlDatabase.realm(caller.tenant), actor: caller.clientID, operation: operation, key: key)
            digest = Array(SHA256.hash(data: body))
        }
    }

    private let control: ControlDatabase

    package init(control: ControlDatabase) {
        self.control = control
    }

    private static let beginStatement = PostgresStatement(
        "select outcome, status, location, body from control.begin_idempotent($1, $2, $3, $4, $5)")

    package func begin(_ entry: Entry) async throws(TenantRegistryError) -> Outcome {
        let result = try await control.call(Self.beginStatement, entry.values + [.bytes(entry.digest)])
        guard let row = result.first else { throw TenantRegistryError(.failed, "the ledger did not answer") }
        let begun: String
        do throws(PostgresError) {
            switch try row.string(0) {
            case "new": return .new(isMade: false)
            case "made": return .new(isMade: true)
            case "busy": return .busy
            case "mismatch": return .mismatch
            case "begun": begun = try row.string(2)
            default: return .done(try Self.answer(row, from: 1))
            }
        } catch {
            throw TenantRegistryError(error)
        }
        let operation = try await OperationAdministration(control: control).operation(
            begun, acting: entry.request.realm)
        let answer = Answer(operation)
        return .done(try await finish(entry, with: answer) ?? answer)
    }

    /// Status, location and body of a row.
    private static func answer(_ row: PostgresRow, from first: Int) throws(PostgresError) -> Answer {
        Answer(
            status: Int(try row.int4(first)), location: try row.optionalString(first + 1),
            body: try row.optionalString(first + 2) ?? "")
    }

    private static let finishStatement = PostgresStatement(
        "select status, location, body from control.finish_idempotent($1, $2, $3, $4, $5, $6, $7)")

    /// Keeps the answer; nil frees the key, unless something was begun.
    ///
    /// - Returns: the answer that is kept, which is another one when the same request was faster.
    @discardableResult
    package func finish(_ entry: Entry, with answer: Answer?) async throws(TenantRegistryError) -> Answer? {
        let result = try await control.call(
            Self.finishStatement,
            entry.values + [
                answer.map { .int4(Int32($0.status)) } ?? .null, answer?.location.map { .text($0) } ?? .null,
                answer.map { .text($0.body) } ?? .null,
            ])
        do throws(PostgresError) {
            guard let row = result.first else { return nil }
            return try Self.answer(row, from: 0)
        } catch {
            throw TenantRegistryError(error)
        }
    }
}
