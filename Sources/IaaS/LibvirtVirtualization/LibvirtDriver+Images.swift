import Foundation
import Logging
package import Virtualization

extension LibvirtDriver {
    package func images() async throws(VirtualizationError) -> [BaseImage] {
        try await call { [self] connection throws(VirtualizationError) in
            if connection.isSimulated { return [Simulation.image] }
            return try manifests(connection).map { manifest in
                BaseImage(
                    name: manifest.name, disk: manifest.capacity, memory: manifest.memory, sha256: manifest.disk.sha256)
            }
        }
    }

    /// The images whose files are all there.
    private func manifests(_ connection: LibvirtConnection) throws(VirtualizationError) -> [ImageManifest] {
        try unsafe connection.withPool(LibvirtStorage.imagePool) { pool throws(VirtualizationError) in
            unsafe connection.refresh(pool)
            let files = try unsafe connection.volumes(in: pool)
            var manifests: [ImageManifest] = []
            for file in files.sorted() where file.hasSuffix(".json") {
                let bytes = try unsafe connection.withVolume(file, in: pool) { volume throws(VirtualizationError) in
                    try unsafe connection.download(volume, from: 0, limit: 65_536)
                }
                guard let manifest = try? JSONDecoder().decode(ImageManifest.self, from: Data(bytes ?? [])),
                    file == manifest.name + ".json", manifest.files.allSatisfy({ files.contains($0.name) })
                else {
                    logger.warning(
                        "an image's manifest is damaged or names files that are not there",
                        metadata: ["file": "\(file)"])
                    continue
                }
                manifests.append(manifest)
            }
            return manifests
        }
    }

    /// The file that a new disk of `image` builds on, with its path on the host.
    func base(
        of image: String, on connection: LibvirtConnection
    ) throws(VirtualizationError) -> (path: String, capacity: Int64) {
        let file: String
        let capacity: Int64
        if connection.isSimulated {
            guard image == Simulation.image.name else {
                throw VirtualizationError(.notFound, "there is no image \(image)")
            }
            (file, capacity) = (Simulation.imageVolume, Simulation.image.disk)
        } else {
            guard let manifest = try manifests(connection).first(where: { $0.name == image }) else {
                throw VirtualizationError(.notFound, "there is no image \(image)")
            }
            (file, capacity) = (manifest.disk.name, manifest.capacity)
        }
        let path = try unsafe connection.withPool(LibvirtStorage.imagePool) { pool throws(VirtualizationError) in
            try unsafe connection.withVolume(file, in: pool) { volume throws(VirtualizationError) in
                try unsafe connection.path(of: volume)
            }
        }
        guard let path else { throw VirtualizationError(.notFound, "there is no image \(image)") }
        return (path, capacity)
    }

    /// Kernel and initial file system that belong to the disk file `base`: those of the version that the disk was made from,
    /// whatever the image is now.
    func kernel(
        ofBase base: String, on connection: LibvirtConnection
    ) throws(VirtualizationError) -> (kernel: String, initialFileSystem: String)? {
        let file = base.split(separator: "/").last.map(String.init) ?? base
        guard file.hasSuffix(".qcow2") else { return nil }
        let stem = file.dropLast(6)
        return try unsafe connection.withPool(LibvirtStorage.imagePool) { pool throws(VirtualizationError) in
            unsafe connection.refresh(pool)
            let kernel = try unsafe connection.withVolume("\(stem).kernel", in: pool) {
                volume throws(VirtualizationError) in
                try unsafe connection.path(of: volume)
            }
            let initial = try unsafe connection.withVolume("\(stem).initrd", in: pool) {
                volume throws(VirtualizationError) in
                try unsafe connection.path(of: volume)
            }
            guard let kernel, let initial else { return nil }
            return (kernel, initial)
        }
    }
}
