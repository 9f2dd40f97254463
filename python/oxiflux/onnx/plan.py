"""Steps as a program: one Python function for what depends on parameters alone, one for the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._core import Tensor
from .fuse import fused, refs_of
from .trace import INPUT, PARAMETER, Ref, Step, Value

__all__ = ["Program"]


class Program:
    """`prepare(parameters)` gives what `run(inputs, prepared)` needs of them.

    A call of a program is a call of Python for each step and nothing else, so that small graphs run at the speed of
    their kernels; names of the file never occur in it.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        parameters: Sequence[Ref],
        inputs: Sequence[Ref],
        outputs: Sequence[Value],
    ) -> None:
        ends = [value.held if value.ref is None else value.ref for value in outputs]
        # A step of parameters alone may have been written down behind the one that it was made for.
        steps = fused(sorted(steps, key=lambda step: step.level), ends)
        own, later = [s for s in steps if s.level == PARAMETER], [s for s in steps if s.level == INPUT]
        made = {*parameters, *(ref for s in own for ref in s.outputs)}
        wanted = {ref: None for s in later for ref in refs_of(s.args) if ref in made}
        wanted.update({ref: None for ref in ends if isinstance(ref, Ref) and ref in made})
        kept = list(wanted)
        used = {ref for s in own for ref in refs_of(s.args)} | wanted.keys()
        self.parameters = [place for place, ref in enumerate(parameters) if ref in used]
        self.steps = steps
        self.prepare = _function(own, [parameters[place] for place in self.parameters], [], kept)
        self.run = _function(later, inputs, kept, ends)


def _function(
    steps: Sequence[Step], first: Sequence[Ref], second: Sequence[Ref], results: Sequence[Any]
) -> Callable[..., tuple[Tensor, ...]]:
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
    made: Callable[..., tuple[Tensor, ...]] = held["program"]
    return made
