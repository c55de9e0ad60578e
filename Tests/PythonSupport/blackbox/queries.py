"""The searches a parameter must answer, each with a predicate that tells from the selected values who matches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from urllib.parse import quote

from . import judge
from .judge import shape

PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


@dataclasses.dataclass(frozen=True)
class Query:
    """One search: `name` and `value` as they stand in the URL, `matches` over the values of one resource."""

    name: str
    value: str
    matches: Callable[[list], bool]

    @property
    def text(self) -> str:
        return f"{quote(self.name, safe=':')}={quote(self.value, safe='')}"


def queries(code: str, kind: str, samples: Iterable[list]) -> list[Query]:
    """Searches for a parameter of `kind`; `samples` are the values it selects in each stored resource."""
    filled = [items for items in samples if items]
    if not filled:
        return []
    by_shape: dict[str, list] = {}
    for items in filled:
        for item in items:
            kept = by_shape.setdefault(shape(item), [])
            if item not in kept and len(kept) < 2:
                kept.append(item)
    made = {
        "token": _token, "string": _string, "date": _date, "number": _number, "quantity": _quantity,
        "reference": _reference, "uri": _uri,
    }[kind](code, by_shape)
    made.append(Query(f"{code}:missing", "true", lambda items: not items))
    made.append(Query(f"{code}:missing", "false", bool))
    return made


def _any(test: Callable, convert: Callable) -> Callable[[list], bool]:
    return lambda items: any(test(value) for item in items for value in convert(item))


def _token(code: str, by_shape: dict[str, list]) -> list[Query]:
    made = []
    for kind, items in by_shape.items():
        pairs = [pair for item in items for pair in judge.tokens(item)[:1]]
        for system, value in pairs:
            made.append(Query(code, _escaped(value), _any(lambda p, v=value: p[1] == v, judge.tokens)))
            made.append(Query(
                f"{code}:not", _escaped(value),
                lambda items, v=value: not any(p[1] == v for item in items for p in judge.tokens(item))))
            if system:
                both = f"{_escaped(system)}|{_escaped(value)}"
                made.append(Query(code, both, _any(lambda p, s=system, v=value: p == (s, v), judge.tokens)))
                made.append(Query(code, f"{_escaped(system)}|", _any(lambda p, s=system: p[0] == s, judge.tokens)))
                made.append(Query(code, f"|{_escaped(value)}", _any(lambda p, v=value: p == ("", v), judge.tokens)))
        if len(pairs) > 1:
            values = [value for _, value in pairs]
            made.append(Query(code, ",".join(map(_escaped, values)), _any(lambda p, v=values: p[1] in v, judge.tokens)))
        texts = [text for item in items for text in judge.token_texts(item)[:1]]
        for text in texts[:1]:
            wanted = judge.folded(text)
            made.append(Query(
                f"{code}:text", _escaped(text),
                _any(lambda t, w=wanted: judge.folded(t).startswith(w), judge.token_texts)))
    return made


def _string(code: str, by_shape: dict[str, list]) -> list[Query]:
    made = []
    for items in by_shape.values():
        for item in items:
            for text in [t for t in judge.strings(item) if len(t) > 4][:2]:
                start, middle = judge.folded(text)[:-1], text[2:]
                made.append(Query(
                    code, _escaped(start.upper()), _any(lambda t, w=start: judge.folded(t).startswith(w), judge.strings)))
                made.append(Query(f"{code}:exact", _escaped(text), _any(lambda t, w=text: t == w, judge.strings)))
                made.append(Query(
                    f"{code}:exact", _escaped(text[:-1]), _any(lambda t, w=text[:-1]: t == w, judge.strings)))
                made.append(Query(
                    f"{code}:contains", _escaped(middle),
                    _any(lambda t, w=judge.folded(middle): w in judge.folded(t), judge.strings)))
    return made


def _date(code: str, by_shape: dict[str, list]) -> list[Query]:
    made = []
    for items in by_shape.values():
        for item in items[:1]:
            text = item if isinstance(item, str) else item.get("start") or item.get("end") or item.get("event", [None])[0]
            if text is None:
                continue
            for value in (text, text[:4], "2015-06-01"):
                want = judge.interval(value)
                for prefix in PREFIXES:
                    if prefix == "ap":
                        continue
                    made.append(Query(
                        code, prefix + value,
                        _any(lambda h, p=prefix, w=want: judge.compare_interval(p, h, w), judge.dates)))
            want = judge.interval(text)
            made.append(Query(code, "ap" + text, _any(lambda h, w=want: judge.compare_interval("ap", h, w), judge.dates)))
    return made


def _number(code: str, by_shape: dict[str, list], suffix: str = "", fits: Callable = lambda n: True) -> list[Query]:
    made = []
    for items in by_shape.values():
        for item in items[:1]:
            for low, _, *_ in judge.numbers(item)[:1]:
                if not low.is_finite():
                    continue
                for value in (str(low), "77"):
                    for prefix in PREFIXES:
                        made.append(Query(
                            code, f"{prefix}{value}{suffix}",
                            _any(lambda n, p=prefix, v=value: fits(n) and judge.compare_number(p, n[:2], v), judge.numbers)))
    return made


def _quantity(code: str, by_shape: dict[str, list]) -> list[Query]:
    made = _number(code, by_shape)
    for kind, items in by_shape.items():
        for item in items[:1]:
            for _, _, system, unit_code, unit in judge.numbers(item)[:1]:
                one = {kind: [item]}
                if unit_code:
                    made += _number(code, one, f"||{unit_code}", lambda n, u=unit_code: u in n[3:5])[:1]
                if system and unit_code:
                    made += _number(
                        code, one, f"|{_escaped(system)}|{unit_code}", lambda n, s=system, u=unit_code: n[2:4] == (s, u))[:1]
                    made += _number(code, one, f"|{_escaped(system)}|nothing", lambda n: False)[:1]
    return made


def _reference(code: str, by_shape: dict[str, list]) -> list[Query]:
    made = []
    for kind, items in by_shape.items():
        for item in items:
            for target in judge.references(item)[:1]:
                made.append(Query(code, _escaped(target), _any(lambda r, w=target: r == w, judge.references)))
                if kind == "text" or "/" not in target:
                    continue
                type_name, identity = target.split("/")[-2:]
                same = lambda r, w=identity: r.rsplit("/", 1)[-1] == w
                made.append(Query(code, identity, _any(same, judge.references)))
                made.append(Query(
                    f"{code}:{type_name}", identity, _any(lambda r, w=target: r == w, judge.references)))
            identifier = item.get("identifier") if kind == "Reference" else None
            if identifier:
                value = f"{_escaped(identifier['system'])}|{_escaped(identifier['value'])}"
                made.append(Query(
                    f"{code}:identifier", value,
                    lambda items, w=identifier: any(
                        shape(i) == "Reference" and i.get("identifier", {}).get("value") == w["value"] for i in items)))
    return made


def _uri(code: str, by_shape: dict[str, list]) -> list[Query]:
    made = []
    for items in by_shape.values():
        for item in items:
            if isinstance(item, str):
                made.append(Query(code, _escaped(item), lambda items, w=item: w in items))
                made.append(Query(code, _escaped(item[:-1]), lambda items, w=item[:-1]: w in items))
    return made


def _escaped(value: str) -> str:
    """Search 2.1.1.4.10: the characters with a meaning in a value are escaped by a backslash."""
    for character in "\\$,|":
        value = value.replace(character, "\\" + character)
    return value
