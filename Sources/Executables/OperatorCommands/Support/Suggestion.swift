/// Finds the name a person most likely meant.
package enum Suggestion {
    /// The candidate nearest to `word`, or nil when none is near enough to be meant.
    ///
    /// Near enough: at most a third of the word's letters differ (at least one may, two from five letters on),
    /// or the word is the beginning of the candidate. Ties go to the earlier name in alphabetical order.
    package static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
        let wanted = word.lowercased()
        guard !wanted.isEmpty else { return nil }
        let allowed = max(wanted.count >= 5 ? 2 : 1, wanted.count / 3)
        var best: (name: String, distance: Int)?
        for candidate in candidates.sorted() {
            let name = candidate.lowercased()
            let isPrefix = wanted.count >= 2 && name.hasPrefix(wanted)
            let distance = isPrefix ? 1 : distance(wanted, name)
            guard distance <= allowed else { continue }
            if best.map({ distance < $0.distance }) ?? true { best = (candidate, distance) }
        }
        return best?.name
    }

    /// " Did you mean “h1”?" or "" — ready to append to a message.
    package static func hint(for word: String, among candidates: some Sequence<String>) -> String {
        nearest(to: word, among: candidates).map { " Did you mean \"\($0)\"?" } ?? ""
    }

    /// Edit distance with swapped neighbours counted as one (optimal string alignment).
    package static func distance(_ left: String, _ right: String) -> Int {
        let a = Array(left)
        let b = Array(right)
        if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in 1...a.count {
            var row = [i] + [Int](repeating: 0, count: b.count)
            for j in 1...b.count {
                let substitution = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
                row[j] = min(last[j] + 1, row[j - 1] + 1, substitution)
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                    row[j] = min(row[j], beforeLast[j - 2] + 1)
                }
            }
            beforeLast = last
            last = row
        }
        return last[b.count]
    }
}
