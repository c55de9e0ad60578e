"""Which resources a search must find: fhirpathpy evaluates the official expression, the rules of FHIR search do the rest.

The rules are those of https://hl7.org/fhir/R4/search.html; each function names the part it follows.
"""

from __future__ import annotations

import datetime
import functools
import re
import unicodedata
from decimal import Decimal

import fhirpathpy
from fhirpathpy.models import models

from .definitions import Definitions

INFINITY = float("inf")


class Judge:
    """Evaluates search parameters over resources held in memory."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions

    @functools.lru_cache(maxsize=None)
    def _compiled(self, type_name: str, code: str):
        parameter = self.definitions.parameter(type_name, code)
        programs = []
        for term in self.definitions.terms(type_name, parameter):
            term = re.sub(r"\.where\(resolve\(\) is (\w+)\)", r".where(reference.startsWith('\1/'))", term)
            term = re.sub(r"\.as\((\w+)\)", r".ofType(\1)", term)
            term = re.sub(r"\(([\w.]+) as (\w+)\)", r"\1.ofType(\2)", term)
            term = re.sub(r"^([\w.]+) as (\w+)$", r"\1.ofType(\2)", term)
            term = re.sub(r"\bhasExtension\('([^']+)'\)", r"extension('\1').exists()", term)
            # A canonical is a uri, so such a cast lets both through.
            term = re.sub(r"\.ofType\([Uu]ri\)", "", term)
            if not re.match(r"\(*[A-Z]", term):
                term = f"{type_name}.{term}"
            term = re.sub(r"^(Domain)?Resource\.", f"{type_name}.", term)
            programs.append(fhirpathpy.compile(term, models["r4"]))
        return programs

    def items(self, resource: dict, code: str) -> list:
        """The values the parameter's expression selects in `resource`."""
        found = []
        for program in self._compiled(resource["resourceType"], code):
            found += program(resource)
        targets = self.definitions.parameter(resource["resourceType"], code).get("target", [])
        return [
            item for item in map(_unwrapped, found)
            if item is not None and not _is_beside(item, targets)
        ]


def _is_beside(item, targets: list[str]) -> bool:
    """Sampled data have no value to compare; a resource of a type that the parameter does not target is none of its own."""
    kind = shape(item)
    return kind == "SampledData" or (kind == "resource" and item["resourceType"] not in targets)


def _unwrapped(item):
    """An extension stands for its value."""
    if isinstance(item, dict) and "url" in item:
        for key, value in item.items():
            if key.startswith("value"):
                return value
    return item


def shape(item) -> str:
    """The data type of a selected value, told from its members."""
    if isinstance(item, bool):
        return "boolean"
    if isinstance(item, (int, float, Decimal)):
        return "number"
    if isinstance(item, str):
        return "text"
    if "resourceType" in item:
        return "resource"
    keys = set(item)
    if "coding" in keys or keys == {"text"}:
        return "CodeableConcept"
    if "reference" in keys:
        return "Reference"
    if "family" in keys or "given" in keys:
        return "HumanName"
    if keys & {"line", "city", "postalCode"}:
        return "Address"
    if "event" in keys or "repeat" in keys:
        return "Timing"
    if "start" in keys or "end" in keys:
        return "Period"
    if "low" in keys or "high" in keys:
        return "Range"
    if "origin" in keys and "period" in keys:
        return "SampledData"
    if "currency" in keys:
        return "Money"
    if "value" in keys and isinstance(item["value"], str):
        return "ContactPoint" if item.get("system") in ("phone", "email", "fax", "sms", "url", "pager", "other") else "Identifier"
    if "value" in keys:
        return "Quantity"
    if "code" in keys:
        return "Coding"
    return "other"


def folded(text: str) -> str:
    """Search 2.1.1.4.7: case, accents and other combining marks make no difference."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)).lower()


def strings(item) -> list[str]:
    """The texts a string parameter looks at in a value."""
    if isinstance(item, str):
        return [item]
    kind = shape(item)
    if kind == "HumanName":
        return [item[k] for k in ("family", "text") if k in item] + item.get("given", []) + item.get("prefix", []) + item.get("suffix", [])
    if kind == "Address":
        return [item[k] for k in ("city", "district", "state", "postalCode", "country", "text") if k in item] + item.get("line", [])
    return []


def tokens(item) -> list[tuple[str | None, str]]:
    """(system, code) of a value; the system is None where the data type has none that a client could name."""
    kind = shape(item)
    if kind == "boolean":
        return [(None, "true" if item else "false")]
    if kind in ("text", "number"):
        return [(None, str(item))]
    if kind == "CodeableConcept":
        return [(c.get("system", ""), c["code"]) for c in item.get("coding", []) if "code" in c]
    if kind == "Coding":
        return [(item.get("system", ""), item["code"])]
    if kind == "Identifier":
        return [(item.get("system", ""), item["value"])]
    if kind == "ContactPoint":
        return [(None, item["value"])]
    return []


def token_texts(item) -> list[str]:
    """What `:text` looks at: CodeableConcept.text, Coding.display, Identifier.type.text."""
    kind = shape(item)
    if kind == "CodeableConcept":
        return [item["text"]] * ("text" in item) + [c["display"] for c in item.get("coding", []) if "display" in c]
    if kind == "Coding":
        return [item["display"]] if "display" in item else []
    if kind == "Identifier":
        return [item["type"]["text"]] if "text" in item.get("type", {}) else []
    return []


def interval(text: str) -> tuple[float, float]:
    """The half-open interval, in seconds since 1970, that a date of some precision stands for."""
    match = re.fullmatch(
        r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", text)
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    offset = 0
    if zone and zone != "Z":
        offset = (int(zone[1:3]) * 60 + int(zone[4:6])) * 60 * (1 if zone[0] == "+" else -1)

    def seconds(y, mo, d, h=0, mi=0, s=0) -> float:
        return datetime.datetime(y, mo, d, h, mi, s, tzinfo=datetime.timezone.utc).timestamp() - offset

    if month is None:
        return seconds(int(year), 1, 1), seconds(int(year) + 1, 1, 1)
    if day is None:
        following = (int(year) + int(month) // 12, int(month) % 12 + 1)
        return seconds(int(year), int(month), 1), seconds(*following, 1)
    if hour is None:
        low = seconds(int(year), int(month), int(day))
        return low, low + 86400
    low = seconds(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))
    if second is None:
        return low, low + 60
    if fraction is None:
        return low, low + 1
    return low + int(fraction) / 10 ** len(fraction), low + (int(fraction) + 1) / 10 ** len(fraction)


def dates(item) -> list[tuple[float, float]]:
    """The intervals of a value."""
    if isinstance(item, str):
        return [interval(item)]
    kind = shape(item)
    if kind == "Period":
        return [(
            interval(item["start"])[0] if "start" in item else -INFINITY,
            interval(item["end"])[1] if "end" in item else INFINITY,
        )]
    if kind == "Timing":
        found = [interval(e) for e in item.get("event", [])]
        return [(min(low for low, _ in found), max(high for _, high in found))] if found else []
    return []


def compare_interval(prefix: str, have: tuple, want: tuple) -> bool:
    """Search 2.1.1.4.5, prefixes over ranges. `have` is the resource's, `want` the query's."""
    low, high = have
    start, end = want
    inside = start <= low and high <= end
    above, below = high > end, low < start
    return {
        "": inside, "eq": inside, "ne": not inside, "gt": above, "lt": below,
        "ge": above or inside, "le": below or inside, "sa": low >= end, "eb": high <= start,
        "ap": low < end and start < high,
    }[prefix]


def numbers(item) -> list[tuple[Decimal, Decimal, str, str, str]]:
    """(low, high, system, code, unit) of a number, quantity or range."""
    kind = shape(item)
    if kind == "number":
        return [(Decimal(str(item)),) * 2 + ("", "", "")]
    if kind == "Quantity":
        value = Decimal(str(item["value"]))
        return [(value, value, item.get("system", ""), item.get("code", ""), item.get("unit", ""))]
    if kind == "Money":
        value = Decimal(str(item["value"]))
        return [(value, value, "urn:iso:std:iso:4217", item["currency"], item["currency"])]
    if kind == "Range":
        low, high = item.get("low", {}), item.get("high", {})
        either = low or high
        return [(
            Decimal(str(low["value"])) if low else Decimal("-Infinity"),
            Decimal(str(high["value"])) if high else Decimal("Infinity"),
            either.get("system", ""), either.get("code", ""), either.get("unit", ""),
        )]
    return []


def compare_number(prefix: str, have: tuple[Decimal, Decimal], text: str) -> bool:
    """Search 2.1.1.4.5: eq and ne within the precision of the query, the others exact."""
    low, high = have
    value = Decimal(text)
    half = Decimal(5).scaleb(value.as_tuple().exponent - 1)
    inside = value - half <= low and (high < value + half or high == low == value)
    return {
        "": inside, "eq": inside, "ne": not inside, "gt": high > value, "lt": low < value,
        "ge": high >= value, "le": low <= value, "sa": low > value, "eb": high < value,
        "ap": low <= value * Decimal("1.1") and value * Decimal("0.9") <= high,
    }[prefix]


def references(item) -> list[str]:
    """The targets a reference parameter compares: relative, absolute or canonical, without a version."""
    if isinstance(item, str):
        return [item]
    kind = shape(item)
    if kind == "Reference":
        return [item["reference"].split("/_history/")[0]]
    if kind == "resource" and "id" in item:
        return [f"{item['resourceType']}/{item['id']}"]
    return []
