import CloudHTTP
import CloudModel
import HTTPTypes
import ModuleKit
import StrictJSON

// Every list of `/v1` is read in pages, by `?limit=` and `?after=`; an answer names the next page in `next`.
//
// The value of `after` is the list's path and the key of the last item seen. It is no secret and gives no right: each page
// is asked for anew in the name of the caller. So it is checked, not signed.

/// What one part of a list's key may be.
enum PageKeyPart: Sendable {
    /// 1 to 255 bytes.
    case text
    /// From 1.
    case number

    fileprivate func allows(_ text: String) -> Bool {
        switch self {
        case .text: (1...255).contains(text.utf8.count)
        case .number: Int64(text).map { $0 > 0 && String($0) == text } ?? false
        }
    }
}

extension Route {
    /// The query parameters of every list.
    static let pageNames: Set<String> = ["after", "limit"]

    /// A list.
    ///
    /// - Parameter filters: query parameters besides those of a page.
    static func list(
        _ pattern: String, _ operationID: String, filters: Set<String> = [], handler: @escaping Handler
    ) -> Route {
        Route(
            .get, pattern, operationID, audience: .anyPrincipal, queryNames: filters.union(pageNames), handler: handler)
    }
}

extension GatewayRequest {
    /// The page that is asked for.
    ///
    /// - Parameter key: the parts of the list's key.
    /// - Throws: 400 naming the parameter that is wrong or was given twice.
    func page(by key: PageKeyPart...) throws(Problem) -> PageRequest {
        var limit = PageRequest.defaultLimit
        if let text = try parameter("limit") {
            guard let number = Int(text), (1...PageRequest.maximumLimit).contains(number) else {
                throw .parameter("limit", "must be from 1 to \(PageRequest.maximumLimit)")
            }
            limit = number
        }
        guard let text = try parameter("after") else { return PageRequest(limit: limit) }
        guard text.utf8.count <= 4096, let bytes = Base64URL.decode(text),
            let parts = String(validating: bytes, as: UTF8.self)?.split(
                separator: PageLink.separator, omittingEmptySubsequences: false
            ).map(String.init),
            parts.count == key.count + 1, parts[0] == path,
            zip(key, parts.dropFirst()).allSatisfy({ part, text in part.allows(text) })
        else { throw .parameter("after", "must be taken from the next of a page of this list") }
        return PageRequest(after: Array(parts.dropFirst()), limit: limit)
    }

    /// The value of a query parameter that may be given once.
    func parameter(_ name: String) throws(Problem) -> String? {
        let values = query.all(name)
        guard values.count <= 1 else { throw .parameter(name, "given more than once") }
        return values.first
    }
}

extension Problem {
    /// 400: a query parameter is wrong.
    static func parameter(_ name: String, _ detail: String) -> Problem {
        Problem(
            .invalidInput, "The parameter \(name) is wrong: \(detail).",
            fields: [Problem.Field(pointer: "query:" + name, detail: detail)])
    }
}

extension ModuleResponse {
    /// A page as JSON: `{"items": […], "next": "…"}`; without `next` on the last one.
    ///
    /// - Parameters:
    ///   - pinned: query parameters that the next page must have though the request did not give them.
    ///   - head: what the answer says of the whole list.
    static func page<Item>(
        _ page: Page<Item>, _ request: GatewayRequest, pinned: [HTTPQuery.Parameter] = [],
        head: [HTTPQuery.Parameter] = [], write: (Item, inout JSONWriter) -> Void
    ) -> ModuleResponse {
        .json(.ok) { writer in
            writer.object { body in
                for member in head { body.member(member.name, member.value) }
                body.arrayMember("items") { items in
                    for item in page.items { write(item, &items) }
                }
                if let key = page.next { body.member("next", PageLink.text(request, after: key, pinned: pinned)) }
            }
        }
    }
}

private enum PageLink {
    /// In no path and no key: Postgres stores no U+0000.
    static let separator: Character = "\0"

    /// The same question, from there on.
    static func text(_ request: GatewayRequest, after key: [String], pinned: [HTTPQuery.Parameter]) -> String {
        let position = ([request.path] + key).joined(separator: String(separator))
        var parameters = request.query.parameters.filter { $0.name != "after" } + pinned
        parameters.append(HTTPQuery.Parameter(name: "after", value: Base64URL.encode(position.utf8)))
        return request.path + "?" + HTTPQuery(parameters).text
    }
}
