import PostgresDriver
package import TenantRegistry

/// Consents, sharing decisions and the audit log of the region, through the functions of the region database. Each call is
/// one transaction, committed when it returns.
package struct SharingDatabase: Sendable {
    private let region: RegionDatabase

    package init(region: RegionDatabase) {
        self.region = region
    }

    func call(
        _ statement: PostgresStatement, _ values: [PostgresValue]
    ) async throws(RegionalRecordError) -> PostgresResult {
        do {
            return try await region.call(statement, values)
        } catch let error as PostgresError {
            throw RegionalRecordError(error)
        } catch {
            throw RegionalRecordError(.unavailable)
        }
    }

    /// Reads rows; a column that is not what it should be means a database of another version.
    static func read<R>(_ body: () throws(PostgresError) -> R) throws(RegionalRecordError) -> R {
        do throws(PostgresError) {
            return try body()
        } catch {
            throw RegionalRecordError(.failed, cause: error)
        }
    }
}
