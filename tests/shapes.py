"""The run-time check that the suite puts on every function of the packages: annotations, array shapes included.

``tests/conftest.py`` names it to the import hook of jaxtyping. Functions that beartype cannot check are left alone: those
with names that only a type checker imports, and Protocols that are not for run time.
"""

from collections.abc import Callable

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintException

_CHECKED = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""An int fits where a float is wanted, as PEP 484 says."""


def check(function: Callable[..., object]) -> Callable[..., object]:
    """The function, with its arguments and result checked against its annotations at each call."""
    if any(isinstance(hint, str) for hint in getattr(function, "__annotations__", {}).values()):
        return function
    try:
        return _CHECKED(function)
    except BeartypeDecorHintException:
        return function
