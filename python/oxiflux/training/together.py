"""A training of one process, or of several that do each step together."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import _core
from ..distributed.collectives import sent_file, sent_tensors
from ..distributed.data import bounds, cut, rows_of, shared
from ..distributed.gradients import Reducer
from ..distributed.summing import summed
from ..distributed.world import World, initialize
from ..functors import fmap, show_path
from ..gradient import gradient
from ..metrics.given import Chosen
from ..optimisers.state import are_fused, rules_within
from .batches import batches_of, spread, started
from .measures import Means, aside, number_of, size_of
from .meters import Meter
from .prediction import testing

__all__: list[str] = []

Function = Callable[..., Any]


def together(model: Any, wire: str | None) -> Together:
    """The training of all processes, for `fit(…, distributed=True)`."""
    return Together(initialize(), model, wire)


class Together:
    """What `fit` does otherwise among several processes."""

    world: World
    model: Any
    wire: str | None
    is_alone: bool
    is_first: bool

    def __init__(self, world: World, model: Any, wire: str | None) -> None:
        self.world, self.model, self.wire = world, model, wire
        self.is_alone, self.is_first = world.comm is None, world.rank == 0
        self._reducer: Reducer | None = None
        self._trees: dict[tuple[int, ...], Any] = {}

    def agree(self, **given: Any) -> None:
        """Raises an error where ranks have called `fit` with other arguments."""
        for name, value in given.items():
            self.world.agree(name, repr(value))

    def begin(self, **given: Any) -> None:
        """Gives all ranks the parameters of rank 0, and each of them random numbers of its own."""
        if self.is_alone:
            return
        self.agree(**given)
        sent_tensors(self.world, "the beginning of fit", _core.leaves(self.model))
        self._scatter_seeds()
        found = _core.leaves(self.model, trainable=True)
        self._paths = [path for path, _ in found]
        # The tree of gradients in which each parameter has one, which tells the places of them all.
        self._all = gradient(
            lambda m: sum((t.sum() for _, t in _core.leaves(m, trainable=True)), 0.0), self.model
        )[0]
        self._ids = [id(g) for _, g in _core.leaves(self._all)]
        self._reducer = Reducer(
            self.world, [show_path(path) for path in self._paths], [t for _, t in found], self.wire
        )

    def _scatter_seeds(self) -> None:
        place = self.world.plain("the seed", _core.default_generator().get_state())
        if not self.is_first:
            _core.seed(zlib.crc32(repr((place, self.world.rank)).encode()))

    def data(self, data: Any) -> Any:
        """The batches, of which this rank has its rows."""
        return data if self.is_alone else shared(data)

    def steps(self, steps: _core.Steps, state: Any) -> Any:
        """The steps, each done by all ranks."""
        if self._reducer is not None:
            self._reducer.copies = not are_fused(rules_within(state))
        return steps if self.is_alone else self._stepping(steps)

    def _stepping(self, steps: _core.Steps) -> Function:
        def step(compute: Function, _: None = None, *again: Any) -> tuple[Any, float, Any, str]:
            mine, total = self.world.share or (1, self.world.size)
            return steps(compute, lambda number, grads: self._agreed(number, grads, mine / total), *again)

        return step

    def _agreed(self, number: float, grads: Any, weight: float) -> tuple[float, Any]:
        """The loss and the gradients of all ranks, each of which counts by its rows."""
        assert self._reducer is not None
        found = dict(_core.leaves(grads))
        given = [found.get(path) for path in self._paths]
        grown, table = self._reducer("a step", given, weight, number * weight if weight else 0.0)
        total = 0.0
        for x in table[:, 0]:
            total += float(x)
        return total, self._tree(grown)

    def _tree(self, grads: list[Any]) -> Any:
        """The gradients as the tree that the model is."""
        assert self._reducer is not None
        if self._reducer.narrow or self._reducer.copies:
            return self._made(grads)
        # The sums of a turn lie in the same memory each time.
        key = self._reducer.turn, *(g is not None for g in grads)
        if key not in self._trees:
            self._trees[key] = self._made(grads)
        return self._trees[key]

    def _made(self, grads: list[Any]) -> Any:
        by_id = dict(zip(self._ids, grads, strict=True))
        return fmap(lambda g: by_id[id(g)], self._all)

    def kept(self, grads: Any) -> Any:
        """Gradients that the next step leaves alone."""
        return grads if self.is_alone else fmap(lambda g: g.copy(), grads)

    def numbers(self, number: float, value: Any, args: tuple[Any, ...]) -> tuple[dict[str, float], int]:
        """The loss and what it gives beside its value, and the rows of the batch, of all ranks."""
        more = aside(value)
        if self.is_alone or self.world.share is None:
            return {"loss": number} | more, size_of(args)
        mine, total = self.world.share
        if more:
            names = ", ".join(more)
            sums = (
                summed(self.world, f"what the loss gives as {names}", np.array([*more.values()]) * mine)
                / total
            )
            more = dict(zip(more, map(float, sums), strict=True))
        return {"loss": number} | more, total

    def any(self, flag: bool) -> bool:
        """Whether one of the ranks says so."""
        return self.world.any("whether a callback ends the training", flag)

    def settle(self) -> None:
        """Gives all ranks the running statistics of rank 0."""
        if not self.is_alone:
            trained = {id(t) for _, t in _core.leaves(self.model, trainable=True)}
            rest = [(path, t) for path, t in _core.leaves(self.model) if id(t) not in trained]
            if rest:
                sent_tensors(self.world, "the running statistics", rest)

    def row(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row of rank 0, where the clock is its own."""
        row["seconds"] = self.world.plain("a row of the table", row["seconds"])
        return row

    @contextmanager
    def resumed(self, path: str | os.PathLike[str]) -> Iterator[str | None]:
        """The checkpoint, which only rank 0 needs to find, as a file that every rank can read."""
        if not self.world.plain("whether there is a checkpoint", os.path.exists(path)):
            yield None
        elif self.is_alone:
            yield os.fspath(path)
        else:
            with tempfile.TemporaryDirectory() as folder:
                own = os.path.join(folder, "checkpoint")
                if self.is_first:
                    shutil.copyfile(path, own)
                sent_file(self.world, own)
                yield own
            self._scatter_seeds()

    def told_of(self, ranks: int) -> None:
        """Warns where a run goes on with another number of ranks."""
        if ranks != self.world.size and self.is_first:
            warnings.warn(
                f"fit: the run had {ranks} rank{'s' * (ranks > 1)} and goes on with {self.world.size}: batches and "
                "their order stay the same; sums are taken in another order, so that last digits change, dropout draws "
                "other numbers, and a plain BatchNorm sees other parts of each batch",
                stacklevel=3,
            )

    def seen(self, meter: Meter) -> Meter:
        """A meter that has what those of all ranks have."""
        if self.is_alone or not meter.measures:
            return meter
        self._add_up(meter.means)
        meter.parts = self._gathered(meter.parts)
        return meter

    def measured(self, loss: Function, meter: Meter, model: Any, batches: Any) -> dict[str, Any] | None:
        """The mean loss and the metrics over batches, of which each rank measures its rows."""
        means, is_empty = Means(), True
        for batch in started("fit", batches_of(batches)):
            is_empty = False
            args = spread(batch, loss)
            n = rows_of(args)
            first, last = bounds(n, self.world)
            # Of a batch with fewer rows than ranks each measures all, and only rank 0's numbers count.
            counts = n >= self.world.size or self.is_first
            if n >= self.world.size:
                args = cut(args, first, last, n)
            kept = dict(meter.means.sums), meter.means.weight, list(meter.parts)
            mine = last - first if n >= self.world.size else n * self.is_first
            with testing(model):
                with self._shared_out(mine, n):
                    value = loss(model, *args)
                number = number_of("fit", "the loss", value[0] if type(value) is tuple else value)
                meter.add(model, args)
            if counts:
                means.add({"loss": number} | aside(value), size_of(args))
            else:
                means.add(dict.fromkeys({"loss": number} | aside(value), 0.0), 0)
                meter.means.weight = kept[1]
                meter.means.sums = {name: kept[0].get(name, 0.0) for name in meter.means.sums}
                meter.parts = kept[2]
        if is_empty:
            return None
        self._add_up(means)
        return means.means() | self.seen(meter).results()

    @contextmanager
    def _shared_out(self, mine: int, rows: int) -> Iterator[None]:
        """The time in which this rank has some rows of a batch."""
        self.world.share = mine, rows
        try:
            yield
        finally:
            self.world.share = None

    def _add_up(self, means: Means) -> None:
        names = list(means.sums)
        sums = summed(
            self.world, f"means of {', '.join(names)}", np.array([means.weight, *means.sums.values()])
        )
        means.weight, means.sums = int(sums[0]), dict(zip(names, map(float, sums[1:]), strict=True))

    def _gathered(self, parts: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The predictions, targets and weights of all ranks."""
        parts = [part for part in parts if part]
        world = self.world
        count = int(world.meet("the predictions", len(parts))[:, 0].max())
        found: list[tuple[Any, ...]] = []
        for i in range(count):
            p, t, w = parts[i] if i < len(parts) else (np.zeros(0), np.zeros(0), None)
            chosen = p if isinstance(p, Chosen) else None
            table = world.meet(
                "a prediction",
                i < len(parts),
                w is not None,
                *((chosen.count, chosen.is_known) if chosen else (-1, 0)),
            ).copy()
            ps = world.gathered("predictions", chosen.labels if chosen else p)
            ts = world.gathered("targets", t)
            weighted = table[:, 1].any()
            ws = (
                world.gathered("weights", np.zeros(0) if w is None else w)
                if weighted
                else [None] * world.size
            )
            for rank, (has, _, classes, is_known) in enumerate(table[:, :4]):
                if has:
                    one = Chosen(ps[rank], int(classes), bool(is_known)) if classes >= 0 else ps[rank]
                    found.append((one, ts[rank], ws[rank]))
        return found
