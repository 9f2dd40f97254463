"""Data sets: their items, parts and batches."""

from .arrays import batch, batchseq, chunk, rpad_constant, unbatch
from .items import getobs, numobs
from .loader import DataLoader, eachobs
from .subsets import kfolds, leavepout, oversample, randobs, shuffleobs, splitobs, undersample
from .views import filterobs, groupobs, joinobs, mapobs

__all__ = [
    "DataLoader",
    "batch",
    "batchseq",
    "chunk",
    "eachobs",
    "filterobs",
    "getobs",
    "groupobs",
    "joinobs",
    "kfolds",
    "leavepout",
    "mapobs",
    "numobs",
    "oversample",
    "randobs",
    "rpad_constant",
    "shuffleobs",
    "splitobs",
    "unbatch",
    "undersample",
]
