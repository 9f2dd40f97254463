"""The kernels' threads as threadpoolctl sees them, beside those of OpenBLAS, MKL and OpenMP."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["register"]


def register() -> None:
    """Makes the kernels' threads visible to `threadpoolctl.threadpool_info` and limited by `threadpool_limits`.

    It is done by itself, whichever of the two is imported first. Raises ImportError where threadpoolctl isn't
    installed.

    >>> import oxiflux as flux
    >>> import threadpoolctl
    >>> flux.threadpools.register()
    >>> with threadpoolctl.threadpool_limits(1, user_api="oxiflux"):
    ...     flux.get_num_threads()
    1
    """
    import threadpoolctl  # type: ignore[import-untyped]

    class Controller(threadpoolctl.LibController):  # type: ignore[misc]
        """What threadpoolctl asks of a library."""

        user_api = "oxiflux"
        internal_api = "oxiflux"
        filename_prefixes = ("_core",)
        check_symbols = ("oxiflux_get_num_threads", "oxiflux_set_num_threads")

        def get_num_threads(self) -> int:
            return int(self.dynlib.oxiflux_get_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.oxiflux_set_num_threads(num_threads)

        def get_version(self) -> str:
            from . import __version__

            return __version__

    threadpoolctl.register(Controller)


class _Watch:
    """A finder of modules that finds none, but registers when threadpoolctl is imported."""

    is_looking = False

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The specification of threadpoolctl, with the registration after its execution; None for the rest."""
        if name != "threadpoolctl" or self.is_looking:
            return None
        from importlib.util import find_spec

        self.is_looking = True
        try:
            spec = find_spec(name)
        finally:
            self.is_looking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def then_register(module: ModuleType) -> None:
                execute(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                register()

            spec.loader.exec_module = then_register  # type: ignore[method-assign]
        return spec


if "threadpoolctl" in sys.modules:
    register()
else:
    sys.meta_path.insert(0, _Watch())
