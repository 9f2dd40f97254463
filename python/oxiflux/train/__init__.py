"""Training: the loop over batches, and the conditions under which it calls or stops."""

from .callbacks import early_stopping, patience, plateau, throttle
from .fitting import fit
from .history import History
from .loop import train, trainstep, trainstep_withgradient

__all__ = [
    "History",
    "early_stopping",
    "fit",
    "patience",
    "plateau",
    "throttle",
    "train",
    "trainstep",
    "trainstep_withgradient",
]
