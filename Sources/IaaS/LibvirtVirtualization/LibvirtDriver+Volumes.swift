package import Virtualization

extension LibvirtDriver {
    package func createDisk(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await call { [self] connection throws(VirtualizationError) in
            let file = Self.file(of: instance.name, .disk)
            try unsafe connection.withPool(LibvirtStorage.instancePool) { pool throws(VirtualizationError) in
                let capacity = try unsafe connection.withVolume(file, in: pool) { volume throws(VirtualizationError) in
                    try unsafe connection.capacity(of: volume)
                }
                if let capacity {
                    guard capacity == instance.disk else {
                        throw VirtualizationError(.conflict, "the disk is there with \(capacity) bytes")
                    }
                    return
                }
                let base = try base(of: instance.image, on: connection)
                guard instance.disk >= base.capacity else {
                    throw VirtualizationError(
                        .conflict, "the disk is smaller than the image's \(base.capacity) bytes")
                }
                try unsafe connection.createVolume(
                    StorageXML.overlay(name: file, capacity: instance.disk, base: base.path), in: pool)
            }
        }
    }

    package func growDisk(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        try await call { connection throws(VirtualizationError) in
            let file = Self.file(of: instance.name, .disk)
            try unsafe connection.withPool(LibvirtStorage.instancePool) { pool throws(VirtualizationError) in
                let present = try unsafe connection.withVolume(file, in: pool) { volume throws(VirtualizationError) in
                    let capacity = try unsafe connection.capacity(of: volume)
                    if capacity < instance.disk, !connection.isSimulated {
                        try unsafe connection.resize(volume, to: instance.disk)
                    }
                    return capacity
                }
                guard let present else {
                    throw VirtualizationError(.notFound, "there is no disk of \(instance.name)")
                }
                guard present <= instance.disk else {
                    throw VirtualizationError(.conflict, "the disk has \(present) bytes and does not shrink")
                }
                guard present < instance.disk, connection.isSimulated else { return }
                // The test driver cannot resize, and its volumes have no content to lose.
                try unsafe connection.deleteVolume(file, in: pool)
                try unsafe connection.createVolume(StorageXML.raw(name: file, capacity: instance.disk), in: pool)
            }
        }
    }

    package func createSeed(_ instance: InstanceSpecification) async throws(VirtualizationError) {
        let content = try InstanceSeed(instance).image
        try await call { connection throws(VirtualizationError) in
            let file = Self.file(of: instance.name, .seed)
            try unsafe connection.withPool(LibvirtStorage.instancePool) { pool throws(VirtualizationError) in
                let isThere = try unsafe connection.withVolume(file, in: pool) { _ in true }
                if isThere == nil {
                    try unsafe connection.createVolume(
                        StorageXML.raw(name: file, capacity: Int64(content.count)), in: pool)
                }
                // The test driver takes no content.
                guard !connection.isSimulated else { return }
                try unsafe connection.withVolume(file, in: pool) { volume throws(VirtualizationError) in
                    // What is right is left alone: a guest may be reading it.
                    let present = try unsafe connection.download(volume, from: 0, limit: content.count + 1)
                    if present != content { try unsafe connection.upload(content, to: volume) }
                }
            }
        }
    }

    package func removeVolumes(of name: ResourceName) async throws(VirtualizationError) {
        try await call { connection throws(VirtualizationError) in
            guard try unsafe connection.withDomain(name, { _ in true }) == nil else {
                throw VirtualizationError(.inUse, "the domain \(name) is still defined")
            }
            try unsafe connection.withPool(LibvirtStorage.instancePool) { pool throws(VirtualizationError) in
                for volume in InstanceVolume.allCases {
                    try unsafe connection.deleteVolume(Self.file(of: name, volume), in: pool)
                }
            }
        }
    }

    package func consoleLog(
        of name: ResourceName, from offset: Int64, limit: Int
    ) async throws(VirtualizationError) -> [UInt8] {
        try await call { connection throws(VirtualizationError) in
            guard !connection.isSimulated else {
                throw VirtualizationError(.unsupported, "the test hypervisor has no console")
            }
            let bytes = try unsafe connection.withPool(LibvirtStorage.instancePool) {
                pool throws(VirtualizationError) in
                try unsafe connection.withVolume(Self.file(of: name, .consoleLog), in: pool) {
                    volume throws(VirtualizationError) in
                    try unsafe connection.download(volume, from: offset, limit: min(limit, 1 << 20))
                }
            }
            guard let bytes else { throw VirtualizationError(.notFound, "there is no console log of \(name)") }
            return bytes
        }
    }

    static func file(of name: ResourceName, _ volume: InstanceVolume) -> String { "\(name).\(volume.rawValue)" }
}
