"""Every element of a FHIR R4 resource with its type, and the problems of form: names, number, values, codes.

    JSON -> nodes, problems

Walks along the published element table. Knows nothing about references between resources or invariants.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from medomni.export.fhir_check_primitives import is_primitive, primitive_fault
from medomni.export.fhir_definitions import ElementRow, TypeRow, definitions

JsonObject = Mapping[str, object]

MAX_DEPTH = 40
"""Deeper nesting is refused; FHIR's own recursive structures stay far below."""

MIME = re.compile(r"[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+(\s*;.*)?")
MIME_ELEMENTS = frozenset({"Attachment.contentType", "Endpoint.payloadMimeType"})
"""Elements with a required binding to BCP 13, which no table can list."""


@dataclass(frozen=True)
class Problem:
    """One fault: where it is, which rule it breaks, and what was found. Holds no text of the resource."""

    path: str
    rule: str
    message: str


@dataclass(frozen=True, eq=False)
class Node:
    """One complex element; ``resource`` is the one that holds it, ``targets`` the types a reference may name here."""

    path: str
    type_name: str
    value: JsonObject
    resource: JsonObject
    targets: tuple[str, ...] = ()


def walk(resource: JsonObject) -> tuple[tuple[Node, ...], tuple[Problem, ...]]:
    """Return every complex element of a resource in document order, and the problems of form met on the way."""
    walker = _Walker()
    walker.resource(resource, str(resource.get("resourceType", "resource")), 0)
    return tuple(walker.nodes), tuple(walker.problems)


@dataclass(frozen=True, eq=False)
class _Place:
    path: str
    resource: JsonObject
    depth: int
    targets: tuple[str, ...] = ()

    def down(self, step: str, targets: tuple[str, ...] = ()) -> "_Place":
        return _Place(self.path + step, self.resource, self.depth + 1, targets)


@dataclass(frozen=True)
class _Slot:
    """One JSON key of a type: the row it fills and the type that the key selects."""

    owner: str
    name: str
    kind: str
    row: ElementRow


@dataclass
class _Walker:
    nodes: list[Node] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def report(self, path: str, rule: str, message: str) -> None:
        self.problems.append(Problem(path, rule, message))

    def resource(self, value: object, path: str, depth: int) -> None:
        kind = value.get("resourceType") if isinstance(value, Mapping) else None
        row = definitions().types.get(kind) if isinstance(kind, str) else None
        if not isinstance(value, Mapping) or row is None or row.kind != "resource":
            self.report(path, "resource-type", "not a resource type of the table")
            return
        self.complex(value, str(kind), _Place(path, value, depth))

    def complex(self, value: JsonObject, type_name: str, place: _Place) -> None:
        row = definitions().types.get(type_name)
        if row is None:
            return
        if place.depth > MAX_DEPTH:
            self.report(place.path, "depth", "the elements are nested too deeply")
            return
        if not set(value) - {"resourceType"}:
            self.report(place.path, "ele-1", "an object needs content")
        self.nodes.append(Node(place.path, type_name, value, place.resource, place.targets))
        seen = self.members(value, type_name, row, place)
        for name, element in row.elements.items():
            if element.min and name not in seen:
                self.report(f"{place.path}.{name}", "cardinality", "this element is required")

    def members(self, value: JsonObject, type_name: str, row: TypeRow, place: _Place) -> frozenset[str]:
        """Visit the members of an object and return the names of the rows they fill."""
        filled: dict[str, str] = {}
        for key, item in value.items():
            if key == "resourceType" and row.kind == "resource":
                continue
            slot = _slot(type_name, row, key.removeprefix("_"))
            if slot is None:
                self.report(f"{place.path}.{key}", "unknown-element", f"{type_name} has no such element")
                continue
            if filled.setdefault(slot.name, key.removeprefix("_")) != key.removeprefix("_"):
                self.report(f"{place.path}.{key}", "cardinality", "only one type of a choice may be given")
            if key.startswith("_"):
                self.primitive_extras(item, slot, place.down(f".{key}"))
            else:
                self.items(item, slot, place.down(f".{key}", slot.row.targets))
        return frozenset(filled)

    def items(self, item: object, slot: _Slot, place: _Place) -> None:
        if slot.row.max == "1":
            if isinstance(item, list):
                self.report(place.path, "cardinality", "a single value is expected, a list was found")
            else:
                self.one(item, slot, place)
        elif not isinstance(item, list):
            self.report(place.path, "cardinality", "a list is expected")
        elif not item:
            self.report(place.path, "ele-1", "a list needs content")
        else:
            for index, each in enumerate(item):
                if each is not None or not is_primitive(slot.kind):
                    self.one(each, slot, place.down(f"[{index}]", place.targets))

    def one(self, item: object, slot: _Slot, place: _Place) -> None:
        if slot.kind == "Resource":
            self.resource(item, place.path, place.depth)
        elif is_primitive(slot.kind):
            self.primitive(item, slot, place.path)
        elif isinstance(item, Mapping):
            self.complex(item, slot.kind, place)
            if slot.row.codes and not _codes_of(item) & definitions().codes[slot.row.codes]:
                self.report(place.path, "binding", f"no code of {slot.row.codes}")
        else:
            self.report(place.path, "type", f"{slot.kind} must be an object")

    def primitive(self, item: object, slot: _Slot, path: str) -> None:
        is_resource_id = slot.name == "id" and definitions().types[slot.owner].kind == "resource"
        fault = primitive_fault(item, "id" if is_resource_id else slot.kind)
        if fault:
            self.report(path, *fault)
        elif slot.row.codes and item not in definitions().codes[slot.row.codes]:
            self.report(path, "binding", f"the code is not one of {slot.row.codes}")
        elif f"{slot.owner}.{slot.name}" in MIME_ELEMENTS and not MIME.fullmatch(str(item)):
            self.report(path, "binding", "not a MIME type")

    def primitive_extras(self, item: object, slot: _Slot, place: _Place) -> None:
        """Visit what a primitive carries besides its value (``_birthDate``): one object, or a list with nulls."""
        if not is_primitive(slot.kind):
            self.report(place.path, "unknown-element", "only a primitive has a companion")
            return
        for index, each in enumerate(item if isinstance(item, list) else [item]):
            where = place.down(f"[{index}]") if isinstance(item, list) else place
            if each is None and isinstance(item, list):
                continue
            if not isinstance(each, Mapping) or not each:
                self.report(where.path, "ele-1", "an object with an id or extensions is expected")
                continue
            for key in each:
                if key not in ("id", "extension"):
                    self.report(f"{where.path}.{key}", "unknown-element", "a primitive has only an id and extensions")
            extensions = each.get("extension", [])
            for at, extension in enumerate(extensions if isinstance(extensions, list) else []):
                if isinstance(extension, Mapping):
                    self.complex(extension, "Extension", where.down(f".extension[{at}]"))


def _slot(owner: str, row: TypeRow, key: str) -> _Slot | None:
    """Return what a JSON key fills; a choice ``value[x]`` is found through ``valueQuantity``."""
    element = row.elements.get(key)
    if element is not None and not key.endswith("[x]"):
        return _Slot(owner, key, element.types[0], element)
    for name, choice in row.elements.items():
        if name.endswith("[x]") and key.startswith(name[:-3]):
            for kind in choice.types:
                if key == name[:-3] + kind[0].upper() + kind[1:]:
                    return _Slot(owner, name, kind, choice)
    return None


def _codes_of(item: JsonObject) -> set[object]:
    """Return the codes of a Coding or CodeableConcept."""
    coding = item.get("coding", [dict(item)])
    codes = [one.get("code") for one in coding if isinstance(one, Mapping)] if isinstance(coding, list) else []
    return {code for code in codes if isinstance(code, str)}
