"""Sentences: embeddings of words learn to tell which part of SciPy a line of its documentation is from.

python examples/sentences.py [--epochs 30] [--seed 0] [--out examples/out/sentences.png]

A sentence is the bag of its words and of their beginnings, each with 32 numbers that are learnt; what is drawn is where
the sentences of the test lie then.
"""

import argparse
import re
from collections import Counter
from pathlib import Path

import docstrings
import matplotlib as mpl
import numpy as np

import oxiflux as flux

mpl.use("Agg")
import matplotlib.pyplot as plt


def tokens(text: str) -> list[str]:
    """The words of a text, and the first five letters of the long ones: "interpolation" is near to "interpolate"."""
    words = re.findall(r"[a-z]+", text.lower())
    return words + [word[:5] for word in words if len(word) > 5]


def bags(texts: list[str], vocabulary: dict[str, int]) -> list[list[int]]:
    """The numbers of the tokens of each text; 0 is that of what is not known."""
    return [[vocabulary.get(token, 0) for token in tokens(text)] or [0] for text in texts]


def batches(texts: list[list[int]], labels: np.ndarray) -> flux.DataLoader:
    """Batches of bags, which differ in length and so stay lists."""
    together = lambda items: ([bag for bag, _ in items], np.array([label for _, label in items]))
    return flux.DataLoader(list(zip(texts, labels, strict=True)), 32, shuffle=True, collate=together)


def loss(model: flux.Chain, texts: list[list[int]], labels: np.ndarray) -> flux.Tensor:
    return flux.logitcrossentropy(model(texts), labels)


def accuracy(model: flux.Chain, texts: list[list[int]], labels: np.ndarray) -> float:
    return float(np.mean(model(texts).numpy().argmax(axis=1) == labels))


def plot(path: Path, vectors: np.ndarray, labels: np.ndarray, guesses: np.ndarray) -> None:
    """Draws the sentences on the plane in which they differ most, and which parts are taken for which."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    centred = vectors - vectors.mean(axis=0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    for number, part in enumerate(docstrings.PARTS):
        left.scatter(*plane[labels == number].T, s=12, label=part)
    left.legend(fontsize=8)
    left.set(title="Embeddings of sentences that were not seen", xticks=[], yticks=[])
    count = len(docstrings.PARTS)
    confusion = np.zeros((count, count), int)
    np.add.at(confusion, (labels, guesses), 1)
    right.imshow(confusion, cmap="Blues", norm="symlog")
    for i, j in np.ndindex(count, count):
        right.text(j, i, confusion[i, j] or "", ha="center", va="center", fontsize=8)
    right.set(title="Which part (rows) is taken for which", xticks=range(count), yticks=range(count))
    right.set_xticklabels(docstrings.PARTS, rotation=45, ha="right")
    right.set_yticklabels(docstrings.PARTS)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "sentences.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    (texts, labels), (test_texts, test_labels) = docstrings.load(args.seed)
    counts = Counter(token for text in texts for token in tokens(text))
    vocabulary = {token: i for i, token in enumerate((t for t, n in counts.items() if n > 1), start=1)}
    x, x_test = bags(texts, vocabulary), bags(test_texts, vocabulary)
    model = flux.Chain(
        flux.EmbeddingBag(len(vocabulary) + 1, 32),
        flux.Dropout(0.5),
        flux.Dense(32, len(docstrings.PARTS)),
    )
    print(model)
    rule = flux.OptimiserChain(flux.WeightDecay(1e-4), flux.Adam(0.01))
    history = flux.fit(loss, model, batches(x, labels), rule, epochs=args.epochs)
    guesses = model(x_test).numpy().argmax(axis=1)
    plot(args.out, model[0](x_test).numpy(), test_labels, guesses)
    most = np.bincount(test_labels).max() / len(test_labels)
    print(
        f"{len(texts)} sentences to learn from, of {len(vocabulary)} words; {history[-1]['loss']:.3f} is the last loss"
    )
    print(
        f"test accuracy {accuracy(model, x_test, test_labels):.0%}, where always guessing one part gives {most:.0%}"
    )
    print(f"embeddings: {args.out}")


if __name__ == "__main__":
    main()
