"""Compiles the FHIRPath of R4 search parameters to JSON paths.

The subset is what the 1,400 definitions use. Anything else raises `Unsupported`, so that a new definition is never
indexed wrongly in silence.

A compiled program is a list of alternatives. Each is a list of steps and the type of what it ends at:
    ("key", name, url)       the member `name`; arrays are entered; url of its required value set or None
    ("index", n)             element n of the array that the last step found
    ("where", name, text)    only objects whose member `name` is this string
    ("is", type)             only references that resolve to this resource type
    ("url", url)             only extensions with this url
    ("has", url)             only elements that have an extension with this url
    ("true",)                a boolean: whether the member exists and is not false
"""

import re

TOKEN = re.compile(r"\s*('[^']*'|!=|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[.()|=\[\]])")


class Unsupported(Exception):
    pass


def tokenize(text):
    position, tokens = 0, []
    text = text.rstrip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if not match:
            raise Unsupported(f"cannot read {text[position:]!r}")
        tokens.append(match.group(1))
        position = match.end()
    return tokens


class Parser:
    """Recursive descent; the tree is nested tuples."""

    def __init__(self, text):
        self.tokens = tokenize(text)
        self.position = 0

    def peek(self):
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def take(self, expected=None):
        token = self.peek()
        if token is None or (expected and token != expected):
            raise Unsupported(f"expected {expected}, found {token}")
        self.position += 1
        return token

    def parse(self):
        tree = self.conjunction()
        if self.peek() is not None:
            raise Unsupported(f"unexpected {self.peek()}")
        return tree

    def conjunction(self):
        left = self.comparison()
        while self.peek() == "and":
            self.take()
            left = ("and", left, self.comparison())
        return left

    def comparison(self):
        left = self.union()
        if self.peek() in ("=", "!="):
            operator = self.take()
            left = (operator, left, self.union())
        return left

    def union(self):
        left = self.cast()
        while self.peek() == "|":
            self.take()
            left = ("|", left, self.cast())
        return left

    def cast(self):
        left = self.path()
        while self.peek() in ("as", "is"):
            operator = self.take()
            left = (operator, left, self.take())
        return left

    def path(self):
        if self.peek() == "(":
            self.take()
            left = self.conjunction()
            self.take(")")
        elif self.peek().startswith("'"):
            return ("text", self.take()[1:-1])
        else:
            left = self.member(None)
        while self.peek() in (".", "["):
            if self.take() == "[":
                left = ("index", left, int(self.take()))
                self.take("]")
            else:
                left = self.member(left)
        return left

    def member(self, left):
        name = self.take()
        if self.peek() != "(":
            return ("name", left, name)
        self.take()
        argument = None if self.peek() == ")" else self.conjunction()
        self.take(")")
        return ("call", left, name, argument)


class Compiler:
    def __init__(self, package):
        self.package = package

    def compile(self, expression, resource_type):
        """The alternatives of `expression` that can select something in a resource of this type."""
        return self.evaluate(Parser(expression).parse(), resource_type)

    def evaluate(self, tree, root):
        operator = tree[0]
        if operator == "|":
            return self.evaluate(tree[1], root) + self.evaluate(tree[2], root)
        if operator == "as":
            return self.cast(self.evaluate(tree[1], root), tree[2])
        if operator == "index":
            return [(steps + [("index", tree[2])], kind) for steps, kind in self.evaluate(tree[1], root)]
        if operator == "name":
            if tree[1] is None:
                if tree[2] in (root, "Resource", "DomainResource"):
                    return [([], root)]
                if tree[2] in self.package.types:
                    return []
                return self.step([([], root)], tree[2])
            return self.step(self.evaluate(tree[1], root), tree[2])
        if operator == "call":
            return self.call(tree, root)
        if operator == "and":
            return self.exists_and_is_not_false(tree, root)
        raise Unsupported(f"operator {operator}")

    def step(self, focus, name):
        result = []
        for steps, kind in focus:
            for element in self.package.types.get(kind, []):
                if name == (element.name[:-3] if element.choice else element.name):
                    result += [(steps + [("key", key, element.required_value_set)], end) for key, end in element.keys()]
        if focus and not result:
            raise Unsupported(f"{sorted({kind for _, kind in focus})} has no {name}")
        return result

    def cast(self, focus, kind):
        result = [(steps, found) for steps, found in focus if self.package.is_a(found, kind)]
        if focus and not result:
            raise Unsupported(f"{sorted({found for _, found in focus})} is never {kind}")
        return result

    def call(self, tree, root):
        _, left, name, argument = tree
        focus = self.evaluate(left, root)
        if name in ("as", "ofType"):
            return self.cast(focus, argument[2])
        if name == "extension":
            extensions = self.step(focus, "extension")
            return [(steps + [("url", argument[1])], kind) for steps, kind in extensions]
        if name == "where":
            return [(steps + [self.condition(argument)], kind) for steps, kind in focus]
        raise Unsupported(f"function {name}")

    def condition(self, tree):
        if tree[0] == "=" and tree[1][0] == "name" and tree[1][1] is None and tree[2][0] == "text":
            return ("where", tree[1][2], tree[2][1])
        if tree[0] == "is" and tree[1] == ("call", None, "resolve", None):
            return ("is", tree[2])
        if tree[:3] == ("call", None, "hasExtension"):
            return ("has", tree[3][1])
        raise Unsupported(f"where({tree})")

    def exists_and_is_not_false(self, tree, root):
        """`x.exists() and x != false`, the only conjunction of R4."""
        left, right = tree[1], tree[2]
        if left[:1] + left[2:] != ("call", "exists", None) or right != ("!=", left[1], ("name", None, "false")):
            raise Unsupported(f"and: {tree}")
        return [(steps + [("true",)], "boolean") for steps, _ in self.evaluate(left[1], root)]
