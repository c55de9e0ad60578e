"""Expands value sets from the code systems of the package.

Only what can be expanded completely is: a value set that names a code system outside the package (MIME types, UCUM,
currencies, countries, languages, LOINC, SNOMED CT) raises `NotExpandable` and is checked by format only.
"""


class NotExpandable(Exception):
    pass


class Expander:
    def __init__(self, package):
        self.package = package
        self.cache = {}

    def expand(self, url):
        """The codes of the value set by system: {system: {code}}."""
        if url not in self.cache:
            self.cache[url] = self.expansion(url)
        result = self.cache[url]
        if isinstance(result, NotExpandable):
            raise result
        return result

    def expansion(self, url):
        try:
            value_set = self.package.value_sets.get(url)
            if value_set is None:
                raise NotExpandable(f"{url}: not in the package")
            compose = value_set.get("compose")
            if not compose:
                raise NotExpandable(f"{url}: no compose")
            codes = {}
            for include in compose["include"]:
                for system, found in self.include(include).items():
                    codes.setdefault(system, set()).update(found)
            for exclude in compose.get("exclude", []):
                for system, found in self.include(exclude).items():
                    codes.get(system, set()).difference_update(found)
            if not any(codes.values()):
                raise NotExpandable(f"{url}: empty")
            return codes
        except NotExpandable as failure:
            return failure

    def include(self, include):
        sets = [self.expand(url.split("|")[0]) for url in include.get("valueSet", [])]
        if "system" in include:
            sets.append({include["system"]: self.system(include)})
        result = sets[0]
        for other in sets[1:]:
            result = {system: codes & other.get(system, set()) for system, codes in result.items()}
        return {system: set(codes) for system, codes in result.items()}

    def system(self, include):
        url = include["system"]
        if "concept" in include:
            return {concept["code"] for concept in include["concept"]}
        system = self.package.code_systems.get(url)
        if system is None or system.get("content") != "complete":
            raise NotExpandable(f"{url}: its codes are not in the package")
        concepts = {}
        self.collect(system.get("concept", []), [], concepts)
        codes = {code for code, (_, concept) in concepts.items() if not self.is_abstract(concept)}
        for rule in include.get("filter", []):
            if rule["op"] == "is-a" and rule["property"] == "concept":
                codes &= {code for code, (above, _) in concepts.items() if rule["value"] in above or code == rule["value"]}
            elif rule["op"] == "descendent-of" and rule["property"] == "concept":
                codes &= {code for code, (above, _) in concepts.items() if rule["value"] in above}
            else:
                raise NotExpandable(f"{url}: filter {rule['property']} {rule['op']} {rule['value']}")
        return codes

    def collect(self, concepts, above, result):
        for concept in concepts:
            parents = {
                item["valueCode"] for item in concept.get("property", []) if item["code"] in ("parent", "subsumedBy")
            }
            result.setdefault(concept["code"], (set(), concept))[0].update(above, parents)
            self.collect(concept.get("concept", []), [*above, concept["code"]], result)

    @staticmethod
    def is_abstract(concept):
        return any(item["code"] == "notSelectable" and item.get("valueBoolean") for item in concept.get("property", []))
