import CLibvirt
import CLinux
import Foundation

/// libvirt's event loop: one a process, on a thread of its own, for as long as the process lives.
///
/// libvirt's manual of `virEventRegisterDefaultImpl`: "Once registered, the application has to invoke
/// virEventRunDefaultImpl() in a loop to process events. Failure to do so may result in connections being closed
/// unexpectedly as a result of keepalive timeout. … This function should be called before virConnectOpen".
enum EventLoop {
    /// Starts the loop on first use.
    static func start() { _ = isStarted }

    private static let isStarted: Bool = {
        // What libvirt has to say comes back as errors; it does not also write to standard error.
        unsafe virSetErrorFunc(nil, { _, _ in })
        guard virEventRegisterDefaultImpl() == 0 else { return false }
        Thread.detachNewThread {
            unsafe cl_name_thread("libvirt-events")
            while true {
                // One connection that ends badly is no reason to leave the others alone.
                if virEventRunDefaultImpl() != 0 { usleep(10_000) }
            }
        }
        return true
    }()
}
