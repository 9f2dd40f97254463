"""The package is imported before pytest collects its files.

With `--import-mode=importlib` pytest runs a file that no one has imported as a module of its own: a file of the package
named first on the command line would exist twice, with two classes of each name.
"""

import oxiflux  # noqa: F401
