"""What the character models share: a text as numbers, windows of it, and the next character drawn by chance.

python examples/char_lstm.py and python examples/char_transformer.py learn to write with it.
"""

from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Self

import matplotlib as mpl
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import oxiflux as flux

mpl.use("Agg")
import matplotlib.pyplot as plt

Codes = np.ndarray | list[int]


@dataclass
class Text:
    """A text as codes, the places of its characters in its alphabet; the last tenth is held out."""

    alphabet: str
    train: np.ndarray
    held_out: np.ndarray

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """The text of a file, or else the help that comes with Python."""
        text = path.read_text(encoding="utf-8") if path else "\n".join(topics.values())
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        alphabet, codes = np.unique(points, return_inverse=True)
        return cls("".join(map(chr, alphabet)), *np.split(codes, [len(codes) * 9 // 10]))

    def loaders(self, context: int, batchsize: int) -> tuple[flux.DataLoader, flux.DataLoader]:
        """Batches of windows, each a context and a character more: at random places of what is to be learned, and side
        by side of what is held out.
        """
        train, held_out = (sliding_window_view(part, context + 1) for part in (self.train, self.held_out))
        learned = flux.DataLoader(train, batchsize, shuffle=True)
        return learned, flux.DataLoader(held_out[::context], batchsize)

    def decode(self, codes: list[int]) -> str:
        return "".join(self.alphabet[code] for code in codes)


def draw(logits: flux.Tensor, temperature: float = 0.8) -> int:
    """A code drawn with the chances `softmax(logits / temperature)`: the greatest, once Gumbel's noise is added."""
    noise = -flux.log(-flux.log(flux.rand(*logits.shape)))
    return int(flux.argmax(logits / temperature + noise))


def plot(path: Path, history: flux.History) -> None:
    figure, axis = plt.subplots(layout="constrained")
    history.plot(ax=axis).set(title="Loss, in training and held out", ylabel="nats per character")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
