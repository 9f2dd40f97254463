"""Training: the loop over batches, what surrounds it, and what comes after it."""

from .averaging import EMA, SWA, update_statistics
from .best import EarlyStopping, ModelCheckpoint
from .callbacks import early_stopping, patience, plateau, throttle
from .finder import RateCurve, find_rate
from .fitting import fit
from .history import History
from .hooks import Callback, Run
from .loop import train, trainstep, trainstep_withgradient
from .norms import GradientNorm
from .prediction import evaluate, predict

__all__ = [
    "EMA",
    "SWA",
    "Callback",
    "EarlyStopping",
    "GradientNorm",
    "History",
    "ModelCheckpoint",
    "RateCurve",
    "Run",
    "early_stopping",
    "evaluate",
    "find_rate",
    "fit",
    "patience",
    "plateau",
    "predict",
    "throttle",
    "train",
    "trainstep",
    "trainstep_withgradient",
    "update_statistics",
]
