import ArgumentParser
import CloudModel
import Glibc

/// Which region a command means: the state directory it lies in.
struct RegionOptions: ParsableArguments {
    @Option(
        name: .customLong("state"),
        help: "The region's state directory. Default: MEDCLOUD_STATE, else /var/lib/medcloud for root.")
    var directory: String?

    var state: RegionState {
        RegionState(
            directory: StateDirectory.directory(
                option: directory, environment: Environment.current, isRoot: geteuid() == 0))
    }
}
