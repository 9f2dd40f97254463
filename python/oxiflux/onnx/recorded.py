"""A model's forward pass as one program, of records that differ in the lengths of free axes and in all values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .. import _core
from .._core import Tensor


class Free(tuple[Any, ...]):
    """A number that differs: what it was in each record."""

    __slots__ = ()


Size: TypeAlias = int | Free
Shape: TypeAlias = tuple[Size, ...]


@dataclass(frozen=True)
class Value:
    """A value of the program, with the tensors that it was in the records."""

    shape: Shape
    dtype: str
    tensors: tuple[Tensor, ...]
    varies: bool

    @property
    def size(self) -> int:
        """The number of elements in the first record."""
        return int(self.tensors[0].size)


@dataclass(frozen=True)
class Step:
    """One operation, of which parameters may be `Free`."""

    number: int
    name: str
    parameters: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Recorded:
    """The operations in order that results need, the values by their numbers, and the numbers of the results."""

    steps: list[Step]
    values: list[Value]
    results: list[int]
    needed: set[int]


class DiffersError(ValueError):
    """The records are of different operations, from this one on."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(what)
        self.step = step


def recorded(calls: Sequence[tuple[Callable[[], list[Tensor]], list[Tensor]]], inputs: int) -> Recorded:
    """What functions compute of the tensors beside them, the first `inputs` of which vary."""
    records = [_core.record(f, given) for f, given in calls]
    results, programs, tensors = zip(*records, strict=True)
    steps = [_step(i, same) for i, same in enumerate(zip(*programs, strict=False))]
    if len({len(program) for program in programs}) > 1:
        raise DiffersError(min(map(len, programs)), "there are more operations")
    if len({tuple(numbers) for numbers in results}) > 1:
        raise DiffersError(len(steps) - 1, "the results are others")
    if len({len(values) for values in tensors}) > 1:
        raise DiffersError(len(steps) - 1, "the results are others")
    made = {y: step for step in steps for y in step.outputs}
    values: list[Value] = []
    for number, same in enumerate(zip(*tensors, strict=True)):
        shape = merged([tuple(t.shape) for t in same])
        if not isinstance(shape, tuple) or isinstance(shape, Free):
            raise DiffersError(made[number].number if number in made else 0, "the numbers of axes differ")
        varies = number < inputs
        if number in made:
            varies = any(values[x].varies for x in made[number].inputs) or _differ(shape, same)
        values.append(Value(shape, str(same[0].dtype), same, varies))
    needed = set(results[0])
    for step in reversed(steps):
        if needed.intersection(step.outputs):
            needed.update(step.inputs)
    steps = [step for step in steps if needed.intersection(step.outputs)]
    return Recorded(steps, values, list(results[0]), needed)


def _step(number: int, same: tuple[Any, ...]) -> Step:
    (name, _, inputs, outputs), *others = same
    if any((other[0], other[2], other[3]) != (name, inputs, outputs) for other in others):
        other = next((other[0] for other in others if other[0] != name), f"{name} of other values")
        raise DiffersError(number, f"there is {name} and {other}")
    return Step(number, name, merged([parameters for _, parameters, _, _ in same]), inputs, outputs)


def merged(same: Sequence[Any]) -> Any:
    """One thing of as many, in which the numbers that differ are `Free`."""
    first = same[0]
    if isinstance(first, dict):
        return {key: merged([other[key] for other in same]) for key in first}
    if isinstance(first, tuple) and len({len(other) for other in same}) == 1:
        return tuple(map(merged, zip(*same, strict=True)))
    return first if all(other == first for other in same) else Free(same)


def _differ(shape: Shape, tensors: Sequence[Tensor]) -> bool:
    """Whether what no input goes into differs all the same."""
    if any(isinstance(n, Free) for n in shape):
        return True
    arrays = [array(t) for t in tensors]
    return not all(_equal(arrays[0], other) for other in arrays[1:])


def _equal(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def array(t: Tensor) -> np.ndarray[Any, Any]:
    """The elements; those of bfloat16, which NumPy has not, as float32."""
    return np.asarray((t.astype("float32") if t.dtype == "bfloat16" else t).numpy())


def common(value: Value) -> np.ndarray[Any, Any] | None:
    """What a value that no operation computed is in all records, of length 1 along the axes that differ.

    None if it is not the same everywhere along them.
    """
    found = []
    for tensor in value.tensors:
        whole = array(tensor)
        axes = [i for i, n in enumerate(value.shape) if isinstance(n, Free)]
        if any(whole.shape[i] == 0 for i in axes):
            return None
        part = whole[tuple(slice(0, 1) if i in axes else slice(None) for i in range(whole.ndim))]
        if not _equal(np.broadcast_to(part, whole.shape), whole):
            return None
        found.append(part)
    return found[0] if all(_equal(found[0], other) for other in found[1:]) else None
