import ClinicalData
import NIOCore
import StrictJSON

/// Applies patches to resources.
enum Patching {
    /// - Parameter patch: A JSON Patch, which is an array, or a JSON Merge Patch, which is an object.
    /// - Throws: 400 for a patch that is none, 422 for one that does not fit this resource (a failed `test` included).
    static func apply(_ patch: JSONDocument, to current: StoredResource, place: String) throws -> JSONDocument {
        do {
            let served = try JSONDocument(Array(current.bytes.readableBytesView))
            let bytes =
                try JSONMergePatch(parsing: patch)?.apply(to: served)
                ?? JSONPatch(parsing: patch).apply(to: served)
            let patched = try JSONDocument(bytes)
            guard patched.root["id"]?.stringIs(current.id) == true,
                patched.root["resourceType"]?.stringIs(current.type.name) == true
            else {
                throw FHIRFailure(422, "business-rule", "A patch cannot change a resource's type or id.")
            }
            return patched
        } catch let failure as FHIRFailure {
            throw failure.placed(place)
        } catch let failure as JSONPatch.Failure {
            throw self.failure(failure).placed(place)
        } catch let error as JSONError {
            throw FHIRFailure(422, "processing", "The patched resource is not valid: \(error.message)").placed(place)
        }
    }

    private static func failure(_ failure: JSONPatch.Failure) -> FHIRFailure {
        switch failure {
        case .malformed(let operation, let reason):
            FHIRFailure(400, "structure", "Operation \(operation): \(reason).", at: "[\(operation)]")
        case .path(let operation, let path):
            FHIRFailure(422, "processing", "Operation \(operation): '\(path)' leads nowhere.", at: "[\(operation)]")
        case .test(let operation, let path):
            FHIRFailure(
                422, "processing", "Operation \(operation): the test of '\(path)' failed.", at: "[\(operation)]")
        }
    }
}
