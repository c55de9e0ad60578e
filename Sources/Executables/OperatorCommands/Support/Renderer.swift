import ArgumentParser
import TenantManifest

/// How a command prints what it found.
package enum OutputFormat: String, Sendable, CaseIterable, ExpressibleByArgument {
    case table, json, yaml, name
}

/// The `-o` option of every command that prints data.
struct OutputOptions: ParsableArguments {
    @Option(name: [.customShort("o"), .long], help: "How to print: table, json, yaml or name (ids only).")
    var output: OutputFormat = .table
}

/// One renderer for every list and every object.
package struct Renderer: Sendable {
    /// A column of a table: its title and the member it shows; `path` may go through objects by dots.
    package struct Column: Sendable {
        let title: String
        let path: String
        /// Whether the member is a number of bytes, which people read with a unit.
        let isSize: Bool

        package init(_ title: String, _ path: String, isSize: Bool = false) {
            self.title = title
            self.path = path
            self.isSize = isSize
        }
    }

    package let format: OutputFormat
    package let columns: [Column]
    /// The member that `-o name` prints.
    package let name: String

    package init(format: OutputFormat, columns: [Column], name: String = "id") {
        self.format = format
        self.columns = columns
        self.name = name
    }

    /// The text of a list, without the last line end.
    package func list(_ items: [JSONValue]) -> String {
        switch format {
        case .table: table(items)
        case .json: JSONValue.array(items).serialized(pretty: true)
        case .yaml: items.isEmpty ? "[]" : YAMLText.document(.array(items))
        case .name: items.map { member(name, of: $0) }.joined(separator: "\n")
        }
    }

    /// The text of one object.
    package func object(_ item: JSONValue) -> String {
        switch format {
        case .table:
            columns.map { column in
                let title = column.title + ":"
                let pad = String(repeating: " ", count: max(1, 16 - title.count))
                return title + pad + text(column, of: item)
            }.joined(separator: "\n")
        case .json: item.serialized(pretty: true)
        case .yaml: YAMLText.document(item)
        case .name: member(name, of: item)
        }
    }

    private func value(_ path: String, of item: JSONValue) -> JSONValue? {
        path.split(separator: ".").reduce(item as JSONValue?) { value, part in value?[key: String(part)] }
    }

    private func member(_ path: String, of item: JSONValue) -> String {
        value(path, of: item)?.cell ?? ""
    }

    private func text(_ column: Column, of item: JSONValue) -> String {
        if column.isSize, let bytes = value(column.path, of: item)?.integer { return ByteSize.text(bytes) }
        return member(column.path, of: item)
    }

    private func table(_ items: [JSONValue]) -> String {
        let rows = [columns.map(\.title)] + items.map { item in columns.map { text($0, of: item) } }
        let widths = columns.indices.map { index in rows.map { $0[index].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (index, cell) in row.enumerated() {
                line += cell
                if index < row.count - 1 { line += String(repeating: " ", count: widths[index] - cell.count + 2) }
            }
            return line
        }.joined(separator: "\n")
    }
}

/// YAML 1.2 block text of a JSON value; strings are quoted whenever they could be read as something else.
package enum YAMLText {
    package static func document(_ value: JSONValue) -> String {
        lines(value, indent: 0).joined(separator: "\n")
    }

    private static func lines(_ value: JSONValue, indent: Int) -> [String] {
        let pad = String(repeating: " ", count: indent)
        switch value {
        case .object(let members) where !members.isEmpty:
            return members.sorted { $0.key < $1.key }.flatMap { key, member in
                if isBlock(member) {
                    return ["\(pad)\(scalar(key)):"] + lines(member, indent: indent + 2)
                }
                return ["\(pad)\(scalar(key)): \(inline(member))"]
            }
        case .array(let elements) where !elements.isEmpty:
            return elements.flatMap { element -> [String] in
                guard isBlock(element) else { return ["\(pad)- \(inline(element))"] }
                var inner = lines(element, indent: indent + 2)
                if let first = inner.first {
                    inner[0] = "\(pad)- \(first.dropFirst(indent + 2))"
                }
                return inner
            }
        default:
            return [pad + inline(value)]
        }
    }

    private static func isBlock(_ value: JSONValue) -> Bool {
        switch value {
        case .object(let members): !members.isEmpty
        case .array(let elements): !elements.isEmpty
        default: false
        }
    }

    private static func inline(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .object: "{}"
        case .array: "[]"
        case .string(let text): scalar(text)
        default: value.cell
        }
    }

    private static func scalar(_ text: String) -> String {
        let plainStart = text.first.map { $0.isLetter || $0 == "/" } ?? false
        let plain = text.allSatisfy { $0.isLetter || $0.isNumber || "-_./+@ ".contains($0) }
        let reserved: Set<String> = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
        if plainStart, plain, !text.hasSuffix(" "), !reserved.contains(text.lowercased()) { return text }
        return JSONValue.string(text).serialized(pretty: false)
    }
}
