"""Works out the entries of a MONAI configuration by reference and plain arithmetic, never by running its code.

An entry may be ``@name`` (a reference) or ``$...`` (Python, when MONAI reads it). Here an expression may hold constants,
lists, arithmetic, comparisons, choices and references; anything more is refused by name, or handed to the bundle's own
code when that is trusted.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from medomni.errors import BadInput

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
TrustedEvaluator = Callable[[str], Json]
"""Given the id of a configuration entry (``a#b``), returns its value by running the bundle's own code."""

_MAX_DEPTH = 40
_REFERENCE = re.compile(r"@(\w+(?:(?:#|::)\w+)*)")
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Config:
    """A bundle configuration whose entries are worked out on demand, by reference and plain arithmetic only."""

    def __init__(self, table: Mapping[str, Json], trusted: TrustedEvaluator | None = None) -> None:
        self.table = table
        self._trusted = trusted

    def get(self, name: str, default: Json) -> Json:
        """The value of an entry (``a``, ``a#b`` or ``a::b``), or the default when there is none."""
        try:
            found = self._find(name)
        except KeyError:
            return default
        return self._value(found, name.replace("::", "#"), 0)

    def _find(self, name: str) -> Json:
        found: Json = dict(self.table)
        for part in re.split(r"#|::", name):
            if isinstance(found, dict) and part in found:
                found = found[part]
            elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
                found = found[int(part)]
            else:
                raise KeyError(name)
        return found

    def _value(self, found: Json, place: str, depth: int) -> Json:
        if depth > _MAX_DEPTH:
            raise BadInput("the bundle's configuration refers to itself", found=quote(place), remedy="repair the bundle")
        if isinstance(found, dict):
            return {key: self._value(item, f"{place}#{key}", depth + 1) for key, item in found.items()}
        if isinstance(found, list):
            return [self._value(item, f"{place}#{index}", depth + 1) for index, item in enumerate(found)]
        if not isinstance(found, str):
            return found
        if found.startswith("@"):
            return self._refer(found[1:], depth)
        if found.startswith(("$", "%")):
            return self._expression(found, place, depth)
        return found

    def _refer(self, name: str, depth: int) -> Json:
        try:
            return self._value(self._find(name), name.replace("::", "#"), depth + 1)
        except KeyError:
            raise BadInput(
                "the bundle's configuration refers to an entry it does not have", found=quote(name), remedy="repair the bundle"
            ) from None

    def _expression(self, text: str, place: str, depth: int) -> Json:
        names: dict[str, str] = {}

        def stand_in(match: re.Match[str]) -> str:
            name = f"_ref_{len(names)}"
            names[name] = match.group(1)
            return name

        try:
            tree = ast.parse(_REFERENCE.sub(stand_in, text[1:]).strip(), mode="eval")
            return _calculate(tree.body, lambda name: self._refer(names[name], depth))
        except (SyntaxError, _NotPlain, KeyError, TypeError, ZeroDivisionError, RecursionError, ValueError):
            if self._trusted is not None:
                return self._trusted(place)
            raise BadInput(
                "the bundle wants to run its own code",
                found=f"{quote(place)} holds {quote(text)}",
                remedy="write the value out in the bundle, or allow its code with --trust-bundle",
            ) from None


class _NotPlain(Exception):
    """The expression is more than arithmetic."""


def _calculate(node: ast.expr, refer: Callable[[str], Json]) -> Json:  # noqa: PLR0911  (one return per kind of node)
    """Return the value of a plain expression.

    Raises:
        _NotPlain: it holds anything but constants, lists, arithmetic, comparisons, choices and references.
    """
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.Name(id=name) if name.startswith("_ref_"):
            return refer(name)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_calculate(item, refer) for item in items]
        case ast.IfExp():
            return _calculate(node.body if _calculate(node.test, refer) else node.orelse, refer)
        case ast.UnaryOp(op=ast.Not()):
            return not _calculate(node.operand, refer)
        case ast.UnaryOp(op=ast.USub()):
            return -_as_number(_calculate(node.operand, refer))
        case ast.BinOp():
            return _combine(node.op, _calculate(node.left, refer), _calculate(node.right, refer))
        case ast.Compare(ops=[how], comparators=[other]) if type(how) in _OPERATORS:
            return bool(_OPERATORS[type(how)](_calculate(node.left, refer), _calculate(other, refer)))
        case _:
            raise _NotPlain


def _combine(how: ast.operator, left: Json, right: Json) -> Json:
    if isinstance(how, ast.Add) and isinstance(left, str) and isinstance(right, str):
        return (left + right)[:1000]
    if type(how) not in _OPERATORS:
        raise _NotPlain
    result: int | float = _OPERATORS[type(how)](_as_number(left), _as_number(right))
    return result


def _as_number(value: Json) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e12:
        raise _NotPlain
    return value


def quote(text: str) -> str:
    """Return text from a bundle as it may stand in a message: one printable line of at most 80 characters."""
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return f"'{clean[:80]}…'" if len(clean) > 80 else f"'{clean}'"
