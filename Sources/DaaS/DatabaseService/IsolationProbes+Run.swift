package import Logging
package import NIOCore
import PostgresDriver

extension IsolationProbes {
    /// Tries everything.
    package func run(eventLoopGroup: any EventLoopGroup, logger: Logger) async -> [IsolationProbe.Result] {
        let pool = PostgresPool(
            configuration: own, maximumConnections: 1, idleTimeout: .seconds(60), eventLoopGroup: eventLoopGroup,
            logger: logger)
        var results: [IsolationProbe.Result] = []
        for probe in probes {
            let outcome: IsolationProbe.Outcome
            switch probe.attempt {
            case .statement(let sql):
                outcome = await Self.judge { try await pool.withConnection { try await $0.execute(sql) } }
            case .hidden(let sql):
                outcome = await Self.look(PostgresStatement(sql), pool)
            case .enter(let configuration):
                let other = PostgresPool(
                    configuration: configuration, maximumConnections: 1, eventLoopGroup: eventLoopGroup, logger: logger)
                outcome = await Self.judge { try await other.withConnection { try await $0.execute("select 1") } }
                await other.shutdown()
            }
            results.append(
                IsolationProbe.Result(
                    name: probe.name, outcome: outcome, holds: Self.holds(outcome, probe.isKnownToBeAllowed)))
        }
        await pool.shutdown()
        return results
    }

    private static func holds(_ outcome: IsolationProbe.Outcome, _ isKnownToBeAllowed: Bool) -> Bool {
        switch outcome {
        case .denied: true
        case .allowed: isKnownToBeAllowed
        case .unclear: false
        }
    }

    private static func judge(_ body: () async throws -> Void) async -> IsolationProbe.Outcome {
        do {
            try await body()
            return .allowed
        } catch let error as PostgresError {
            return isRefusal(error) ? .denied(error.serverMessage) : .unclear(error.serverMessage)
        } catch {
            return .unclear("\(error)")
        }
    }

    private static func look(_ statement: PostgresStatement, _ pool: PostgresPool) async -> IsolationProbe.Outcome {
        do {
            let isHidden = try await pool.query(statement, [], deadline: nil).first?.bool(0) == true
            return isHidden ? .denied("hidden") : .allowed
        } catch {
            return .unclear("\(error)")
        }
    }

    /// Only a refusal proves the boundary; a server that is away or a misspelt statement does not.
    private static func isRefusal(_ error: PostgresError) -> Bool {
        if let state = error.sqlState {
            // insufficient_privilege, invalid authorization, invalid password
            return ["42501", "28000", "28P01"].contains(state)
        }
        let message = error.serverMessage
        return ["pg_hba.conf", "password authentication failed", "permission denied", "is not permitted to log in"]
            .contains { message.contains($0) }
    }
}
