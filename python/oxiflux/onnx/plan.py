"""Steps as a program: one Python function for what depends on parameters alone, one for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import _core
from .._core import Tensor
from .fuse import fused, refs_of
from .trace import INPUT, PARAMETER, Ref, Step, Value
from .views import without_moves

__all__ = ["Program"]

TwoParts = Callable[[Sequence[Tensor], Sequence[Tensor]], tuple[Tensor, ...]]


class Program:
    """`prepare(parameters)` gives what `run(inputs, prepared)` needs of them.

    A call of a program is a call of Python for each step and nothing else, so that small graphs run at the speed of
    their kernels; names of the file never occur in it.
    """

    steps: list[Step]
    parameters: list[int]
    is_factor: list[bool]
    prepare: TwoParts
    run: TwoParts

    def __init__(
        self,
        steps: Sequence[Step],
        parameters: Sequence[Ref],
        inputs: Sequence[Ref],
        outputs: Sequence[Value],
        shapes: Mapping[Ref, tuple[int, ...]],
    ) -> None:
        # A step of parameters alone may have been written down behind the one that it was made for.
        steps = sorted(steps, key=lambda step: step.level)
        steps, ends = without_moves(steps, outputs, shapes)
        steps = fused(steps, ends)
        own, later = [s for s in steps if s.level == PARAMETER], [s for s in steps if s.level == INPUT]
        made = {*parameters, *(ref for s in own for ref in s.outputs)}
        ends = _apart(later, ends, {*made, *inputs})
        wanted = {ref: None for s in later for ref in refs_of(s.args) if ref in made}
        wanted.update({ref: None for ref in ends if isinstance(ref, Ref) and ref in made})
        kept = list(wanted)
        used = {ref for s in own for ref in refs_of(s.args)} | wanted.keys()
        self.parameters = [place for place, ref in enumerate(parameters) if ref in used]
        self.steps = steps
        factors = {ref for s in later if s.run in _PRODUCTS for ref in refs_of(s.args[:2])}
        self.is_factor = [ref in factors for ref in kept]
        self.prepare = _function(own, [parameters[place] for place in self.parameters], [], kept)
        self.run = _function(later, inputs, kept, ends)

    def prepare_once(self, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What `prepare` gives, for many calls of which none is recorded."""
        made = self.prepare(parameters, ())
        return tuple(
            _without_subnormals(x) if is_factor else x
            for x, is_factor in zip(made, self.is_factor, strict=True)
        )


def _apart(steps: list[Step], ends: list[Any], held: set[Ref]) -> list[Any]:
    """The results, each a tensor of its own, into which a caller may write: not one that is held, given, or another."""
    apart: list[Any] = []
    for end in ends:
        if not isinstance(end, Ref) or end in held or end in apart:
            step = Step(_core.identity, [end], {}, INPUT)
            end = Ref(f"y{len(apart)}")
            step.outputs = [end]
            steps.append(step)
        apart.append(end)
    return apart


_PRODUCTS = (_core.conv, _core.conv_transpose, _core.dense, _core.matmul)


def _without_subnormals(x: Tensor) -> Tensor:
    """A matrix with zeros for the numbers that are too small to be stored in full: those of channels that training has
    given up, which take processors a hundred times as long, and change nothing beside the others.
    """
    if x.ndim < 2 or x.dtype.name != "float32":
        return x
    numbers = x.numpy()
    sizes = np.abs(numbers)
    is_tiny = (sizes < np.finfo(np.float32).tiny) & (sizes > 0)
    if not is_tiny.any() or sizes.max() < 1e-6:
        return x
    return _core.tensor(np.where(is_tiny, np.float32(0), numbers))


def _function(
    steps: Sequence[Step], first: Sequence[Ref], second: Sequence[Ref], results: Sequence[Any]
) -> TwoParts:
    """A function of two sequences that runs the steps, and forgets each value after its last use."""
    held: dict[str, Any] = {}
    known: dict[int, str] = {}

    def word(x: Any) -> str:
        if isinstance(x, Ref):
            return str(x)
        if x is None or type(x) in (bool, int):
            return repr(x)
        if isinstance(x, list):
            return f"[{', '.join(map(word, x))}]"
        if id(x) not in known:
            known[id(x)] = f"c{len(known)}"
            held[known[id(x)]] = x
        return known[id(x)]

    lines = ["def program(first, second):"]
    lines += [
        f" [{', '.join(refs)}] = {name}" for name, refs in (("first", first), ("second", second)) if refs
    ]
    last: dict[Ref, int] = {}
    for place, step in enumerate(steps):
        last.update(dict.fromkeys([*refs_of(step.args), *step.outputs], place))
    ends = set(refs_of(list(results)))
    for place, step in enumerate(steps):
        given = [*map(word, step.args), *(f"{key}={word(value)}" for key, value in step.options.items())]
        target = f"[{', '.join(step.outputs)}]" if step.many else step.outputs[0] if step.outputs else ""
        lines.append(f" {target}{' = ' if target else ''}{word(step.run)}({', '.join(given)})")
        dead = [ref for ref in {*refs_of(step.args), *step.outputs} if last[ref] == place and ref not in ends]
        if dead:
            lines.append(f" {' = '.join(sorted(dead))} = None")
    lines.append(f" return ({''.join(word(r) + ', ' for r in results)})")
    exec("\n".join(lines), held)  # its words are names that are made here
    made: TwoParts = held["program"]
    return made
