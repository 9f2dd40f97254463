"""All parameters of a model as one vector, and back."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Generic, TypeVar

from . import _core
from ._core import ShapeError, Tensor
from .functors import fmap
from .hints import told
from .tree import trainables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .typing import ArrayLike

__all__ = ["destructure"]

Model = TypeVar("Model")


@told
def destructure(model: Model) -> tuple[Tensor, Rebuild[Model]]:
    """The trainable numbers of a model as one vector, and the function that makes a model of such a vector.

    The vector is in the order of `trainables`, with tied weights once. `rebuild(vector)` is a copy of the
    model with these parameters, in their shapes and dtypes; what is not trained, it shares with the model. A
    vector of another length raises ShapeError. Gradients pass through both. Ref: Optimisers.jl,
    `destructure`.

    >>> import oxiflux as flux
    >>> vector, rebuild = flux.destructure(flux.Chain(flux.Dense(2, 3, flux.tanh), flux.Dense(3, 1)))
    >>> vector.shape
    (13,)
    >>> rebuild(flux.zeros(13))([[1, 2]]).tolist()
    [[0.0]]
    >>> flux.gradient(lambda v: rebuild(v)([[1, 2]]).sum(), vector)[0].shape
    (13,)
    """
    tensors = trainables(model)
    flat = _core.concat([t.reshape(-1) for t in tensors]) if tensors else _core.zeros(0)
    return flat, Rebuild(model)


class Rebuild(Generic[Model]):
    """What makes a model like the given one of a vector of parameters."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._tensors = trainables(model)
        self._places = [0, *itertools.accumulate(t.size for t in self._tensors)]

    def __len__(self) -> int:
        return self._places[-1]

    def __call__(self, flat: ArrayLike) -> Model:
        """The model with these parameters."""
        flat = _core.asarray(flat)
        if flat.shape != (len(self),):
            raise ShapeError(f"destructure: the model takes a vector of {len(self)}, got shape {flat.shape}")
        parts = zip(self._tensors, cut(flat, self._places), strict=True) if self._tensors else ()
        new = {id(t): part.reshape(t.shape).astype(t.dtype) for t, part in parts}
        model: Model = fmap(lambda t: new.get(id(t), t), self.model)
        return model

    def __repr__(self) -> str:
        return f"Rebuild({type(self.model).__name__}, {len(self)})"


def cut(x: Tensor, places: Sequence[int]) -> list[Tensor]:
    """The parts of a tensor between places on its first axis.

    Cut in half again and again: the gradient of a part is as long as what it was cut from, and so all of them
    take `n log(parts)` numbers and not `n * parts`.
    """
    if len(places) == 2:
        return [x]
    half = len(places) // 2
    middle = places[half] - places[0]
    return [*cut(x[:middle], places[: half + 1]), *cut(x[middle:], places[half:])]
