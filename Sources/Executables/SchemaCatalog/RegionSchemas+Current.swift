import ApplicationRegistry
import BookingBlacklist
import ClinicalData
import Coordination
import EventBus
import RegionalRecord
import ResourcePools
package import SchemaMigration
import TenantRegistry

extension RegionSchemas {
    /// The schemas of this build: every target that keeps tables adds its migrations here.
    package static func current() throws -> RegionSchemas {
        RegionSchemas(
            control: try .from(
                name: "control",
                embedded: TenantRegistryMigrations.files + ApplicationRegistryMigrations.files
                    + CoordinationMigrations.files + ResourcePoolMigrations.files),
            region: try .from(
                name: "region",
                embedded: RegionalRecordMigrations.files + EventBusMigrations.files + BookingBlacklistMigrations.files),
            tenant: try .from(name: "tenant", embedded: TenantSchema.files))
    }
}
