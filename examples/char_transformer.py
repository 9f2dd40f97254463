"""A text, character by character: a small causal transformer learns which comes next, and then writes by itself.

python examples/char_transformer.py [text.txt] [--steps 1000] [--seed 0] [--out examples/out/char_transformer.png]

Without a text it learns the help that comes with Python. On Shakespeare's plays (the 1.1 MB of "tinyshakespeare") it
comes to 1.72 nats for a character of the tenth held out.
"""

import argparse
from pathlib import Path

import numpy as np
from characters import Codes, Text, draw, plot

import oxiflux as flux

CONTEXT = 64


class Block(flux.Layer):
    """Attention to what came before, then two dense layers, each after a normalisation and beside a shortcut."""

    def __init__(self, size: int, heads: int) -> None:
        self.norms = [flux.LayerNorm(size), flux.LayerNorm(size)]
        self.attention = flux.MultiHeadAttention(size, nheads=heads)
        self.dense = flux.Chain(flux.Dense(size, 4 * size, flux.gelu), flux.Dense(4 * size, size))

    def __call__(self, x: flux.Tensor) -> flux.Tensor:
        x = x + self.attention(self.norms[0](x), causal=True)
        return x + self.dense(self.norms[1](x))


class Writer(flux.Layer):
    """From up to CONTEXT characters to the logits of what follows each."""

    def __init__(self, alphabet: int, size: int = 128, heads: int = 4, depth: int = 4) -> None:
        small = flux.truncated_normal(std=0.02)
        self.embedding = flux.Embedding(alphabet, size, init=small)
        self.places = small(CONTEXT, size)
        self.blocks = flux.Chain(*(Block(size, heads) for _ in range(depth)))
        self.out = flux.Chain(flux.LayerNorm(size), flux.Dense(size, alphabet))

    def __call__(self, codes: Codes) -> flux.Tensor:
        x = self.embedding(codes)
        return self.out(self.blocks(x + self.places[: x.shape[-2]]))

    def write(self, codes: list[int], count: int) -> list[int]:
        """The codes and `count` more, one after the other."""
        for _ in range(count):
            codes = [*codes, draw(self(codes[-CONTEXT:])[-1])]
        return codes


def loss(model: Writer, windows: np.ndarray) -> flux.Tensor:
    """How little the model expected the next character, in nats."""
    return flux.logitcrossentropy(model(windows[:, :-1]), windows[:, 1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("text", type=Path, nargs="?", help="a file; by default the help of Python")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "char_transformer.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    text = Text.read(args.text)
    train, held_out = text.loaders(CONTEXT, batchsize=32)
    model = Writer(len(text.alphabet))
    print(model)

    history = flux.fit(
        loss,
        model,
        train,
        flux.OptimiserChain(flux.ClipNorm(1.0, whole=True), flux.Adam()),
        epochs=10,  # rows of the table
        steps=max(1, args.steps // 10),
        validation=held_out,
        schedule=flux.OneCycle(args.steps, 0.003, percent_start=0.1),
    )
    print(history)
    plot(args.out, history)

    print(text.decode(model.write(text.held_out[:1].tolist(), 500)))
    last, seconds = history[-1], sum(history["seconds"])
    speed = last["step"] * train.batchsize * CONTEXT / seconds
    print(f"\nnats per character: {last['loss']:.3f} in training, {last['val_loss']:.3f} held out")
    print(f"{last['step']} steps in {seconds:.0f} s, {speed:.0f} tokens/s; losses: {args.out}")


if __name__ == "__main__":
    main()
