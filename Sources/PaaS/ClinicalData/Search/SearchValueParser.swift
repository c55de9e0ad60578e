/// Reads the values of one parameter by the rules of its kind.
struct SearchValueParser {
    let parameter: DeclaredParameter
    /// The parameter's name with modifier and chain as the caller wrote it.
    let written: String
    let baseURL: String
    /// Every type of the definitions, for references that may point at anything.
    let anyType: [ResourceType]

    /// One alternative, still escaped.
    func test(_ value: String, _ kind: SearchParameter.Kind, _ modifier: String?) throws(SearchError) -> IndexTest {
        switch kind {
        case .token: modifier == "text" ? try text(value, .prefix) : try token(value)
        case .string: try string(value, modifier)
        case .date: .date(try date(value))
        case .reference: modifier == "identifier" ? try token(value) : try reference(value, type: modifier)
        case .number: .number(try number(value))
        case .quantity: try quantity(value)
        case .uri: .uri(IndexKey.bounded(SearchText.unescaped(value)))
        }
    }

    func ids(_ values: [String]) throws(SearchError) -> [String] {
        for value in values where !SearchText.isID(value) {
            throw invalid(value, "a logical id: 1 to 64 letters, digits, '-' or '.'")
        }
        return values
    }

    // MARK: Text

    private func string(_ value: String, _ modifier: String?) throws(SearchError) -> IndexTest {
        switch modifier {
        case "exact":
            let text = SearchText.unescaped(value)
            return .exact(folded: TextFolding.folded(text), value: text)
        case "contains": return try text(value, .contains)
        default: return try text(value, .prefix)
        }
    }

    private enum Match { case prefix, contains }

    private func text(_ value: String, _ match: Match) throws(SearchError) -> IndexTest {
        let folded = TextFolding.folded(SearchText.unescaped(value))
        guard !folded.isEmpty else { throw invalid(value, "text with at least one letter or digit") }
        return match == .prefix ? .prefix(folded) : .contains(folded)
    }

    // MARK: Tokens

    /// `code`, `system|code`, `|code`, `system|`.
    private func token(_ value: String) throws(SearchError) -> IndexTest {
        let parts = SearchText.split(value, at: UInt8(ascii: "|")).map(SearchText.unescaped)
        switch parts.count {
        case 1: return .token(system: nil, code: IndexKey.bounded(parts[0]))
        case 2 where parts[0].isEmpty && parts[1].isEmpty: break
        case 2:
            return .token(
                system: IndexKey.bounded(parts[0]), code: parts[1].isEmpty ? nil : IndexKey.bounded(parts[1]))
        default: break
        }
        throw invalid(value, "'code', 'system|code', '|code' or 'system|'")
    }

    // MARK: References

    /// `id`, `Type/id`, `Type/id/_history/1` (whose version is not looked at) or an absolute URL.
    private func reference(_ value: String, type modifier: String?) throws(SearchError) -> IndexTest {
        let text = SearchText.unescaped(value)
        let targets = parameter.targets.isEmpty ? anyType : parameter.targets
        var allowed = targets
        if let modifier {
            guard let type = targets.first(where: { $0.name == modifier }) else {
                throw SearchError(
                    .value, "'\(parameter.name)' does not refer to '\(modifier)'.", parameter: written,
                    validNames: targets.map(\.name))
            }
            allowed = [type]
        }
        if SearchText.isID(text) { return .reference(types: allowed.map(\.code), id: text) }
        switch ReferenceTarget(text, baseURL: baseURL) {
        case .local(let type, let id):
            guard allowed.contains(type) else {
                throw SearchError(
                    .value, "'\(written)' does not refer to '\(type.name)'.", parameter: written,
                    validNames: allowed.map(\.name))
            }
            return .reference(types: [type.code], id: id)
        case .other(let url):
            guard modifier == nil, SearchText.isAbsolute(url) else {
                throw invalid(value, "'id', 'Type/id' or an absolute URL")
            }
            let key = IndexKey.bounded(url)
            return url.contains("|") ? .reference(types: [0], id: key) : .canonical(key)
        }
    }

    // MARK: Dates and numbers

    func date(_ value: String) throws(SearchError) -> DateTest {
        let (prefix, written) = try prefixed(value)
        // The plus sign of an offset arrives as a space where it was not encoded; no date has a space.
        let text = String(written.map { $0 == " " ? "+" : $0 })
        guard let range = DateRange(text) else {
            throw invalid(value, "a date such as 2024, 2024-05, 2024-05-17 or 2024-05-17T08:30:00Z")
        }
        return DateTest(prefix: prefix, low: range.low, high: range.high)
    }

    private func number(_ value: String) throws(SearchError) -> NumberTest {
        guard let test = try decimal(value) else {
            throw invalid(value, "a decimal number such as 5, 5.40 or gt1e-3")
        }
        return test
    }

    /// A decimal with or without a prefix; nil when it is none.
    private func decimal(_ value: String) throws(SearchError) -> NumberTest? {
        let (prefix, text) = try prefixed(value)
        guard text.utf8.count <= 64, let range = DecimalRange(text) else { return nil }
        return NumberTest(prefix: prefix, value: text, low: range.low, high: range.high)
    }

    /// `5.4`, `5.4|http://unitsofmeasure.org|mg`, `5.4||mg`.
    private func quantity(_ value: String) throws(SearchError) -> IndexTest {
        let parts = SearchText.split(value, at: UInt8(ascii: "|")).map(SearchText.unescaped)
        guard parts.count == 1 || parts.count == 3, parts.count == 1 || !(parts[1].isEmpty && parts[2].isEmpty),
            let number = try decimal(parts[0])
        else {
            throw invalid(
                value, "a number, alone or with its unit, such as 5.4, gt5.4|http://unitsofmeasure.org|mg or 5.4||mg")
        }
        guard parts.count == 3 else { return .quantity(number, system: nil, code: nil) }
        return .quantity(
            number, system: parts[1].isEmpty ? nil : IndexKey.bounded(parts[1]),
            code: parts[2].isEmpty ? nil : IndexKey.bounded(parts[2]))
    }

    /// Takes the prefix off: two lower-case letters before what can begin a date or number.
    private func prefixed(_ value: String) throws(SearchError) -> (SearchPrefix, String) {
        let letters = value.utf8.prefix(2)
        guard letters.count == 2, letters.allSatisfy({ (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }) else {
            return (.eq, value)
        }
        guard let prefix = SearchPrefix(rawValue: String(value.prefix(2))) else {
            let next = value.utf8.dropFirst(2).first ?? 0
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next) || "+-.".utf8.contains(next) else {
                return (.eq, value)
            }
            throw SearchError(
                .unsupported, "'\(value.prefix(2))' in '\(written)=\(value)' is not a prefix.", parameter: written,
                validNames: parameter.prefixes.map(\.rawValue))
        }
        return (prefix, String(value.dropFirst(2)))
    }

    private func invalid(_ value: String, _ rule: String) -> SearchError {
        let shown = value.count > 100 ? value.prefix(100) + "…" : value[...]
        return SearchError(
            .value, "'\(shown)' is not a value of '\(written)', which is a \(parameter.kindName): expected \(rule).",
            parameter: written)
    }
}
