import Foundation
package import TenantManifest
import Yams

/// One document of a YAML file: its value, and where each part of it stands.
package struct YAMLSource: Sendable {
    package let value: ManifestValue
    /// Line numbers from 1 by JSON pointer. A member is where its key is; elements of lists are known by their name or id too.
    package let lines: [String: Int]

    /// The line of the nearest thing around `pointer` that has one.
    package func line(of pointer: String) -> Int {
        var pointer = pointer
        while true {
            if let line = lines[pointer] { return line }
            guard let slash = pointer.lastIndex(of: "/") else { return 1 }
            pointer = String(pointer[..<slash])
        }
    }
}

/// Why a text is not the YAML we take: where, and one sentence without the final stop.
package struct YAMLFailure: Error, Sendable, Hashable {
    package let line: Int
    package let message: String
}

/// Reads the part of YAML 1.2 that is JSON with comments: mappings with plain keys, lists, texts, numbers, `true`, `false`,
/// `null`. `no` and `on` are texts. Tags are refused; anchors are followed within bounds.
package struct YAMLReader {
    package static let maximumBytes = 256 * 1024
    package static let maximumDocuments = 1000
    /// How often a file may refer to its anchors, and how many values a document may have with what they stand for: what is
    /// short to write must not be long to read.
    package static let maximumAliases = 16
    package static let maximumValues = 20_000
    private static let maximumDepth = 32

    private var lines: [String: Int] = [:]
    private var count = 0

    /// Every document of a file. Empty documents are left out.
    package static func documents(_ bytes: [UInt8]) throws(YAMLFailure) -> [YAMLSource] {
        guard bytes.count <= maximumBytes else {
            throw YAMLFailure(line: 1, message: "the file is larger than \(maximumBytes / 1024) KiB")
        }
        // YAML 1.2.2 §5.2: a byte order mark may begin a stream.
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        guard let text = String(validating: bytes.dropFirst(bytes.starts(with: mark) ? mark.count : 0), as: UTF8.self)
        else {
            throw YAMLFailure(line: 1, message: "the file is not UTF-8 text")
        }
        try refuseManyAliases(text)
        var sources: [YAMLSource] = []
        do {
            let parser = try Parser(yaml: text, encoding: .utf8)
            while let root = try parser.nextRoot() {
                guard sources.count < maximumDocuments else {
                    throw YAMLFailure(
                        line: root.mark?.line ?? 1, message: "the file has more than \(maximumDocuments) documents")
                }
                var reader = YAMLReader()
                let value = try reader.value(root, at: "", depth: 0)
                if value != .null { sources.append(YAMLSource(value: value, lines: reader.lines)) }
            }
        } catch {
            throw (error as? YAMLFailure) ?? failure(error)
        }
        return sources
    }

    /// Counts what may be an alias: an asterisk before a name at the beginning of a word. Texts and comments that look alike
    /// count too, which is well within the bound. It happens before parsing, which follows aliases by itself.
    private static func refuseManyAliases(_ text: String) throws(YAMLFailure) {
        var found = 0
        var line = 1
        var before: Character = "\n"
        var star = false
        for character in text {
            if star, !character.isWhitespace, !",[]{}".contains(character) {
                found += 1
                guard found <= maximumAliases else {
                    throw YAMLFailure(
                        line: line, message: "a file may refer to anchors at most \(maximumAliases) times")
                }
            }
            star = character == "*" && (before.isWhitespace || "[{,:".contains(before))
            if character.isNewline { line += 1 }
            before = character
        }
    }

    private static func failure(_ error: any Error) -> YAMLFailure {
        switch error {
        case YamlError.parser(_, let problem, let mark, _) where problem.contains("nesting level"):
            return YAMLFailure(
                line: mark.line, message: "the document is nested deeper than \(maximumDepth) levels")
        case YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
            YamlError.composer(_, let problem, let mark, _):
            return YAMLFailure(line: mark.line, message: "this is not YAML: \(problem)")
        case YamlError.reader(let problem, let offset, _, let yaml):
            let line = yaml.utf8.prefix(offset ?? 0).count { $0 == 0x0A } + 1
            return YAMLFailure(line: line, message: "this is not YAML: \(problem)")
        case YamlError.duplicatedKeysInMapping(let duplicates, let context):
            return YAMLFailure(
                line: context.mark.line, message: "the key \"\(duplicates.first ?? "")\" is there twice")
        default:
            return YAMLFailure(line: 1, message: "this is not YAML")
        }
    }

    private mutating func value(_ node: Node, at pointer: String, depth: Int) throws(YAMLFailure) -> ManifestValue {
        let line = node.mark?.line ?? 1
        count += 1
        guard count <= Self.maximumValues else {
            throw YAMLFailure(line: line, message: "the document has more than \(Self.maximumValues) values")
        }
        guard depth < Self.maximumDepth else {
            throw YAMLFailure(line: line, message: "the document is nested deeper than \(Self.maximumDepth) levels")
        }
        if lines[pointer] == nil { lines[pointer] = line }
        switch node {
        case .scalar(let scalar): return try Self.scalar(scalar, line: line)
        case .sequence(let sequence):
            var elements: [ManifestValue] = []
            for (index, element) in sequence.enumerated() {
                let place = "\(pointer)/\(index)"
                elements.append(try value(element, at: place, depth: depth + 1))
                name(elements[index], at: place, in: pointer)
            }
            return .array(elements)
        case .mapping(let mapping):
            var members: [ManifestValue.Member] = []
            for (key, member) in mapping {
                guard case .scalar(let scalar) = key else {
                    throw YAMLFailure(line: key.mark?.line ?? line, message: "a key must be a plain word")
                }
                let place = JSONPointer.appending(scalar.string, to: pointer)
                lines[place] = scalar.mark?.line ?? line
                members.append(
                    .init(key: scalar.string, value: try value(member, at: place, depth: depth + 1)))
            }
            return .object(members)
        case .alias:
            throw YAMLFailure(line: line, message: "an anchor that is not there is referred to")
        }
    }

    /// Lets an element of a list be found by its name too, as plans name it.
    private mutating func name(_ element: ManifestValue, at place: String, in list: String) {
        guard case .object(let members) = element else { return }
        let named = ["id", "name"].lazy.compactMap { key -> String? in
            guard case .string(let text)? = members.first(where: { $0.key == key })?.value else { return nil }
            return text
        }.first
        guard let named else { return }
        let alias = JSONPointer.appending(named, to: list)
        for (pointer, line) in lines where pointer == place || pointer.hasPrefix(place + "/") {
            let other = alias + pointer.dropFirst(place.count)
            if lines[other] == nil { lines[other] = line }
        }
    }

    /// The core schema of YAML 1.2 (§10.3.2), without octal and hexadecimal numbers.
    private static func scalar(_ scalar: Node.Scalar, line: Int) throws(YAMLFailure) -> ManifestValue {
        let tag = scalar.tag.description
        guard tag.isEmpty || tag == "!" || tag == "tag:yaml.org,2002:str" else {
            throw YAMLFailure(line: line, message: "tags such as \(tag.prefix(40)) are not allowed")
        }
        let text = scalar.string
        guard scalar.style == .plain, tag.isEmpty else { return .string(text) }
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        let digits = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
        if !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) {
            return Int64(text).map { .integer($0) } ?? .number(text)
        }
        let isNumeric = digits.allSatisfy { (0x30...0x39).contains($0) || ".eE+-".utf8.contains($0) }
        if isNumeric, Double(text) != nil { return .number(text) }
        return .string(text)
    }
}
