/// The version of this build.
package enum MedcloudVersion {
    package static let text = "0.1.0"
}
