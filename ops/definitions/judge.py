#!/usr/bin/env python3
"""Lets an independent FHIRPath engine (PyPI fhirpathpy) judge what the compiled search parameters select.

    judge.py [--package PATH] [--output PATH] [--check]      check.sh makes the environment it needs

For every resource type it makes resources that hold a value wherever one of the type's search parameters looks, one
for each type of a choice, evaluates the FHIRPath of every parameter with fhirpathpy, and writes the outcome to the
fixtures of ClinicalDataTests: one line per resource, `{"resource": …, "selected": {code: [count, checksum]}}`. The
checksum is FNV-1a 64 over the sorted compact JSON of the values, each followed by a line feed. SelectionTests
compares.
"""

import argparse
import decimal
import json
import os
import re

import fhirpathpy
from fhirpathpy.models import models

import generate
import r4package

HERE = os.path.dirname(os.path.abspath(__file__))
OUTPUT = os.path.join(HERE, "../../Tests/PaaS/ClinicalDataTests/Fixtures/selections.jsonl")


def plain(value):
    """The engine's numbers as they were written; no sample ends in a zero after the point."""
    assert isinstance(value, decimal.Decimal), value
    return int(value) if value == value.to_integral_value() else float(value)


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=plain)


def checksum(texts):
    value = 0xCBF29CE484222325
    for byte in "".join(text + "\n" for text in sorted(texts, key=lambda text: text.encode())).encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


class Sampler:
    """Builds resources around the paths of compiled programs; every leaf is different."""

    def __init__(self):
        self.number = 0

    def leaf(self, kind, targets):
        self.number += 1
        n = self.number
        target = targets[n % len(targets)] if targets else "Basic"
        samples = {
            "Address": {"text": f"a{n}"}, "Age": {"value": n}, "Attachment": {"title": f"t{n}"},
            "CodeableConcept": {"text": f"c{n}"}, "Coding": {"code": f"c{n}"}, "ContactPoint": {"value": f"v{n}"},
            "Count": {"value": n}, "Distance": {"value": n}, "Duration": {"value": n},
            "HumanName": {"text": f"n{n}"}, "Identifier": {"value": f"i{n}"}, "Money": {"value": n},
            "Period": {"start": "2020", "end": f"{2020 + n}"}, "Quantity": {"value": n}, "Range": {"low": {"value": n}},
            "Reference": {"reference": f"{target}/r{n}"}, "Resource": {"resourceType": target, "id": f"r{n}"},
            "Timing": {"event": [f"{1000 + n}"]}, "boolean": n % 2 == 0, "date": f"{1000 + n}", "dateTime": f"{1000 + n}",
            "decimal": n + 0.5, "instant": f"2020-01-01T00:00:00.{n:06}Z", "integer": n, "positiveInt": n,
            "unsignedInt": n,
        }
        return samples.get(kind, f"{kind[:1]}{n}")

    def put(self, node, steps, kind, targets, many):
        """Adds a value at the end of `steps`; `many` tells by the path of keys whether a key holds an array."""
        path = []
        position = 0
        while position < len(steps):
            step = steps[position]
            assert step[0] == "key", step
            path.append(step[1])
            rest = position + 1
            filters = []
            while rest < len(steps) and steps[rest][0] in ("where", "url", "is", "index", "has"):
                filters.append(steps[rest])
                rest += 1
            is_last = rest >= len(steps) or steps[rest][0] == "true"
            chosen = [item[1] for item in filters if item[0] == "is"] or targets
            if many(path):
                items = node.setdefault(step[1], [])
                item = self.item(items, filters, is_last, kind, chosen)
            elif is_last:
                item = node.setdefault(step[1], self.leaf(kind, chosen))
            else:
                item = node.setdefault(step[1], {})
            self.mark(item, filters)
            node, position = item, rest
            if is_last:
                return

    def item(self, items, filters, is_last, kind, targets):
        """The element of an array to go on in; two without filters, one more for each filter."""
        wanted = {self.key(item): self.text(item) for item in filters if item[0] in ("where", "url")}
        if not items and "url" in wanted:
            items.append({"url": "http://elsewhere", "valueString": "no"})
        elif not items:
            for _ in range(2):
                items.append(self.leaf(kind, targets) if is_last else {})
        if not wanted:
            if is_last and any(item[0] == "is" for item in filters):
                items.append(self.leaf(kind, targets))
            return items[0] if isinstance(items[0], dict) else {}
        for item in items:
            if all(item.get(key) == text for key, text in wanted.items()):
                return item
        items.append(self.leaf(kind, targets) if is_last else {})
        return items[-1]

    @staticmethod
    def key(step):
        return step[1] if step[0] == "where" else "url"

    @staticmethod
    def text(step):
        return step[2] if step[0] == "where" else step[1]

    def mark(self, item, filters):
        for step in filters:
            if step[0] in ("where", "url"):
                item[self.key(step)] = self.text(step)
            if step[0] == "has":
                item["extension"] = [{"url": step[1], "valueBoolean": True}]


class Judge:
    def __init__(self, package):
        self.package = package
        self.generator = generate.Generator(package)
        self.generator.collect_value_sets()
        self.parameters = self.generator.parameters()
        self.compiled = {}

    def evaluate(self, resource, code):
        kind = resource["resourceType"]
        definition = self.parameters[kind, code]
        expression = definition["expression"]
        # There is nothing to resolve here: the type is told from the text of the reference.
        expression = re.sub(r"resolve\(\) is (\w+)", r"reference.startsWith('\1/')", expression)
        expression = re.sub(r"hasExtension\(('[^']*')\)", r"extension.where(url = \1).exists()", expression)
        expression = re.sub(r"\bResource\.", f"{kind}.", expression)
        if expression not in self.compiled:
            self.compiled[expression] = fhirpathpy.compile(expression, models["r4"])
        values = self.compiled[expression](resource)
        if ".extension(" in expression:
            values = [item for value in values for key, item in value.items() if key.startswith("value")]
        return values

    def is_many(self, kind):
        def many(path):
            owner = kind
            for position, key in enumerate(path):
                for element in self.package.types[owner]:
                    if key in dict(element.keys()):
                        if position == len(path) - 1:
                            return element.many
                        owner = dict(element.keys())[key]
                        break
                else:
                    return False
        return many

    def alternatives(self, kind, code):
        definition = self.parameters[kind, code]
        for steps, leaf in self.generator.compiler.compile(definition["expression"], kind):
            for steps, leaf in self.generator.expand_extension(steps, leaf, definition["type"]):
                if leaf in generate.LEAVES[definition["type"]]:
                    yield steps, leaf, sorted(definition.get("target", []))

    def choice(self, kind, steps):
        """The choices that the path goes through: {path to the choice: key}."""
        result, owner, path = {}, kind, ()
        for step in steps:
            if step[0] != "key":
                continue
            for element in self.package.types.get(owner, []):
                keys = dict(element.keys())
                if step[1] in keys:
                    path += (element.name,)
                    if element.choice:
                        result[path] = step[1]
                    owner = keys[step[1]]
                    break
        return result

    def resources(self, kind):
        """Resources that together have a value at every alternative; each takes one type of every choice."""
        wanted = []
        for code in sorted(code for owner, code in self.parameters if owner == kind):
            wanted += self.alternatives(kind, code)
        options = {}
        for steps, _, _ in wanted:
            for place, key in self.choice(kind, steps).items():
                options.setdefault(place, [])
                if key not in options[place]:
                    options[place].append(key)
        # A single reference resolves to one type at a time.
        resolved = sorted({item[1] for steps, _, _ in wanted for item in steps if item[0] == "is"})
        wanted.sort(key=lambda entry: all(item[0] != "is" for item in entry[0]))
        many = self.is_many(kind)
        for variant in range(max([1, len(resolved), *map(len, options.values())])):
            chosen = {place: keys[variant % len(keys)] for place, keys in options.items()}
            target = resolved[variant % len(resolved)] if resolved else None
            sampler = Sampler()
            resource = {"resourceType": kind, "id": f"{kind.lower()}-{variant}"}
            for steps, leaf, targets in wanted:
                if any(item[0] == "is" and item[1] != target for item in steps):
                    continue
                if all(chosen[place] == key for place, key in self.choice(kind, steps).items()):
                    sampler.put(resource, steps, leaf, targets, many)
            yield resource
        yield {"resourceType": kind, "id": "empty"}

    def lines(self):
        for kind in self.package.resource_types:
            codes = sorted(code for owner, code in self.parameters if owner == kind)
            reached = set()
            for resource in self.resources(kind):
                selected = {}
                for code in codes:
                    values = [compact(value) for value in self.evaluate(resource, code)]
                    selected[code] = [len(values), checksum(values)]
                    reached |= {code} if values else set()
                yield compact({"resource": resource, "selected": {k: v for k, v in selected.items() if v[0]}})
            if set(codes) - reached:
                raise SystemExit(f"{kind}: nothing selected for {sorted(set(codes) - reached)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package")
    parser.add_argument("--output", default=OUTPUT)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = "".join(line + "\n" for line in Judge(r4package.Package(options.package)).lines())
    if options.check:
        with open(options.output, encoding="utf-8") as file:
            if file.read() != text:
                raise SystemExit(f"{os.path.relpath(options.output)} is not what fhirpathpy selects: run {__file__}")
        print("the fixtures are what fhirpathpy selects")
        return
    os.makedirs(os.path.dirname(options.output), exist_ok=True)
    with open(options.output, "w", encoding="utf-8") as file:
        file.write(text)
    print(text.count("\n"), "resources judged")


if __name__ == "__main__":
    main()
