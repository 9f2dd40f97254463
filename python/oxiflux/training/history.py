"""What `fit` returns: a plain table of numbers with a row for each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

__all__ = ["History"]

Row = dict[str, float]

# A longer table is shown by as many rows at its beginning and at its end.
_ROWS = 10


class History(Sequence[Row]):
    """A table with a row for each epoch: a sequence of dicts, whose columns are `history["loss"]`.

    `interrupted` says whether Ctrl-C ended the training.

    >>> history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    >>> history
    epoch  loss
        1   0.5
        2  0.25
    >>> history["loss"], history[-1], len(history)
    ([0.5, 0.25], {'epoch': 2, 'loss': 0.25}, 2)
    """

    rows: list[Row]
    interrupted: bool

    def __init__(self, rows: Sequence[Row] = (), interrupted: bool = False) -> None:
        """A table of given rows; `fit` makes one."""
        self.rows = list(rows)
        self.interrupted = interrupted

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return self.rows[key]
        columns = self.columns
        if key not in columns:
            raise KeyError(
                f"the history has no column {key!r}, only {', '.join(columns) or 'an empty table'}"
            )
        return [row.get(key, float("nan")) for row in self.rows]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and (self.rows, self.interrupted) == (other.rows, other.interrupted)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def append(self, row: Row) -> None:
        """Adds a row at the end."""
        self.rows.append(row)

    def state(self) -> dict[str, Any]:
        """The rows, for a checkpoint."""
        return {"rows": self.rows}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes the rows that `state` gave in the place of its own."""
        self.rows = list(state["rows"])

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame, with the epochs as its index."""
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("History.to_pandas needs pandas: pip install pandas") from None
        frame = pd.DataFrame(self.rows)
        return frame.set_index("epoch") if "epoch" in frame else frame

    def plot(self, *columns: str, ax: Any = None) -> Any:
        """Draws columns over the epochs and returns matplotlib's axes; without names, the losses.

        Losses, `loss` and `val_loss`, are drawn on a logarithmic axis if all are positive.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            raise ImportError("History.plot needs matplotlib: pip install 'oxiflux[train]'") from None
        losses = [name for name in ("loss", "val_loss") if name in self.columns]
        ax = ax or plt.subplots(layout="constrained")[1]
        for name in columns or losses:
            ax.plot(self["epoch"], self[name], label=name.replace("_", " "))
        if set(columns) <= set(losses) and all(x > 0 for name in losses for x in self[name]):
            ax.set_yscale("log")
        ax.set_xlabel("epoch")
        if columns or losses:
            ax.legend()
        ax.grid(alpha=0.3)
        return ax

    def __repr__(self) -> str:
        if not self.rows:
            return "History()"
        table = self._cells()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in table]
        return "\n".join([*lines, "interrupted"] if self.interrupted else lines)

    def _repr_html_(self) -> str:
        from html import escape

        head, *body = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self._cells() or [[]]]
        rows = "".join(f"<tr>{row}</tr>" for row in body)
        note = "<caption>interrupted</caption>" if self.interrupted else ""
        return (
            f"<table>{note}<thead><tr>{head.replace('td>', 'th>')}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def _cells(self) -> list[list[str]]:
        """The head and the rows of the table as text."""
        names, rows = self.columns, self.rows
        cells = [[_text(row[name]) if name in row else "" for name in names] for row in rows]
        if len(rows) > 2 * _ROWS:
            cells[_ROWS:-_ROWS] = [["…"] * len(names)]
        return [names, *cells] if names else []


def _text(x: float) -> str:
    return str(x) if isinstance(x, int) else f"{x:.4g}"
