import CloudModel
import Foundation

/// The rules of a tenant's fields, checked before anything is sent.
package enum TenantRules {
    package static func checkID(_ id: String) throws {
        guard TenantID(id) != nil else {
            throw CommandFailure(
                .usage,
                "\"\(id)\" cannot be a tenant's name: use a lower-case letter, then up to 30 letters, digits or "
                    + "hyphens, not ending in a hyphen; \"region\" is taken.")
        }
    }

    /// An IANA time zone.
    package static func checkTimeZone(_ name: String) throws {
        let known = TimeZone.knownTimeZoneIdentifiers
        guard known.contains(name) || name == "UTC" || (name.contains("/") && TimeZone(identifier: name) != nil) else {
            let hint = Suggestion.hint(for: name, among: known + ["UTC"])
            throw CommandFailure(
                .usage,
                "\"\(name)\" is not a time zone.\(hint) Use an IANA name such as Asia/Shanghai or Europe/Berlin.")
        }
    }

    /// A BCP 47 language tag whose language is one of ISO 639.
    package static func checkLanguage(_ tag: String) throws {
        let parts = tag.split(separator: "-", omittingEmptySubsequences: false)
        let subtags = parts.dropFirst().allSatisfy { part in
            (1...8).contains(part.count) && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
        }
        let language = parts.first.map(String.init) ?? ""
        let known = Locale.LanguageCode.isoLanguageCodes.map(\.identifier).filter { $0.count == 2 }
        let shape = (2...3).contains(language.count) && language.allSatisfy { $0.isASCII && $0.isLowercase }
        guard shape, subtags, language.count == 3 || known.contains(language) else {
            throw CommandFailure(
                .usage, "\"\(tag)\" is not a language: use a BCP 47 tag such as en, de or zh-Hans.")
        }
    }

    static func checkKind(_ kind: String) throws(CommandFailure) {
        let kinds = ["bureau", "hospital", "clinic", "pharmacy", "partner"]
        guard kinds.contains(kind) else {
            throw CommandFailure(
                .usage,
                "\"\(kind)\" is no kind of tenant; there are \(kinds.joined(separator: ", "))."
                    + Suggestion.hint(for: kind, among: kinds))
        }
    }

    /// `KEY=VALUE` texts as a dictionary.
    static func labels(_ texts: [String]) throws(CommandFailure) -> [String: String] {
        var labels: [String: String] = [:]
        for text in texts {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw CommandFailure(.usage, "--label \(text) must be KEY=VALUE.")
            }
            labels[String(parts[0])] = String(parts[1])
        }
        return labels
    }
}
