package import CloudIdentity
import CloudModel
import Crypto
import PostgresDriver
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
    }

    package enum Outcome: Sendable, Hashable {
        /// Do it, then say how it ended with ``IdempotencyLedger/finish(_:with:)``.
        case new
        case done(Answer)
        /// The first request is still under way.
        case busy
        /// The key was used with another body.
        case mismatch
    }

    /// One request as the ledger tells it from others.
    package struct Entry: Sendable, Hashable {
        fileprivate let realm: String
        fileprivate let actor: String
        fileprivate let operation: String
        fileprivate let key: String
        fileprivate let digest: [UInt8]

        /// - Parameters:
        ///   - operation: method and path.
        ///   - key: 1 to 255 characters.
        package init(caller: Principal, operation: String, key: String, body: [UInt8]) {
            realm = ControlDatabase.realm(caller.tenant)
            actor = caller.clientID
            self.operation = operation
            self.key = key
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
        let result = try await control.call(
            Self.beginStatement,
            [
                .text(entry.realm), .text(entry.actor), .text(entry.operation), .text(entry.key), .bytes(entry.digest),
            ])
        guard let row = result.first else { throw TenantRegistryError(.failed, "the ledger did not answer") }
        do throws(PostgresError) {
            switch try row.string(0) {
            case "new": return .new
            case "busy": return .busy
            case "mismatch": return .mismatch
            default:
                return .done(
                    Answer(
                        status: Int(try row.int4(1)), location: try row.optionalString(2),
                        body: try row.optionalString(3) ?? ""))
            }
        } catch {
            throw TenantRegistryError(error)
        }
    }

    private static let finishStatement = PostgresStatement(
        "select control.finish_idempotent($1, $2, $3, $4, $5, $6, $7)")

    /// Keeps the answer; nil frees the key, because nothing was done.
    package func finish(_ entry: Entry, with answer: Answer?) async throws(TenantRegistryError) {
        _ = try await control.call(
            Self.finishStatement,
            [
                .text(entry.realm), .text(entry.actor), .text(entry.operation), .text(entry.key),
                answer.map { .int4(Int32($0.status)) } ?? .null, answer?.location.map { .text($0) } ?? .null,
                answer.map { .text($0.body) } ?? .null,
            ])
    }
}
