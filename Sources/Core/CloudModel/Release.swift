/// The version of this build, the same for the three executables.
package enum Release {
    package static let version = "0.1.0"
}
