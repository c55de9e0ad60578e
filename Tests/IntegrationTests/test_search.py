"""Search: what the generated conformance suite does not cover — combinations, chains, includes, sorting, paging."""

from __future__ import annotations

import uuid
from urllib.parse import quote, urlencode

import pytest

from blackbox.fhir import Fhir, link, outcome
from blackbox.tokens import exchange


@pytest.fixture(scope="module")
def ward(new_tenant):
    """A tenant with a small, known population."""
    own = new_tenant()
    put = own.fhir.put
    put({"resourceType": "Organization", "id": "o1", "name": "North"})
    put({"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Welby"}]})
    for number, (family, given, birth, gender) in enumerate([
        ("Åström", "Zoë", "1980-05-06", "female"), ("Astrom", "Bo", "1980-05", "male"), ("李", "雷", "1975", "male"),
        ("O'Neil, Jr", "Pat|rick", "1990-12-31", "other"),
    ], 1):
        put({
            "resourceType": "Patient", "id": f"p{number}", "name": [{"family": family, "given": [given]}], "birthDate": birth,
            "gender": gender, "managingOrganization": {"reference": "Organization/o1"},
            "identifier": [{"system": "urn:mrn", "value": f"m{number}"}], "active": number != 2,
        })
    for number in range(1, 13):
        put({
            "resourceType": "Observation", "id": f"b{number}", "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4" if number % 2 else "9279-1"}]},
            "subject": {"reference": f"Patient/p{number % 4 + 1}"}, "performer": [{"reference": "Practitioner/d1"}],
            "effectiveDateTime": f"2024-{number:02}-15T10:00:00+08:00",
            "valueQuantity": {"value": number * 10, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
        })
    put({"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/p1"},
         "participant": [{"individual": {"reference": "Practitioner/d1"}}]})
    return own


@pytest.mark.parametrize(("query", "expected"), [
    ("Patient?family=astrom", "p1 p2"), ("Patient?family=ÅSTR", "p1 p2"), ("Patient?family:exact=Astrom", "p2"),
    ("Patient?family:contains=STRO", "p1 p2"), ("Patient?name=李", "p3"), ("Patient?name=雷", "p3"),
    ("Patient?family=O'Neil\\, Jr", "p4"), ("Patient?given=Pat\\|rick", "p4"), ("Patient?given=zoe,bo", "p1 p2"),
    ("Patient?family=astrom&given=bo", "p2"), ("Patient?gender=male,other", "p2 p3 p4"), ("Patient?gender:not=male", "p1 p4"),
    ("Patient?birthdate=1980", "p1 p2"), ("Patient?birthdate=1980-05-06", "p1"), ("Patient?birthdate=ge1980&birthdate=lt1981", "p1 p2"),
    ("Patient?birthdate=lt1976,gt1990", "p3"), ("Patient?identifier=urn:mrn|m3", "p3"), ("Patient?identifier=m3", "p3"),
    ("Patient?identifier=|m3", ""), ("Patient?identifier=urn:mrn|", "p1 p2 p3 p4"), ("Patient?active=false", "p2"),
    ("Patient?organization=Organization/o1", "p1 p2 p3 p4"), ("Patient?organization=o1&gender=female", "p1"),
    ("Patient?organization.name=north", "p1 p2 p3 p4"), ("Patient?organization:Organization.name=south", ""),
    ("Patient?general-practitioner:missing=true", "p1 p2 p3 p4"), ("Patient?_id=p1,p3", "p1 p3"), ("Patient?_id=p1&_id=p3", ""),
    ("Observation?code=http://loinc.org|8867-4&date=ge2024-06", "b7 b9 b11"), ("Observation?subject=Patient/p1", "b4 b8 b12"),
    ("Observation?patient=p2", "b1 b5 b9"), ("Observation?subject:Patient=p2", "b1 b5 b9"), ("Observation?patient.family=åström", "b1 b4 b5 b8 b9 b12"),
    ("Observation?subject:Patient.birthdate=1975", "b2 b6 b10"), ("Observation?value-quantity=ge110", "b11 b12"),
    ("Observation?value-quantity=lt20|http://unitsofmeasure.org|/min", "b1"), ("Observation?value-quantity=5e1", "b5"),
    ("Observation?date=2024-03-15", "b3"), ("Observation?date=sa2024-11-01", "b11 b12"), ("Observation?date=2024-03-15T02:00:00Z", "b3"),
    ("Observation?performer=Practitioner/d1&_id=b1", "b1"), ("Observation?_id=b1&subject:missing=true", ""),
    ("Patient?_has:Observation:patient:code=http://loinc.org|8867-4", "p2 p4"), ("Patient?_has:Observation:subject:value-quantity=120", "p1"),
    ("Patient?_has:Encounter:patient:status=finished", "p1"), ("Practitioner?_has:Observation:performer:code=9279-1", "d1"),
    ("Patient/p1/Observation", "b4 b8 b12"), ("Patient/p1/Observation?value-quantity=gt50", "b8 b12"), ("Patient/p1/Encounter", "e1"),
    ("Practitioner/d1/Observation?_id=b1,b2", "b1 b2"),
])
def test_searches_find(ward, query: str, expected: str):
    """One line a case."""
    path, _, rest = query.partition("?")
    pairs = "&".join("=".join(quote(p, safe=":") for p in pair.split("=", 1)) for pair in rest.split("&")) if rest else ""
    assert sorted(ward.fhir.ids(f"{path}?{pairs}")) == sorted(expected.split())


def test_post_search_is_the_same_search(ward):
    """POST _search with a form, at type and system level."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ward.fhir.send("POST", "Patient/_search", urlencode({"family": "åström"}), form)
    assert answer.status == 200, answer
    assert sorted(e["resource"]["id"] for e in answer.json()["entry"]) == ["p1", "p2"]
    answer = ward.fhir.send("POST", "Patient/_search?gender=male", urlencode({"family": "astrom"}), form)
    assert [e["resource"]["id"] for e in answer.json()["entry"]] == ["p2"]
    answer = ward.fhir.send("POST", "_search", urlencode({"_type": "Patient,Organization", "_id": "p1,o1"}), form)
    assert sorted(e["resource"]["id"] for e in answer.json()["entry"]) == ["o1", "p1"]


def test_system_level_search(ward):
    """`_type` limits the types; parameters common to all are allowed."""
    found = ward.fhir.search("?_type=Patient,Encounter&_count=3")
    assert sorted(r["id"] for r in found) == ["e1", "p1", "p2", "p3", "p4"]
    assert ward.fhir.get("?_type=NoSuch").status == 400


def test_include_and_revinclude(ward):
    """Included resources are marked, and come once."""
    bundle = ward.fhir.get("Observation?_id=b4,b8&_include=Observation:subject&_include=Observation:performer").json()
    modes = {(e["search"]["mode"], e["resource"]["id"]) for e in bundle["entry"]}
    assert modes == {("match", "b4"), ("match", "b8"), ("include", "p1"), ("include", "d1")}
    assert len(bundle["entry"]) == 4
    bundle = ward.fhir.get("Patient?_id=p1&_revinclude=Observation:subject&_revinclude=Encounter:patient").json()
    assert {e["resource"]["id"] for e in bundle["entry"]} == {"p1", "b4", "b8", "b12", "e1"}
    bundle = ward.fhir.get("Observation?_id=b4&_include=Observation:subject:Group").json()
    assert [e["resource"]["id"] for e in bundle["entry"]] == ["b4"]


def test_every_reference_to_a_match_is_included(ward):
    """`_revinclude=Type:*`: all references of the type that lead to what is searched."""
    one = ward.fhir.get("Patient?_id=p1&_revinclude=Observation:*")
    assert one.status == 200, one
    named = ward.fhir.get("Patient?_id=p1&_revinclude=Observation:subject").json()
    assert {e["fullUrl"] for e in one.json()["entry"]} == {e["fullUrl"] for e in named["entry"]}
    assert ward.fhir.get("Patient?_revinclude=Organization:*").status == 400


@pytest.mark.parametrize(("sort", "expected"), [
    ("_id", "p1 p2 p3 p4"), ("-_id", "p4 p3 p2 p1"), ("birthdate", "p3 p2 p1 p4"), ("-birthdate", "p4 p1 p2 p3"), ("gender,-_id", "p1 p3 p2 p4"),
    ("_lastUpdated", "p1 p2 p3 p4"), ("-_lastUpdated", "p4 p3 p2 p1"),
])
def test_sorting(ward, sort: str, expected: str):
    """By columns and by indexed values, over pages of one."""
    if sort == "birthdate":
        expected_sets = [expected.split(), ["p3", "p1", "p2", "p4"]]
    elif sort == "-birthdate":
        expected_sets = [expected.split(), ["p4", "p2", "p1", "p3"]]
    else:
        expected_sets = [expected.split()]
    assert ward.fhir.ids(f"Patient?_sort={sort}&_count=1") in expected_sets
    assert ward.fhir.ids(f"Patient?_sort={sort}") in expected_sets


def test_sorted_pages_keep_resources_without_the_value(ward):
    """No value sorts somewhere, but never drops a resource."""
    assert sorted(ward.fhir.ids("Patient?_sort=death-date&_count=2")) == ["p1", "p2", "p3", "p4"]
    assert sorted(ward.fhir.ids("Patient?_sort=-death-date,family&_count=1")) == ["p1", "p2", "p3", "p4"]


def test_total_summary_and_elements(ward):
    """Result parameters."""
    assert ward.fhir.get("Patient?_total=accurate&_count=1").json()["total"] == 4
    assert "total" not in ward.fhir.get("Patient?_total=none&_count=1").json()
    counted = ward.fhir.get("Patient?gender=male&_summary=count").json()
    assert (counted["total"], "entry" in counted) == (2, False)
    zero = ward.fhir.get("Patient?_count=0").json()
    assert not zero.get("entry")
    some = ward.fhir.get("Patient?_id=p1&_elements=gender").json()["entry"][0]["resource"]
    assert "gender" in some
    assert not {"name", "birthDate"} & set(some)
    assert "SUBSETTED" in {t["code"] for t in some["meta"]["tag"]}
    summary = ward.fhir.get("Patient?_id=p1&_summary=true").json()["entry"][0]["resource"]
    assert "name" in summary
    data = ward.fhir.get("Patient?_id=p1&_summary=data").json()["entry"][0]["resource"]
    assert "text" not in data
    text = ward.fhir.get("Patient?_id=p1&_summary=text").json()["entry"][0]["resource"]
    assert "name" not in text


def test_bundle_says_what_was_searched(ward):
    """self link, full URLs, modes."""
    bundle = ward.fhir.get("Patient?gender=male&_count=1").json()
    assert bundle["type"] == "searchset"
    assert "gender=male" in link(bundle, "self")
    assert link(bundle, "self").startswith(ward.base)
    assert bundle["entry"][0]["fullUrl"].startswith(f"{ward.base}/Patient/")
    assert "versionId" in bundle["entry"][0]["resource"]["meta"]


def test_paging_is_stable_while_the_data_change(new_tenant):
    """No unchanged resource is skipped or comes twice while others are written and deleted."""
    own = new_tenant()
    steady = {own.fhir.create({"resourceType": "Patient", "gender": "female"})["id"] for _ in range(40)}
    for query in ("Patient?_count=7", "Patient?_count=7&_sort=-_lastUpdated", "Patient?_count=7&gender=female&_sort=_id"):
        extra = [own.fhir.create({"resourceType": "Patient", "gender": "female"})["id"] for _ in range(5)]
        found, url, page = [], query, 0
        while url:
            bundle = own.fhir.get(url).json()
            found += [e["resource"]["id"] for e in bundle["entry"]]
            url = link(bundle, "next")
            page += 1
            own.fhir.create({"resourceType": "Patient", "gender": "female"})
            if extra:
                own.fhir.send("DELETE", f"Patient/{extra.pop()}")
            assert page < 40
        assert steady <= set(found), query
        assert len(found) == len(set(found)), query


def test_cursors_cannot_be_changed_or_moved(ward, h2):
    """Signed, tenant-bound, bound to their query."""
    following = link(ward.fhir.get("Patient?_count=1").json(), "next")
    assert following.startswith(ward.base)
    path = following.removeprefix(ward.base + "/")
    for position in range(len(path) - 40, len(path), 3):
        changed = path[:position] + ("A" if path[position] != "A" else "B") + path[position + 1:]
        answer = ward.fhir.get(changed)
        if answer.status == 200:
            assert [e["resource"]["id"] for e in answer.json()["entry"]] == [
                e["resource"]["id"] for e in ward.fhir.get(path).json()["entry"]]
        else:
            assert answer.status == 400
            outcome(answer)
    stolen = h2.fhir.get(path)
    assert stolen.status == 400
    outcome(stolen)
    assert ward.fhir.get(path.replace("Patient?", "Observation?")).status == 400


def test_unknown_parameters_are_refused_with_the_valid_names(ward):
    """Strict by default; lenient on request, and then said in link and outcome."""
    answer = ward.fhir.get("Patient?famly=x")
    assert answer.status == 400
    text = answer.text
    assert "famly" in text and "family" in text and "birthdate" in text
    outcome(answer)
    lenient = ward.fhir.get("Patient?famly=x&gender=female", Prefer="handling=lenient")
    assert lenient.status == 200
    bundle = lenient.json()
    assert "famly" not in link(bundle, "self") and "gender=female" in link(bundle, "self")
    matches = [e["resource"]["id"] for e in bundle["entry"] if e["search"]["mode"] == "match"]
    notes = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "outcome"]
    assert matches == ["p1"]
    assert notes and "famly" in str(notes)
    assert ward.fhir.get("Patient?famly=x", Prefer="handling=strict").status == 400


@pytest.mark.parametrize("query", [
    "Patient?birthdate=xx", "Patient?birthdate=zz1980", "Patient?birthdate=1980-13", "Patient?gender:exact=male", "Patient?family:not=x",
    "Patient?_count=-1", "Patient?_count=x", "Patient?_sort=nothing", "Patient?_total=maybe", "Patient?_summary=maybe", "Patient?_cursor=abc",
    "Patient?active:missing=maybe", "Observation?value-quantity=abc", "Observation?value-quantity=1|2|3|4", "Observation?subject:Nothing=1",
    "Observation?subject:Patient.nothing=1", "Observation?subject.name=x&subject.gender.more=1", "Patient?_has:Observation:nothing:code=1",
    "Patient?_has:Observation:patient=1", "Patient?_has:Nothing:patient:code=1", "Patient?_include=Patient", "Patient?_include=Nothing:subject",
    "Patient?_revinclude=Observation:code", "Patient?_lastUpdated=yesterday", "Patient?_elements=", "Patient?family:missing=",
    "Patient?%00=1", "Patient?family=%00", "Patient?family=%FF", "Patient?family=%ED%A0%80",
])
def test_bad_searches_are_refused(ward, query: str):
    """400 with an outcome that says which parameter."""
    answer = ward.fhir.get(query)
    assert answer.status == 400, answer
    outcome(answer)


def test_hostile_values_are_only_values(ward):
    """What would break SQL, a pattern or a path is text."""
    for value in ("'; drop table fhir.resource; --", "%", "_", "\\", "%_%", "a' or '1'='1", "\u0001", "${jndi:x}", "../../x", "*"):
        for parameter in ("family", "family:contains", "family:exact", "identifier", "_id"):
            answer = ward.fhir.get(f"Patient?{parameter}={quote(value, safe='')}")
            assert answer.status in (200, 400), f"{parameter}={value}: {answer}"
            if answer.status == 200:
                assert not answer.json().get("entry"), f"{parameter}={value}"
    assert ward.fhir.count("Patient") == 4


def test_many_values_and_many_parameters(ward):
    """Long OR lists and repeated ANDs are bounded, not fatal."""
    many = ",".join(f"m{n}" for n in range(500))
    assert len(ward.fhir.ids(f"Patient?identifier={many}")) == 4
    repeated = "&".join(["gender=male"] * 60)
    assert ward.fhir.get(f"Patient?{repeated}").status in (200, 400)


def test_a_search_sees_its_own_writes(h1):
    """Indexed in the same transaction."""
    value = str(uuid.uuid4())
    stored = h1.fhir.create({"resourceType": "Patient", "identifier": [{"value": value}]})
    assert h1.fhir.ids(f"Patient?identifier={value}") == [stored["id"]]
    h1.fhir.put({**stored, "identifier": [{"value": value + "x"}]})
    assert h1.fhir.ids(f"Patient?identifier={value}") == []
    assert h1.fhir.ids(f"Patient?identifier={value}x") == [stored["id"]]


def test_numbers_and_quantities_sort_by_their_value(new_tenant):
    """However many digits a value was written with, and over pages; what is open on a side stands at that side."""
    own = new_tenant()
    for number, value in enumerate(["7", "6.8", "6.6", "7.2", "7.4", "6.9", "999", "1e3"]):
        quantity = f'{{"value": {value}}}'
        answer = own.fhir.send("PUT", f"Observation/q{number}", (
            f'{{"resourceType": "Observation", "id": "q{number}", "status": "final", "code": {{"text": "x"}}, "valueQuantity": {quantity}}}'))
        assert answer.status == 201, answer
    for name, value in (("below", {"value": 8, "comparator": "<"}), ("above", {"value": 6, "comparator": ">="})):
        own.fhir.put({"resourceType": "Observation", "id": name, "status": "final", "code": {"text": "x"}, "valueQuantity": value})
    expected = ["below", "q2", "q1", "q5", "q0", "q3", "q4", "q6", "q7", "above"]
    for pages in ("", "&_count=3"):
        assert own.fhir.ids(f"Observation?_sort=value-quantity{pages}") == expected
        assert own.fhir.ids(f"Observation?_sort=-value-quantity{pages}") == expected[::-1]
        assert own.fhir.ids(f"Observation?status=final&_sort=code,value-quantity{pages}") == expected
        assert own.fhir.ids(f"Observation?value-quantity=gt6.7&value-quantity=lt999&_sort=value-quantity{pages}") == [
            "below", "q1", "q5", "q0", "q3", "q4", "above"]
    for number, probability in enumerate([0.5, 0.46, 0.48, 0.54]):
        own.fhir.put({"resourceType": "RiskAssessment", "id": f"r{number}", "status": "final", "subject": {"display": "x"},
                      "prediction": [{"probabilityDecimal": probability}]})
    assert own.fhir.ids("RiskAssessment?_sort=probability") == ["r1", "r2", "r0", "r3"]
    assert own.fhir.ids("RiskAssessment?_sort=-probability&_count=1") == ["r3", "r0", "r2", "r1"]


@pytest.fixture(scope="module")
def forms(new_tenant):
    """Questionnaires and their responses, which name them by canonical URL."""
    own = new_tenant()
    one, two = "http://x.org/Q/one", "http://x.org/Q/two"
    for name, url, version in (("qn", one, None), ("v1", two, "1"), ("v2", two, "2")):
        own.fhir.put({"resourceType": "Questionnaire", "id": name, "url": url, "status": "active", "title": f"Form {name}",
                      **({"version": version} if version else {})})
    for name, canonical in (("a", one), ("b", two), ("c", two + "|2"), ("d", "http://x.org/Q/none"), ("e", two + "|3")):
        own.fhir.put({"resourceType": "QuestionnaireResponse", "id": name, "questionnaire": canonical,
                      "status": "completed" if name != "b" else "amended"})
    return own


@pytest.mark.parametrize(("query", "included"), [
    ("QuestionnaireResponse?_id=a&_include=QuestionnaireResponse:questionnaire", "qn"),
    ("QuestionnaireResponse?_id=b&_include=QuestionnaireResponse:questionnaire", "v1 v2"),
    ("QuestionnaireResponse?_id=c&_include=QuestionnaireResponse:questionnaire:Questionnaire", "v2"),
    ("QuestionnaireResponse?_id=d,e&_include=*", ""),
    ("Questionnaire?_id=qn&_revinclude=QuestionnaireResponse:questionnaire", "a"),
    ("Questionnaire?_id=v1&_revinclude=QuestionnaireResponse:questionnaire", "b"),
    ("Questionnaire?_id=v2&_revinclude=QuestionnaireResponse:*", "b c"),
])
def test_canonical_references_are_included(forms, query: str, included: str):
    """By `url` and, where the reference has one, by `version`."""
    entries = forms.fhir.get(query).json()["entry"]
    assert sorted(e["resource"]["id"] for e in entries if e["search"]["mode"] == "include") == included.split()


@pytest.mark.parametrize(("query", "expected"), [
    ("QuestionnaireResponse?questionnaire.title=form", "a b c"), ("QuestionnaireResponse?questionnaire:Questionnaire.title=Form%20v1", "b"),
    ("QuestionnaireResponse?questionnaire.version=2&status=completed", "c"), ("QuestionnaireResponse?questionnaire._id=qn", "a"),
    ("Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed", "qn v2"),
    ("Questionnaire?_has:QuestionnaireResponse:questionnaire:status=amended", "v1 v2"),
    ("Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=c", "v2"),
    ("Questionnaire?title=form&_has:QuestionnaireResponse:questionnaire:status=completed", "qn v2"),
])
def test_canonical_references_are_chained(forms, query: str, expected: str):
    """Forwards and backwards."""
    assert sorted(forms.fhir.ids(query)) == expected.split()


def test_canonical_references_do_not_show_what_a_token_may_not_search(region, forms):
    """Nor do they tell of it."""
    narrow = Fhir(region.web, forms.path, exchange(
        region.web, forms.client, scope="system/QuestionnaireResponse.rs").json()["access_token"])
    assert narrow.get("QuestionnaireResponse?questionnaire.title=form").status == 403
    assert "Form" not in narrow.get("QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire").text


def test_a_leap_second_is_in_its_minute(new_tenant):
    """23:59:60 of the last day of a year is in that year."""
    own = new_tenant()
    own.fhir.put({"resourceType": "Observation", "id": "leap", "status": "final", "code": {"text": "x"},
                  "effectiveDateTime": "2016-12-31T23:59:60Z"})
    for date, found in (("2016", True), ("2016-12-31", True), ("2016-12-31T23:59Z", True), ("2016-12-31T23:59:60Z", True),
                        ("lt2017", True), ("2017", False), ("2017-01-01T00:00Z", False), ("ge2017", False)):
        assert own.fhir.ids(f"Observation?date={date}") == (["leap"] if found else []), date


def test_iterated_includes_go_on_to_the_end(new_tenant):
    """However many hops there are, and without a warning when everything is there."""
    own = new_tenant()
    for number in range(12):
        parent = {"partOf": {"reference": f"Organization/n{number - 1}"}} if number else {}
        own.fhir.put({"resourceType": "Organization", "id": f"n{number}", "name": "x", **parent})
    for hops in (4, 5, 11):
        entries = own.fhir.get(f"Organization?_id=n{hops}&_include:iterate=Organization:partof").json()["entry"]
        assert [e["search"]["mode"] for e in entries] == ["match"] + ["include"] * hops
        assert {e["resource"]["id"] for e in entries} == {f"n{n}" for n in range(hops + 1)}
    own.fhir.put({"resourceType": "Organization", "id": "n0", "name": "x", "partOf": {"reference": "Organization/n11"}})
    entries = own.fhir.get("Organization?_id=n5&_revinclude:iterate=Organization:partof").json()["entry"]
    assert len(entries) == 12 and "outcome" not in {e["search"]["mode"] for e in entries}


def test_includes_are_of_what_the_token_allows(region, ward):
    """What an include leads to beyond that is left out; when that is all of it, the bundle says so; what is named is refused."""
    def narrow(scope: str) -> Fhir:
        return Fhir(region.web, ward.path, exchange(region.web, ward.client, scope=scope).json()["access_token"])

    def modes(fhir: Fhir, query: str) -> list[str]:
        answer = fhir.get(query)
        assert answer.status == 200, answer
        return [e["search"]["mode"] for e in answer.json()["entry"]]

    query = "Observation?_id=b4&_include=Observation:subject"
    alone, patients = narrow("system/Observation.rs"), narrow("system/Observation.rs system/Patient.rs")
    assert modes(patients, query) == ["match", "include"]
    assert modes(alone, query) == ["match", "outcome"]
    assert "Patient" in alone.get(query).json()["entry"][1]["resource"]["issue"][0]["diagnostics"]
    assert modes(alone, "Observation?_id=b4&_include=*") == ["match"]
    for named in ("_include=Observation:subject:Patient", "_revinclude=Encounter:reason-reference"):
        answer = alone.get(f"Observation?{named}")
        assert answer.status == 403, answer
    answer = alone.get("Observation?subject.name=x")
    assert answer.status == 403 and "Patient" in outcome(answer)["issue"][0]["diagnostics"], answer


def test_contained_resources_are_not_searched(ward):
    """`_contained=false`, the default, may be said."""
    assert ward.fhir.ids("Patient?_contained=false&gender=male") == ["p2", "p3"]


@pytest.mark.parametrize(("query", "says"), [
    ("Observation?value-quantity=abc", ["value-quantity", "a quantity", "5.4|http://unitsofmeasure.org|mg"]),
    ("Observation?value-quantity=gtx|y|z", ["value-quantity", "a quantity"]), ("Observation?value-quantity=zz5", ["'zz'", "not a prefix", "gt"]),
    ("RiskAssessment?probability=abc", ["probability", "a decimal number"]), ("Patient?birthdate=may", ["birthdate", "2024-05"]),
    ("Patient?name=%00", ["'name'", "control character"]), ("Patient?name=%zz", ["'name'", "%"]), ("Patient?name=%FF", ["'name'", "UTF-8"]),
    ("Patient?%00=x", ["name of a parameter", "control character"]), pytest.param("Patient?" + "a=1&" * 1001, ["1000"], id="many"),
    ("Patient?_contained=true", ["_contained", "false"]),
])
def test_refusals_say_what_would_be_right(ward, query: str, says: list[str]):
    """The parameter and its rule."""
    answer = ward.fhir.get(query)
    assert answer.status == 400, answer
    text = outcome(answer)["issue"][0]["diagnostics"]
    assert all(part in text for part in says), text


@pytest.mark.parametrize(("member", "says"), [
    ({"valueString": " "}, "a string has a character that is not white space"), ({"valueString": ""}, "a string has a character"),
    ({"valueInteger": 2147483648}, "an integer is a whole number from -2147483648 to 2147483647"), ({"status": ""}, "a code is not empty"),
    ({"effectiveInstant": "2024"}, "an instant is YYYY-MM-DDThh:mm:ss"),
])
def test_refused_values_are_told_their_rule(h1, member: dict, says: str):
    """What the type of the element asks for, not just that it is broken."""
    answer = h1.fhir.send("POST", "Observation", {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **member})
    assert answer.status in (400, 422), answer
    assert says in str(outcome(answer)["issue"]), answer
