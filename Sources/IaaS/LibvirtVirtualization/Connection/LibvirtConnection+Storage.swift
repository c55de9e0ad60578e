import CLibvirt
import Glibc
import Virtualization

extension LibvirtConnection {
    /// Makes the pool and starts it; a pool that is there is started.
    /// - Parameter isOurs: whether the directory may be made; it must be there otherwise.
    func ensurePool(_ name: String, path: String, isOurs: Bool) throws(VirtualizationError) {
        let existing = unsafe virStoragePoolLookupByName(pointer, name)
        guard
            let pool = unsafe existing
                ?? virStoragePoolDefineXML(pointer, StorageXML.pool(name: name, path: path).serialized, 0)
        else { throw LibvirtFailure.last("defining the storage pool") }
        defer { unsafe virStoragePoolFree(pool) }
        if unsafe virStoragePoolIsActive(pool) == 1 { return }
        // "build" makes the directory; where it is there already, it leaves it.
        if isOurs, !isSimulated { unsafe virStoragePoolBuild(pool, 0) }
        unsafe virStoragePoolSetAutostart(pool, 1)
        guard unsafe virStoragePoolCreate(pool, 0) == 0 || virStoragePoolIsActive(pool) == 1 else {
            throw LibvirtFailure.last("starting the storage pool")
        }
    }

    func withPool<Result>(
        _ name: String, _ body: (OpaquePointer) throws(VirtualizationError) -> Result
    ) throws(VirtualizationError) -> Result {
        guard let pool = unsafe virStoragePoolLookupByName(pointer, name) else {
            throw LibvirtFailure.last("looking up the storage pool")
        }
        defer { unsafe virStoragePoolFree(pool) }
        return try unsafe body(pool)
    }

    /// Looks at the directory again, for files that did not come through libvirt. Two at once are refused by libvirt, and one
    /// is enough.
    func refresh(_ pool: OpaquePointer) {
        unsafe virStoragePoolRefresh(pool, 0)
    }

    /// Calls `body` with the volume, or returns nil when there is none of this name.
    func withVolume<Result>(
        _ name: String, in pool: OpaquePointer, _ body: (OpaquePointer) throws(VirtualizationError) -> Result
    ) throws(VirtualizationError) -> Result? {
        guard let volume = unsafe virStorageVolLookupByName(pool, name) else {
            if LibvirtFailure.lastSaysMissing { return nil }
            throw LibvirtFailure.last("looking up the volume")
        }
        defer { unsafe virStorageVolFree(volume) }
        return try unsafe body(volume)
    }

    func path(of volume: OpaquePointer) throws(VirtualizationError) -> String {
        guard let text = unsafe virStorageVolGetPath(volume) else { throw LibvirtFailure.last("reading the volume") }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }

    func capacity(of volume: OpaquePointer) throws(VirtualizationError) -> Int64 {
        var info = virStorageVolInfo()
        guard unsafe virStorageVolGetInfo(volume, &info) == 0 else { throw LibvirtFailure.last("reading the volume") }
        return Int64(info.capacity)
    }

    func resize(_ volume: OpaquePointer, to capacity: Int64) throws(VirtualizationError) {
        guard unsafe virStorageVolResize(volume, UInt64(capacity), 0) == 0 else {
            throw LibvirtFailure.last("growing the volume")
        }
    }

    func description(ofVolume volume: OpaquePointer) throws(VirtualizationError) -> XMLScan {
        guard let text = unsafe virStorageVolGetXMLDesc(volume, 0) else {
            throw LibvirtFailure.last("reading the volume")
        }
        defer { unsafe free(text) }
        return XMLScan(unsafe String(cString: text))
    }

    func createVolume(_ element: XMLElement, in pool: OpaquePointer) throws(VirtualizationError) {
        guard let volume = unsafe virStorageVolCreateXML(pool, element.serialized, 0) else {
            throw LibvirtFailure.last("creating the volume")
        }
        unsafe virStorageVolFree(volume)
    }

    func deleteVolume(_ name: String, in pool: OpaquePointer) throws(VirtualizationError) {
        try unsafe withVolume(name, in: pool) { volume throws(VirtualizationError) in
            guard unsafe virStorageVolDelete(volume, 0) == 0 else { throw LibvirtFailure.last("deleting the volume") }
        }
    }

    /// Names of the volumes in `pool`.
    func volumes(in pool: OpaquePointer) throws(VirtualizationError) -> [String] {
        var list: UnsafeMutablePointer<virStorageVolPtr?>?
        let count = unsafe virStoragePoolListAllVolumes(pool, &list, 0)
        guard count >= 0, let volumes = unsafe list else { throw LibvirtFailure.last("listing the volumes") }
        defer {
            for index in 0..<Int(count) { if let volume = unsafe volumes[index] { unsafe virStorageVolFree(volume) } }
            unsafe free(volumes)
        }
        return (0..<Int(count)).compactMap { index in
            guard let volume = unsafe volumes[index], let text = unsafe virStorageVolGetName(volume) else { return nil }
            return unsafe String(cString: text)
        }
    }

    // MARK: Content

    func upload(_ bytes: [UInt8], to volume: OpaquePointer) throws(VirtualizationError) {
        guard let stream = unsafe virStreamNew(pointer, 0) else { throw LibvirtFailure.last("uploading") }
        defer { unsafe virStreamFree(stream) }
        guard unsafe virStorageVolUpload(volume, stream, 0, UInt64(bytes.count), 0) == 0 else {
            throw LibvirtFailure.last("uploading")
        }
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe virStreamSend(
                    stream, buffer.baseAddress?.advanced(by: sent).assumingMemoryBound(to: CChar.self),
                    min(bytes.count - sent, 65_536))
            }
            guard count > 0 else {
                let failure = LibvirtFailure.last("uploading")
                unsafe virStreamAbort(stream)
                throw failure
            }
            sent += Int(count)
        }
        guard unsafe virStreamFinish(stream) == 0 else { throw LibvirtFailure.last("uploading") }
    }

    /// At most `limit` bytes from `offset` on; fewer at the end of the file.
    func download(
        _ volume: OpaquePointer, from offset: Int64, limit: Int
    ) throws(VirtualizationError) -> [UInt8] {
        guard limit > 0 else { return [] }
        guard let stream = unsafe virStreamNew(pointer, 0) else { throw LibvirtFailure.last("downloading") }
        defer { unsafe virStreamFree(stream) }
        guard unsafe virStorageVolDownload(volume, stream, UInt64(max(0, offset)), UInt64(limit), 0) == 0 else {
            throw LibvirtFailure.last("downloading")
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < limit {
            let count = unsafe buffer.withUnsafeMutableBytes { buffer in
                unsafe virStreamRecv(
                    stream, buffer.baseAddress?.assumingMemoryBound(to: CChar.self),
                    min(buffer.count, limit - bytes.count))
            }
            guard count >= 0 else {
                let failure = LibvirtFailure.last("downloading")
                unsafe virStreamAbort(stream)
                throw failure
            }
            if count == 0 { break }
            bytes += buffer.prefix(Int(count))
        }
        // A stream that is left before its end can only be aborted.
        if unsafe virStreamFinish(stream) != 0 { unsafe virStreamAbort(stream) }
        return bytes
    }
}
