"""Problems against the invariants of FHIR R4: its FHIRPath constraints, narrative XHTML and attachments.

Constraints run through ``fhirpathpy``. Five are done by hand: the two narrative checks, which FHIRPath leaves to the host,
and dom-3, ref-1 and ext-1, which trace or are simpler in Python.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import cast
from xml.etree import ElementTree

from medomni.export.fhir_check_elements import JsonObject, Node, Problem
from medomni.export.fhir_definitions import definitions
from medomni.types.codes import UCUM

XHTML = "{http://www.w3.org/1999/xhtml}"
BY_HAND = frozenset({"dom-3", "ref-1", "ext-1", "txt-1", "txt-2"})
_TAGS = """
a abbr acronym address b big blockquote br caption cite code col colgroup dd del dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i
img ins kbd li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var
"""
_ATTRIBUTES = """
abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset cite
class colspan compact coords dir frame headers height href hreflang hspace id lang longdesc name nowrap rel rev rowspan
rules scope shape span src start style summary tabindex title type valign value vspace width xml:lang
"""
ALLOWED_TAGS, ALLOWED_ATTRIBUTES = frozenset(_TAGS.split()), frozenset(_ATTRIBUTES.split())
"""Elements and attributes of HTML 4.0 chapters 7 to 11 and 15 that the narrative page of FHIR R4 lists."""
SAFE_LINK = re.compile(r"(?:#|https?://|mailto:|[A-Z][A-Za-z]+/|urn:)[^\s]*|")
SAFE_IMAGE = re.compile(r"(?:#|https?://|data:image/(?:png|jpeg|gif);base64,|urn:)[^\s]*")

Check = Callable[[JsonObject, dict[str, object]], list[object]]


def rule_problems(nodes: tuple[Node, ...]) -> Iterator[Problem]:
    """Yield the broken invariants of every element, in document order."""
    root = nodes[0].value if nodes else {}
    for node in nodes:
        yield from _constraint_problems(node, root)
        if node.type_name == "Narrative":
            yield from _narrative_problems(node)
        elif node.type_name == "Attachment":
            yield from _attachment_problems(node)
        elif node.type_name == "Extension":
            yield from _extension_problems(node)
        elif "contained" in node.value:
            yield from _contained_problems(node)


def _constraint_problems(node: Node, root: JsonObject) -> Iterator[Problem]:
    row = definitions().types[node.type_name]
    rules = [(rule, node.value, node.path) for rule in row.rules]
    for name, element in row.elements.items():
        content = node.value.get(name)
        items = content if isinstance(content, list) else [content]
        rules += [(rule, item, f"{node.path}.{name}") for rule in element.rules for item in items if isinstance(item, dict)]
    environment: dict[str, object] = {"resource": node.resource, "rootResource": root, "ucum": UCUM}
    for rule, value, path in rules:
        if rule.key in BY_HAND:
            continue
        try:
            held = _compiled(rule.expression)(value, environment)
        except Exception as error:  # fhirpathpy raises plain Exception for what it cannot do
            yield Problem(path, rule.key, f"could not be evaluated ({type(error).__name__}): {rule.human}")
            continue
        if held not in ([True], []):
            yield Problem(path, rule.key, rule.human)


@cache
def _compiled(expression: str) -> Check:
    import fhirpathpy  # only a check needs it
    from fhirpathpy.models import models

    # fhirpathpy has no hasValue(); on plain JSON a primitive that exists has a value.
    return cast(Check, fhirpathpy.compile(expression.replace("hasValue()", "exists()"), models["r4"]))


def _narrative_problems(node: Node) -> Iterator[Problem]:
    text, path = node.value.get("div"), f"{node.path}.div"
    if not isinstance(text, str):
        return
    if re.search(r"<!|<\?", text):
        yield Problem(path, "txt-1", "declarations, comments and instructions do not belong into a narrative")
        return
    try:
        div = ElementTree.fromstring(text)  # noqa: S314  (no DOCTYPE or entity gets here)
    except ElementTree.ParseError:
        yield Problem(path, "txt-1", "not well-formed XHTML")
        return
    if div.tag != f"{XHTML}div":
        yield Problem(path, "txt-1", "the outer element is not an XHTML div")
    for element in div.iter():
        yield from _xhtml_element_problems(element, path)
    if not "".join(div.itertext()).strip() and div.find(f".//{XHTML}img") is None:
        yield Problem(path, "txt-2", "no content besides white space")


def _xhtml_element_problems(element: ElementTree.Element, path: str) -> Iterator[Problem]:
    tag = str(element.tag)
    name = tag.removeprefix(XHTML)
    if not tag.startswith(XHTML) or name not in ALLOWED_TAGS:
        yield Problem(path, "txt-1", "an element that narratives may not have")
        return
    for attribute, value in element.attrib.items():
        plain = attribute.replace("{http://www.w3.org/XML/1998/namespace}", "xml:")
        if plain not in ALLOWED_ATTRIBUTES:
            yield Problem(path, "txt-1", f"an attribute that narratives may not have, on {name}")
        elif plain == "href" and not SAFE_LINK.fullmatch(value):
            yield Problem(path, "txt-1", "a link that runs or hides something")
        elif plain == "src" and not SAFE_IMAGE.fullmatch(value):
            yield Problem(path, "txt-1", "an image from a source that is not allowed")
        elif plain == "style" and re.search(r"url\s*\(|expression|@import|javascript:", value, re.IGNORECASE):
            yield Problem(path, "txt-1", "a style that loads or runs something")


def _attachment_problems(node: Node) -> Iterator[Problem]:
    """Check what no model checks: base64, and size and SHA-1 hash over the bytes before base64 (R4 Attachment)."""
    data, stated_hash = node.value.get("data"), node.value.get("hash")
    if isinstance(stated_hash, str):
        digest = _decoded(stated_hash)
        if digest is None or len(digest) != hashlib.sha1(usedforsecurity=False).digest_size:
            yield Problem(f"{node.path}.hash", "hash", "not the base64 of a SHA-1 digest")
    if not isinstance(data, str):
        return
    content = _decoded(data)
    if content is None:
        yield Problem(f"{node.path}.data", "base64", "not valid base64")
        return
    if "size" in node.value and node.value["size"] != len(content):
        yield Problem(f"{node.path}.size", "size", f"the data holds {len(content)} bytes")
    expected = base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()
    if isinstance(stated_hash, str) and stated_hash != expected:
        yield Problem(f"{node.path}.hash", "hash", "not the hash of the data")


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _extension_problems(node: Node) -> Iterator[Problem]:
    values = [key for key in node.value if key.lstrip("_").startswith("value")]
    if bool(values) == ("extension" in node.value):
        yield Problem(node.path, "ext-1", "an extension has either extensions or one value")


def _contained_problems(node: Node) -> Iterator[Problem]:
    """dom-3: every contained resource is referred to from the resource that holds it, or refers to it."""
    contained: object = node.value.get("contained")
    used = set(_references(dict(node.value)))
    for index, one in enumerate(contained if isinstance(contained, list) else []):
        if isinstance(one, Mapping) and f"#{one.get('id')}" not in used and "#" not in set(_references(dict(one))):
            yield Problem(f"{node.path}.contained[{index}]", "dom-3", "nothing refers to this contained resource")


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "reference" and isinstance(item, str):
                yield item
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
