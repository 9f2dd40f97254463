"""Models in the ONNX format; the extra `oxiflux[onnx]` brings the package `onnx` that this needs."""

from .export import export as export
