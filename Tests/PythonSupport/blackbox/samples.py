"""Valid resources out of the definitions, with every element populated that a search parameter looks at.

A resource is named by (type, variant, flavour): the variant rotates the types of choice elements and the targets of
references, the flavour ("a", "b") the values. The flavour "bare" holds only what is required.
"""

from __future__ import annotations

import re
import zlib

from .definitions import Definitions

#: Data types by kind of parameter, in the order in which an uncast choice element takes them.
INDEXED = {
    "token": ["CodeableConcept", "Coding", "code", "Identifier", "boolean", "ContactPoint", "string", "id", "uri"],
    "string": ["string", "HumanName", "Address", "markdown"],
    "date": ["dateTime", "Period", "date", "instant", "Timing"],
    "reference": ["Reference", "canonical", "uri"],
    "quantity": ["Quantity", "Range", "Age", "Duration", "Money"],
    "number": ["integer", "decimal", "positiveInt", "unsignedInt", "Range"],
    "uri": ["uri", "url", "canonical", "oid", "uuid"],
}

PRIMITIVES = {
    "base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id", "instant", "integer",
    "markdown", "oid", "positiveInt", "string", "time", "unsignedInt", "uri", "url", "uuid", "xhtml",
}


#: Elements of every resource that no search parameter of a type reads.
SKIPPED = {"contained", "text", "implicitRules", "language", "modifierExtension"}


class Samples:
    """Builds resources; `needs` of a type are the element paths its search parameters read."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._needs: dict[str, dict[str, dict]] = {}

    def variants(self, type_name: str) -> int:
        """How many variants show every choice and reference target that a parameter asks for."""
        elements = self.definitions.elements(type_name)
        contexts = any(
            kind["code"] == "UsageContext" for path in self.needs(type_name) for kind in elements[path].get("type", []))
        return max([3 if contexts else 1] + [max(len(n["types"]), len(n["targets"])) for n in self.needs(type_name).values()])

    def build(self, type_name: str, identity: str, variant: int, flavour: str) -> dict:
        """A resource of `type_name` with the logical id `identity`."""
        body = self._children(type_name, type_name, variant, flavour, bare=flavour == "bare")
        resource = {"resourceType": type_name, "id": identity}
        if flavour != "bare":
            mark = _mark(type_name, flavour)
            resource["meta"] = {
                "profile": [f"http://example.org/profile/{mark}"],
                "security": [{"system": "http://example.org/security", "code": f"s-{mark}", "display": f"Seal {mark}"}],
                "source": f"http://example.org/source/{mark}",
                "tag": [{"system": "http://example.org/tag", "code": f"t-{mark}", "display": f"Tag {mark}"}],
            }
        body.pop("id", None)
        body.pop("meta", None)
        resource.update(body)
        return resource

    def needs(self, type_name: str) -> dict[str, dict]:
        """Per element path: data types the parameters cast a choice to, and types a reference is resolved to."""
        if type_name in self._needs:
            return self._needs[type_name]
        elements = self.definitions.elements(type_name)
        needs: dict[str, dict] = {}
        for parameter in self.definitions.search_parameters:
            if type_name not in parameter.get("base", []) or parameter["type"] in ("composite", "special"):
                continue
            for term in self.definitions.terms(type_name, parameter):
                self._note(type_name, elements, needs, parameter, term)
        self._needs[type_name] = needs
        return needs

    def _note(self, type_name: str, elements: dict, needs: dict, parameter: dict, term: str) -> None:
        chain = re.match(rf"\(*\s*{type_name}((?:\.[a-z]\w*(?!\w*\())*)", term)
        if chain is None:
            return
        extension = re.search(r"\.extension\('([^']+)'\)", term)
        if extension:
            entry = needs.setdefault(f"{type_name}.extension", {"types": [], "targets": [], "extensions": {}})
            entry["extensions"][extension.group(1)] = parameter["type"]
            return
        full = re.sub(r"\.(where|as|ofType|exists|hasExtension)\((?:[^()]|\([^()]*\))*\)|\[\d+\]", "", term)
        full = re.sub(r"\s+(as|and|or|!=|=)\s.*$", "", full).strip("() ")
        names = full.split(".")[1:]
        path, last, at = type_name, None, type_name
        for name in names:
            candidate = f"{at}.{name}"
            if candidate in elements:
                path = at = candidate
            elif candidate + "[x]" in elements:
                path = at = candidate + "[x]"
            else:
                break
            if elements[at].get("contentReference"):
                at = elements[at]["contentReference"].lstrip("#")
            last = needs.setdefault(path, {"types": [], "targets": [], "extensions": {}})
        if last is None:
            return
        element = elements[path]
        cast = re.search(r"\bas ([A-Za-z]+)\)?|\.(?:as|ofType)\((\w+)\)", term)
        if path.endswith("[x]"):
            offered = [t["code"] for t in element["type"]]
            if cast:
                wanted = [(cast.group(1) or cast.group(2))]
                wanted = [t for t in offered if t.lower() == wanted[0].lower()]
            else:
                wanted = [t for t in INDEXED[parameter["type"]] if t in offered]
            for name in wanted:
                if name not in last["types"]:
                    last["types"].append(name)
        resolved = re.search(r"resolve\(\) is (\w+)", term)
        targets = [resolved.group(1)] if resolved else []
        if parameter["type"] == "reference" and len(parameter.get("target", [])) == 1:
            targets = parameter["target"]
        for name in targets:
            if name not in last["targets"]:
                last["targets"].append(name)

    def _children(self, type_name: str, path: str, variant: int, flavour: str, bare: bool, depth: int = 0) -> dict:
        elements = self.definitions.elements(type_name)
        needs = {} if bare else self.needs(type_name) if type_name in self.definitions.resource_types else {}
        result: dict = {}
        prefix = path + "."
        for child, element in elements.items():
            if not child.startswith(prefix) or "." in child[len(prefix):]:
                continue
            name = child[len(prefix):]
            need = needs.get(child)
            if need is None and element["min"] == 0:
                continue
            if path in self.definitions.resource_types and name in SKIPPED:
                continue
            if name == "extension" and not (need and need["extensions"]):
                continue
            value_name, value = self._value(type_name, child, element, need, variant, flavour, bare, depth)
            if value is None:
                continue
            many = element["max"] != "1" and element["base"]["max"] != "1"
            if many and not isinstance(value, list):
                value = [value]
            result[value_name] = value
        if path == "QuestionnaireResponse.item" and not bare:
            result["extension"] = [{
                "url": "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject", "valueBoolean": True}]
        return result

    def _value(self, type_name, path, element, need, variant, flavour, bare, depth):
        name = path.rsplit(".", 1)[-1]
        reference = element.get("contentReference")
        if reference:
            if depth > 1:
                return name, None
            return name, self._children(type_name, reference.lstrip("#"), variant, flavour, bare, depth + 1) or None
        types = element.get("type", [])
        chosen = types[0]
        if name.endswith("[x]"):
            wanted = need["types"] if need else []
            if wanted:
                chosen = next(t for t in types if t["code"] == wanted[variant % len(wanted)])
            else:
                chosen = next((t for t in types if t["code"] not in ("Reference", "canonical")), types[0])
            name = name[:-3] + chosen["code"][0].upper() + chosen["code"][1:]
        code = chosen["code"]
        if code.startswith("http://hl7.org/fhirpath/"):
            code = "id" if name == "id" else "string"
        if code in ("BackboneElement", "Element"):
            return name, self._children(type_name, path, variant, flavour, bare, depth) or None
        if code == "Resource":
            if type_name == "Bundle" and flavour != "bare" and path == "Bundle.entry.resource":
                inner = ["Composition", "MessageHeader"][variant % 2]
                return name, self.build(inner, f"inner-{flavour}-{variant}", 0, "bare")
            return name, None
        if code == "Extension":
            values = []
            for url, kind in (need or {"extensions": {}})["extensions"].items():
                mark = _mark(path + url, flavour)
                if kind == "token":
                    values.append({"url": url, "valueCodeableConcept": _concept("CodeableConcept", mark, None)})
                elif kind == "reference":
                    values.append({"url": url, "valueReference": {"reference": f"Patient/ref-{mark}"}})
                else:
                    values.append({"url": url, "valueString": f"Äxtra {mark}"})
            return name, values or None
        return name, self.datatype(path, element, chosen, code, need, variant, flavour)

    def datatype(self, path: str, element: dict, chosen: dict, code: str, need, variant: int, flavour: str):
        """A value of the data type `code`, valid for `element`."""
        mark = _mark(path, flavour)
        first = flavour != "b"
        binding = element.get("binding", {})
        bound = None
        if binding.get("strength") == "required" and binding.get("valueSet"):
            codes = self.definitions.codes(binding["valueSet"])
            if codes:
                bound = codes[0 if first else min(1, len(codes) - 1)]
        primitive = _primitive(code, mark, first, bound)
        if primitive is not None:
            return primitive
        number = "5.40" if first else "123"
        quantity = {
            "value": _Decimal(number), "unit": "milligram", "system": "http://unitsofmeasure.org", "code": "mg",
        }
        if code in ("Reference",):
            targets = [t.rsplit("/", 1)[-1] for t in chosen.get("targetProfile", [])]
            if "Resource" in targets or not targets:
                targets = ["Patient", "Observation"]
            wanted = [t for t in (need or {"targets": []})["targets"] if t in targets]
            others = [t for t in targets if t not in wanted]
            pool = wanted + others[:max(0, 2 - len(wanted))]
            return {
                "reference": f"{pool[variant % len(pool)]}/ref-{mark}",
                "identifier": {"system": "http://example.org/ref", "value": f"i-{mark}"},
            }
        if code in ("CodeableConcept", "Coding"):
            return _concept(code, mark, bound)
        if code == "Identifier":
            return {
                "system": "http://example.org/id", "value": f"v-{mark}",
                "type": {"coding": [{"system": "http://example.org/idtype", "code": f"k-{mark}"}], "text": f"Kind {mark}"},
            }
        if code == "HumanName":
            return {"family": f"Ångström {mark}", "given": [f"Zoë {mark}", "Q"], "text": f"Whole {mark}"}
        if code == "Address":
            return {
                "use": "home" if first else "work", "line": [f"Straße {mark}"], "city": f"Córdoba {mark}", "district": f"Dist {mark}",
                "state": f"State {mark}", "postalCode": f"P{mark}", "country": f"Land {mark}",
            }
        if code == "ContactPoint":
            return [
                {"system": "phone", "value": f"+86-{mark}", "use": "home"},
                {"system": "email", "value": f"{mark}@example.org", "use": "work"},
            ]
        if code == "Period":
            return (
                {"start": "2011-03-05T08:00:00Z", "end": "2011-03-08T08:00:00Z"} if first
                else {"start": "2019-11-20T08:00:00Z"}
            )
        if code == "Timing":
            return {"event": ["2011-03-05T12:00:00Z" if first else "2019-11-20T12:00:00Z"]}
        if code == "Money":
            return {"value": _Decimal(number), "currency": "EUR"}
        if code == "Range":
            return {"low": dict(quantity), "high": {**quantity, "value": _Decimal("6.40" if first else "130")}}
        if code == "Ratio":
            return {"numerator": dict(quantity), "denominator": dict(quantity)}
        if code in ("Quantity", "SimpleQuantity", "Age", "Duration", "Count", "Distance"):
            if code in ("Age", "Duration"):
                return {**quantity, "unit": "year", "code": "a"}
            return quantity
        if code == "SampledData":
            return {"origin": {"value": 0}, "period": 10, "dimensions": 1, "data": "1 2 3"}
        if code == "Attachment":
            return {"contentType": "text/plain" if first else "application/pdf", "url": f"http://example.org/{mark}", "language": "de" if first else "en",
                    "creation": "2011-03-05" if first else "2019-11-20"}
        if code == "Narrative":
            return {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
        if code == "UsageContext":
            value = (
                {"valueCodeableConcept": _concept("CodeableConcept", mark, None)} if variant % 3 == 0
                else {"valueQuantity": quantity} if variant % 3 == 1
                else {"valueRange": {"low": dict(quantity), "high": {**quantity, "value": _Decimal("6.40" if first else "130")}}}
            )
            return {"code": _concept("Coding", mark, None), **value}
        if code == "RelatedArtifact":
            kinds = ["composed-of", "derived-from", "predecessor", "successor", "depends-on"]
            return [{"type": kind, "resource": f"http://example.org/artifact/{kind}/{mark}"} for kind in kinds]
        if code == "Annotation":
            return {"text": f"Größe {mark}"}
        if code == "ContactDetail":
            return {"name": f"Ångström {mark}", "telecom": self.datatype(path, element, chosen, "ContactPoint", need, variant, flavour)}
        if code == "Dosage":
            return {"timing": {"event": ["2011-03-05T12:00:00Z" if first else "2019-11-20T12:00:00Z"]}}
        if code == "ElementDefinition":
            return {
                "path": f"Patient.{mark}", "base": {"path": f"Base.{mark}", "min": 0, "max": "1"},
                "binding": {"strength": "example", "valueSet": f"http://example.org/ValueSet/{mark}"},
            }
        if code == "TriggerDefinition":
            return {"type": "named-event", "name": f"Event {mark}"}
        if code in self.definitions.structures:
            return self._children(code, code, variant, flavour, bare=True) or {"id": f"e{zlib.crc32(mark.encode()):x}"}
        return None


class _Decimal(float):
    """A number that keeps its text in JSON."""

    def __new__(cls, text: str):
        value = super().__new__(cls, text)
        value.text = text
        return value

    def __repr__(self) -> str:
        return self.text


def _mark(path: str, flavour: str) -> str:
    """A short word that stands for an element and a flavour."""
    return f"{zlib.crc32(path.encode()) % 0xFFFFFF:06x}{flavour}"


def _concept(code: str, mark: str, bound) -> dict:
    coding = (
        {"system": bound[0] or "http://example.org/cs", "code": bound[1], "display": f"Shown {mark}"} if bound
        else {"system": "http://example.org/cs", "code": f"c-{mark}", "display": f"Shown {mark}"}
    )
    return coding if code == "Coding" else {"coding": [coding], "text": f"Größe {mark}"}


def _primitive(code: str, mark: str, first: bool, bound):
    if code not in PRIMITIVES:
        return None
    if bound:
        return bound[1]
    number = zlib.crc32(mark.encode()) % 1000
    values = {
        "base64Binary": "QUJD", "boolean": first, "canonical": f"http://example.org/canonical/{mark}",
        "code": f"c-{mark}", "date": "2011-03-05" if first else "2019-11-20",
        "dateTime": "2011-03-05T12:00:00Z" if first else "2019-11-20T12:00:00Z", "decimal": _Decimal("5.40" if first else "123"),
        "id": f"i-{mark}", "instant": "2011-03-05T12:00:00.123Z" if first else "2019-11-20T12:00:00Z",
        "integer": 54 if first else 1230, "markdown": f"Äußeres {mark}", "oid": f"urn:oid:1.2.{number}",
        "positiveInt": 54 if first else 1230, "string": f"Äußeres {mark}", "time": "12:00:00",
        "unsignedInt": 54 if first else 1230, "uri": f"http://example.org/uri/{mark}",
        "url": f"http://example.org/url/{mark}", "uuid": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>',
    }
    return values[code]
