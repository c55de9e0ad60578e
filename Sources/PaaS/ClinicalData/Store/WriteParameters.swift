import NIOCore
import PostgresDriver

/// The arguments of `fhir.write`: operations and their index rows as flat arrays.
struct WriteParameters {
    private var kinds: [Int16] = []
    private var types: [Int16] = []
    private var ids: [String?] = []
    private var expected: [Int32] = []
    private var contents: [ByteBuffer?] = []
    private var hashes: [Int64] = []
    private var indexKinds: [Int16] = []
    private var patients: [String?] = []

    private var tokens = (op: [Int32](), param: [Int32](), system: [String?](), code: [String?]())
    private var strings = (op: [Int32](), param: [Int32](), folded: [String?](), value: [String?]())
    private var dates = (op: [Int32](), param: [Int32](), low: [Int64?](), high: [Int64?]())
    private var references = (op: [Int32](), param: [Int32](), type: [Int16](), id: [String?]())
    private var quantities = (
        op: [Int32](), param: [Int32](), low: [String?](), high: [String?](), system: [String?](), code: [String?](),
        unit: [String?]()
    )
    private var uris = (op: [Int32](), param: [Int32](), value: [String?]())

    init(_ operations: [WriteOperation]) {
        for (offset, operation) in operations.enumerated() {
            kinds.append(operation.kind.rawValue)
            types.append(operation.type.code)
            ids.append(operation.id)
            expected.append(operation.expectedVersion ?? 0)
            contents.append(operation.content)
            hashes.append(operation.index?.hash ?? 0)
            patients.append(operation.index?.patient)
            indexKinds.append(append(operation.index, Int32(offset + 1)))
        }
    }

    /// Returns which index tables get rows: the bits of `fhir.resource.index_kinds`.
    private mutating func append(_ rows: IndexRows?, _ op: Int32) -> Int16 {
        guard let rows else { return 0 }
        for row in rows.tokens {
            tokens.op.append(op)
            tokens.param.append(row.parameter)
            tokens.system.append(row.system)
            tokens.code.append(row.code)
        }
        for row in rows.strings {
            strings.op.append(op)
            strings.param.append(row.parameter)
            strings.folded.append(row.folded)
            strings.value.append(row.value)
        }
        for row in rows.dates {
            dates.op.append(op)
            dates.param.append(row.parameter)
            dates.low.append(row.low)
            dates.high.append(row.high)
        }
        for row in rows.references {
            references.op.append(op)
            references.param.append(row.parameter)
            references.type.append(row.targetType)
            references.id.append(row.targetID)
        }
        for row in rows.quantities {
            quantities.op.append(op)
            quantities.param.append(row.parameter)
            quantities.low.append(row.low)
            quantities.high.append(row.high)
            quantities.system.append(row.system)
            quantities.code.append(row.code)
            quantities.unit.append(row.unit)
        }
        for row in rows.uris {
            uris.op.append(op)
            uris.param.append(row.parameter)
            uris.value.append(row.value)
        }
        let present: [Bool] = [
            !rows.tokens.isEmpty, !rows.strings.isEmpty, !rows.dates.isEmpty, !rows.references.isEmpty,
            !rows.quantities.isEmpty, !rows.uris.isEmpty,
        ]
        return present.enumerated().reduce(0) { $1.element ? $0 | 1 << Int16($1.offset) : $0 }
    }

    /// In the order of the function's parameters.
    func values(_ audit: AuditContext) -> [PostgresValue] {
        [
            .int2Array(kinds), .int2Array(types), .textArray(ids), .int4Array(expected), .utf8Array(contents),
            .int8Array(hashes), .int2Array(indexKinds), .textArray(patients),
            .int4Array(tokens.op), .int4Array(tokens.param), .textArray(tokens.system), .textArray(tokens.code),
            .int4Array(strings.op), .int4Array(strings.param), .textArray(strings.folded), .textArray(strings.value),
            .int4Array(dates.op), .int4Array(dates.param), .timestamptzArray(dates.low), .timestamptzArray(dates.high),
            .int4Array(references.op), .int4Array(references.param), .int2Array(references.type),
            .textArray(references.id),
            .int4Array(quantities.op), .int4Array(quantities.param), .numericArray(quantities.low),
            .numericArray(quantities.high), .textArray(quantities.system), .textArray(quantities.code),
            .textArray(quantities.unit),
            .int4Array(uris.op), .int4Array(uris.param), .textArray(uris.value),
        ] + audit.values
    }

    static let statement = PostgresStatement(
        """
        select outcome, version, last_updated
        from fhir.write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
            $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40)
        """)
}
