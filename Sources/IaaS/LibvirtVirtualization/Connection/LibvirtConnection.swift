import CLibvirt
import Virtualization

/// Owns one `virConnectPtr`.
///
/// libvirt's manual ("Python/C: threads"): "the libvirt library is thread safe … a single connection can be used by several
/// threads at once"; errors are kept by thread. Calls block until the daemon has answered, so they are made on
/// ``BlockingThreads`` only.
@safe
final class LibvirtConnection: @unchecked Sendable {
    // The pointer is never changed; libvirt locks what it points to; it is freed once, by the last holder.
    let pointer: OpaquePointer
    let isSimulated: Bool
    /// Of the callback, which holds the connection too; negative when there is none.
    private let callback: Int32

    /// Opens the connection and begins to report the lifecycle of domains.
    init(uri: String, report: @escaping @Sendable (InstanceEvent) -> Void) throws(VirtualizationError) {
        EventLoop.start()
        guard let pointer = unsafe virConnectOpen(uri) else { throw LibvirtFailure.last("connecting") }
        unsafe self.pointer = unsafe pointer
        isSimulated = unsafe virConnectGetType(pointer).map { unsafe String(cString: $0) } == "TEST"
        // Six questions without an answer, five seconds apart, and the connection counts as lost. The test driver has none.
        unsafe virConnectSetKeepAlive(pointer, 5, 6)
        let reporter = unsafe Unmanaged.passRetained(Reporter(report)).toOpaque()
        callback = unsafe virConnectDomainEventRegisterAny(
            pointer, nil, Int32(VIR_DOMAIN_EVENT_ID_LIFECYCLE.rawValue),
            unsafeBitCast(Self.lifecycle, to: virConnectDomainEventGenericCallback.self), reporter, Self.release)
        if callback < 0 { unsafe Unmanaged<Reporter>.fromOpaque(reporter).release() }
    }

    deinit {
        if callback >= 0 { unsafe virConnectDomainEventDeregisterAny(pointer, callback) }
        unsafe virConnectClose(pointer)
    }

    /// Whether the daemon still has this connection: "1 if alive, 0 if dead, -1 on error".
    var isAlive: Bool { unsafe virConnectIsAlive(pointer) == 1 }

    // MARK: Events

    private final class Reporter: Sendable {
        let report: @Sendable (InstanceEvent) -> Void
        init(_ report: @escaping @Sendable (InstanceEvent) -> Void) { self.report = report }
    }

    private static let release: virFreeCallback = { opaque in
        guard let opaque = unsafe opaque else { return }
        unsafe Unmanaged<Reporter>.fromOpaque(opaque).release()
    }

    private static let lifecycle: virConnectDomainEventCallback = { _, domain, event, detail, opaque in
        guard let opaque = unsafe opaque, let text = unsafe virDomainGetName(domain),
            let name = ResourceName(unsafe String(cString: text)), name.kind == .instance,
            let state = LibvirtConnection.state(event: event, detail: detail)
        else { return 0 }
        unsafe Unmanaged<Reporter>.fromOpaque(opaque).takeUnretainedValue().report(
            InstanceEvent(name: name, state: state))
        return 0
    }

    private static func state(event: Int32, detail: Int32) -> DomainState? {
        switch virDomainEventType(rawValue: UInt32(event)) {
        case VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_RESUMED: .running
        case VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_PMSUSPENDED: .paused
        case VIR_DOMAIN_EVENT_SHUTDOWN: .shuttingDown
        case VIR_DOMAIN_EVENT_CRASHED: .crashed
        case VIR_DOMAIN_EVENT_STOPPED:
            detail == Int32(VIR_DOMAIN_EVENT_STOPPED_CRASHED.rawValue)
                || detail == Int32(VIR_DOMAIN_EVENT_STOPPED_FAILED.rawValue) ? .crashed : .shutOff
        default: nil
        }
    }
}
