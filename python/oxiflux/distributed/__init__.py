"""Training on many processes by MPI: `mpiexec -n 4 python train.py`. Ref: Flux.jl, `DistributedUtils`."""

from .collectives import allreduce, bcast, reduce, synchronize
from .data import DistributedDataContainer, shared
from .norm import SyncBatchNorm
from .optimiser import DistributedOptimiser
from .world import DisagreementError, World, barrier, initialize, local_rank, total_workers

__all__ = [
    "DisagreementError",
    "DistributedDataContainer",
    "DistributedOptimiser",
    "SyncBatchNorm",
    "World",
    "allreduce",
    "barrier",
    "bcast",
    "initialize",
    "local_rank",
    "reduce",
    "shared",
    "synchronize",
    "total_workers",
]
