import StrictJSON

/// A JSON value under change: opened only along the paths that a patch walks, bytes everywhere else.
indirect enum PatchTree {
    case leaf(JSONNode)
    case object([(key: String, value: PatchTree)])
    case array([PatchTree])

    /// The path leads nowhere.
    struct Missing: Error {}

    /// One level of containers instead of a leaf.
    private var opened: PatchTree {
        guard case .leaf(let node) = self else { return self }
        switch node.kind {
        case .object: return .object(node.members.map { ($0.key, .leaf($0.value)) })
        case .array: return .array(node.elements.map { .leaf($0) })
        case .string, .number, .true, .false, .null: return self
        }
    }

    func value(at path: ArraySlice<String>) throws(Missing) -> PatchTree {
        guard let token = path.first else { return self }
        switch opened {
        case .object(let members):
            guard let member = members.first(where: { $0.key == token }) else { throw Missing() }
            return try member.value.value(at: path.dropFirst())
        case .array(let elements):
            return try elements[Self.index(token, below: elements.count)].value(at: path.dropFirst())
        case .leaf: throw Missing()
        }
    }

    /// RFC 6902 §4.1: sets a member, inserts into an array (`-` = at its end), or becomes the whole.
    mutating func insert(_ value: PatchTree, at path: ArraySlice<String>) throws(Missing) {
        guard let token = path.first else {
            self = value
            return
        }
        let isLast = path.count == 1
        switch opened {
        case .object(var members):
            if let index = members.firstIndex(where: { $0.key == token }) {
                if isLast {
                    members[index].value = value
                } else {
                    try members[index].value.insert(value, at: path.dropFirst())
                }
            } else {
                guard isLast else { throw Missing() }
                members.append((token, value))
            }
            self = .object(members)
        case .array(var elements):
            if isLast {
                let index = token == "-" ? elements.count : try Self.index(token, below: elements.count + 1)
                elements.insert(value, at: index)
            } else {
                try elements[Self.index(token, below: elements.count)].insert(value, at: path.dropFirst())
            }
            self = .array(elements)
        case .leaf: throw Missing()
        }
    }

    mutating func replace(at path: ArraySlice<String>, with value: PatchTree) throws(Missing) {
        guard let token = path.first else {
            self = value
            return
        }
        switch opened {
        case .object(var members):
            guard let index = members.firstIndex(where: { $0.key == token }) else { throw Missing() }
            try members[index].value.replace(at: path.dropFirst(), with: value)
            self = .object(members)
        case .array(var elements):
            try elements[Self.index(token, below: elements.count)].replace(at: path.dropFirst(), with: value)
            self = .array(elements)
        case .leaf: throw Missing()
        }
    }

    mutating func remove(at path: ArraySlice<String>) throws(Missing) -> PatchTree {
        guard let token = path.first else { throw Missing() }
        let isLast = path.count == 1
        let removed: PatchTree
        switch opened {
        case .object(var members):
            guard let index = members.firstIndex(where: { $0.key == token }) else { throw Missing() }
            removed = isLast ? members.remove(at: index).value : try members[index].value.remove(at: path.dropFirst())
            self = .object(members)
        case .array(var elements):
            let index = try Self.index(token, below: elements.count)
            removed = isLast ? elements.remove(at: index) : try elements[index].remove(at: path.dropFirst())
            self = .array(elements)
        case .leaf: throw Missing()
        }
        return removed
    }

    /// RFC 7396 §2.
    mutating func merge(_ patch: JSONNode) {
        guard patch.kind == .object else {
            self = .leaf(patch)
            return
        }
        var members: [(key: String, value: PatchTree)] = []
        if case .object(let own) = opened { members = own }
        for (key, value) in patch.members.map({ ($0.key, $0.value) }) {
            let index = members.firstIndex { $0.key == key }
            switch (index, value.kind) {
            case (let index?, .null): members.remove(at: index)
            case (nil, .null): continue
            case (let index?, _): members[index].value.merge(value)
            case (nil, _):
                var added = PatchTree.object([])
                added.merge(value)
                members.append((key, added))
            }
        }
        self = .object(members)
    }

    /// RFC 6901 §4: digits without a leading zero.
    private static func index(_ token: String, below limit: Int) throws(Missing) -> Int {
        let digits = token.utf8
        guard !digits.isEmpty, digits.count <= 9, digits.allSatisfy({ (48...57).contains($0) }),
            digits.count == 1 || digits.first != 48, let index = Int(token), index < limit
        else { throw Missing() }
        return index
    }

    func write(to writer: inout JSONWriter) {
        switch self {
        case .leaf(let node):
            writer.raw(node.rawBytes)
        case .object(let members):
            writer.object { writer in
                for member in members {
                    writer.key(member.key)
                    member.value.write(to: &writer)
                }
            }
        case .array(let elements):
            writer.array { writer in
                for element in elements { element.write(to: &writer) }
            }
        }
    }

    /// RFC 6902 §4.6: members in any order, numbers by value.
    func equals(_ other: PatchTree) -> Bool {
        switch (opened, other.opened) {
        case (.object(let left), .object(let right)):
            left.count == right.count
                && left.allSatisfy { member in
                    right.first { $0.key == member.key }.map { member.value.equals($0.value) } ?? false
                }
        case (.array(let left), .array(let right)):
            left.count == right.count && zip(left, right).allSatisfy { $0.equals($1) }
        case (.leaf(let left), .leaf(let right)):
            Self.equalScalars(left, right)
        default: false
        }
    }

    private static func equalScalars(_ left: JSONNode, _ right: JSONNode) -> Bool {
        guard left.kind == right.kind else { return false }
        switch left.kind {
        case .string: return left.string == right.string
        case .number: return DecimalText(left.rawBytes) == DecimalText(right.rawBytes)
        case .true, .false, .null: return true
        case .object, .array: return false
        }
    }
}

/// A JSON number as sign, significant digits and exponent, so that `1.0`, `1` and `10e-1` are equal.
struct DecimalText: Hashable {
    private var isNegative = false
    private var digits: [UInt8] = []
    /// The power of ten of the last digit.
    private var exponent = 0

    /// `text` is a number in JSON's grammar.
    init(_ text: some Sequence<UInt8>) {
        var fractionDigits = 0
        var isFraction = false
        var exponentText: [UInt8]?
        for byte in text {
            switch byte {
            case UInt8(ascii: "-") where exponentText == nil: isNegative = true
            case UInt8(ascii: "."): isFraction = true
            case UInt8(ascii: "e"), UInt8(ascii: "E"): exponentText = []
            default:
                if exponentText != nil {
                    exponentText?.append(byte)
                } else {
                    digits.append(byte)
                    if isFraction { fractionDigits += 1 }
                }
            }
        }
        let written = exponentText.map { String(decoding: $0, as: UTF8.self) } ?? "0"
        exponent = (Int(written) ?? 0) - fractionDigits
        digits = Array(digits.drop { $0 == UInt8(ascii: "0") })
        while digits.last == UInt8(ascii: "0") {
            digits.removeLast()
            exponent += 1
        }
        if digits.isEmpty {
            isNegative = false
            exponent = 0
        }
    }
}
