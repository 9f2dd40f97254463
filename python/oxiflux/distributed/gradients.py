"""Gradients summed over ranks: where each lies in the memory that is sent, and what all ranks have together."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from .. import _core
from .._core import Tensor
from .summing import Summed
from .world import DisagreementError, World

__all__ = ["Reducer", "agreed_layout"]

Gradients = list[Tensor | None]
_ALIGNMENT = 16


class Reducer:
    """The sums of gradients of some parameters over all ranks, in one pass for each dtype.

    Gradients of 16 bits are summed in float32. A parameter that only some ranks have used counts as zero on the others,
    and one that none has used has no gradient. What comes back lies in memory that the next calls write,
    unless it `copies`.
    """

    tensors: list[Tensor]
    narrow: list[tuple[int, _core.DType]]
    all: np.ndarray[Any, np.dtype[np.bool_]]
    copies: bool
    hash_of_all: float
    turn: int

    def __init__(
        self, world: World, names: Sequence[str], tensors: Sequence[Tensor], wire: str | None = None
    ) -> None:
        self.world = world
        self.all = np.ones(len(tensors), bool)
        self.rename(names, tensors)
        agreed_layout(world, self.layout)
        kinds = [np.float64 if t.dtype == _core.float64 else np.float32 for t in tensors]
        self.sums: list[Summed] = []
        self.turn, self.copies, count = 0, False, len(tensors)
        # For each turn and parameter: the pieces in which its gradient goes out, and the sum that comes back.
        self.places: list[list[Any]] = [[()] * count, [()] * count]
        self.found: list[list[Any]] = [[None] * count, [None] * count]
        for kind in dict.fromkeys(kinds):
            slots, end = [], 0
            for i, t in enumerate(tensors):
                if kinds[i] is kind:
                    slots.append((i, end))
                    end += -(-t.size // _ALIGNMENT) * _ALIGNMENT
            both = Summed(world, end, kind, wire)
            self.sums.append(both)
            for turn in (0, 1):
                for i, at in slots:
                    size, shape = tensors[i].size, tensors[i].shape
                    self.places[turn][i] = both.places(turn, at, at + size)
                    self.found[turn][i] = _core.from_numpy(both.sums[turn][at : at + size].reshape(shape))
        wide = (_core.float32, _core.float64)
        self.narrow = [(i, t.dtype) for i, t in enumerate(tensors) if t.dtype not in wide]

    def rename(self, names: Sequence[str], tensors: Sequence[Tensor]) -> None:
        """Takes parameters of the same shapes and dtypes, by their names, from now on."""
        self.tensors = list(tensors)
        self.layout = [[n, list(t.shape), str(t.dtype)] for n, t in zip(names, tensors, strict=True)]
        self._hash_of_layout = zlib.crc32(json.dumps(self.layout).encode())
        self.hash_of_all = self._hashed(self.all)

    def _hashed(self, has: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
        """A number that tells parameters, and which of them have been used, from others."""
        return float(zlib.crc32(has.tobytes(), self._hash_of_layout))

    def __call__(self, call: str, grads: Gradients, weight: float, *numbers: float) -> tuple[Gradients, Any]:
        """The gradients of all ranks, each times its weight, and the numbers of all, a row for each rank."""
        has, hashed = self.all, self.hash_of_all
        if any(g is None for g in grads):
            has = np.array([g is not None for g in grads])
            hashed = self._hashed(has)
        turn, self.turn = self.turn, 1 - self.turn
        for places, g in zip(self.places[turn], grads, strict=True):
            flat = None if g is None or weight == 0 else g.numpy().reshape(-1)
            for piece, place in places:
                if flat is None:
                    place[...] = 0
                elif weight == 1:
                    np.copyto(place, flat[piece], casting="unsafe")
                elif flat.dtype == place.dtype:
                    np.multiply(flat[piece], weight, out=place)
                else:  # widened first, as what is small may be 0 in 16 bits
                    np.copyto(place, flat[piece], casting="unsafe")
                    place *= weight
        table = (
            self.sums[0].run(call, hashed, *numbers) if self.sums else self.world.meet(call, hashed, *numbers)
        )
        hashes, table = table[:, 0].copy(), table[:, 1:].copy()
        for other in self.sums[1:]:
            other.run(call)
        if (hashes != hashed).any():
            agreed_layout(self.world, self.layout)
            has = np.logical_or.reduce(self.world.gathered("which parameters were used", has))
        found: Gradients = [g if own else None for g, own in zip(self.found[turn], has, strict=True)]
        for i, dtype in self.narrow:
            g = found[i]
            found[i] = None if g is None else g.astype(dtype)
        if self.copies:
            found = [None if g is None else g.copy() for g in found]
        return found, table


def agreed_layout(world: World, layout: list[Any]) -> None:
    """Raises DisagreementError unless all ranks have parameters of the same names, shapes and dtypes."""
    text = json.dumps(layout)
    hashes = world.meet("the layout of the parameters", zlib.crc32(text.encode()))[:, 0]
    if (hashes == hashes[0]).all():
        return
    first = json.loads(world.bytes("the layout of rank 0", text.encode()))
    mine = next(((a, b) for a, b in zip_longest(layout, first) if a != b), None)
    said = world.texts("" if mine is None else json.dumps(mine))
    for rank, other in enumerate(said):
        if other:
            theirs, ours = json.loads(other)
            raise DisagreementError(
                f"the ranks have different parameters: rank 0 has {_shown(ours)} where rank {rank} has {_shown(theirs)}"
            )


def _shown(entry: Any) -> str:
    return "none" if entry is None else f"{entry[0]} of shape {tuple(entry[1])} and dtype {entry[2]}"
