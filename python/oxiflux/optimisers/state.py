"""The state of an optimiser: a tree like the model, with a `Leaf` at every trainable tensor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .. import _core
from .._core import Leaf, Tensor
from ..functors import Named, walks
from ..hints import told, unknown
from ..tree import FLOATS, refuse_constants
from .modifiers import checked_rule
from .scheduler import Scheduler, hyper_names, with_hyper
from .schedules import Schedule

if TYPE_CHECKING:
    from ..typing import RuleLike, State

__all__ = ["adjust", "freeze", "setup", "thaw", "update"]


@told
@walks
def setup(rule: RuleLike, model: Any) -> Any:
    """The state that `update` needs: the model's tree, with `Leaf(rule, rule.init(x))` for each parameter `x`
    and None for what is not trained.

    A tensor that occurs twice has one Leaf. For different rules in parts of a model give a function of the path
    that leads to a parameter, as `trainables(model, path=True)` lists them, and of the parameter: it says which rule
    that one has, or None to leave it untrained. A layer that makes its parameters when it is first called must have
    been called before. Ref: Optimisers.jl, `setup`.

    >>> import oxiflux as flux
    >>> state = flux.setup(flux.Momentum(), flux.Dense(2, 1))
    >>> state.bias
    Leaf(Momentum(0.01, 0.9), Tensor([0.0]))
    >>> decayed, plain = flux.AdamW(lambda_=0.1), flux.Adam()
    >>> state = flux.setup(lambda path, x: plain if path[-1] == "bias" else decayed, flux.Dense(2, 1))
    >>> state.weight.rule, state.bias.rule
    (AdamW(0.001, (0.9, 0.999), 0.1, 1e-08, True), Adam(0.001, (0.9, 0.999), 1e-08))
    """
    if (
        hasattr(model, "apply")
        and hasattr(model, "init")
        and not (hasattr(rule, "apply") or isinstance(rule, type))
    ):
        raise TypeError(f"setup: the rule comes before the model: setup({model!r}, model)")
    if isinstance(rule, type) or hasattr(rule, "apply") or not callable(rule):
        checked_rule("setup", rule)
        choose: Callable[[Any, Tensor], Any] = lambda path, x: rule
    else:
        choose = rule
    if not isinstance(model, Tensor) and _core.children(model) is None:
        raise TypeError(f"setup: {model!r} is no model: it holds no tensors")
    refuse_constants("setup", model)
    made: dict[int, tuple[Any, bool]] = {}

    def walk(node: Any, path: tuple[Any, ...]) -> tuple[Any, bool]:
        """The state of a part, and whether that has parameters."""
        if id(node) in made:
            return made[id(node)]
        made[id(node)] = None, False  # what holds itself is not walked again
        made[id(node)] = found = new(node, path)
        return found

    def new(node: Any, path: tuple[Any, ...]) -> tuple[Any, bool]:
        if isinstance(node, Tensor):
            if node.dtype not in FLOATS:
                return None, False
            own = choose(path, node)
            return (None if own is None else Leaf(checked_rule("setup", own), own.init(node))), True
        items = [(key, *walk(kid, (*path, key))) for key, kid in _core.children(node, trainable=True) or []]
        # What has parameters but no rule is a tree of None, so that what gets parameters later can be told from it.
        if not any(has_parameters for _, _, has_parameters in items):
            return None, False
        states = [state for _, state, _ in items]
        if isinstance(node, (list, tuple, deque)):
            return (type(node)(states) if type(node) in (list, tuple) else tuple(states)), True
        if isinstance(node, dict):
            named = {key: state for key, state, _ in items}
            return (Named(named) if type(node) is Named else named), True
        return _core.Namespace(**{key: state for key, state, has_parameters in items if has_parameters}), True

    state = walk(model, ())[0]
    if not leaves_within(state):
        raise ValueError(
            f"setup: the model {model!r} has no trainable parameters; a layer that makes them when it is called "
            "must have been called before"
        )
    return state


def update(state: State, model: Any, grads: Any) -> None:
    """One optimiser step: changes the model's tensors and the state in place.

    `grads` is what `gradient` gives for the model. Parameters whose gradient is None, and frozen ones, stay as
    they are; if all gradients are None the loss does not depend on the model, which raises TypeError. Trees that do
    not match raise TypeError too, shapes that do not, ShapeError, and parameters that have changed places since their
    gradients were taken, ValueError: gradients and states go by place. Nothing is then changed. Tensors in a list or a
    deque may roll: each gets its own gradient, and what has come since none. Gradients are taken as they are,
    infinities and NaN included: `train`, `trainstep` and `fit` look for those first. Ref: Optimisers.jl, `update!`.

    >>> import oxiflux as flux
    >>> model = {"w": flux.tensor([1.0, 2.0])}
    >>> flux.update(flux.setup(flux.Descent(0.5), model), model, {"w": flux.tensor([1.0, 0.0])})
    >>> model["w"].tolist()
    [0.5, 2.0]
    """
    try:
        _core.update(state, model, grads)
    except TypeError as error:
        if hasattr(state, "apply") and hasattr(state, "init"):
            raise TypeError(f"update: {state!r} is a rule; give setup({state!r}, model), made once") from None
        if type(grads) is tuple and len(grads) == 1 and not isinstance(model, tuple):
            raise TypeError("update: gradient gives one gradient for each argument: give its [0]") from None
        if not leaves_within(state):
            raise _without_rules("update", state) from error
        raise


def adjust(state: State, eta: float | None = None, **hyper: float) -> None:
    """Changes hyper-parameters of the rules in a state, or in a part of it, and keeps what they remember.

    A name that no rule here has raises ValueError. In a `Scheduler` the number takes the place of a schedule. Ref:
    Optimisers.jl, `adjust!`.

    >>> import oxiflux as flux
    >>> state = flux.setup(flux.Momentum(), flux.Dense(2, 1, bias=False))
    >>> flux.adjust(state, 0.1, rho=0.5)
    >>> state.weight.rule
    Momentum(0.1, 0.5)
    """
    if eta is not None:
        hyper["eta"] = eta
    leaves = leaves_within(state)
    # Parameters that shared a rule still do, so that one kernel call updates them all.
    rules = {id(leaf.rule): leaf.rule for leaf in leaves}
    known: set[str] = set()
    changed = {key: with_hyper(rule, hyper, known) for key, rule in rules.items()}
    if not leaves:
        raise _without_rules("adjust", state)
    if strange := sorted(set(hyper) - known):
        has = {name for rule in rules.values() for name in hyper_names(rule)}
        raise ValueError(
            f"adjust: {unknown('no rule of this state has ', strange[0], sorted(has))}: {list(rules.values())}"
        )
    for leaf in leaves:
        leaf.rule = changed[id(leaf.rule)]


@told
def freeze(state: State) -> None:
    """Holds the parameters of a state, or of a part of it, as they are: `update` passes them over.

    What holds no rule, such as a model or a layer without parameters, raises TypeError.

    >>> import oxiflux as flux
    >>> state = flux.setup(flux.Descent(), flux.Dense(2, 1))
    >>> flux.freeze(state.bias)
    >>> state.bias
    Leaf(Descent(0.1), None, frozen=True)
    """
    for leaf in _leaves_of("freeze", state):
        leaf.frozen = True


@told
def thaw(state: State) -> None:
    """Lets `update` change the parameters of a state again; the reverse of `freeze`.

    >>> import oxiflux as flux
    >>> state = flux.setup(flux.Descent(), flux.Dense(2, 1, bias=False))
    >>> flux.freeze(state)
    >>> flux.thaw(state)
    >>> state.weight.frozen
    False
    """
    for leaf in _leaves_of("thaw", state):
        leaf.frozen = False


def _leaves_of(caller: str, state: Any) -> list[Leaf]:
    """The leaves of a state, of which there must be one."""
    if leaves := leaves_within(state):
        return leaves
    raise _without_rules(caller, state)


def _without_rules(caller: str, state: Any) -> TypeError:
    """The error of what should be a state."""
    what = "a model" if _holds_tensors(state) else "None" if state is None else f"a {type(state).__name__}"
    return TypeError(
        f"{caller}: got {what}, which has no rules; give the state that setup(rule, model) made, or a part of it"
    )


def _holds_tensors(x: Any) -> bool:
    try:
        return bool(_core.leaves(x))
    except ValueError:  # a container that holds itself, or too deep a tree
        return False


def leaves_within(state: Any) -> list[Leaf]:
    """The leaves of a state, each once; of one that holds itself, too."""
    found: dict[int, Leaf] = {}
    seen: dict[int, Any] = {}  # holds what it has the address of
    rest = [state]
    while rest:
        node = rest.pop()
        if isinstance(node, Leaf):
            found[id(node)] = node
        elif id(node) not in seen:
            seen[id(node)] = node
            rest += [kid for _, kid in reversed(list(_core.children(node) or []))]
    return list(found.values())


def rule_classes(state: Any) -> set[type]:
    """The classes of the rules in a state, of the rules within these, and of the schedules that they follow."""
    found: set[type] = set()
    for rule in rules_within(state):
        found.add(type(rule))
        if isinstance(rule, Scheduler):
            found |= {type(part) for part in nodes_of(rule.schedules) if isinstance(part, Schedule)}
    return found


def rules_within(state: Any) -> Iterator[Any]:
    """The rules in a state, and the rules within these."""
    return with_inner(leaf.rule for leaf in leaves_within(state))


def with_inner(rules: Iterable[Any]) -> Iterator[Any]:
    """Rules, and the rules within these."""
    rest = list(rules)
    seen: set[int] = set()
    while rest:
        rule = rest.pop()
        if id(rule) not in seen and (hasattr(rule, "apply") or hasattr(rule, "apply_all")):
            seen.add(id(rule))
            yield rule
            rest += [*getattr(rule, "rules", ()), getattr(rule, "rule", None)]


def are_fused(rules: Iterable[Any]) -> bool:
    """Whether the core makes the steps of all these rules; one written in Python may keep a gradient that it gets."""
    # A Scheduler has the steps made by the rule within it.
    return all(isinstance(r, Scheduler) or getattr(r, "kernel", None) in _core.kernels for r in rules)


def nodes_of(tree: Any) -> Iterator[Any]:
    """All that a tree holds."""
    for _, kid in _core.children(tree) or []:
        yield kid
        yield from nodes_of(kid)
