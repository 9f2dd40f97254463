"""Training and test mode: layers that behave differently while a model is trained."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy as np

from .. import _core
from ..hints import told
from ..tree import modules
from .base import Layer
from .unsized import Unsized

__all__ = ["testmode", "trainmode"]

Model = TypeVar("Model")
Mode = Literal["auto"] | bool | None


class ModeLayer(Layer):
    """Base of the layers with two modes: `active` is True in training mode, False in test mode, and None if a
    gradient being taken is what makes the difference.
    """

    active: bool | None

    def is_active(self) -> bool:
        """Whether the layer is in training mode now."""
        active = self.active
        if active is not None and type(active) is not bool:
            active = check_mode(type(self).__name__, active)
        return _core.is_training() if active is None else active


def check_mode(owner: str, mode: Any) -> bool | None:
    """The mode, None for "auto" as well; TypeError for what is none."""
    if isinstance(mode, str) and mode == "auto":
        return None
    if not _is_mode(mode):
        raise TypeError(f'{owner}: the mode is True, False, None or "auto", got {mode!r}')
    return None if mode is None else bool(mode)


@told
def testmode(model: Model, mode: Mode = True) -> Model:  # noqa: PT028 (no test, whatever its name)
    """Puts all layers of a model into test mode, in place, and returns the model: `Dropout` passes its input
    on, `BatchNorm` uses its running statistics.

    `mode=False` is training mode, and "auto" or None leaves it to each call, as it is at first: training mode within
    `gradient` and what is made of it, such as `train`, and test mode elsewhere. Layers take part that have an
    attribute `active`. What is in test mode stays there in `train` and `fit`, which warn if the whole model is.
    Ref: Flux.jl, `testmode!`.

    >>> import oxiflux as flux
    >>> flux.testmode(flux.Chain(flux.Dense(2, 3), flux.Dropout(0.4)))
    Chain(
      Dense(2 => 3),                        # 9 parameters
      Dropout(0.4, active=False),
    )
    """
    checked = check_mode("testmode", mode)
    return trainmode(model, None if checked is None else not checked)


@told
def trainmode(model: Model, mode: Mode = True) -> Model:
    """Puts all layers of a model into training mode, in place, and returns the model.

    `mode=False` is test mode, and "auto" or None leaves it to each call; see `testmode`. Ref: Flux.jl, `trainmode!`.

    >>> import oxiflux as flux
    >>> dropout = flux.trainmode(flux.Dropout(1.0))
    >>> dropout(flux.ones(3)).tolist(), flux.trainmode(dropout, "auto")
    ([0.0, 0.0, 0.0], Dropout(1.0))
    """
    checked = check_mode("trainmode", mode)
    for layer in modules(model):
        if _is_mode(getattr(layer, "active", ...)):
            layer.active = checked
        elif isinstance(layer, Unsized):
            layer.put("active", checked)
    return model


def _is_mode(x: Any) -> bool:
    return x is None or isinstance(x, (bool, np.bool_))
