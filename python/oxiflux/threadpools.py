"""The kernels' threads as threadpoolctl sees them, beside those of OpenBLAS, MKL and OpenMP."""

from __future__ import annotations

import sys

__all__ = ["register"]


def register() -> None:
    """Makes the kernels' threads visible to `threadpoolctl.threadpool_info` and limited by `threadpool_limits`.

    It is done by itself if threadpoolctl was imported before oxiflux. Raises ImportError where it isn't installed.

    >>> import threadpoolctl
    >>> import oxiflux as flux
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


if "threadpoolctl" in sys.modules:
    register()
