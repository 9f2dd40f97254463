"""Models in the ONNX format, read, run and written; the extra `oxiflux[onnx]` brings the package `onnx` for it."""

from .export import export as export
from .graph import Graph as Graph
from .graph import from_model as from_model
from .graph import load as load
from .reading import UnsupportedError as UnsupportedError
