"""Data sets: their items, parts and batches."""

from .arrays import batch, batch_sequence, batchseq, chunk, rpad_constant, unbatch
from .batches import BatchView
from .datasets import load_iris, make_moons, make_poly, make_sin, make_spiral
from .folds import kfolds, leavepout, timeseries_kfolds
from .groups import group_counts, group_indices
from .items import getobs, numobs
from .loader import DataLoader, eachobs
from .subsets import oversample, randobs, shuffleobs, splitobs, undersample
from .views import filterobs, groupobs, joinobs, mapobs, obsview
from .windows import slidingwindow

__all__ = [
    "BatchView",
    "DataLoader",
    "batch",
    "batch_sequence",
    "batchseq",
    "chunk",
    "eachobs",
    "filterobs",
    "getobs",
    "group_counts",
    "group_indices",
    "groupobs",
    "joinobs",
    "kfolds",
    "leavepout",
    "load_iris",
    "make_moons",
    "make_poly",
    "make_sin",
    "make_spiral",
    "mapobs",
    "numobs",
    "obsview",
    "oversample",
    "randobs",
    "rpad_constant",
    "shuffleobs",
    "slidingwindow",
    "splitobs",
    "timeseries_kfolds",
    "unbatch",
    "undersample",
]
