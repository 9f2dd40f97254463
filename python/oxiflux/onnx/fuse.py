"""Activations that a file writes out, found by what they compute, and handed to the product before them.

GELU alone has a dozen spellings. So a run of element-wise steps from one value is tried on some numbers: where it gives
what a function of this package gives, that function takes its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _core
from .._core import Tensor
from .trace import INPUT, Ref, Step

__all__ = ["FUSED", "fused"]

# What a convolution or a product computes in its own pass faster than in one of its own.
FUSED = frozenset({_core.relu})
_KNOWN = (_core.hardswish, _core.swish, _core.gelu_erf, _core.gelu_tanh, _core.mish)
_PROBE = _core.tensor(np.concatenate([np.linspace(-7, 7, 113), [-30.0, 30.0]]), _core.float64)
_WANTED = [(f, f(_PROBE).numpy()) for f in _KNOWN]
_MOST_ROOTS = 8
_SINGLE = frozenset(
    getattr(_core, name)
    for name in (
        "add", "subtract", "multiply", "divide", "maximum", "minimum", "pow", "square", "sqrt", "exp", "tanh",
        "sigmoid", "erf", "relu", "relu6", "negative", "reciprocal", "softplus", "hardsigmoid", "log1p",
    )
)  # fmt: skip


def fused(steps: Sequence[Step], ends: Sequence[Any]) -> list[Step]:
    """The steps that the ends need, each written-out activation as one step, or as part of the one before it."""
    # For each value the numbers that it has where an earlier one, its root, has those of the probe.
    known: dict[Ref, dict[Ref, Tensor]] = {}
    found = []
    for step in steps:
        values = _tried(step, known) if step.level == INPUT and step.run in _SINGLE else {}
        if step.level == INPUT and len(step.outputs) == 1 and not step.many:
            out = step.outputs[0]
            known[out] = {out: _PROBE, **dict(list(values.items())[: _MOST_ROOTS - 1])}
            step = _named(step, values)
        found.append(step)
    return _merged(found, ends)


def _tried(step: Step, known: dict[Ref, dict[Ref, Tensor]]) -> dict[Ref, Tensor]:
    """What a step gives for the probe in the place of each root that all its inputs share."""
    refs = [arg for arg in step.args if isinstance(arg, Ref)]
    numbers = [arg for arg in step.args if not isinstance(arg, Ref)]
    if not refs or not all(ref in known for ref in refs):
        return {}
    if not all(type(arg) is Tensor and arg.size == 1 and arg.dtype.kind == "f" for arg in numbers):
        return {}
    roots = [root for root in known[refs[0]] if all(root in known[ref] for ref in refs)]
    values = {}
    for root in roots:
        args = [
            known[arg][root] if isinstance(arg, Ref) else arg.astype(_core.float64).reshape(())
            for arg in step.args
        ]
        values[root] = step.run(*args, **step.options)
    return values


def _named(step: Step, values: dict[Ref, Tensor]) -> Step:
    """The step, or a function of this package from a root further up that computes the same."""
    for root, value in values.items():
        numbers = value.numpy()
        for function, wanted in _WANTED:
            # The constants of a file are rounded to float32.
            if step.run is not function and np.allclose(numbers, wanted, rtol=1e-6, atol=1e-6):
                new = Step(function, [root], {}, INPUT)
                new.outputs = step.outputs
                return new
    return step


def _merged(steps: Sequence[Step], ends: Sequence[Any]) -> list[Step]:
    """Activations within the convolution or product before them, where nothing else wants its result."""
    kept: list[Step] = []
    used = {end for end in ends if isinstance(end, Ref)}
    for step in reversed(steps):
        if not step.outputs or not used.isdisjoint(step.outputs):
            kept.append(step)
            used.update(refs_of(step.args))
    kept.reverse()
    uses = Counter(ref for step in kept for ref in refs_of(step.args))
    uses.update(end for end in ends if isinstance(end, Ref))
    makers: dict[Ref, Step] = {}
    result = []
    for step in kept:
        if step.run in FUSED and len(step.args) == 1 and not step.options and step.level == INPUT:
            maker = makers.get(step.args[0])
            if (
                maker is not None
                and uses[step.args[0]] == 1
                and maker.run in (_core.conv, _core.dense)
                and maker.args[3] is None
            ):
                maker.args[3] = step.run
                maker.outputs = step.outputs
                makers[step.outputs[0]] = maker
                continue
        result.append(step)
        makers.update(dict.fromkeys(step.outputs, step))
    return result


def refs_of(arg: Any) -> list[Ref]:
    """The names in the arguments of a step."""
    if isinstance(arg, Ref):
        return [arg]
    return [ref for part in arg for ref in refs_of(part)] if isinstance(arg, (list, tuple)) else []
