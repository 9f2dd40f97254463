"""Linear algebra on the last two axes of tensors: the extension `linalg` of the array API standard 2025.12.

All leading axes are batches. Matrices are float32 or float64; those of 16 bits are computed with as float32, and
integers are refused. Every function has a gradient, which has one itself, but for ranks and signs. A matrix that
cannot be worked on is an error with the name of the function and the place of the matrix in the batch.
"""

from .._core import matmul, matrix_transpose
from ..einsum import tensordot
from ..functions import cross, diagonal, kron, outer, trace, vecdot
from .factors import EighResult, QRResult, SVDResult, cholesky, eigh, eigvalsh, qr, svd, svdvals
from .norms import matrix_norm, norm, vector_norm
from .systems import (
    LstsqResult,
    SlogdetResult,
    det,
    inv,
    lstsq,
    matrix_power,
    matrix_rank,
    pinv,
    slogdet,
    solve,
)

__all__ = [
    "EighResult",
    "LstsqResult",
    "QRResult",
    "SVDResult",
    "SlogdetResult",
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "kron",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
