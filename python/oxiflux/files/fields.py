"""What the attributes of an object in a file may be; writing asks too, so that what was saved can be loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _core
from .._core import Tensor

__all__ = ["check_fields"]

# The types that are known here, by how they are written.
_TYPES: dict[str, Callable[[Any], bool]] = {
    "Callable": callable,
    "None": lambda x: x is None,
    "Tensor": lambda x: isinstance(x, Tensor),
    "bool": lambda x: isinstance(x, bool),
    "dict": lambda x: isinstance(x, dict),
    "float": lambda x: isinstance(x, (int, float)),
    "int": lambda x: isinstance(x, int),
    "list": lambda x: isinstance(x, list),
    "str": lambda x: isinstance(x, str),
    "tuple": lambda x: isinstance(x, tuple),
}


def check_fields(kind: type, fields: Mapping[str, Any]) -> None:
    """Raises ValueError unless an object of the class can have these attributes and no others.

    For classes of this package they are those that the class declares, of the types that it says, and hide no method.

    >>> import oxiflux as flux
    >>> check_fields(flux.Chain, {"layers": 3})
    Traceback (most recent call last):
    ValueError: layers of a Chain is a int, and should be tuple[Function, ...] | dict[str, Function]
    """
    # What the state of a method's object is named.
    of_method = ("__self__", "__func__") if kind is _core.Namespace else ()
    is_ours = kind.__module__.partition(".")[0] == "oxiflux"
    for name in fields:
        if (name.startswith("__") and name not in of_method) or (
            is_ours and callable(getattr(kind, name, None))
        ):
            raise ValueError(f"{kind.__name__} has no field {name}")
    if not is_ours:
        return
    for base in kind.__mro__:
        for name, kind_of_field in getattr(base, "__annotations__", {}).items():
            # A file without `from __future__ import annotations` has types, not their text.
            written = getattr(kind_of_field, "__name__", str(kind_of_field))
            if name not in fields:
                if not hasattr(kind, name):
                    raise ValueError(f"a {kind.__name__} without {name}")
                continue
            tests = [_TYPES.get(text) for text in _alternatives(written)]
            if all(tests) and not any(test(fields[name]) for test in tests if test):
                found = type(fields[name]).__name__
                raise ValueError(f"{name} of a {kind.__name__} is a {found}, and should be {written}")


def _alternatives(written: str) -> list[str]:
    """The outer names in a type: `tuple[int | None, ...] | None` gives tuple and None."""
    outer, depth = "", 0
    for c in written:
        depth += c == "["
        outer += "" if depth else c
        depth -= c == "]"
    return [name.strip() for name in outer.split("|")]
