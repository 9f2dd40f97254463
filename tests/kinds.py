"""The same data in every form that the functions on data sets take, for their tests."""

import numpy as np
import pandas as pd

try:
    import polars as pl
except ImportError:
    pl = None

import oxiflux as flux


class Squares:
    """A data set that is not in memory: it counts what is asked of it."""

    def __init__(self, n):
        self.n, self.asked = n, []

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        self.asked.append(i)
        return np.array([i, i * i]), i


def plain(x):
    """Arrays and tensors as lists, in whatever holds them, and frames as dicts of these."""
    if isinstance(x, (tuple, list)):
        return x._make(map(plain, x)) if hasattr(x, "_make") else type(x)(map(plain, x))
    if isinstance(x, pd.DataFrame):
        return x.to_dict("list")
    if pl is not None and isinstance(x, (pl.DataFrame, pl.Series)):
        return x.to_list() if isinstance(x, pl.Series) else x.to_dict(as_series=False)
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items()}
    return x.tolist() if hasattr(x, "tolist") else x


def kinds(n):
    """The same items, `0` to `n - 1` squared, in every form."""
    values = np.arange(n) ** 2
    polars = (
        {}
        if pl is None
        else {
            "polars": pl.DataFrame({"a": values, "b": values}),
            "polars series": pl.Series(values),
        }
    )
    return polars | {
        "array": values,
        "tensor": flux.tensor(values),
        "list": values.tolist(),
        "range": range(n),
        "tuple": (values, flux.tensor(values)),
        "dict": {"a": values, "b": values.tolist()},
        "frame": pd.DataFrame({"a": values, "b": values}),
        "series": pd.Series(values),
        "mapped": flux.mapobs(lambda i: i * i, range(n)),
        "object": Squares(n),
    }


KINDS = list(kinds(0))
