"""Whole runs in files: saved at any moment, and resumed as if they had not been interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol, TypeGuard

from .. import _core
from .._core import Generator, Leaf, ShapeError
from ..tree import assignments
from .store import Path, read, write

__all__ = ["keeps_its_place", "load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, *, classes: Iterable[type] = (), **parts: Any) -> None:
    """Writes the parts of a run, and the place of the default generator of random numbers, to one file.

    A part is a model, the state of its optimiser, a DataLoader, of which the place in its pass is kept, any other
    object with methods `state()` and `load_state(state)`, or plain data such as the number of the epoch. Schedules are
    functions of the step: their position is its number. Of models of your own classes the tensors are kept, unless
    `classes` lists them; rules of your own must be listed. What `save` says of files holds here too.

    A loop that can be killed at any step and goes on where it was, to the same parameters bit by bit:

    >>> import os, tempfile
    >>> import oxiflux as flux
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> data = flux.rand(12, 2), flux.rand(12, 1)
    >>> loss = lambda m, x, y: flux.mse(m(x), y)
    >>> def run(epochs):
    ...     model = flux.Dense(2, 1)
    ...     state = flux.setup(flux.Adam(), model)
    ...     loader = flux.DataLoader(data, batchsize=4, shuffle=True)
    ...     parts = {"model": model, "state": state, "loader": loader}
    ...     first = flux.load_checkpoint(path, **parts)["epoch"] if os.path.exists(path) else 0
    ...     for epoch in range(first, epochs):
    ...         for batch in loader:
    ...             flux.trainstep(loss, model, batch, state)
    ...             flux.save_checkpoint(path, **parts, epoch=epoch)
    ...     return model
    >>> half = run(1)
    >>> whole = run(2)
    """
    kept = {name: part.state() if keeps_its_place(part) else part for name, part in parts.items()}
    tree = {"checkpoint": kept, "random": _core.default_generator()}
    write("save_checkpoint", path, tree, classes, is_strict=False)


def load_checkpoint(path: Path, *, classes: Iterable[type] = (), **parts: Any) -> dict[str, Any]:
    """Reads what `save_checkpoint` wrote into the given parts, and sets the default generator of random numbers.

    The result has all parts of the file by name: those that were given, and for the rest what can be made from the
    file: models and states of optimisers, plain data, and of a DataLoader what `load_state` takes. Of objects whose
    classes are neither of this package nor in `classes` only the tensors come back: give such a model to be loaded.

    A part that the file has not, or that does not fit, raises ValueError (for tensors ShapeError), and nothing is
    changed then.

    >>> import os, tempfile
    >>> import oxiflux as flux
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> flux.save_checkpoint(path, model=flux.Dense(2, 1), epoch=3)
    >>> model = flux.Dense(2, 1)
    >>> run = flux.load_checkpoint(path, model=model)
    >>> run["model"] is model, run["epoch"]
    (True, 3)
    """
    tree = read("load_checkpoint", path, classes)
    if not isinstance(tree, dict) or tree.keys() != {"checkpoint", "random"}:
        raise ValueError(f"load_checkpoint: {path} is no checkpoint; load reads it")
    saved, random = tree["checkpoint"], tree["random"]
    if not isinstance(saved, dict) or not isinstance(random, Generator):
        raise ValueError(f"load_checkpoint: the description in {path} is not that of a checkpoint")
    changes: list[Callable[[], None]] = []
    for name, part in parts.items():
        if name not in saved:
            raise ValueError(
                f"load_checkpoint: {path} has no {name}; it has {', '.join(map(str, saved)) or 'no parts'}"
            )
        if not keeps_its_place(part):
            changes += _changes(name, part, saved[name])
    _load_places([(part, saved[name]) for name, part in parts.items() if keeps_its_place(part)])
    for change in changes:
        change()
    _core.default_generator().set_state(random.get_state())
    return saved | parts


class HasPlace(Protocol):
    """What says where it is and goes there."""

    def state(self) -> Any:
        """The place."""

    def load_state(self, state: Any) -> None:
        """Goes to the place."""


def keeps_its_place(part: Any) -> TypeGuard[HasPlace]:
    """Whether a part has methods `state()` and `load_state(state)`."""
    return callable(getattr(part, "state", None)) and callable(getattr(part, "load_state", None))


def _load_places(parts: list[tuple[Any, Any]]) -> None:
    """Loads all, or none if one of them refuses."""
    before = [(part, part.state()) for part, _ in parts]
    try:
        for part, state in parts:
            part.load_state(state)
    except Exception:
        for part, state in before:
            part.load_state(state)
        raise


def _changes(name: str, part: Any, saved: Any) -> list[Callable[[], None]]:
    """What is to be done to load a part, after everything has been checked."""
    try:
        changes: list[Callable[[], None]] = [
            partial(_core.assign, tensor, value) for tensor, value in assignments(part, saved)
        ]
    except ShapeError as error:
        raise ShapeError(f"load_checkpoint: {name}: {error}") from None
    changes += [partial(_copy, mine, theirs) for mine, theirs in _pairs(part, saved, name, set())]
    if not changes:
        raise ValueError(
            f"load_checkpoint: {name} is a {type(part).__name__} without tensors, into which nothing can be "
            f"loaded; its value in the file is an entry of the result"
        )
    return changes


def _pairs(mine: Any, saved: Any, path: str, seen: set[int]) -> Iterator[tuple[Any, Any]]:
    """The leaves of an optimiser's state and the generators in a tree, each with the one in its place in another."""
    if isinstance(mine, (Leaf, Generator)):
        if type(saved) is not type(mine):
            raise ValueError(
                f"load_checkpoint: {path} is a {type(mine).__name__} and in the file a {type(saved).__name__}"
            )
        if isinstance(mine, Leaf) and isinstance(saved, Leaf):
            _check(mine, saved, path)
        yield mine, saved
    elif id(mine) not in seen:
        seen.add(id(mine))
        kids, theirs = dict(_core.children(mine) or ()), dict(_core.children(saved) or ())
        if type(mine) is _core.Namespace and (extra := theirs.keys() - kids.keys()):
            raise ValueError(
                f"load_checkpoint: {path} in the file has {min(extra)}, which is not in that given"
            )
        for key, kid in kids.items():
            yield from _pairs(kid, theirs.get(key), f"{path}.{key}", seen)


def _check(mine: Leaf, saved: Leaf, path: str) -> None:
    """Raises unless a leaf can take the place of another: the same rule, for a parameter of the same shape."""
    if type(mine.rule) is not type(saved.rule):
        raise ValueError(f"load_checkpoint: the rule of {path} is {mine.rule} and in the file {saved.rule}")
    shapes = [[t.shape for _, t in _core.leaves(leaf.state)] for leaf in (mine, saved)]
    # A rule of the user's may get its tensors at the first step.
    if len(shapes[0]) == len(shapes[1]) and shapes[0] != shapes[1]:
        raise ShapeError(
            f"load_checkpoint: the tensors of {path} have shapes {shapes[0]}, in the file {shapes[1]}"
        )


def _copy(mine: Any, saved: Any) -> None:
    if isinstance(mine, Leaf):
        mine.rule, mine.state, mine.frozen = saved.rule, saved.state, saved.frozen
    else:
        mine.set_state(saved.get_state())
