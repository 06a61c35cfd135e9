"""Problems of a FHIR R4 Bundle that its Python models let through: codes, references, rules, narrative, attachments.

``fhir.resources`` accepts a wrong status, a Patient as a result, bad base64 and script in a narrative; a hospital's
server does not. Knows FHIR R4 4.0.1 and nothing about MedOmni.
"""

from collections.abc import Iterator, Mapping

from medomni.export.fhir_check_elements import Node, Problem, walk
from medomni.export.fhir_check_references import reference_problems
from medomni.export.fhir_check_rules import rule_problems

__all__ = ["Problem", "check_bundle"]

PUT_AND_DELETE = ("PUT", "DELETE", "PATCH")


def check_bundle(bundle: Mapping[str, object]) -> tuple[Problem, ...]:
    """Return every problem found in a Bundle (or in any single resource), in document order; empty means it passed.

    Example:
        >>> check_bundle({"resourceType": "Bundle", "type": "letter"})[0].rule
        'binding'
    """
    nodes, problems = walk(bundle)
    if any(problem.rule == "depth" for problem in problems):
        return problems
    found = [*problems, *reference_problems(bundle, nodes), *_request_problems(nodes), *rule_problems(nodes)]
    return tuple(dict.fromkeys(found))


def _request_problems(nodes: tuple[Node, ...]) -> Iterator[Problem]:
    """Yield problems of transaction requests: address, method and resource must name the same thing."""
    for node in nodes:
        if node.type_name != "Bundle.entry":
            continue
        request, resource = node.value.get("request"), node.value.get("resource")
        if not isinstance(request, Mapping):
            continue
        method, url = str(request.get("method", "")), str(request.get("url", ""))
        address, _, query = url.partition("?")
        kind, _, identity = address.partition("/")
        path = f"{node.path}.request.url"
        if isinstance(resource, Mapping) and kind != resource.get("resourceType"):
            yield Problem(path, "request", f"the address names {kind or 'nothing'}, the entry holds another type")
        if method == "POST" and (identity or query):
            yield Problem(path, "request", "a POST goes to a type, not to one resource")
        if method in PUT_AND_DELETE and not identity and not query:
            yield Problem(path, "request", f"a {method} needs an id or a search in its address")
        if method == "PUT" and identity and isinstance(resource, Mapping) and resource.get("id") != identity:
            yield Problem(path, "request", "the address and the resource have different ids")
        if method in ("PUT", "POST", "PATCH") and not isinstance(resource, Mapping):
            yield Problem(path, "request", f"a {method} needs a resource")
        if "ifNoneExist" in request and method != "POST":
            yield Problem(f"{node.path}.request.ifNoneExist", "request", "a condition on creation belongs to a POST")
