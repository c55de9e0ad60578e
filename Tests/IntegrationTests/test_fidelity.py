"""Stored bytes come back as they came: decimals, order of members, rare characters."""

from __future__ import annotations

import json
import re
import uuid
from urllib.parse import quote

import pytest

from blackbox.definitions import r4
from blackbox.fhir import batch
from blackbox.samples import Samples

#: CJK Extension B and C, a compatibility ideograph, emoji with modifiers and joiners, combining marks, bidirectional text.
RARE = ["𠀀𪛖", "𠮷野家", "𫝀𫠝", "你好，世界", "👩🏽‍⚕️🏥", "🇨🇳", "e\u0301\u0323", "שלום\u202e", "\ufeffbom", "\u2028line", "\U0010FFFD"]


def without_meta(text: bytes) -> bytes:
    """A resource's bytes without the members the server owns."""
    return re.sub(rb'"meta":\{[^{}]*\},?|"id":"[^"]*",?', b"", text)


def test_members_keep_their_order_and_decimals_their_text(h1):
    """What a client wrote is what it reads."""
    identity = str(uuid.uuid4())
    body = (
        '{"status":"final","resourceType":"Observation","id":"%s","valueQuantity":{"unit":"mg","value":1.00},'
        '"component":[{"valueQuantity":{"value":0.10},"code":{"text":"a"}},{"code":{"text":"b"},"valueQuantity":{"value":1e2}},'
        '{"code":{"text":"c"},"valueQuantity":{"value":-0.0000000000000000012345678901234567}},'
        '{"code":{"text":"d"},"valueQuantity":{"value":123456789012345678901234567890.10}}],"code":{"text":"x"}}' % identity
    ).encode()
    stored = h1.fhir.send("PUT", f"Observation/{identity}", body)
    assert stored.status == 201, stored
    read = h1.fhir.get(f"Observation/{identity}")
    assert without_meta(read.body) == without_meta(body)
    assert without_meta(h1.fhir.get(f"Observation/{identity}/_history/1").body) == without_meta(body)
    found = h1.fhir.get(f"Observation?_id={identity}").body
    for number in (b"1.00", b"0.10", b"1e2", b"-0.0000000000000000012345678901234567", b"123456789012345678901234567890.10"):
        assert number in read.body and number in found


def test_own_meta_is_kept_beside_the_servers(h1):
    """Tags and profiles stay; a client cannot set version or time."""
    stored = h1.fhir.create({
        "resourceType": "Patient", "meta": {
            "versionId": "77", "lastUpdated": "1999-01-01T00:00:00Z", "profile": ["http://example.org/p"],
            "tag": [{"system": "urn:t", "code": "x"}]}})
    assert stored["meta"]["versionId"] == "1"
    assert not stored["meta"]["lastUpdated"].startswith("1999")
    assert stored["meta"]["profile"] == ["http://example.org/p"]
    assert stored["meta"]["tag"] == [{"system": "urn:t", "code": "x"}]
    assert h1.fhir.get(f"Patient/{stored['id']}").json() == stored


@pytest.mark.parametrize("text", RARE)
@pytest.mark.parametrize("escaped", [False, True])
def test_rare_characters_round_trip_and_are_found(h1, text: str, escaped: bool):
    """As UTF-8 and as JSON escapes, in values, searches by text and by token."""
    value = f"{text}{uuid.uuid4()}"
    resource = {"resourceType": "Patient", "name": [{"family": value}], "identifier": [{"system": "urn:rare", "value": value}]}
    answer = h1.fhir.send("POST", "Patient", json.dumps(resource, ensure_ascii=escaped).encode())
    assert answer.status == 201, answer
    identity = answer.json()["id"]
    assert h1.fhir.get(f"Patient/{identity}").json()["name"][0]["family"] == value
    encoded = quote(value, safe="")
    for query in (f"family={encoded}", f"family:exact={encoded}", f"family:contains={encoded[:-9]}", f"identifier={encoded}",
                  f"identifier=urn:rare|{encoded}"):
        assert h1.fhir.ids(f"Patient?{query}") == [identity], query


def test_narrative_and_attachments_keep_their_bytes(h1):
    """XHTML and base64 are text to us."""
    div = '<div xmlns="http://www.w3.org/1999/xhtml">a &amp; b &lt; <br/>\\n\t<b title="x">é</b></div>'
    data = "QUJD" * 20000
    stored = h1.fhir.create({
        "resourceType": "DocumentReference", "status": "current", "text": {"status": "generated", "div": div},
        "content": [{"attachment": {"contentType": "text/plain", "data": data}}]})
    read = h1.fhir.get(f"DocumentReference/{stored['id']}").json()
    assert read["text"]["div"] == div
    assert read["content"][0]["attachment"]["data"] == data


def test_primitive_extensions_and_contained_resources_survive(h1):
    """The parts of JSON FHIR that stores like to lose."""
    resource = {
        "resourceType": "Patient", "birthDate": "1970-03-30",
        "_birthDate": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "1970-03-30T12:35:45Z"}]},
        "name": [{"given": ["A", None], "_given": [None, {"extension": [{"url": "urn:x", "valueCode": "masked"}]}]}],
        "contained": [{"resourceType": "Organization", "id": "org", "name": "inner"}], "managingOrganization": {"reference": "#org"},
        "modifierExtension": [{"url": "urn:m", "valueBoolean": True}],
    }
    stored = h1.fhir.create(resource)
    read = h1.fhir.get(f"Patient/{stored['id']}").json()
    assert {k: v for k, v in read.items() if k not in ("id", "meta")} == resource


def test_every_type_round_trips_in_a_batch(new_tenant):
    """One rich resource of each of the 146 types."""
    own, samples = new_tenant(), Samples(r4())
    made = [samples.build(name, "rt", 0, "a") for name in r4().resource_types if name != "AuditEvent"]
    entries = [{"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/rt"}} for r in made]
    answer = own.fhir.send("POST", "", batch(entries, "transaction"))
    assert answer.status == 200, answer.text[:2000]
    reads = own.fhir.send("POST", "", batch([{"request": {"method": "GET", "url": f"{r['resourceType']}/rt"}} for r in made])).json()
    for sent, entry in zip(made, reads["entry"], strict=True):
        read = entry["resource"]
        for member in ("versionId", "lastUpdated"):
            read["meta"].pop(member)
        assert read == json.loads(json.dumps(sent)), sent["resourceType"]
