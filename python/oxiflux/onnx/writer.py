"""The graph of an ONNX file while it is written: nodes, constants and lengths by name."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from .recorded import Free, Recorded, Shape, Size, Step, Value, array, common

if TYPE_CHECKING:
    import onnx

# The number of an element type in the format, and NumPy's name for it.
DTYPES = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float16": 10,
    "float64": 11, "uint32": 12, "uint64": 13, "bfloat16": 16,
}  # fmt: skip

# A constant that is this much larger than what it is computed of is computed when the file is run.
_FOLDED = 4096
Array = np.ndarray[Any, Any]


class ExportError(ValueError):
    """A step that cannot be written."""

    def __init__(self, step: int | None, what: str) -> None:
        super().__init__(what)
        self.step = step


class Op:
    """A step as a lowering sees it: `op[i]` is the name of input `i`."""

    writer: Writer
    step: Step
    name: str
    parameters: dict[str, Any]
    inputs: list[Value]
    outputs: list[Value]

    def __init__(self, writer: Writer, step: Step) -> None:
        self.writer, self.step, self.name, self.parameters = writer, step, step.name, step.parameters
        self.inputs = [writer.recorded.values[x] for x in step.inputs]
        self.outputs = [writer.recorded.values[y] for y in step.outputs]

    def __getitem__(self, i: int) -> str:
        return self.writer.name(self.step.inputs[i])

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def x(self) -> Value:
        """The first input."""
        return self.inputs[0]

    @property
    def y(self) -> Value:
        """The result."""
        return self.outputs[0]

    def all(self) -> list[str]:
        """The names of all inputs."""
        return [self[i] for i in range(len(self))]

    def is_needed(self, i: int) -> bool:
        """Whether anything is made of result `i`."""
        return i < len(self.outputs) and self.step.outputs[i] in self.writer.recorded.needed

    def array(self, i: int) -> Array | None:
        """Input `i`, if it is the same whatever the inputs of the model are."""
        return self.writer.array(self.step.inputs[i])

    def folded(self, i: int, f: Callable[[Array], Array], otherwise: Callable[[str], str]) -> str:
        """What `f` makes of input `i`: at once if that is a constant, else by nodes."""
        values = self.array(i)
        if values is None or self.inputs[i].dtype == "bfloat16":
            return otherwise(self[i])
        return self.writer.constant(f(values), self.writer.paths.get(self.step.inputs[i]))

    def fail(self, what: str) -> ExportError:
        """The error that this step cannot be written for that reason."""
        return ExportError(self.step.number, what)


class Writer:
    """Collects nodes. A value gets its name when it is asked for, so that nothing is written in vain."""

    helper: ModuleType
    opset: int
    recorded: Recorded
    paths: dict[int, str]
    uses: Counter[int]

    def __init__(self, recorded: Recorded, paths: dict[int, str], inputs: dict[int, str], opset: int) -> None:
        import onnx

        self.helper, self.opset, self.recorded, self.paths = onnx.helper, opset, recorded, paths
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: dict[str, onnx.TensorProto] = {}
        self.names: dict[int, str] = dict(inputs)
        # Where a length that differs can be read: the name of a value, and the axis.
        self.lengths: dict[Free, tuple[str, int]] = {}
        # Other forms of a value: transposed ones by their order, and what it was before its shape was changed.
        self.transposed: dict[str, dict[tuple[int, ...], str]] = {}
        self.shaped: dict[str, tuple[str, Shape]] = {}
        self.parts: dict[str, list[tuple[Size, str]]] = {}
        self._constants: dict[Any, str] = {}
        self.uses = Counter(x for step in recorded.steps for x in step.inputs)
        self._taken = set(inputs.values())
        self._numbers = itertools.count()
        for number, name in inputs.items():
            self._measured(name, recorded.values[number].shape)

    def fresh(self, stem: str) -> str:
        """A name that nothing has."""
        names = itertools.chain([stem], (f"{stem}_{i}" for i in self._numbers))
        name = next(n for n in names if n not in self._taken)
        self._taken.add(name)
        return name

    # Values of the program

    def name(self, number: int) -> str:
        """The name of a value, which is computed by now or a constant."""
        if number not in self.names:
            self.names[number] = self._constant_value(number)
            self._measured(self.names[number], self.recorded.values[number].shape)
        return self.names[number]

    def array(self, number: int) -> Array | None:
        """A value that is the same whatever the inputs of the model are."""
        value = self.recorded.values[number]
        is_free = any(isinstance(n, Free) for n in value.shape)
        return None if value.varies or is_free or number in self.names else array(value.tensors[0])

    def computed(self, number: int, name: str) -> None:
        """A value has that name from now on."""
        self.names[number] = name
        self._measured(name, self.recorded.values[number].shape)

    def _measured(self, name: str, shape: Shape) -> None:
        for axis, n in enumerate(shape):
            if isinstance(n, Free):
                self.lengths.setdefault(n, (name, axis))

    def _constant_value(self, number: int) -> str:
        value = self.recorded.values[number]
        values = common(value)
        if values is None:
            raise ExportError(
                _first_use(self.recorded, number),
                "a number or an array is used that was made of values or lengths of the inputs outside of oxiflux's "
                "operations: the file would have it as it was once (for `x[i] = y` write `x = x.at[i].set(y)`)",
            )
        path = self.paths.get(number)
        name = self.constant(values, path, value.dtype)
        if any(isinstance(n, Free) for n in value.shape):
            return self.node("Expand", name, self.sizes(value.shape))
        return name

    # Nodes and constants

    @overload
    def node(self, kind: str, *inputs: str, outputs: Literal[1] = 1, **attributes: Any) -> str: ...
    @overload
    def node(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> Any: ...
    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node, and gives the name of its result, or those of its results."""
        names = [self.fresh(kind.lower()) for _ in range(outputs)]
        self.nodes.append(self.helper.make_node(kind, inputs, names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values: Array, path: str | None = None, dtype: str | None = None) -> str:
        """The name of a constant: the path in the model, if it has one. Equal ones are the same."""
        dtype = dtype or str(values.dtype)
        data = _bytes(values, dtype)
        key = (data, values.shape, dtype, path)
        if key not in self._constants:
            name = self.fresh(path or "constant")
            tensor = self.helper.make_tensor(name, DTYPES[dtype], values.shape, data, raw=True)
            self.initialisers[name] = tensor
            self._constants[key] = name
        return self._constants[key]

    def number(self, value: float | Free, dtype: str) -> str:
        """A single number of a type."""
        if isinstance(value, Free):
            raise ExportError(None, f"a number is {', '.join(map(str, value))} where the free axes differ")
        return self.constant(np.array(value, "float32" if dtype == "bfloat16" else dtype), None, dtype)

    def integers(self, values: Sequence[int]) -> str:
        """A vector of int64."""
        return self.constant(np.array(values, np.int64))

    # Lengths

    def sizes(self, shape: Sequence[Size], may_infer: bool = False) -> str:
        """A vector of lengths; with `may_infer`, one that differs is -1: what is left."""
        free = [i for i, n in enumerate(shape) if isinstance(n, Free)]
        if may_infer and len(free) == 1:
            shape, free = [-1 if isinstance(n, Free) else n for n in shape], []
        if not free:
            return self.integers([int(n) for n in shape])  # type: ignore[arg-type]
        runs: list[str] = []
        known: list[int] = []
        for n in (*shape, None):
            if isinstance(n, int):
                known.append(n)
                continue
            runs += [self.integers(known)] if known else []
            runs += [self.size(n)] if n is not None else []
            known = []
        return runs[0] if len(runs) == 1 else self.node("Concat", *runs, axis=0)

    def size(self, n: Size) -> str:
        """A length as a vector of one: a constant, or worked out from the shapes of values."""
        if not isinstance(n, Free):
            return self.integers([n])
        if n in self.lengths:
            name, axis = self.lengths[n]
            return self.node("Shape", name, start=axis, end=axis + 1)
        for known in list(self.lengths):
            found = self._of_one(n, known) or self._of_two(n, known)
            if found is not None:
                return found
        raise ExportError(
            None,
            f"a length is {', '.join(map(str, n))} where the free axes differ: no known function of them",
        )

    def _of_one(self, n: Free, known: Free) -> str | None:
        """`(known * times + plus) // by`."""
        for times, by in [(1, 1), *((k, 1) for k in range(2, 65)), *((1, k) for k in range(2, 65)), (-1, 1)]:
            pluses = {by * a - times * b for a, b in zip(n, known, strict=True)}
            if len(pluses) == 1:
                result = self.size(known)
                for kind, value, nothing in [("Mul", times, 1), ("Add", pluses.pop(), 0), ("Div", by, 1)]:
                    result = result if value == nothing else self.node(kind, result, self.integers([value]))
                return result
        slope = np.diff(n)[0] / np.diff(known)[0]
        times = round(slope)
        plus = {a - times * b for a, b in zip(n, known, strict=True)}
        if len(plus) == 1 and times != 0:
            scaled = self.node("Mul", self.size(known), self.integers([times]))
            return self.node("Add", scaled, self.integers([plus.pop()]))
        return None

    def _of_two(self, n: Free, known: Free) -> str | None:
        """`known * other`."""
        if any(k == 0 or a % k for a, k in zip(n, known, strict=True)):
            return None
        rest = Free(a // k for a, k in zip(n, known, strict=True))
        if rest in self.lengths:
            return self.node("Mul", self.size(known), self.size(rest))
        for other in list(self.lengths):
            if all(k and r % k == 0 for r, k in zip(rest, other, strict=True)):
                last = {r // k for r, k in zip(rest, other, strict=True)}
                if len(last) == 1:
                    return self.node(
                        "Mul",
                        self.node("Mul", self.size(known), self.size(other)),
                        self.integers([last.pop()]),
                    )
        return None

    # Layouts

    def transpose(self, name: str, order: Sequence[int]) -> str:
        """The axes in another order: a node only where that form is not there yet."""
        order = tuple(order)
        if order == tuple(range(len(order))):
            return name
        forms = self.transposed.setdefault(name, {})
        if order not in forms:
            forms[order] = self.node("Transpose", name, perm=order)
            back = tuple(int(i) for i in np.argsort(order))
            self.transposed.setdefault(forms[order], {})[back] = name
        return forms[order]

    def reshape(self, name: str, was: Shape, shape: Shape) -> str:
        """Another shape: what it was before, if that is it."""
        if was == shape:
            return name
        origin, first = self.shaped.get(name, (name, was))
        if first == shape:
            return origin
        dims = list(shape)
        if 0 not in dims and sum(isinstance(n, Free) for n in dims) > 1:
            dims = [0 if isinstance(n, Free) and was[i : i + 1] == (n,) else n for i, n in enumerate(dims)]
        zero = {"allowzero": 1} if 0 in shape else {}
        source = name if 0 in dims else origin
        y: str = self.node("Reshape", source, self.sizes(dims, may_infer=not zero), **zero)
        self.shaped[y] = (origin, first)
        return y

    # The whole

    def pruned(self, results: Sequence[str]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """The nodes that results need, and the constants that these need."""
        needed, nodes = set(results), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                nodes.append(node)
        return nodes[::-1], [t for name, t in self.initialisers.items() if name in needed]

    def is_constant(self, step: Step) -> bool:
        """Whether the results of a step are written as constants: by the path of the parameter that they are."""
        values = self.recorded.values
        outputs = [values[y] for y in step.outputs]
        if any(y.varies or any(isinstance(n, Free) for n in y.shape) for y in outputs):
            return False
        most = max(_FOLDED, sum(_nbytes(values[x]) for x in step.inputs))
        if any(self.array(x) is None for x in step.inputs) or sum(map(_nbytes, outputs[:1])) > most:
            return False
        path = self.paths.get(step.inputs[0]) if len(step.inputs) == 1 else None
        if path is not None and outputs[0].size == values[step.inputs[0]].size:
            # What is used in several ways, or in fewer bits, is written as it is in the model.
            if self.uses[step.inputs[0]] > 1 or step.name == "astype":
                return False
            self.paths[step.outputs[0]] = path
        return True


def _nbytes(value: Value) -> int:
    return int(value.size * value.tensors[0].dtype.itemsize)


def _first_use(recorded: Recorded, number: int) -> int | None:
    uses = (step.number for step in recorded.steps if number in step.inputs)
    return next(uses, None)


def _bytes(values: Array, dtype: str) -> bytes:
    """The elements in the order of the format, which is little-endian."""
    values = np.ascontiguousarray(values)
    if dtype == "bfloat16":
        values = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(values.dtype.newbyteorder("<")).tobytes()
