/// The name–value pairs of a query string or a form body, decoded, in order, duplicates kept.
package struct HTTPQuery: Sendable, Hashable {
    /// One pair.
    package struct Parameter: Sendable, Hashable {
        package let name: String
        package let value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Why a query could not be read.
    package enum Failure: Error, Sendable, Hashable, CustomStringConvertible {
        /// The value of the named parameter, or a name when nil.
        case undecodable(PercentCoding.Failure, parameter: String?)
        /// More pairs than ``maximumParameters``.
        case tooManyParameters

        /// One sentence for people.
        package var description: String {
            switch self {
            case .undecodable(let failure, let name?):
                "The value of '\(name.prefix(100))' cannot be decoded: \(failure)."
            case .undecodable(let failure, nil): "The name of a parameter cannot be decoded: \(failure)."
            case .tooManyParameters: "A query has at most \(HTTPQuery.maximumParameters) parameters."
            }
        }

        /// The parameter to blame, when it is known.
        package var parameter: String? {
            guard case .undecodable(_, let name) = self else { return nil }
            return name
        }
    }

    /// Pairs a query may have at most: FHIR searches with long `_id` lists use commas, not repetition.
    package static let maximumParameters = 1000

    package var parameters: [Parameter]

    package init(_ parameters: [Parameter] = []) {
        self.parameters = parameters
    }

    /// Reads `a=1&b=2`. Empty parts (`a=1&&b=2`) are skipped, a part without `=` has the value "".
    package init(parsing text: some StringProtocol) throws(Failure) {
        var parameters: [Parameter] = []
        for part in Array(text.utf8).split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: true) {
            guard parameters.count < Self.maximumParameters else { throw .tooManyParameters }
            let split = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            var known: String?
            do {
                let name = try PercentCoding.decode(part[..<split], plusIsSpace: true)
                known = name
                let value = try PercentCoding.decode(part[split...].dropFirst(), plusIsSpace: true)
                parameters.append(Parameter(name: name, value: value))
            } catch {
                throw .undecodable(error, parameter: known)
            }
        }
        self.parameters = parameters
    }

    /// The first value of `name`.
    package func first(_ name: String) -> String? {
        parameters.first { $0.name == name }?.value
    }

    /// All values of `name`, in order.
    package func all(_ name: String) -> [String] {
        parameters.filter { $0.name == name }.map(\.value)
    }

    /// The only value of `name`; nil when there is none or more than one (OAuth 2.0 forbids repetition).
    package func only(_ name: String) -> String? {
        let values = all(name)
        return values.count == 1 ? values[0] : nil
    }

    /// The pairs as text again, every reserved character encoded.
    package var text: String {
        parameters.map { PercentCoding.encode($0.name) + "=" + PercentCoding.encode($0.value) }.joined(separator: "&")
    }
}

/// A request target (RFC 9112 §3.2.1, origin form) split into decoded path segments and raw query.
package struct RequestTarget: Sendable, Hashable {
    /// Decoded segments without the slashes. `/a//b` and `/a/../b` are refused, a trailing slash is dropped.
    package let segments: [String]
    /// What follows `?`, undecoded, without it; "" when there is none.
    package let query: String

    package init(parsing target: some StringProtocol) throws(PercentCoding.Failure) {
        let bytes = Array(target.utf8)
        let split = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.endIndex
        guard bytes.first == UInt8(ascii: "/") else { throw .brokenEscape }
        var path = bytes[..<split].dropFirst()
        if path.last == UInt8(ascii: "/") { path = path.dropLast() }
        var segments: [String] = []
        if !path.isEmpty {
            for part in path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
                let segment = try PercentCoding.decode(part, plusIsSpace: false)
                // A dot segment or an encoded slash means one thing to us and another to a proxy: neither is a name.
                guard !segment.isEmpty, segment != ".", segment != "..", !segment.utf8.contains(UInt8(ascii: "/"))
                else { throw .brokenEscape }
                segments.append(segment)
            }
        }
        self.segments = segments
        self.query = String(decoding: bytes[split...].dropFirst(), as: UTF8.self)
    }
}
