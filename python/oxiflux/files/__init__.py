"""Models, states, programs and whole runs in files: what is written, read and restored; PyTorch's state dicts."""

from .checkpoints import load_checkpoint, save_checkpoint
from .programs import Program
from .pytorch import load_torch, to_torch
from .store import load, save

__all__ = [
    "Program",
    "load",
    "load_checkpoint",
    "load_torch",
    "save",
    "save_checkpoint",
    "to_torch",
]
