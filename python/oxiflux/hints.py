"""Answers to everyday slips: what to write instead of a name that other libraries have.

Nothing here runs while all is well: a slip's name on a class is a descriptor that only raises, and keywords are
looked at when a class is called with some, or when a call has failed.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Iterable, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any, Never, TypeVar

from .signatures import OfClass, document_constructor
from .slips import ELSEWHERE, LAYER, MODULE, RULE, SYNONYMS, TENSOR

__all__ = [
    "LAYER", "MODULE", "RULE", "TENSOR", "Told", "explained", "keyword", "meant", "misnamed", "missing", "refuse",
    "rename", "tell", "told", "unknown",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])

_TRAINS = ("setup", "train", "trainstep", "trainstep_withgradient", "fit")


def keyword(function: str, given: str, known: Iterable[str]) -> str:
    """The text of the error of a keyword that a function does not have.

    >>> keyword("softmax()", "dim", ["axis"])
    "softmax() got an unexpected keyword argument 'dim'; did you mean 'axis'?"
    """
    known = [name for name in known if name != "self"]
    text = f"{function} got an unexpected keyword argument {given!r}"
    meant = next((name for name in SYNONYMS.get(given, ()) if name in known), None) or _alike(given, known)
    if meant:
        return f"{text}; did you mean {meant!r}?"
    return f"{text}; it has {', '.join(map(repr, known))}" if known else f"{text}; it has none"


def explained(name: str, error: Exception, args: tuple[Any, ...], named: dict[str, Any]) -> Exception | None:
    """A better error than that of a function of the core that was called with these arguments, if there is one."""
    from . import _core

    text = str(error)
    if name in ("concat", "stack") and any(type(x) is _core.Tensor for x in (*args[1:], *named.values())):
        return TypeError(f"{name}: the tensors come in one list, {name}([a, b], axis=0)")
    if name in _SHAPED and len(args) > 1 and all(isinstance(n, int) for n in args):
        return TypeError(f"{name}: the shape is one argument, {name}({args})")
    if name in _PAIRED and len(args) == 2 and type(args[1]) is _core.Tensor:
        return TypeError(f"{name}: an axis is a number; {_PAIRED[name]}(a, b) is that of two tensors")
    # Positional ones stand before a slash.
    signature = str(getattr(_core, name).__text_signature__).strip("()")
    if found := re.search(r"got an unexpected keyword argument '(\w+)'", text):
        known = [_bare(part) for part in signature.rpartition("/")[2].split(",")]
        return TypeError(keyword(f"{name}()", found[1], [part for part in known if part]))
    if found := re.fullmatch(r"while processing '(\w+)'", getattr(error, "__notes__", [""])[-1]):
        slots = [_bare(part) for part in signature.split(",")]
        given = named | dict(zip([slot for slot in slots if slot != "/"], args, strict=False))
        return _misfit(name, found[1], error, given.get(found[1]))
    if type(error) is TypeError and text.startswith("expected a") and name not in _CONVERTS:
        return TypeError(f"{name}: {text}")
    return None


_SHAPED = ("zeros", "ones", "empty")
_PAIRED = {
    "max": "maximum",
    "min": "minimum",
    "sum": "add",
    "prod": "multiply",
    "all": "logical_and",
    "any": "logical_or",
}
# What others call on what they are given: its name would say nothing to their caller.
_CONVERTS = ("asarray", "tensor", "_meet")


def _bare(part: str) -> str:
    """The name of an argument in a signature."""
    return part.partition("=")[0].strip(" *")


def _misfit(function: str, argument: str, error: Exception, given: Any) -> Exception:
    """The error of a value that an argument cannot be."""
    text = str(error)
    if "interpreted as an integer" in text or "can be used as an index" in text:
        text = f"must be a whole number, got {short(given)}"
    elif "must be real number" in text:
        text = f"must be a number, got {short(given)}"
    elif found := re.search(
        r"(?:is not an instance of|cannot be cast as|cannot be converted to) '(\w+)'", text
    ):
        text = f"must be {_KINDS.get(found[1], 'a ' + found[1])}, got {short(given)}"
    elif isinstance(error, OverflowError) and isinstance(given, int):
        bound = "must not be negative" if "negative" in text else "is beyond what a machine word holds"
        text = f"{bound}, got {given}" if given.bit_length() < 200 else bound
    elif text.startswith(f"{function}:"):
        return type(error)(text)
    else:
        text = f"{text[0].lower() if text[1:2].islower() else text[:1]}{text[1:]}"
    return type(error)(
        f"{function}: {argument} {text}" if text[:2] in ("mu", "is") else f"{function}: {argument}: {text}"
    )


_KINDS = {"bool": "True or False", "str": "text", "tuple": "a tuple", "list": "a list"}


def short(x: Any) -> str:
    """A value in a message: not a whole page."""
    shape = getattr(x, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"a {type(x).__name__} of shape {shape}"
    text = repr(x)
    return text if len(text) <= 80 else f"a {type(x).__name__}"


def told(f: F) -> F:
    """Lets a function answer a keyword that it does not have, and lets those of a composition begin with its name."""
    # Not those that call what a user has made, whose errors have names of their own.
    is_composed = f.__module__.startswith(_COMPOSED)
    if is_composed:
        _TOLD.add(f.__name__)

    @functools.wraps(f)
    def answering(*args: Any, **given: Any) -> Any:
        try:
            return f(*args, **given)
        except (TypeError, ValueError, IndexError) as error:
            if isinstance(error, TypeError):
                misnamed(f, given, error)
            if is_composed:
                rename(f.__name__, error)
            raise

    return answering  # type: ignore[return-value]


_COMPOSED = tuple(f"{__package__}.{name}" for name in ("draws", "einsum", "fft", "functions", "linalg"))
_TOLD: set[str] = set()
_HOME = os.path.dirname(__file__)
_OWNER = re.compile(r"[a-z]\w*(?=: )")


def rename(name: str, error: Exception) -> None:
    """Lets an error begin with the function that was called, not with one that it is made of. What a function of the
    user's raised on the way stays as it is.
    """
    if len(error.args) != 1 or not isinstance(text := error.args[0], str):
        return
    place = error.__traceback__
    while place is not None:
        if not place.tb_frame.f_code.co_filename.startswith(_HOME):
            return
        place = place.tb_next
    owner = _OWNER.match(text)
    if owner is None:
        if not text.startswith(name):
            error.args = (f"{name}: {text}",)
    elif owner[0] != name and _is_ours(owner[0]):
        error.args = (name + text[owner.end() :],)


def _is_ours(name: str) -> bool:
    """Whether a function of this package has the name."""
    from . import _core

    return name in _TOLD or callable(getattr(_core, name, None))


_TAKES_ANY_NUMBER, _TAKES_ANY_NAME = 0x04, 0x08


def misnamed(f: Callable[..., Any], given: Iterable[str], error: TypeError) -> None:
    """Raises a better error if a call failed because of the names of its arguments, and does nothing else."""
    f = inspect.unwrap(f)
    code = f.__code__
    known = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    if not code.co_flags & _TAKES_ANY_NAME:
        refuse(f.__name__, given, known)
    if error.__traceback__ is not None and error.__traceback__.tb_next is None:
        error.args = (_forgotten(f, _twice(f"{f.__name__}()", str(error))),)


def refuse(function: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raises TypeError for the first keyword that is not known."""
    for name in given:
        if name not in known:
            text = keyword(f"{function}()", name, known)
            elsewhere = ELSEWHERE.get(name) if function in _TRAINS else None
            raise TypeError(f"{text.partition(';')[0]}; {elsewhere}" if elsewhere else text) from None


def _forgotten(f: Callable[..., Any], text: str) -> str:
    """The text of Python's error of arguments that were left out, with the order of those that have no default."""
    if "required positional argument" not in text:
        return text
    wanted = inspect.signature(f).parameters.values()
    names = [p.name for p in wanted if p.default is p.empty and p.kind <= p.POSITIONAL_OR_KEYWORD]
    return f"{text}; its order is {f.__name__}({', '.join(names)})"


def _twice(function: str, text: str) -> str:
    """The text of Python's error of an argument that was given twice, with how that came about."""
    found = re.search(r"got multiple values for argument '(\w+)'", text)
    return f"{function} got {found[1]!r} twice, by its place and by its name" if found else text


class Told:
    """Base of classes that answer an unknown keyword with the one that was meant, and show how they are called."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Its constructor is documented by the class."""
        super().__init_subclass__(**options)
        document_constructor(cls)

    if not TYPE_CHECKING:  # A class is called as its `__init__` says.
        __signature__ = OfClass()

        def __new__(cls, /, *args, **given):  # noqa: ANN002, ANN003, ANN204
            init = cls.__init__
            if (args or given) and init is object.__init__ and cls.__new__ is Told.__new__:
                raise TypeError(f"{cls.__name__}() takes no arguments")
            code = getattr(init, "__code__", None)
            if given and code is not None:
                names, any_name = _options(cls)
                places = code.co_varnames[1 : min(code.co_argcount, len(args) + 1)]
                for name in given:
                    if name not in names and not any_name:
                        raise TypeError(keyword(f"{cls.__name__}()", name, names))
                    if name in places:
                        raise TypeError(f"{cls.__name__}() got {name!r} twice, by its place and by its name")
            # A copy is made without arguments.
            if (args or given) and code is not None and 1 + len(args) < _required(init, code):
                _require(cls, init, code, args, given)
            if code is not None and len(args) >= code.co_argcount and not code.co_flags & _TAKES_ANY_NUMBER:
                raise TypeError(_too_many(cls.__name__, code, len(args)))
            return cls._new(args, given)

        @classmethod
        def _new(cls, args, given):  # noqa: ANN001, ANN206
            """What a call with these arguments makes."""
            return super().__new__(cls)


def _required(init: Any, code: CodeType) -> int:
    """How many of the arguments of a method that can be given by position have no default."""
    return code.co_argcount - len(init.__defaults__ or ())


def _require(cls: type, init: Any, code: CodeType, args: tuple[Any, ...], given: dict[str, Any]) -> None:
    """Raises TypeError for arguments that are missing, under the name of the class that is called."""
    required = code.co_varnames[1 + len(args) : _required(init, code)]
    if lacking := [name for name in required if name not in given]:
        several = f"{len(lacking)} required positional argument{'s' * (len(lacking) != 1)}"
        raise TypeError(f"{cls.__name__}() missing {several}: {', '.join(map(repr, lacking))}")


def _options(cls: type) -> tuple[tuple[str, ...], bool]:
    """The names that the constructor of a class takes, and whether it takes any other. A class of this package hands
    what it takes as `**options` on to its base.
    """
    names: tuple[str, ...] = ()
    for base in cls.__mro__:
        code = getattr(vars(base).get("__init__"), "__code__", None)
        if code is not None:
            names += code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
            if not code.co_flags & _TAKES_ANY_NAME:
                return names, False
            if not base.__module__.startswith(f"{__package__}."):
                break
    return names, True


def _too_many(name: str, code: CodeType, given: int) -> str:
    """The text of the error of too many arguments by position."""
    places = code.co_varnames[1 : code.co_argcount]
    named = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    by_name = f"; {', '.join(named)} by name" if named else ""
    return f"{name}() takes {', '.join(places) or 'nothing'} by position{by_name}, got {given} arguments by position"


class _Slip:
    # An attribute that a class does not have, for `hasattr` too; asking for it says what to write, and so does `help`.

    __slots__ = ("hint", "name")
    __doc__ = property(lambda self: self.hint)

    def __init__(self, name: str, hint: str) -> None:
        self.name, self.hint = name, hint

    def __get__(self, instance: object, owner: type) -> Never:
        raise AttributeError(f"{owner.__name__} has no {self.name}: {self.hint}")


def tell(cls: type, slips: dict[str, str]) -> None:
    """Lets a class answer names that it does not have."""
    for name, hint in slips.items():
        setattr(cls, name, _Slip(name, hint))

    def listed(self: object) -> list[str]:
        slips: set[str] = set()
        for base in reversed(type(self).__mro__):
            for name, value in vars(base).items():
                (slips.add if type(value) is _Slip else slips.discard)(name)
        return [n for n in object.__dir__(self) if n not in slips or n in getattr(self, "__dict__", ())]

    cls.__dir__ = listed  # type: ignore[assignment]


def missing(name: str, known: Iterable[str]) -> str:
    """The text of the error of a name that the package does not have."""
    if name in MODULE:
        return f"oxiflux has no {name}: {MODULE[name]}"
    meant = _alike(name, known)
    return f"oxiflux has no {name}" + (f"; did you mean flux.{meant}?" if meant else "")


def unknown(said: str, name: str, known: Iterable[str]) -> str:
    """The text of the error of a name that nothing would read: what is said of it, and what was meant.

    >>> unknown("Adam has no ", "lr", ["eta", "beta"])
    'Adam has no lr; did you mean eta?'
    """
    known = list(known)
    likely = next((s for s in SYNONYMS.get(name, ()) if s in known), None) or _alike(name, known)
    return f"{said}{name}" + (f"; did you mean {likely}?" if likely else "")


def meant(name: Any) -> str:
    """The function that a text stands for in other libraries, as the end of an error's message.

    >>> meant("relu"), meant(3)
    ('; flux.relu is one', '')
    """
    from . import _core

    if not isinstance(name, str):
        return ""
    return f"; flux.{name} is one" if callable(getattr(_core, name, None)) else ""


def _alike(name: str, known: Iterable[str]) -> str | None:
    """The one of the known names that is written most like this one."""
    import difflib

    folded = {k.lower().replace("_", ""): k for k in known}
    near = difflib.get_close_matches(name.lower().replace("_", ""), folded, n=1, cutoff=0.75)
    return folded[near[0]] if near else None
