import CloudHTTP
import StrictJSON

/// The API description as one HTML page: no script, nothing from elsewhere, readable on a phone and on paper.
struct DocsPage: Sendable {
    private let description: OpenAPIDescription

    init(_ description: OpenAPIDescription) {
        self.description = description
    }

    func html() -> String {
        let info = description.root["info"]
        let title = info?["title"]?.string ?? ""
        var page = """
            <!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(escaped(title)) API</title><style>\(DocsStyle.css)</style></head><body>
            <header><p class="version">version \(escaped(info?["version"]?.string ?? "")) ·
            <a href="/openapi.json">openapi.json</a></p><h1>\(escaped(title))</h1>
            <p class="lead">\(escaped(info?["summary"]?.string ?? ""))</p></header>
            """
        let tags = description.root["tags"].map(Array.init(elements:)) ?? []
        page += "<div class=\"page\"><nav aria-label=\"Contents\">"
        for tag in tags { page += contents(of: tag["name"]?.string ?? "") }
        page += "<h2><a href=\"#errors\">Errors</a></h2></nav><main>"
        page += paragraphs(info?["description"]?.string ?? "")
        for tag in tags { page += section(tag) }
        page += errors() + "</main></div></body></html>\n"
        return page
    }

    // MARK: Parts

    private func operations(of tag: String) -> [OpenAPIDescription.Operation] {
        description.operations.filter { $0.tag == tag }
    }

    private func contents(of tag: String) -> String {
        var text = "<h2><a href=\"#\(anchor(tag))\">\(escaped(tag))</a></h2><ul>"
        for operation in operations(of: tag) {
            text += "<li><a href=\"#\(operation.operationID)\">\(method(operation.method))"
            text += " \(escaped(operation.node["summary"]?.string ?? operation.operationID))</a></li>"
        }
        return text + "</ul>"
    }

    private func section(_ tag: JSONNode) -> String {
        let name = tag["name"]?.string ?? ""
        var text = "<section><h2 id=\"\(anchor(name))\">\(escaped(name))</h2>"
        text += paragraphs(tag["description"]?.string ?? "")
        for operation in operations(of: name) { text += article(operation) }
        return text + "</section>"
    }

    private func article(_ operation: OpenAPIDescription.Operation) -> String {
        let node = operation.node
        var text = "<article id=\"\(operation.operationID)\"><h3><a href=\"#\(operation.operationID)\">"
        text += escaped(node["summary"]?.string ?? "") + "</a></h3><p class=\"path\">\(method(operation.method)) <code>"
        text += path(operation.pattern) + "</code>"
        text += operation.isPublic ? "<span class=\"public\">no token needed</span>" : ""
        text += "</p>" + paragraphs(node["description"]?.string ?? "")
        text += parameters(node) + body(node) + responses(node)
        return text + "</article>"
    }

    private func parameters(_ node: JSONNode) -> String {
        let parameters = (node["parameters"].map(Array.init(elements:)) ?? []).map(description.resolved)
        guard !parameters.isEmpty else { return "" }
        var text = "<details><summary>Parameters (\(parameters.count))</summary><table>"
        for parameter in parameters {
            let isRequired = parameter["required"]?.bool == true
            text += "<tr><th><code>\(escaped(parameter["name"]?.string ?? ""))</code>"
            text += "<small>\(escaped(parameter["in"]?.string ?? ""))\(isRequired ? ", required" : "")</small></th>"
            text += "<td>\(escaped(parameter["description"]?.string ?? ""))</td></tr>"
        }
        return text + "</table></details>"
    }

    private func body(_ node: JSONNode) -> String {
        guard let content = node["requestBody"]?["content"] else { return "" }
        var text = "<details><summary>Body</summary>"
        for member in content.members {
            text += "<p><code>\(escaped(member.key))</code></p>"
            text += members(member.value["schema"]) + example(member.value)
        }
        return text + "</details>"
    }

    private func responses(_ node: JSONNode) -> String {
        guard let responses = node["responses"] else { return "" }
        var text = "<details><summary>Answers</summary><table>"
        for member in responses.members {
            let response = description.resolved(member.value)
            text += "<tr><th><span class=\"status s\(member.key.prefix(1))\">\(escaped(member.key))</span></th><td>"
            text += escaped(response["description"]?.string ?? "")
            for content in response["content"].map(Array.init(members:)) ?? [] {
                text += " <small><code>\(escaped(content.key))</code></small>" + example(content.value)
            }
            text += "</td></tr>"
        }
        return text + "</table></details>"
    }

    private func members(_ schema: JSONNode?) -> String {
        guard let schema = schema.map(description.resolved), let properties = schema["properties"] else { return "" }
        let required = Set((schema["required"].map(Array.init(elements:)) ?? []).compactMap(\.string))
        var text = "<table>"
        for member in properties.members {
            let isRequired = required.contains(member.key)
            text += "<tr><th><code>\(escaped(member.key))</code>\(isRequired ? "<small>required</small>" : "")</th><td>"
            text += escaped(member.value["description"]?.string ?? fixedValue(member.value)) + "</td></tr>"
        }
        return text + "</table>"
    }

    private func fixedValue(_ schema: JSONNode) -> String {
        if let fixed = schema["const"]?.string { return "always " + fixed }
        guard let values = schema["enum"] else { return "" }
        return "one of " + values.elements.compactMap(\.string).joined(separator: ", ")
    }

    private func example(_ content: JSONNode) -> String {
        guard let example = content["example"] else { return "" }
        return "<pre>\(escaped(IndentedJSON.text(example)))</pre>"
    }

    /// The codes of problems, which their `type` URIs lead to.
    private func errors() -> String {
        var text = "<section><h2 id=\"errors\">Errors</h2><p>The <code>code</code> of a problem, or of the first issue"
        text += " of an OperationOutcome that the gateway itself made.</p><table>"
        for code in ProblemCode.all {
            text += "<tr id=\"\(code.name)\"><th><code>\(code.name)</code></th>"
            text +=
                "<td><span class=\"status s\(code.status / 100)\">\(code.status)</span> \(escaped(code.title))</td></tr>"
        }
        return text + "</table></section>"
    }

    // MARK: Text

    private func method(_ name: String) -> String {
        "<span class=\"method \(name.lowercased())\">\(name)</span>"
    }

    /// The pattern with its parameters marked.
    private func path(_ pattern: String) -> String {
        escaped(pattern).replacing("{", with: "<var>{").replacing("}", with: "}</var>")
    }

    private func paragraphs(_ text: String) -> String {
        text.split(separator: "\n").map { "<p>\(code(escaped(String($0))))</p>" }.joined()
    }

    /// `like this` becomes code.
    private func code(_ text: String) -> String {
        let parts = text.split(separator: "`", omittingEmptySubsequences: false)
        guard parts.count > 1, parts.count % 2 == 1 else { return text }
        return parts.enumerated().map { $0.offset % 2 == 1 ? "<code>\($0.element)</code>" : String($0.element) }
            .joined()
    }

    private func anchor(_ name: String) -> String {
        name.lowercased().replacing(" ", with: "-")
    }

    private func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }
}

/// JSON as people read it.
enum IndentedJSON {
    static func text(_ node: JSONNode, indent: String = "") -> String {
        let inner = indent + "  "
        switch node.kind {
        case .object where node.count > 0:
            let members = node.members.map { inner + JSONText.quoted($0.key) + ": " + text($0.value, indent: inner) }
            return "{\n" + members.joined(separator: ",\n") + "\n" + indent + "}"
        case .array where node.count > 0:
            let elements = node.elements.map { inner + text($0, indent: inner) }
            return "[\n" + elements.joined(separator: ",\n") + "\n" + indent + "]"
        default:
            return String(decoding: node.rawBytes, as: UTF8.self)
        }
    }
}
