import CLinux
import Glibc
import NIOCore
import Synchronization

/// Tells event loops that a socket of libpq is ready.
///
/// NIO offers no way to watch a foreign descriptor without reading it, so one thread of the process waits in `epoll_wait`
/// and does nothing but hand the news to the socket's loop. Each `arm` reports at most once (`EPOLLONESHOT`): a loop
/// that is behind is not told again and again, and bytes that libpq left in the socket are reported by the next `arm`.
@safe
final class SocketNotifier: Sendable {
    struct Interest: OptionSet, Sendable {
        let rawValue: UInt32
        static let read = Interest(rawValue: EPOLLIN.rawValue | EPOLLRDHUP.rawValue)
        static let write = Interest(rawValue: EPOLLOUT.rawValue)
    }
    private struct Watch {
        let eventLoop: any EventLoop
        let handler: @Sendable () -> Void
    }
    private struct State {
        var nextToken: UInt64 = 1
        var watches: [UInt64: Watch] = [:]
    }
    /// The one of this process; `nil` when the kernel refuses an epoll descriptor or a thread.
    static let shared: SocketNotifier? = {
        guard let notifier = SocketNotifier(), notifier.start() else { return nil }
        return notifier
    }()

    private let epoll: Int32
    private let state = Mutex(State())

    private init?() {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        if epoll < 0 { return nil }
    }

    /// The thread lives as long as the process.
    private func start() -> Bool {
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(self).toOpaque()
        let status = unsafe pthread_create(
            &thread, nil,
            { context in
                guard let context = unsafe context else { return nil }
                unsafe cl_name_thread("postgres-events")
                unsafe Unmanaged<SocketNotifier>.fromOpaque(context).takeUnretainedValue().run()
                return nil
            }, context)
        guard status == 0 else {
            unsafe Unmanaged<SocketNotifier>.fromOpaque(context).release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    /// `handler` runs on `eventLoop` after each report, until `unregister`.
    func register(on eventLoop: any EventLoop, _ handler: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            let token = state.nextToken
            state.nextToken += 1
            state.watches[token] = Watch(eventLoop: eventLoop, handler: handler)
            return token
        }
    }

    func unregister(_ token: UInt64) {
        state.withLock { state in _ = state.watches.removeValue(forKey: token) }
    }

    /// Reports once when `socket` is ready for `interest` or broken.
    ///
    /// epoll(7): changes made by `epoll_ctl` take effect on an `epoll_wait` that is under way, so nobody needs waking.
    /// A closed descriptor leaves the set by itself, hence the second attempt with `EPOLL_CTL_ADD`.
    func arm(_ token: UInt64, socket: Int32, for interest: Interest) -> Bool {
        var event = unsafe epoll_event()
        unsafe event.events = interest.rawValue | EPOLLONESHOT.rawValue
        unsafe event.data.u64 = token
        if unsafe epoll_ctl(epoll, EPOLL_CTL_MOD, socket, &event) == 0 { return true }
        return unsafe epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) == 0
    }

    private func run() {
        let capacity = 64
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: capacity)
        while true {
            let count = unsafe epoll_wait(epoll, events, Int32(capacity), -1)
            if count < 0 { continue }
            for index in 0..<Int(count) {
                let token = unsafe events[index].data.u64
                guard let watch = state.withLock({ state in state.watches[token] }) else { continue }
                watch.eventLoop.execute(watch.handler)
            }
        }
    }
}
