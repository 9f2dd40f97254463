"""Draws calls of the public surface, as Python source."""

import inspect
import random
from dataclasses import dataclass

import oxiflux as flux
import zoo

from .arguments import Arguments

# Names that are not calls, or whose calls are about the process: they start threads or wait.
LEFT_OUT = {"__version__", "losses", "optimisers", "threadpools", "set_num_threads", "throttle", "fit"}
OPERATORS = [
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "**",
    "@",
    "<",
    "<=",
    ">",
    ">=",
    "==",
    "!=",
    "&",
    "|",
    "^",
    "<<",
    ">>",
]
PARTS = ["{x}[{i}]", "{x}[{i}]", "{x}[{i}][{i}]", "{x}[{i}].sum()", "list({x}[{i}])"]
UNARY = [
    "-{x}", "+{x}", "abs({x})", "~{x}", "len({x})", "list({x})", "repr({x})", "str({x})", "bool({x})", "float({x})",
    "int({x})", "hash({x}) and 0", "{x}.T", "{x}.mT", "np.asarray({x})", "copy.deepcopy({x})", "{x}.__dlpack__() and 0",
    "pickle.loads(pickle.dumps({x}))", "flux.from_dlpack({x})", "np.from_dlpack({x})", "f'{{{x}:.3f}}'",
    "round({x}, 2)",
    "{y} in {x}", "divmod({x}, {y})", "reversed({x}) and 0", "operator.index({x})", "np.add({x}, {y})", "np.mean({x})",
    "sum({x})", "max({x})", "sorted({x})", "complex({x})", "range({x})", "[1, 2][{x}]", "bytes({x})", "{x}.shape",
    "{x}.dtype", "{x}.ndim", "{x}.size", "memoryview({x}) and 0", "flux.tensor([{x}, {y}])", "np.array([{x}, {y}])",
]  # fmt: skip


@dataclass(frozen=True)
class Call:
    """`text` is an expression in which `shared` and a0, a1, … are the values of `arguments`."""

    name: str
    text: str
    arguments: tuple[str, ...]
    shared: str

    def source(self) -> str:
        """The call as a person would write it."""
        lines = [f"shared = {self.shared}"] if "shared" in self.text + "".join(self.arguments) else []
        lines += [f"a{i} = {text}" for i, text in enumerate(self.arguments)]
        return "; ".join([*lines, self.text])


def _surface() -> dict[str, inspect.Signature]:
    """The callables of the surface by their dotted names."""
    found = {}
    for name in dir(flux):
        if name not in LEFT_OUT and callable(f := getattr(flux, name)):
            try:
                found[f"flux.{name}"] = inspect.signature(f)
            except ValueError:  # exceptions have none
                continue
    return found


def _methods() -> dict[str, inspect.Signature]:
    left_out = {
        "__init__",
        "__new__",
        "__getattribute__",
        "__init_subclass__",
        "__subclasshook__",
        "__class__",
    }
    left_out |= {"__setattr__", "__delattr__"}  # a name that is not there is an AttributeError
    left_out |= {"__array_ufunc__", "__array_function__"}  # NumPy's, which calls them rightly
    found = {}
    for name in dir(flux.Tensor):
        f = getattr(flux.Tensor, name, None)  # a name that other libraries have only says what to write
        if callable(f) and name not in left_out:
            found[name] = inspect.signature(f)
    return found


SURFACE, METHODS = _surface(), _methods()
NAMES, METHOD_NAMES, ROWS = sorted(SURFACE), sorted(METHODS), sorted(zoo.ROWS)
CLASSES = [name for name in NAMES if isinstance(getattr(flux, name.removeprefix("flux.")), type)]
RULES = [name for name in CLASSES if issubclass(getattr(flux, name.removeprefix("flux.")), flux.Rule)]


class Draw:
    """One call, drawn from a seed and a number."""

    def __init__(self, seed: int, number: int) -> None:
        self.rng = random.Random(f"{seed}:{number}")
        self.of = Arguments(self.rng)
        self.arguments: list[str] = []

    def call(self) -> Call:
        kinds = [self._function] * 10 + [self._gradient] * 4 + [self._method] * 3 + [self._operator] * 3
        kinds += [self._index] * 3 + [self._layer] * 3 + [self._rule, self._file]
        name, text = self.rng.choice(kinds)()
        return Call(name, text, tuple(self.arguments), self.of.tensor())

    def argument(self, text: str) -> str:
        """The name of an argument of this source."""
        self.arguments.append(text)
        return f"a{len(self.arguments) - 1}"

    def _given(self, signature: inspect.Signature, skip: int = 0) -> str:
        """Arguments for a signature, each by a name of its own."""
        given = []
        for parameter in list(signature.parameters.values())[skip:]:
            name, kind = parameter.name, parameter.kind
            if kind is parameter.VAR_POSITIONAL:
                given += [self.argument(self.of.named(name)) for _ in range(self.rng.choice([0, 1, 1, 2, 3]))]
            elif kind is parameter.VAR_KEYWORD:
                continue
            elif parameter.default is parameter.empty or self.of.chance(0.35):
                text = self.argument(self.of.named(name))
                by_name = kind is parameter.KEYWORD_ONLY or (
                    kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is not parameter.empty
                )
                given.append(f"{name}={text}" if by_name else text)
            elif kind is parameter.POSITIONAL_ONLY:
                # Those after one that is left out go by name, where they have one.
                continue
        positional = [g for g in given if "=" not in g]
        return ", ".join(positional + [g for g in given if "=" in g])

    def _function(self) -> tuple[str, str]:
        name = self.rng.choice(NAMES)
        return name, f"{name}({self._given(SURFACE[name])})"

    def _method(self) -> tuple[str, str]:
        name = self.rng.choice(METHOD_NAMES)
        x = self.argument(self.of.tensor())
        return f"Tensor.{name}", f"flux.asarray({x}).{name}({self._given(METHODS[name], skip=1)})"

    def _operator(self) -> tuple[str, str]:
        x, y = self.argument(self.of.array_like()), self.argument(self.of.named("x"))
        if self.of.chance(0.5):
            form = self.rng.choice(UNARY)
            return form, form.format(x=f"flux.asarray({x})", y=y)
        op = self.rng.choice(OPERATORS)
        return op, self.rng.choice([f"flux.asarray({x}) {op} {y}", f"{y} {op} flux.asarray({x})"])

    def _index(self) -> tuple[str, str]:
        x = self.argument(self.of.tensor(shape=self.of.shape))
        form = self.rng.choice(PARTS)
        text = form.format(x="x", i=self.of.index())
        if self.of.chance(0.3):
            return "gradient of indexing", f"flux.gradient(lambda x: total({text}), flux.asarray({x}))"
        return "indexing", f"(lambda x: {text})(flux.asarray({x}))"

    def _gradient(self) -> tuple[str, str]:
        name = self.rng.choice(NAMES)
        inner = self._given(SURFACE[name])
        watched = self.argument(self.of.floats()), self.argument(self.of.floats())
        # The first arguments of the call are what is watched.
        names = [f"a{i}" for i in range(len(self.arguments))]
        for own, outer in zip(names[:2], watched, strict=False):
            if self.of.chance(0.8) and own in inner and own not in watched:
                inner = inner.replace(own, outer)
        function = f"lambda {watched[0]}, {watched[1]}: total({name}({inner}))"
        both = ", ".join(f"flux.asarray({w})" for w in watched)
        form = self.rng.choice(
            [
                "flux.gradient({f}, {both})",
                "flux.gradient({f}, {both})",
                "flux.withgradient({f}, {both})",
                "flux.jvp({f}, ({both}), ({both}))",
                "flux.pullback({f}, {both})[1]()",
                "flux.pullback({f}, {both})[1]({x})",
                "flux.gradient(lambda *a: total(flux.gradient({f}, *a)), {both})",
                "flux.gradient(lambda *a: flux.checkpoint({f}, *a), {both})",
            ]
        )
        return f"gradient of {name}", form.format(f=function, both=both, x=watched[0])

    def _layer(self) -> tuple[str, str]:
        row = self.rng.choice(ROWS)
        dtype = self.rng.choice(["float32", "float32", "float64"])
        layer = f"layer({row!r}, {dtype!r})"
        if self.of.chance(0.2):
            layer = f"flux.{self.rng.choice(['f16', 'bf16'])}({layer})"
        given = []
        for shape in zoo.ROWS[row].takes:
            shape = (self.rng.choice([0, 1, 2, 3]), *shape)
            if self.of.chance(0.1):
                shape = self.of.new_shape()
            kind = "labels" if zoo.ROWS[row].of == "labels" else None
            text = self.of.tensor(shape, "int64" if kind else self.of.dtype, kind)
            given.append(self.argument(text if self.of.chance(0.93) else self.of.named("x")))
        inputs = ", ".join(given)
        form = self.rng.choice(
            [
                "{layer}({x})",
                "{layer}({x})",
                "flux.gradient(lambda m: total(m({x})), {layer})",
                "flux.gradient(lambda m, *x: total(m(*x)), {layer}, {x})",
                "flux.outputsize({layer}, {x})",
                "flux.testmode({layer})({x})",
                "flux.trainmode({layer})({x})",
            ]
        )
        return row, form.format(layer=layer, x=inputs)

    def _rule(self) -> tuple[str, str]:
        name = self.rng.choice(RULES)
        rule = f"{name}({self._given(SURFACE[name])})"
        shape = self.of.new_shape()
        x = self.argument(self.of.tensor(shape))
        steps = ", ".join(self.argument(self.of.tensor(shape)) for _ in range(3))
        return name, f"step({rule}, flux.asarray({x}), {steps})"

    def _file(self) -> tuple[str, str]:
        seed = self.rng.randrange(10**6)
        forms = [
            "flux.load(file({}))",
            "flux.load_checkpoint(file({}))",
            "flux.load_torch(model({0}), file({0}))",
        ]
        form = self.rng.choice(forms)
        return "file", form.format(seed)
