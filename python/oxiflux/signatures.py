"""Signatures that print their defaults as they are written: `activation=relu`, not `<built-in function relu>`.

The defaults in them are the objects themselves; only their text differs. A class makes its own when it is asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType
from typing import Any

__all__ = ["OfClass", "document_constructor", "show"]

_PRINT_BADLY = (FunctionType, BuiltinFunctionType, type, object)
_CONSTRUCTOR = "Takes what the documentation of the class explains."


class _Text:
    """Text that stands for itself in a signature."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _plain(x: Any) -> Any:
    """An annotation or a default, as it is written in a source."""
    if isinstance(x, str):
        return _Text(x)
    if x is inspect.Parameter.empty:
        return x
    return _Text(inspect.formatannotation(x))


def _written(x: Any) -> Any:
    """A default, as it is written; what only says that nothing was given has no name."""
    if x is inspect.Parameter.empty or isinstance(x, str):
        return x
    if callable(x) and (name := getattr(x, "__name__", None)):
        return _Text(name)
    return _Text("...") if type(x) is object else x


class _Parameter(inspect.Parameter):
    def __str__(self) -> str:
        default, annotation = _written(self.default), _plain(self.annotation)
        return str(inspect.Parameter(self.name, self.kind, default=default, annotation=annotation))

    def _format(self, **_: Any) -> str:
        """What Python 3.14 asks."""
        return str(self)


class _Signature(inspect.Signature):
    def __str__(self) -> str:
        return str(self._own())

    def format(self, **options: Any) -> str:
        """What pydoc asks since Python 3.13."""
        text: str = getattr(self._own(), "format")(**options)  # noqa: B009 unknown to older versions
        return text

    def _own(self) -> inspect.Signature:
        return inspect.Signature(
            list(self.parameters.values()), return_annotation=_plain(self.return_annotation)
        )


def _shown(signature: inspect.Signature, leave_out: int = 0, returns: Any = None) -> _Signature:
    """A signature without its first parameters."""
    parameters = [
        _Parameter(p.name, p.kind, default=p.default, annotation=p.annotation)
        for p in list(signature.parameters.values())[leave_out:]
    ]
    return _Signature(parameters, return_annotation=returns or signature.return_annotation)


class OfClass:
    """The `__signature__` of a class: that of its constructor. An instance has none but that of its `__call__`."""

    def __get__(self, instance: object, owner: Any) -> inspect.Signature:
        init = inspect.unwrap(owner.__init__)
        if instance is None and init is object.__init__ and owner.__new__.__qualname__ == "Told.__new__":
            return _Signature()
        if instance is not None or not isinstance(init, FunctionType):
            raise AttributeError("__signature__")
        # What `help` shows of the constructors next; a dataclass has made its own in the meantime.
        for base in owner.__mro__:
            document_constructor(base)
            show([vars(base).get("__init__")])
        return _shown(inspect.signature(init), leave_out=1, returns=inspect.Signature.empty)


def document_constructor(cls: type) -> None:
    """Lets a constructor without documentation refer to that of its class, in the place of Python's own words."""
    init = vars(cls).get("__init__")
    if isinstance(init, FunctionType) and init.__doc__ is None:
        init.__doc__ = _CONSTRUCTOR


def show(functions: Iterable[Any]) -> None:
    """Gives the functions with defaults that print badly a signature that does not."""
    for f in functions:
        if type(f) is FunctionType and "__signature__" not in vars(f):
            own = inspect.unwrap(f)
            defaults = (*(own.__defaults__ or ()), *(own.__kwdefaults__ or {}).values())
            if any(type(default) in _PRINT_BADLY for default in defaults):
                f.__signature__ = _shown(inspect.signature(f))  # type: ignore[attr-defined]
