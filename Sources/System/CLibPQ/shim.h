#pragma once
#include <libpq-fe.h>

// The fields of an error report: character macros, which Swift does not import.
enum {
    PGDiagnosticSQLState = PG_DIAG_SQLSTATE,
    PGDiagnosticMessage = PG_DIAG_MESSAGE_PRIMARY,
    PGDiagnosticDetail = PG_DIAG_MESSAGE_DETAIL,
    PGDiagnosticHint = PG_DIAG_MESSAGE_HINT,
    PGDiagnosticConstraint = PG_DIAG_CONSTRAINT_NAME,
    PGDiagnosticSchema = PG_DIAG_SCHEMA_NAME,
    PGDiagnosticTable = PG_DIAG_TABLE_NAME,
    PGDiagnosticColumn = PG_DIAG_COLUMN_NAME,
};
