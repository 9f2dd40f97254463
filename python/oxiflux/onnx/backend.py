"""The backend by which ONNX's own tests run this package."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep

from .graph import Graph, from_model
from .reading import UnsupportedError

__all__ = ["OxifluxBackend"]


class _Prepared(BackendRep):
    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, inputs: Any, **_: Any) -> tuple[np.ndarray[Any, Any], ...]:
        """The outputs for inputs by position."""
        try:
            found = self.graph(*inputs)
        except UnsupportedError as error:
            raise unittest.SkipTest(str(error)) from None
        return tuple(y.numpy() for y in (found if isinstance(found, tuple) else (found,)))


class OxifluxBackend(Backend):
    """What `onnx.backend.test` asks of a backend; what is not supported is skipped, and never counted as right.

    >>> import numpy as np, onnx.parser
    >>> text = '<ir_version: 8, opset_import: ["": 18]> f (float[N] x) => (float[N] y) {y = Relu(x)}'
    >>> OxifluxBackend.prepare(onnx.parser.parse_model(text)).run([np.array([-1, 2], np.float32)])
    (array([0., 2.], dtype=float32),)
    """

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether this is the CPU."""
        return device == "CPU"

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> BackendRep:
        """A model that can be run."""
        try:
            return _Prepared(from_model(model))
        except UnsupportedError as error:
            raise unittest.SkipTest(str(error)) from None
