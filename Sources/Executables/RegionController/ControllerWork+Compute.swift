import DatabaseService
import LibvirtVirtualization
import Logging
import ResourcePools

extension ControllerWork {
    /// Instances and networks on the hypervisor that the configuration names; without one, what is asked for is refused.
    static func compute(_ configuration: ControllerConfiguration, logger: Logger) -> ControllerWork {
        guard let uri = configuration.hypervisor else {
            return ControllerWork(
                handlers: ComputeOperation.refusals, duties: InstanceReconciler.dutiesWithoutCompute)
        }
        let driver = LibvirtDriver(uri: uri, agentSocket: configuration.hypervisorAgent, logger: logger)
        let turns = InstanceTurns()
        return ControllerWork(
            handlers: ComputeOperation.all(driver: driver, turns: turns),
            duties: InstanceReconciler.duties(driver: driver, turns: turns, logger: logger))
    }
}
