"""Problems of the links of a Bundle: addresses, uniqueness, and references that lead nowhere or to the wrong type."""

import re
from collections.abc import Iterator, Mapping

from medomni.export.fhir_check_elements import JsonObject, Node, Problem

UUID_URL = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
RELATIVE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?")
CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?\S+")


def reference_problems(bundle: Mapping[str, object], nodes: tuple[Node, ...]) -> Iterator[Problem]:
    """Yield problems of full URLs and of every Reference, in document order."""
    known = _addresses(bundle)
    yield from _address_problems(nodes)
    for node in nodes:
        if node.type_name == "Reference":
            yield from _one_reference(node, known)


def _addresses(bundle: Mapping[str, object]) -> dict[str, str]:
    """Return the resource type behind each address of the bundle: full URLs and ``Type/id``."""
    known: dict[str, str] = {}
    entries = bundle.get("entry")
    for one in entries if isinstance(entries, list) else []:
        entry: Mapping[str, object] = one if isinstance(one, dict) else {}
        resource = entry.get("resource")
        if not isinstance(resource, dict):
            continue
        kind = str(resource.get("resourceType", ""))
        if "fullUrl" in entry:
            known[str(entry["fullUrl"])] = kind
        if "id" in resource:
            known[f"{kind}/{resource['id']}"] = kind
    return known


def _address_problems(nodes: tuple[Node, ...]) -> Iterator[Problem]:
    seen: set[str] = set()
    for node in nodes:
        url = node.value.get("fullUrl") if node.type_name == "Bundle.entry" else None
        if not isinstance(url, str):
            continue
        path, resource = f"{node.path}.fullUrl", node.value.get("resource")
        if url in seen:
            yield Problem(path, "fullurl-unique", "two entries have the same address")
        seen.add(url)
        if url.startswith("urn:uuid:") and not UUID_URL.fullmatch(url):
            yield Problem(path, "fullurl", "not a lower-case UUID")
        elif not url.startswith(("urn:uuid:", "urn:oid:", "http://", "https://")):
            yield Problem(path, "fullurl", "not an absolute address")
        elif url.startswith("http") and not url.endswith(_type_and_id(resource)):
            yield Problem(path, "fullurl", "the address does not end with the resource's type and id")


def _type_and_id(resource: object) -> str:
    if isinstance(resource, dict) and "id" in resource:
        return f"/{resource.get('resourceType')}/{resource['id']}"
    return ""


def _one_reference(node: Node, known: Mapping[str, str]) -> Iterator[Problem]:
    reference, identifier = node.value.get("reference"), node.value.get("identifier")
    stated = node.value.get("type")
    if reference is None:
        if identifier is None and "display" not in node.value and "extension" not in node.value:
            yield Problem(node.path, "reference-empty", "neither a reference, an identifier nor a display")
        yield from _target_problem(node, str(stated) if stated else "")
        return
    if not isinstance(reference, str):
        return
    kind = _kind_of(reference, node.resource, known)
    if kind is None and identifier is None:
        yield Problem(node.path, "reference-unresolved", "it is not in the bundle and has no identifier")
    if kind and stated and kind != stated:
        yield Problem(node.path, "reference-type", "the stated type is not the type of the resource")
    yield from _target_problem(node, kind or str(stated or "") or _named_kind(reference))


def _kind_of(reference: str, resource: JsonObject, known: Mapping[str, str]) -> str | None:
    """Return the type of what a reference leads to inside the bundle, None when it leads nowhere."""
    if reference == "#":
        return str(resource.get("resourceType", ""))
    if reference.startswith("#"):
        contained = resource.get("contained")
        for one in contained if isinstance(contained, list) else []:
            if isinstance(one, Mapping) and one.get("id") == reference[1:]:
                return str(one.get("resourceType", ""))
        return None
    search = CONDITIONAL.fullmatch(reference)
    if search:
        return search.group(1)
    return known.get(reference)


def _named_kind(reference: str) -> str:
    match = RELATIVE.fullmatch(reference)
    return match.group(1) if match else ""


def _target_problem(node: Node, kind: str) -> Iterator[Problem]:
    if kind and node.targets and kind not in node.targets:
        yield Problem(node.path, "reference-target", f"{kind} is not among the types allowed here")
