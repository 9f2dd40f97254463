"""What a function can reach, described for a guard: arguments, closures, globals, attributes, classes, functions.

A description is over-approximate: it has all that can be reached by name, whether a call looks at it or not. What
cannot be described raises `Unseen`.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import functools
import gc
import operator
import re
import sys
import sysconfig
import threading
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import _core
from ._core import Generator, Leaf, Tensor

__all__: list[str] = []

# What is not walked: the package itself, Python's library and NumPy's and SciPy's.
TRUSTED = {"oxiflux", "numpy", "scipy", "builtins"}
LIBRARY = sysconfig.get_path("stdlib")
VALUES = (bool, int, float, str, bytes)
SETS = (set, frozenset)
CONSTANTS = (complex, range, np.generic)
# Classes that are not Python code and hold nothing that is not looked at.
PLAIN = (object, tuple, list, dict, types.SimpleNamespace)
IS_PYTHON = 1 << 9
OPAQUE = (
    types.BuiltinFunctionType,
    types.BuiltinMethodType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
)
DESCRIPTORS = (
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
# Parts of a class that no call looks at, or that only a new class changes.
# What stays what it is, or is never asked what it is.
UNCHANGING = {
    *VALUES, complex, BaseException, Exception, collections.defaultdict, functools.partial, type(...),
    type(NotImplemented), types.GenericAlias, types.UnionType, re.Pattern, dt.date, dt.time, dt.datetime, dt.timedelta,
    dt.timezone, decimal.Decimal, operator.attrgetter, operator.itemgetter, operator.methodcaller,
    type(vars(collections.namedtuple("_", "field"))["field"]), type(threading.Lock()), type(threading.RLock()),
}  # fmt: skip
UNSEEN_PARTS = {
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__static_attributes__",
    "__firstlineno__", "__abstractmethods__", "_abc_impl", "__dataclass_fields__", "__dataclass_params__",
    "__match_args__", "__slots__", "__parameters__", "__orig_bases__", "__annotate__", "__annotate_func__",
    "__conditional_annotations__", "__annotations_cache__",
}  # fmt: skip
# Instructions that ask an object for something by its name.
OF_OBJECTS = {"LOAD_ATTR", "STORE_ATTR", "DELETE_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"}
# Attributes that are all globals of a function or of a frame.
NAMESPACES = {"__globals__", "f_globals"}
# What gives the attributes of a module by names that are no part of the code.
COMPUTING = {
    "getattr", "dir", "attrgetter", "getmembers", "getmembers_static", "getattr_static", "resolve_name",
    "__getattribute__", "format", "format_map",
}  # fmt: skip
MOST_NODES = 20_000
MOST_BYTES = 1 << 16
DEEPEST = 100

Code = types.CodeType
Node = tuple[Any, ...]


class Unseen(Exception):  # noqa: N818
    """What cannot be guarded, and why."""


@functools.lru_cache(maxsize=4096)
def is_trusted(module: object) -> bool:
    """Whether a module is one of those; a user's own may have the name of one of Python's library."""
    if not isinstance(module, str):
        return False
    root = module.partition(".")[0]
    if root in TRUSTED:
        return True
    if root not in sys.stdlib_module_names or root == "__main__":
        return False
    path = getattr(sys.modules.get(root), "__file__", None)
    return path is None or (path.startswith(LIBRARY) and "site-packages" not in path)


def codes_of(code: Code) -> list[Code]:
    """A function's code and that of the functions within it."""
    found = [code]
    for part in found:
        found += [x for x in part.co_consts if isinstance(x, Code)]
    return found


def names_of(code: Code) -> list[str]:
    """The names by which code can reach something: of globals, attributes and modules, and texts."""
    names: dict[str, None] = {}
    for part in codes_of(code):
        names.update(dict.fromkeys((*part.co_names, *texts_of(part))))
    return list(names)


def texts_of(code: Code) -> list[str]:
    """Its texts that may be names."""
    return [x for x in code.co_consts if isinstance(x, str) and x.isidentifier()]


@functools.lru_cache(maxsize=4096)
def globals_of(code: Code) -> list[str]:
    """The names by which code can reach a global. Those that it only asks objects for are none: the `step` of
    `self.step` is not the variable of a loop around the calls.
    """
    import dis  # not needed by who compiles nothing

    names: dict[str, None] = {}
    for part in codes_of(code):
        uses = [
            (x.argval, x.opname in OF_OBJECTS) for x in dis.get_instructions(part) if x.opcode in dis.hasname
        ]
        others = {name for name, is_of_object in uses if not is_of_object}
        asked = {name for name, _ in uses} - others
        names.update(dict.fromkeys((*(x for x in part.co_names if x not in asked), *texts_of(part))))
    return list(names)


@functools.cache
def names_of_package() -> frozenset[str]:
    """The names that the package has, whether or not they have been imported."""
    return frozenset(dir(sys.modules[__package__]))


class Reach:
    """The description of what a call of `function` with these arguments can reach."""

    def __init__(
        self,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        more: Iterable[tuple[Code, dict[str, Any]]] = (),
    ) -> None:
        self.count = 0
        self.numbers: dict[int, int] = {}
        self.kept: list[Any] = []
        self.tensors: list[Tensor] = []
        self.leaves = 0
        self.generators = 0
        self.bytes = 0
        self.roots: list[Node] = []
        self.codes: set[Code] = set()
        self.looked_up: set[tuple[int, str]] = set()
        self.pending: list[Callable[[], None]] = []
        self.classes: set[type] = set()
        # Modules that are held by something else than a name of a module.
        self.loose: list[types.ModuleType] = []
        self.modules: dict[int, types.ModuleType] = {}
        self.depth = 0
        self.roots.append(("args", self.node(args)))
        self.roots.append(("kwargs", self.node(kwargs) if kwargs else ("value", None)))
        self.roots.append(("fixed", function, self.node(function)))
        for code, names in more:
            self.code(code, names)
        met = (-1, -1)
        while self.pending or met != (len(self.codes), len(self.loose)):
            if self.pending:
                self.pending.pop(0)()
                continue
            met = (len(self.codes), len(self.loose))
            named = [name for code in self.codes for name in names_of(code)]
            for module in list(self.loose):
                self.module(module, named)
        if any(COMPUTING.intersection(names_of(code)) for code in self.codes):
            self.glance()
        self.guard = _core.Guard(self.roots, self.tensors, self.count)

    def number(self, x: Any) -> None:
        self.numbers.setdefault(id(x), self.count)
        self.kept.append(x)
        self.count += 1
        if self.count > MOST_NODES:
            raise Unseen(f"it can reach more than {MOST_NODES} objects")

    def node(self, x: Any) -> Node:
        kind = type(x)
        if x is None or kind in VALUES:
            return ("value", x)
        if id(x) in self.numbers:
            return ("same", self.numbers[id(x)])
        if self.depth > DEEPEST:
            raise Unseen(f"what it can reach is nested more than {DEEPEST} levels deep")
        self.depth += 1
        try:
            return self.describe(x, kind)
        finally:
            self.depth -= 1

    def describe(self, x: Any, kind: type) -> Node:
        if kind is Tensor:
            self.number(x)
            self.tensors.append(x)
            return ("tensor", len(self.tensors) - 1)
        if kind is Leaf:
            self.number(x)
            self.leaves += 1
            return ("leaf", self.leaves - 1, x.frozen)
        if kind is Generator:
            self.number(x)
            self.generators += 1
            return ("generator", self.generators - 1)
        if isinstance(x, np.ndarray):
            return self.array(x)
        if kind is types.FunctionType:
            return self.function(x)
        if kind is types.MethodType:
            self.number(x)
            return ("method", self.node(x.__func__), self.node(x.__self__))
        if isinstance(x, type):
            self.later_class(x)
            return ("is", x)
        if isinstance(x, types.ModuleType):
            self.loose.append(x)
            return ("is", x)
        # A signature, which decorators leave on functions, is not changed but replaced.
        if isinstance(x, (Code, *DESCRIPTORS)) or kind.__module__ == "inspect":
            return ("is", x)
        if isinstance(x, OPAQUE):
            owner = getattr(x, "__self__", None)
            if owner is None or isinstance(owner, (type, types.ModuleType)):
                return ("is", x)
            raise Unseen(f"it can reach {x!r}, a method of Python's own, of an object that it may change")
        if kind in CONSTANTS or isinstance(x, np.generic):
            return ("is", x)  # equal ones may differ: -0.0 from 0.0, an empty range from another
        if kind is slice:
            if not all(y is None or type(y) is int for y in (x.start, x.stop, x.step)):
                raise Unseen("it can reach a slice of other than integers")
            return ("is", x)
        if kind in SETS:
            if not all(y is None or type(y) in VALUES for y in x):
                raise Unseen(f"it can reach a {kind.__name__} of other than numbers and texts")
            return ("all", [("is", x), ("equal", kind, kind(x))])
        return self.object(x, kind)

    def array(self, x: Any) -> Node:
        if type(x) is not np.ndarray or x.dtype.kind not in "biuf":
            raise Unseen(f"it can reach a {type(x).__name__} of {x.dtype}, which is not looked into")
        self.bytes += x.nbytes
        if self.bytes > MOST_BYTES:
            raise Unseen(
                f"it can reach NumPy arrays of more than {MOST_BYTES} bytes, whose contents would have to be compared "
                "at each call: make them tensors, flux.tensor(a)"
            )
        self.number(x)
        return ("array", x, x.copy())

    def function(self, f: types.FunctionType) -> Node:
        trusted = is_trusted(f.__globals__.get("__name__"))
        if trusted and f.__closure__ is None:
            return ("is", f)
        self.number(f)
        cells: list[Node | None] = []
        defaults, keywords = self.node(f.__defaults__), self.node(f.__kwdefaults__)
        for cell in f.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:
                cells.append(None)
            else:
                cells.append(self.node(held))
        attributes = None if trusted else self.node(f.__dict__)
        if not trusted:
            self.code(f.__code__, f.__globals__)
        return ("function", f.__code__, f.__globals__, defaults, keywords, cells, attributes, f)

    def code(self, code: Code, names: dict[str, Any]) -> None:
        """What code can reach by the names of its globals is looked up later."""
        if code in self.codes:
            return
        self.codes.update(codes_of(code))
        for name in NAMESPACES.intersection(names_of(code)):
            raise Unseen(f"it may look anything up in {name}")
        self.pending.append(functools.partial(self.look_up, names, globals_of(code), names_of(code)))

    def look_up(self, namespace: dict[str, Any], names: list[str], within: list[str]) -> None:
        for name in names:
            if (id(namespace), name) in self.looked_up:
                value = namespace.get(name)
                if isinstance(value, types.ModuleType):
                    self.module(value, within)
                continue
            self.looked_up.add((id(namespace), name))
            if name not in namespace:
                self.roots.append(("lookup", namespace, name, None))
                imported = sys.modules.get(name)
                if imported is not None:
                    self.module(imported, within)
                continue
            value = namespace[name]
            self.roots.append(("lookup", namespace, name, self.node(value)))
            if isinstance(value, types.ModuleType):
                self.module(value, within)

    def module(self, module: types.ModuleType, names: list[str]) -> None:
        """What code can reach of a module, by its names."""
        namespace = vars(module)
        if module is sys and "modules" in names:
            raise Unseen("it may look any module up in sys.modules")
        if module is sys.modules[__package__]:
            for name in names:
                if name not in namespace and name in names_of_package():
                    getattr(module, name)  # what is imported at its first use is guarded as the rest is
        if not is_trusted(module.__name__):
            self.modules[id(module)] = module
            found = [name for name in names if name in namespace or name in {"__dict__"}]
            if "__dict__" in found or "__getattr__" in namespace:
                raise Unseen(f"it may look anything up in the module {module.__name__}")
            new = [name for name in found if (id(namespace), name) not in self.looked_up]
            if new:
                self.pending.append(functools.partial(self.look_up, namespace, new, names))
            return
        for name in names:
            if name in namespace and (id(namespace), name) not in self.looked_up:
                self.looked_up.add((id(namespace), name))
                value = namespace[name]
                plain = value is None or type(value) in VALUES
                self.roots.append(("lookup", namespace, name, ("value" if plain else "is", value)))
                if isinstance(value, types.ModuleType):
                    self.module(value, names)

    def glance(self) -> None:
        """What modules hold by any name: a number, a tensor, or else which object."""
        for namespace in map(vars, self.modules.values()):
            for name, value in list(namespace.items()):
                if (id(namespace), name) not in self.looked_up and not name.startswith("__"):
                    is_whole = value is None or type(value) in (*VALUES, Tensor)
                    self.roots.append(
                        ("lookup", namespace, name, self.node(value) if is_whole else ("is", value))
                    )

    def later_class(self, kind: type) -> None:
        meta: type = type(kind)
        for part in (*kind.__mro__, *meta.__mro__):
            if part not in self.classes and not is_trusted(part.__module__):
                self.classes.add(part)
                self.pending.append(functools.partial(self.of_class, part))

    def of_class(self, kind: type) -> None:
        own = next((x for x in gc.get_referents(kind.__dict__) if type(x) is dict), None)
        if own is None:
            raise Unseen(f"it can reach the class {kind.__name__}, which is not looked into")
        for key, value in list(own.items()):
            if key in UNSEEN_PARTS:
                continue
            if type(value) in (staticmethod, classmethod, functools.cached_property, property):
                self.roots.append(("lookup", own, key, ("is", value)))
                for name in ("__func__", "func", "fget", "fset"):
                    f = getattr(value, name, None)
                    if f is not None:
                        self.roots.append(("fixed", f, self.node(f)))
            else:
                self.roots.append(("lookup", own, key, self.node(value)))
        names = tuple(own)
        self.roots.append(("fixed", own, ("keys", names)))

    def object(self, x: Any, kind: type) -> Node:
        if isinstance(x, (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)):
            raise Unseen(f"it can reach {x!r}, which a call may move on")
        trusted = is_trusted(kind.__module__)
        if hasattr(kind, "__next__") and trusted:
            raise Unseen(f"it can reach {x!r}, which a call may move on")
        parts: list[Node] = []
        self.later_class(kind)
        foreign = [part for part in kind.__mro__ if not (part.__flags__ & IS_PYTHON or part in PLAIN)]
        if foreign:
            parts.append(("is", x))  # such as a number with attributes: what it is cannot be read off these
        if isinstance(x, tuple):
            self.number(x)
            parts.append(("tuple", kind, [self.node(y) for y in x]))
        elif isinstance(x, list):
            self.number(x)
            parts.append(("list", kind, [self.node(y) for y in x]))
        elif isinstance(x, dict) and not isinstance(x, collections.OrderedDict):
            self.number(x)
            if not all(key is None or type(key) in VALUES for key in x):
                raise Unseen("it can reach a dict whose keys are other than numbers and texts")
            parts.append(("dict", kind, list(x), [self.node(y) for y in x.values()]))
        elif isinstance(
            x, (set, frozenset, collections.deque, bytearray, memoryview, collections.OrderedDict)
        ) or type(x).__module__ in (
            "array",
            "_random",
            "random",
            "weakref",
            "_weakref",
        ):
            raise Unseen(f"it can reach a {kind.__name__}, which is not looked into: {x!r:.60}")
        elif not trusted and any(
            hasattr(kind, name) for name in ("__array__", "__dlpack__", "__array_interface__")
        ):
            raise Unseen(f"it can reach an array of {kind.__module__}: make it a tensor, flux.tensor(a)")
        elif kind.__module__.startswith("numpy.random"):
            raise Unseen(
                "it can reach a random generator of NumPy: give flux.Generator(seed), or draw outside"
            )
        elif kind.__module__ == "functools" and hasattr(x, "__wrapped__") and hasattr(x, "cache_info"):
            raise Unseen("it can reach a function with a cache: call it outside")
        own = getattr(x, "__dict__", None)
        slots: dict[str, Any] = {}
        if kind is functools.partial:
            slots = {"func": x.func, "args": x.args, "keywords": x.keywords}
        if kind is _core.compiled:
            slots = {"__wrapped__": x.__wrapped__}
        for part in kind.__mro__:
            for name, member in vars(part).items() if "__slots__" in vars(part) else ():
                if isinstance(member, types.MemberDescriptorType):
                    try:
                        slots[name] = member.__get__(x)
                    except AttributeError:
                        slots[name] = _ABSENT
        if type(own) is dict or slots:
            if id(x) not in self.numbers:
                self.number(x)
            else:
                self.count += 1  # a second picture of the same object has a number of its own
            own = own if type(own) is dict else {}
            if not all(type(key) is str for key in own):
                raise Unseen(f"the attributes of a {kind.__name__} have keys that are no text")
            items = [self.node(y) for y in own.values()]
            held = [None if y is _ABSENT else self.node(y) for y in slots.values()]
            parts.append(("object", kind, list(own), items, list(slots), held))
        if not all(
            part in UNCHANGING or part.__module__.partition(".")[0] in ("oxiflux", "numpy")
            for part in foreign
        ):
            raise Unseen(f"it can reach a {kind.__name__}, which is not looked into: {x!r:.60}")
        if not parts:
            return ("is", x)
        return parts[0] if len(parts) == 1 else ("all", parts)


_ABSENT = object()
