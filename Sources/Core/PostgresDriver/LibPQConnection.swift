import CLibPQ

/// Owns one `PGconn` in non-blocking mode. Used from one event loop only.
///
/// libpq's manual, "Behavior in Threaded Programs": "no two threads attempt to manipulate the same PGconn object at the
/// same time." Only `PQcancel` may run elsewhere, on its own object.
@safe
final class LibPQConnection {
    enum Progress { case reading, writing, done, failed }
    enum FlushProgress { case done, blocked, failed }
    /// What a result object says.
    enum Reply {
        case result(ResultHandle)
        case failure(PostgresError)
        case aborted, sync, copyIn, unexpected
    }
    private let connection: OpaquePointer
    private var values: [UnsafePointer<CChar>?] = unsafe []
    private var lengths: [Int32] = []
    private var formats: [Int32] = []

    /// Begins to connect (`PQconnectStartParams`).
    init(_ configuration: PostgresConfiguration) throws(PostgresError) {
        let parameters = configuration.parameters
        let connection = unsafe withCStrings(parameters.map(\.keyword)) { keywords in
            unsafe withCStrings(parameters.map(\.value)) { values in unsafe PQconnectStartParams(keywords, values, 0) }
        }
        guard let connection = unsafe connection else {
            throw PostgresError(.connection, "libpq has no memory for a connection")
        }
        unsafe self.connection = unsafe connection
        // So that the refusal of a connection carries its SQLSTATE.
        unsafe PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
        unsafe PQsetNoticeProcessor(connection, { _, _ in }, nil)
        if unsafe PQstatus(connection) == CONNECTION_BAD {
            throw connectionError()
        }
    }

    deinit {
        unsafe PQfinish(connection)
    }

    var socket: Int32 { unsafe PQsocket(connection) }
    var isBad: Bool { unsafe PQstatus(connection) == CONNECTION_BAD }
    var processID: Int32 { unsafe PQbackendPID(connection) }
    var transactionStatus: PGTransactionStatusType { unsafe PQtransactionStatus(connection) }

    /// One step of connecting; the socket may be another one after each.
    func connect() -> Progress {
        switch unsafe PQconnectPoll(connection) {
        case PGRES_POLLING_OK: .done
        case PGRES_POLLING_READING: .reading
        case PGRES_POLLING_WRITING: .writing
        default: .failed
        }
    }

    /// To be called once when connected.
    func becomeNonBlocking() -> Bool {
        unsafe PQsetErrorVerbosity(connection, PQERRORS_DEFAULT)
        return unsafe PQsetnonblocking(connection, 1) == 0 && enterPipeline()
    }

    func enterPipeline() -> Bool { unsafe PQenterPipelineMode(connection) == 1 }
    func exitPipeline() -> Bool { unsafe PQexitPipelineMode(connection) == 1 }
    func consumeInput() -> Bool { unsafe PQconsumeInput(connection) == 1 }
    var isBusy: Bool { unsafe PQisBusy(connection) == 1 }
    func sendSync() -> Bool { unsafe PQpipelineSync(connection) == 1 }
    func sendSimple(_ sql: String) -> Bool { unsafe PQsendQuery(connection, sql) == 1 }

    func flush() -> FlushProgress {
        switch unsafe PQflush(connection) {
        case 0: .done
        case 1: .blocked
        default: .failed
        }
    }

    func sendPrepare(name: String, sql: String, types: [UInt32]) -> Bool {
        unsafe PQsendPrepare(connection, name, sql, Int32(types.count), types) == 1
    }

    func sendExecute(name: String, parameters: EncodedParameters) -> Bool {
        unsafe parameters.bytes.withUnsafeBytes { bytes in
            unsafe values.removeAll(keepingCapacity: true)
            lengths.removeAll(keepingCapacity: true)
            formats.removeAll(keepingCapacity: true)
            for slot in parameters.slots {
                lengths.append(max(0, slot.length))
                formats.append(slot.format)
                // A value of no bytes still needs an address, or it would be a NULL.
                let start = unsafe bytes.baseAddress.map { base in unsafe base + slot.offset } ?? emptyValue
                unsafe values.append(slot.length < 0 ? nil : start.assumingMemoryBound(to: CChar.self))
            }
            return unsafe PQsendQueryPrepared(connection, name, Int32(values.count), values, lengths, formats, 1) == 1
        }
    }

    /// Sends a statement without parameters that is not worth preparing.
    func sendUnprepared(_ sql: String) -> Bool {
        unsafe PQsendQueryParams(connection, sql, 0, nil, nil, nil, nil, 1) == 1
    }

    /// The next result; `nil` ends the results of one statement. Call only when not busy.
    func nextReply() -> Reply? {
        guard let pointer = unsafe PQgetResult(connection) else { return nil }
        let handle = unsafe ResultHandle(pointer)
        switch handle.status {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: return .result(handle)
        case PGRES_FATAL_ERROR: return .failure(handle.error())
        case PGRES_PIPELINE_ABORTED: return .aborted
        case PGRES_PIPELINE_SYNC: return .sync
        case PGRES_COPY_IN: return .copyIn
        default: return .unexpected
        }
    }

    /// `nil` means that the buffer is full: wait until the socket takes more.
    func putCopyData(_ bytes: UnsafeRawBufferPointer) -> Bool? {
        guard let start = bytes.baseAddress else { return true }
        switch unsafe PQputCopyData(connection, start.assumingMemoryBound(to: CChar.self), Int32(bytes.count)) {
        case 1: return true
        case 0: return nil
        default: return false
        }
    }

    func putCopyEnd(error: String?) -> Bool { unsafe PQputCopyEnd(connection, error) == 1 }

    func nextNotification() -> PostgresNotification? {
        guard let pointer = unsafe PQnotifies(connection) else { return nil }
        defer { unsafe PQfreemem(pointer) }
        return unsafe PostgresNotification(
            channel: String(cString: pointer.pointee.relname), payload: String(cString: pointer.pointee.extra),
            processID: pointer.pointee.be_pid)
    }

    func makeCanceller() -> Canceller? {
        guard let pointer = unsafe PQgetCancel(connection) else { return nil }
        return unsafe Canceller(pointer)
    }

    /// The connection's last error.
    func connectionError() -> PostgresError {
        var text = ""
        if let message = unsafe PQerrorMessage(connection) {
            text = unsafe String(cString: message)
        }
        return PostgresError(.connection, text, sqlState: Self.sqlState(inVerbose: text))
    }

    /// Finds the SQLSTATE in a message of the form `FATAL:  28P01: text`.
    static func sqlState(inVerbose message: String) -> String? {
        for part in message.split(separator: ":").dropFirst().dropLast() {
            let word = part.drop { character in character == " " }
            // Each SQLSTATE has a digit; the severity, FATAL or PANIC, has none.
            if word.utf8.count == 5, word.contains(where: \.isNumber),
                word.utf8.allSatisfy({ byte in
                    (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"))
                        || (byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z"))
                })
            {
                return String(word)
            }
        }
        return nil
    }
}

/// Asks the server to stop what a connection is doing.
///
/// libpq's manual, `PQcancel`: "PQcancel can safely be invoked from a signal handler" and, under "Behavior in Threaded
/// Programs", from another thread: the object is a copy of what is needed and is not changed by the call.
@safe
final class Canceller: @unchecked Sendable {
    // The pointer never changes, PQcancel only reads what it points to, and it is freed once, by the last holder.
    private let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) {
        unsafe self.pointer = unsafe pointer
    }

    deinit {
        unsafe PQfreeCancel(pointer)
    }

    /// Blocks until the server has taken the request.
    func cancel() {
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            _ = unsafe PQcancel(pointer, buffer.baseAddress, Int32(buffer.count))
        }
    }
}

/// The address of a value without bytes. It is never read or written, so sharing it is safe.
nonisolated(unsafe) private let emptyValue: UnsafeRawPointer = UnsafeRawPointer(
    UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1))

/// A null-terminated array of C strings, valid inside `body`.
private func withCStrings<R>(_ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> R) -> R {
    var bytes: [CChar] = []
    var offsets: [Int] = []
    for string in strings {
        offsets.append(bytes.count)
        bytes.append(contentsOf: string.utf8.lazy.map(CChar.init(bitPattern:)))
        bytes.append(0)
    }
    return unsafe bytes.withUnsafeBufferPointer { buffer in
        var pointers: [UnsafePointer<CChar>?] = unsafe offsets.map { offset in
            unsafe buffer.baseAddress.map { base in unsafe base + offset }
        }
        unsafe pointers.append(nil)
        return unsafe pointers.withUnsafeBufferPointer { pointers in unsafe body(pointers.baseAddress) }
    }
}
