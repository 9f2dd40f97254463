"""`python -m oxiflux`: what is installed and what it runs on."""

import platform

import numpy as np

from . import __version__, _core

__all__: list[str] = []

print(f"oxiflux {__version__}")  # noqa: T201
print(f"instruction set: {_core.isa}, threads: {_core.get_num_threads()}")  # noqa: T201
print(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.platform()}")  # noqa: T201
