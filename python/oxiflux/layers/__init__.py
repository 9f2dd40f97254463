"""The layers, a file a family."""

from .base import Layer
from .chain import Chain, activations
from .dense import Dense
from .flatten import flatten
from .window import SamePad

__all__ = ["Chain", "Dense", "Layer", "SamePad", "activations", "flatten"]
