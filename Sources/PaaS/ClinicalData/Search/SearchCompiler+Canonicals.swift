import PostgresDriver

// References by canonical URL (FHIR R4 references.html#canonical).

extension SearchCompiler {
    /// References `f` with the rows `u` of the `url` that they name; more conditions may follow with `and`.
    ///
    /// A canonical with a version has two rows, with and without it. What has no version names every version there is.
    mutating func canonical(_ link: CanonicalLink) -> String {
        let parameter = bindings.equals("f.param", link.parameters)
        let url = bindings.equals("u.param", link.urls)
        let version = bindings.equals("k.param", link.versions)
        let versioned = "from fhir.reference w where w.rid = f.rid and w.param = f.param and w.target_type = 0"
        // '}' is the character after '|'.
        return """
            fhir.reference f join fhir.uri u on u.value = f.target_id \
            where f.target_type = 0 and \(parameter) and \(url) and (\
            not exists (select 1 \(versioned) and w.target_id >= u.value || '|' and w.target_id < u.value || '}') \
            or exists (select 1 \(versioned) and w.target_id in \
            (select u.value || '|' || k.code from fhir.token k where k.rid = u.rid and \(version))))
            """
    }

    /// `questionnaire.title=x`: from the far end.
    mutating func canonicalChain(_ branch: ChainBranch) -> [String] {
        guard let link = branch.canonical else { return [] }
        let type = bindings.bind(.int2(branch.type))
        let inner = condition(branch.filter, on: "t", isResource: true)
        return [
            "select f.rid from \(canonical(link)) and u.rid in "
                + "(select t.rid from fhir.resource t where t.type = \(type) and not t.deleted and \(inner))"
        ]
    }

    /// `_has:QuestionnaireResponse:questionnaire:status=x`: from the referring end.
    mutating func canonicalReferredToBy(_ link: CanonicalLink, _ inner: SearchFilter, _ sourceType: Int16) -> String {
        let inner = referring(inner, sourceType)
        return "select u.rid from \(canonical(link)) and \(inner)"
    }
}
