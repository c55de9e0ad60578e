/// What went wrong, as a client program switches on it. Every code is described in `docs/errors.md`.
package struct ProblemCode: Sendable, Hashable {
    /// Stable, lower-case, hyphenated: the `code` member and the end of the `type` URI.
    package let name: String
    /// The HTTP status that goes with it.
    package let status: Int
    /// One sentence for people that is the same for every occurrence (RFC 9457 `title`).
    package let title: String

    package init(_ name: String, status: Int, title: String) {
        self.name = name
        self.status = status
        self.title = title
    }
}

/// An error answer outside the FHIR base: RFC 9457 problem details with our `code`, the request's id and, for bad input,
/// one entry a field. Inside the FHIR base the same problem is rendered as an OperationOutcome by the module's edge.
///
/// `detail` is shown to the client: no patient data, no SQL, no file names.
package struct Problem: Error, Sendable, Hashable {
    /// One bad field of the input.
    package struct Field: Sendable, Hashable {
        /// JSON pointer into the body (`/displayName`), or `query:NAME`, `header:NAME`.
        package let pointer: String
        /// What is wrong with it and what would do.
        package let detail: String

        package init(pointer: String, detail: String) {
            self.pointer = pointer
            self.detail = detail
        }
    }

    /// A member of its own that a code has (RFC 9457 §3.2): what a program needs to decide what to do.
    package enum Extension: Sendable, Hashable {
        case text(String, String)
        case integer(String, Int64)
        case texts(String, [String])
    }

    package let code: ProblemCode
    package let detail: String
    package let fields: [Field]
    /// Members of the code's own; outside the FHIR base only.
    package let extensions: [Extension]
    /// Seconds after which a retry makes sense; sent as `Retry-After`.
    package let retryAfter: Int?
    /// Methods that the resource allows; sent as `Allow` with 405.
    package let allow: [String]

    package init(
        _ code: ProblemCode, _ detail: String = "", fields: [Field] = [], extensions: [Extension] = [],
        retryAfter: Int? = nil, allow: [String] = []
    ) {
        self.code = code
        self.detail = detail
        self.fields = fields
        self.extensions = extensions
        self.retryAfter = retryAfter
        self.allow = allow
    }

    package static let mediaType = "application/problem+json"

    /// The answer's body. `typeBase` is what the `type` URI begins with, e.g. `https://host/docs/errors`.
    package func body(requestID: String, typeBase: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        bytes.append(UInt8(ascii: "{"))
        JSONText.appendKey("type", first: true, to: &bytes)
        JSONText.append(typeBase + "#" + code.name, to: &bytes)
        JSONText.appendKey("title", to: &bytes)
        JSONText.append(code.title, to: &bytes)
        JSONText.appendKey("status", to: &bytes)
        bytes.append(contentsOf: String(code.status).utf8)
        if !detail.isEmpty {
            JSONText.appendKey("detail", to: &bytes)
            JSONText.append(detail, to: &bytes)
        }
        JSONText.appendKey("code", to: &bytes)
        JSONText.append(code.name, to: &bytes)
        JSONText.appendKey("requestId", to: &bytes)
        JSONText.append(requestID, to: &bytes)
        for member in extensions { Self.append(member, to: &bytes) }
        if !fields.isEmpty {
            JSONText.appendKey("errors", to: &bytes)
            bytes.append(UInt8(ascii: "["))
            for (index, field) in fields.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes.append(UInt8(ascii: "{"))
                JSONText.appendKey("pointer", first: true, to: &bytes)
                JSONText.append(field.pointer, to: &bytes)
                JSONText.appendKey("detail", to: &bytes)
                JSONText.append(field.detail, to: &bytes)
                bytes.append(UInt8(ascii: "}"))
            }
            bytes.append(UInt8(ascii: "]"))
        }
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }
    private static func append(_ member: Extension, to bytes: inout [UInt8]) {
        func key(_ name: String) {
            bytes.append(UInt8(ascii: ","))
            JSONText.append(name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
        }
        switch member {
        case .text(let name, let text):
            key(name)
            JSONText.append(text, to: &bytes)
        case .integer(let name, let value):
            key(name)
            bytes.append(contentsOf: String(value).utf8)
        case .texts(let name, let texts):
            key(name)
            bytes.append(UInt8(ascii: "["))
            for (index, text) in texts.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                JSONText.append(text, to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        }
    }
}
