"""What a file may name: the classes and functions of this package from which models and optimisers are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from typing import Any

from .. import _core, functions, init, layers, losses, optimisers
from ..einsum import einsum, tensordot

__all__ = ["classes", "function_names", "functions_by_name", "later_class", "registered"]

# Classes of parts of the package that are imported when they are named.
registered: dict[str, type] = {}
# The modules of these classes: each registers its own.
_LATER = {"Graph": "oxiflux.onnx.graph"}


def classes(caller: str, more: Iterable[type] = ()) -> dict[str, type]:
    """The classes that objects in a file may be of, by name: layers, rules and schedules, and those given by the user.

    >>> from oxiflux.files.names import classes
    >>> classes("load")["Dense"]
    <class 'oxiflux.layers.dense.Dense'>
    """
    known = _classes() | registered
    for kind in more:
        if not isinstance(kind, type):
            raise TypeError(f"{caller}: classes must be classes, got {kind!r}")
        if known.setdefault(kind.__name__, kind) is not kind:
            raise ValueError(f"{caller}: there are two classes with the name {kind.__name__}")
    return known


def later_class(name: str) -> type | None:
    """The class of this name of a part of the package that is not imported yet.

    >>> from oxiflux.files.names import later_class
    >>> later_class("Graph")
    <class 'oxiflux.onnx.graph.Graph'>
    """
    if name in _LATER:
        import_module(_LATER[name])
    return registered.get(name)


@cache
def _classes() -> dict[str, type]:
    found = (getattr(module, name) for module in (layers, optimisers) for name in module.__all__)
    return {kind.__name__: kind for kind in found if isinstance(kind, type)}


@cache
def functions_by_name() -> dict[str, Callable[..., Any]]:
    """The functions that a file may name: operations, and functions of tensors that are composed of them.

    >>> from oxiflux.files.names import functions_by_name
    >>> functions_by_name()["relu"](-1.0).item()
    0.0
    """
    found = {name: getattr(_core, name, None) for name in _core.op_names}
    found |= {"einsum": einsum, "tensordot": tensordot}
    for module in (functions, init, losses, layers):
        found.update((name, getattr(module, name)) for name in module.__all__)
    return {name: f for name, f in found.items() if callable(f) and not isinstance(f, type)}


@cache
def function_names() -> dict[int, str]:
    """The names of these functions by identity; they live as long as the package.

    >>> import oxiflux as flux
    >>> from oxiflux.files.names import function_names
    >>> function_names()[id(flux.relu)]
    'relu'
    """
    return {id(f): name for name, f in functions_by_name().items()}
