"""Functions of tensors that are composed of operations, whose gradients are theirs; a file for those of one kind."""

from .dtypes import can_cast, finfo, iinfo, isdtype, result_type
from .matrices import cross, diagonal, kron, outer, trace, tril, triu, vecdot
from .movement import broadcast_arrays, meshgrid, moveaxis, repeat, roll, swapaxes, tile
from .numbers import clip, gelu_sigmoid, positive, rrelu
from .order import diff, topk, unique_all, unique_counts, unique_inverse, unique_values
from .parts import split, unstack
from .statistics import rescale

__all__ = [
    "broadcast_arrays",
    "can_cast",
    "clip",
    "cross",
    "diagonal",
    "diff",
    "finfo",
    "gelu_sigmoid",
    "iinfo",
    "isdtype",
    "kron",
    "meshgrid",
    "moveaxis",
    "outer",
    "positive",
    "repeat",
    "rescale",
    "result_type",
    "roll",
    "rrelu",
    "split",
    "swapaxes",
    "tile",
    "topk",
    "trace",
    "tril",
    "triu",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "unstack",
    "vecdot",
]
