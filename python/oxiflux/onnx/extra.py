"""The package that reads and checks the format, or how to get it."""

try:
    import onnx as onnx
except ImportError as _error:
    raise ImportError("oxiflux.onnx needs the package onnx: pip install 'oxiflux[onnx]'") from _error
