/// One column of a result.
package struct PostgresColumn: Sendable, Hashable {
    package let name: String
    /// The type's object identifier in `pg_type`.
    package let type: UInt32
}

/// The rows of one statement. Values are decoded when they are read; the memory is libpq's and is freed with the last
/// copy of the result.
package struct PostgresResult: Sendable, RandomAccessCollection {
    let handle: ResultHandle
    /// The number of rows.
    package let count: Int

    init(_ handle: ResultHandle) {
        self.handle = handle
        count = handle.rowCount
    }

    /// The number of rows.
    package var rows: Int { count }
    package var startIndex: Int { 0 }
    package var endIndex: Int { count }

    package subscript(row: Int) -> PostgresRow {
        precondition(row >= 0 && row < count, "row out of range")
        return PostgresRow(handle: handle, row: row)
    }

    package var columns: [PostgresColumn] {
        (0..<handle.columnCount).map { column in
            PostgresColumn(name: handle.columnName(column), type: handle.columnType(column))
        }
    }

    /// What the server says it did, as `INSERT 0 1`.
    package var commandTag: String { handle.commandTag }

    /// Rows inserted, updated, deleted, merged, copied or returned.
    package var affectedRows: Int { handle.affectedRows }
}
