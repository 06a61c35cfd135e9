"""The extract of the HL7 FHIR R4 4.0.1 definitions that ships with the package, as typed values.

    medomni/data/fhir_r4_bindings.json -> Definitions

How the extract was made stands in its own ``made`` line. Knows nothing about checking.
"""

import json
from functools import cache
from importlib.resources import files

from medomni.types.codes import Value


class Rule(Value):
    """One invariant: its key (``obs-6``), its words, and its FHIRPath expression."""

    key: str
    human: str
    expression: str


class ElementRow(Value):
    """One element of a type: its types, cardinality, allowed reference targets, required codes and own invariants."""

    types: tuple[str, ...]
    min: int = 0
    max: str = "1"
    targets: tuple[str, ...] = ()
    codes: str = ""
    fixed: str = ""
    rules: tuple[Rule, ...] = ()


class TypeRow(Value):
    """One resource, data type or backbone element."""

    kind: str
    elements: dict[str, ElementRow]
    rules: tuple[Rule, ...] = ()


class Definitions(Value):
    """The element table, the value sets of required bindings, and the patterns of primitives."""

    source: str
    made: str
    primitives: dict[str, str]
    codes: dict[str, frozenset[str]]
    types: dict[str, TypeRow]


@cache
def definitions() -> Definitions:
    """Return the shipped definitions, read once."""
    return Definitions.model_validate(
        json.loads(files("medomni.data").joinpath("fhir_r4_bindings.json").read_text(encoding="utf-8"))
    )
