import ClinicalData

/// How the resources of a transaction refer to each other before they have their ids (FHIR R4 bundle.html#references).
struct EntryLinks: Sendable {
    private let anywhere: ReferenceRewriter
    /// For the entries whose full URLs begin with the same root, what stands before `Type/id`.
    private var byRoot: [String: ReferenceRewriter] = [:]

    /// - Parameters:
    ///   - identities: The id that each request's resource has here; nil where there is none.
    ///   - others: More links, for all entries.
    ///   - base: The FHIR base.
    init(requests: [WriteRequest], identities: [String?], others: [String: String], base: String) {
        var links = others
        var relative: [String: [String: String]] = [:]
        for (request, id) in zip(requests, identities) {
            guard let id, let fullURL = request.fullURL, !fullURL.isEmpty else { continue }
            let reference = request.type.name + "/" + id
            // What has this URL already is referred to as it is.
            guard fullURL != base + "/" + reference, fullURL != reference else { continue }
            links[fullURL] = reference
            guard let place = Self.place(of: request), place.path != reference else { continue }
            relative[place.root, default: [:]][place.path] = reference
        }
        anywhere = ReferenceRewriter(links: links)
        for (root, own) in relative {
            byRoot[root] = ReferenceRewriter(links: links.merging(own) { given, _ in given })
        }
    }

    /// What is to be replaced in a request's resource.
    ///
    /// A relative reference is taken from the place of the entry that it stands in: from `http://a/Observation/1` the path
    /// `Patient/2` leads to the entry `http://a/Patient/2`.
    func rewriter(for request: WriteRequest) -> ReferenceRewriter {
        guard !byRoot.isEmpty, let root = Self.place(of: request)?.root else { return anywhere }
        return byRoot[root] ?? anywhere
    }

    /// `http://a/Patient/2` as `http://a` and `Patient/2`; nil when the URL is no place of a resource of the request's type.
    private static func place(of request: WriteRequest) -> (root: String, path: String)? {
        guard let fullURL = request.fullURL, fullURL.hasPrefix("http://") || fullURL.hasPrefix("https://") else {
            return nil
        }
        let parts = fullURL.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count > 4, parts[parts.count - 2] == request.type.name else { return nil }
        return (parts.dropLast(2).joined(separator: "/"), parts.suffix(2).joined(separator: "/"))
    }
}
