"""How each operation is written in ONNX: one table, by the name of the operation."""

from __future__ import annotations

from .elementwise import ELEMENTWISE
from .elementwise import Lowering as Lowering
from .layers import LAYERS
from .losses import LOSSES
from .movement import MOVEMENT
from .numbers import NUMBERS
from .spectra import SPECTRA
from .updates import UPDATES

TABLE: dict[str, Lowering] = {
    **ELEMENTWISE, **MOVEMENT, **UPDATES, **NUMBERS, **LAYERS, **LOSSES, **SPECTRA,
}  # fmt: skip
