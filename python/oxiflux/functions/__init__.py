"""Functions of tensors that are composed of operations, whose gradients are theirs; a file for those of one kind."""

from .counting import bincount, histogram
from .curves import interp, trapezoid
from .distances import cdist, cosine_similarity, pairwise_distance
from .dtypes import can_cast, finfo, iinfo, isdtype, result_type
from .extremes import cummax, cummin, topk
from .joins import block_diag, cartesian_prod, column_stack, dstack, hstack, vstack
from .matrices import (
    cross,
    diag,
    diag_embed,
    diagonal,
    kron,
    outer,
    trace,
    tril,
    tril_indices,
    triu,
    triu_indices,
    vecdot,
)
from .missing import nanmax, nanmean, nanmin, nanprod, nanstd, nanvar
from .movement import broadcast_arrays, broadcast_shapes, meshgrid, moveaxis, repeat, roll, swapaxes, tile
from .numbers import allclose, clip, conj, exp10, heaviside, imag, isclose, polygamma, positive, real, rrelu
from .order import diff, isin, unique_all, unique_counts, unique_inverse, unique_values
from .parts import array_split, split, unflatten, unstack
from .places import index_add, masked_scatter, scatter_along
from .quantiles import median, nanmedian, nanquantile, percentile, quantile
from .scaling import rescale, rms_norm
from .statistics import corrcoef, cov
from .turns import fliplr, flipud, rot90

__all__ = [
    "allclose",
    "array_split",
    "bincount",
    "block_diag",
    "broadcast_arrays",
    "broadcast_shapes",
    "can_cast",
    "cartesian_prod",
    "cdist",
    "clip",
    "column_stack",
    "conj",
    "corrcoef",
    "cosine_similarity",
    "cov",
    "cross",
    "cummax",
    "cummin",
    "diag",
    "diag_embed",
    "diagonal",
    "diff",
    "dstack",
    "exp10",
    "finfo",
    "fliplr",
    "flipud",
    "heaviside",
    "histogram",
    "hstack",
    "iinfo",
    "imag",
    "index_add",
    "interp",
    "isclose",
    "isdtype",
    "isin",
    "kron",
    "masked_scatter",
    "median",
    "meshgrid",
    "moveaxis",
    "nanmax",
    "nanmean",
    "nanmedian",
    "nanmin",
    "nanprod",
    "nanquantile",
    "nanstd",
    "nanvar",
    "outer",
    "pairwise_distance",
    "percentile",
    "polygamma",
    "positive",
    "quantile",
    "real",
    "repeat",
    "rescale",
    "result_type",
    "rms_norm",
    "roll",
    "rot90",
    "rrelu",
    "scatter_along",
    "split",
    "swapaxes",
    "tile",
    "topk",
    "trace",
    "trapezoid",
    "tril",
    "tril_indices",
    "triu",
    "triu_indices",
    "unflatten",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "unstack",
    "vecdot",
    "vstack",
]
