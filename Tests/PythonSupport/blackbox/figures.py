"""Figures that tests measure on the way, for the report of `ops/test --long`."""

from __future__ import annotations

import os


def report(name: str, value: float, unit: str, at_most: float | None = None) -> None:
    """Prints a figure in the form of ops/bench, and adds it to the file that MEDCLOUD_FIGURES names."""
    judged = "- measured" if at_most is None else f"<={at_most:g} {'pass' if value <= at_most else 'fail'}"
    line = f"{name} {value:.2f} {unit} {judged}"
    print(line)
    file = os.environ.get("MEDCLOUD_FIGURES")
    if file:
        with open(file, "a", encoding="ascii") as figures:
            figures.write(line + "\n")
