import CloudModel
package import DatabaseService
package import Logging
package import NIOCore
import SchemaCatalog
import SchemaMigration
import TenantRegistry

/// What the controller of a region is made of: the one place where operations and duties are registered.
package enum RegionController {
    /// - Parameters:
    ///   - process: the process id, shown in the row of the leader.
    ///   - onReady: called when this controller leads and every database is of this version.
    package static func make(
        _ configuration: ControllerConfiguration, process: Int32, eventLoopGroup: any EventLoopGroup,
        onReady: @escaping @Sendable () -> Void, logger: Logger
    ) throws -> ControllerService {
        let state = configuration.state
        let key = try RegionKey.load(secrets: state.controllerSecrets)
        let schemas = try RegionSchemas.current()
        let connections = ClusterConnections(state: state, eventLoopGroup: eventLoopGroup, logger: logger)
        let work =
            ControllerWork.operatorRegistration(state: state, logger: logger)
            + .tenants(connections: connections, key: key, schemas: schemas)
            + .compute(configuration, logger: logger)
        return ControllerService(
            connections: connections, key: key, schemas: schemas, work: work, version: Release.version,
            process: process, onReady: onReady, logger: logger)
    }
}
