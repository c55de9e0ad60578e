"""A FHIR client for tests: it sends what it is told and hides nothing."""

from __future__ import annotations

import json
from urllib.parse import urlencode

from .web import Answer, Web

FHIR_JSON = "application/fhir+json"


class Fhir:
    """The FHIR base of one tenant, with a token that `str()` gives."""

    def __init__(self, web: Web, path: str, token) -> None:
        self.web, self.path, self.token = web, path, token

    def send(self, method: str, path: str, body=None, headers: dict | None = None, **extra: str) -> Answer:
        """One request. `body` is bytes, text, or a value to be written as JSON; `extra` are headers by Python name."""
        sent = {"Authorization": f"Bearer {self.token}", "Accept": FHIR_JSON}
        if body is not None:
            sent["Content-Type"] = FHIR_JSON
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
        sent.update(headers or {})
        sent.update({name.replace("_", "-"): value for name, value in extra.items()})
        sent = {name: value for name, value in sent.items() if value is not None}
        if not path.startswith(("http", "/")):
            path = f"{self.path}/{path}" if path and path[0] != "?" else self.path + path
        return self.web.request(method, path, body, sent)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, **headers)

    def create(self, resource: dict, **headers: str) -> dict:
        """Creates and returns the stored resource; fails when the answer is not 201."""
        answer = self.send("POST", resource["resourceType"], resource, **headers)
        assert answer.status == 201, answer
        return answer.json()

    def put(self, resource: dict, **headers: str) -> dict:
        """Updates and returns the stored resource; fails when the answer is not 200 or 201."""
        answer = self.send("PUT", f"{resource['resourceType']}/{resource['id']}", resource, **headers)
        assert answer.status in (200, 201), answer
        return answer.json()

    def search(self, path: str, **headers: str) -> list[dict]:
        """All matches of a search over all its pages."""
        found, url = [], path
        while url:
            answer = self.get(url, **headers)
            assert answer.status == 200, f"{url}: {answer}"
            bundle = answer.json()
            found += [e["resource"] for e in bundle.get("entry", []) if e["search"]["mode"] == "match"]
            url = link(bundle, "next")
        return found

    def ids(self, path: str, **headers: str) -> list[str]:
        """The ids of all matches of a search."""
        return [resource["id"] for resource in self.search(path, **headers)]

    def count(self, path: str) -> int:
        """How many resources match, by `_summary=count`."""
        joined = path + ("&" if "?" in path else "?") + urlencode({"_summary": "count"})
        answer = self.get(joined)
        assert answer.status == 200, answer
        return answer.json()["total"]


def link(bundle: dict, relation: str) -> str | None:
    """The URL of a bundle's link."""
    return next((l["url"] for l in bundle.get("link", []) if l["relation"] == relation), None)


def outcome(answer: Answer) -> dict:
    """The OperationOutcome of an answer; fails when it is none."""
    body = answer.json()
    assert body.get("resourceType") == "OperationOutcome", answer
    assert body["issue"], answer
    return body


def batch(requests: list[dict], kind: str = "batch") -> dict:
    """A batch or transaction bundle of entries."""
    return {"resourceType": "Bundle", "type": kind, "entry": requests}
