"""Patients b1, b2, … of one size: the rows that single reads and updates are measured on."""

import json

COUNT = 5000


def patient(identifier: str, family: str) -> dict:
    return {
        "resourceType": "Patient", "id": identifier, "active": True,
        "identifier": [{"system": "urn:oid:1.2.36.146.595.217.0.1", "value": identifier}],
        "name": [{"use": "official", "family": family, "given": ["Peter", "James"]}],
        "telecom": [{"system": "phone", "value": "(03) 5555 6473", "use": "work"}],
        "gender": "male", "birthDate": "1974-12-25",
        "address": [{"line": ["534 Erewhon St"], "city": "PleasantVille", "state": "Vic", "postalCode": "3999"}],
        "contact": [{"name": {"family": "du Marché"}, "gender": "female"}],
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">" + "x" * 700 + "</div>"},
    }


def load(region):
    """Puts them all into h1."""
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "PUT", "url": f"Patient/b{number}"}, "resource": patient(f"b{number}", "Chalmers")}
        for number in range(1, COUNT + 1)]}
    region.fhir("h1", "/", region.token("h1"), "POST", json.dumps(bundle).encode())
