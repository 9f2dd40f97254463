"""Steps that move no element: a chain of them is one reshape, or nothing if it ends in the form that it began with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .. import _core
from .ops.gathering import picked
from .ops.recurrent import picked as picked_first
from .ops.shapes import cut, taken
from .trace import Ref, Step, Value

__all__ = ["without_moves"]

Shapes = Mapping[Ref, tuple[int, ...]]


def without_moves(
    steps: Sequence[Step], results: Sequence[Value], shapes: Shapes
) -> tuple[list[Step], list[Any]]:
    """The steps without what moves nothing, and the results as refs or tensors."""
    same: dict[Ref, Ref] = {}
    # The value that has the same elements in the same order.
    origins: dict[Ref, Ref] = {}
    kept = []
    for step in steps:
        step.args = [_renamed(arg, same) for arg in step.args]
        source = _source(step, shapes)
        if source is not None:
            (out,) = step.outputs
            source = origins.get(source, source)
            if shapes[source] == shapes[out]:
                same[out] = source
                continue
            origins[out] = source
            moved = Step(_core.reshape, [source, shapes[out]], {}, step.level)
            moved.outputs = step.outputs
            step = moved
        kept.append(step)
    return kept, [value.held if value.ref is None else same.get(value.ref, value.ref) for value in results]


def _renamed(arg: Any, names: Mapping[Ref, Ref]) -> Any:
    if isinstance(arg, Ref):
        return names.get(arg, arg)
    return [_renamed(part, names) for part in arg] if isinstance(arg, list) else arg


def _source(step: Step, shapes: Shapes) -> Ref | None:
    """What a step has its elements from, if they stay in their order."""
    if step.many or len(step.outputs) != 1 or not step.args:
        return None
    first = step.args[0]
    if step.run is _core.stack and type(first) is list and len(first) == 1:
        return first[0] if isinstance(first[0], Ref) and first[0] in shapes else None
    if not isinstance(first, Ref) or first not in shapes:
        return None
    size = math.prod(shapes[first])
    if not size or size != math.prod(shapes[step.outputs[0]]):
        return None
    return first if _is_in_order(step, shapes[first]) else None


def _is_in_order(step: Step, shape: tuple[int, ...]) -> bool:
    """Whether a step that keeps all elements keeps their order as well."""
    if step.run is _core.reshape or step.run is picked or step.run is picked_first:
        return True
    if step.run is _core.permute_dims:
        long = [axis for axis in step.args[1] if shape[axis] != 1]
        return long == sorted(long)
    if step.run is cut:
        return bool(step.options["step"] > 0)
    return step.run is taken and all((part.step or 1) > 0 for part in step.options["places"])
