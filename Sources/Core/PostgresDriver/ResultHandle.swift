import CLibPQ

/// Owns one `PGresult`.
///
/// libpq's manual, "Behavior in Threaded Programs": "PGresult objects are normally read-only after creation, and so can
/// be passed around freely between threads."
@safe
final class ResultHandle: @unchecked Sendable {
    // The pointer is never changed, the result is only read, and it is freed once, when nobody holds it any more.
    private let pointer: OpaquePointer

    /// Takes ownership.
    init(_ pointer: OpaquePointer) {
        unsafe self.pointer = unsafe pointer
    }

    deinit {
        unsafe PQclear(pointer)
    }

    var status: ExecStatusType { unsafe PQresultStatus(pointer) }
    var rowCount: Int { Int(unsafe PQntuples(pointer)) }
    var columnCount: Int { Int(unsafe PQnfields(pointer)) }

    /// Bytes that libpq holds for the result.
    var memorySize: Int { unsafe PQresultMemorySize(pointer) }

    var commandTag: String {
        guard let text = unsafe PQcmdStatus(pointer) else { return "" }
        return unsafe String(cString: text)
    }

    /// Rows touched by INSERT, UPDATE, DELETE, MERGE, COPY or returned by SELECT; 0 for other commands.
    var affectedRows: Int {
        guard let text = unsafe PQcmdTuples(pointer) else { return 0 }
        return unsafe Int(String(cString: text)) ?? 0
    }

    func columnName(_ column: Int) -> String {
        guard let text = unsafe PQfname(pointer, Int32(column)) else { return "" }
        return unsafe String(cString: text)
    }

    func columnType(_ column: Int) -> UInt32 { unsafe PQftype(pointer, Int32(column)) }

    func isNull(row: Int, column: Int) -> Bool {
        unsafe PQgetisnull(pointer, Int32(row), Int32(column)) == 1
    }

    /// The bytes of a value, valid inside `body` only; empty for NULL.
    @inline(__always)
    func withBytes<R, Failure: Error>(
        row: Int, column: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        let length = Int(unsafe PQgetlength(pointer, Int32(row), Int32(column)))
        let start = unsafe PQgetvalue(pointer, Int32(row), Int32(column))
        return try unsafe body(UnsafeRawBufferPointer(start: start, count: length))
    }

    /// The error report of a failed result.
    func error() -> PostgresError {
        let sqlState = field(PGDiagnosticSQLState)
        return PostgresError(
            // Without a SQLSTATE it is libpq that speaks, not the server.
            sqlState == nil ? .connection : .server,
            field(PGDiagnosticMessage) ?? message,
            sqlState: sqlState,
            detail: field(PGDiagnosticDetail),
            hint: field(PGDiagnosticHint),
            constraint: field(PGDiagnosticConstraint),
            schema: field(PGDiagnosticSchema),
            table: field(PGDiagnosticTable),
            column: field(PGDiagnosticColumn))
    }

    private var message: String {
        guard let text = unsafe PQresultErrorMessage(pointer) else { return "" }
        return unsafe String(cString: text)
    }

    /// The field codes are characters (`postgres_ext.h`).
    private func field(_ code: Int) -> String? {
        guard let text = unsafe PQresultErrorField(pointer, Int32(code)) else { return nil }
        return unsafe String(cString: text)
    }
}
