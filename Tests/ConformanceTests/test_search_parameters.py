"""Every declared (type, parameter, modifier, prefix) finds what it must and nothing else.

The resources are generated from the official definitions, fhirpathpy is the judge of the parameters' expressions, and
`blackbox.judge` of the rules of search.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from blackbox.queries import Query, queries

KINDS = ["token", "string", "date", "number", "quantity", "reference", "uri"]
#: Parameters over columns of the store; they have a test of their own below.
OWN_TESTS = {"_id", "_lastUpdated"}
#: Without an expression, or of a kind the product leaves out.
LEFT_OUT_KINDS = {"composite", "special"}
#: In the definitions, but the expression starts at another type, so nothing can ever match.
UNREACHABLE = {("Patient", "part-agree")}


def test_every_parameter_of_the_definitions_is_declared(judged):
    """All but special and composite ones, and none besides."""
    expected = {
        (base, parameter["code"])
        for parameter in judged.definitions.search_parameters
        if parameter["type"] not in LEFT_OUT_KINDS and parameter.get("expression")
        for base in parameter.get("base", [])
        if base not in ("Resource", "DomainResource")
    } - UNREACHABLE
    declared = {(type_name, name) for type_name, name, _ in judged.declared()}
    special = {(t, n) for t, n in declared if n.startswith("_")}
    assert expected - declared == set()
    assert (declared - special) - expected - UNREACHABLE == set()
    for type_name in judged.definitions.resource_types:
        if type_name == "AuditEvent":
            continue
        assert {"_id", "_lastUpdated", "_tag", "_profile", "_security"} <= {n for t, n in special if t == type_name}


@pytest.mark.parametrize("kind", KINDS)
def test_searches_find_what_matches_and_nothing_else(judged, kind: str):
    """Compares the ids the server finds with those the judge names."""
    work: list[tuple[str, Query, set[str]]] = []
    without: list[str] = []
    for type_name, code, declared_kind in judged.declared():
        if declared_kind != kind or code in OWN_TESTS or (type_name, code) in UNREACHABLE or type_name == "AuditEvent":
            continue
        resources = judged.resources[type_name]
        values = [judged.judge.items(resource, code) for resource in resources]
        seen, telling = set(), 0
        for query in queries(code, kind, values):
            if query.text in seen:
                continue
            seen.add(query.text)
            expected = {r["id"] for r, items in zip(resources, values, strict=True) if query.matches(items)}
            if expected and len(expected) < len(resources):
                telling += 1
                work.append((type_name, query, expected))
        if not telling:
            without.append(f"{type_name}.{code}")
    assert work
    assert not without, f"no pair of resources tells these apart: {without}"
    web, path, token = judged.tenant.fhir.web, judged.tenant.path, judged.tenant.token

    def ask(item: tuple[str, Query, set[str]]) -> str | None:
        type_name, query, expected = item
        url = f"{path}/{type_name}?{query.text}&_count=1000&_elements=id"
        answer = web.request("GET", url, None, {"Authorization": f"Bearer {token}"})
        shown = f"{type_name}?{query.name}={query.value}"
        if answer.status != 200:
            return f"{shown}: {answer.status} {answer.text[:300]}"
        found = {e["resource"]["id"] for e in answer.json().get("entry", []) if e["search"]["mode"] == "match"}
        if found != expected:
            return f"{shown}: missing {sorted(expected - found)}, wrong {sorted(found - expected)}"
        return None

    with ThreadPoolExecutor(4) as pool:
        wrong = [line for line in pool.map(ask, work, chunksize=16) if line]
    assert not wrong, f"{len(wrong)} of {len(work)} searches are wrong:\n" + "\n".join(wrong[:60])


def test_ids_and_last_updated_are_searched_on_every_type(judged):
    """The two parameters that are columns."""
    wrong = []
    for type_name, resources in judged.resources.items():
        if type_name == "AuditEvent":
            continue
        ids = sorted(r["id"] for r in resources)
        fhir = judged.tenant.fhir
        for query, expected in [
            ("_id=a0", ["a0"]), ("_id=a0,bare", ["a0", "bare"]), ("_id=none", []),
            ("_lastUpdated=gt2020-01-01", ids), ("_lastUpdated=lt2020-01-01", []), ("_lastUpdated=ge2020", ids),
            ("_lastUpdated=sa2020&_lastUpdated=eb2200", ids), ("_lastUpdated=2020-05", []),
        ]:
            found = sorted(fhir.ids(f"{type_name}?{query}&_count=1000"))
            if found != expected:
                wrong.append(f"{type_name}?{query}: {found}")
    assert not wrong, "\n".join(wrong)
