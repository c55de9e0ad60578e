/// The version of this build, the same for the three executables.
package enum Release {
    package static let version = "0.1.0"

    /// Whether bugs planted for the tests can be switched on: in debug builds only.
    package static var isTestBuild: Bool {
        #if DEBUG
            true
        #else
            false
        #endif
    }
}
