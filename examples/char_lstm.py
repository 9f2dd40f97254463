"""A text, character by character: an LSTM learns which comes next, and then writes by itself.

python examples/char_lstm.py [text.txt] [--steps 1500] [--seed 0] [--out examples/out/char_lstm.png]

Without a text it learns the help that comes with Python. On Shakespeare's plays (the 1.1 MB of "tinyshakespeare") it
comes to 1.56 nats for a character of the tenth held out.
"""

import argparse
from pathlib import Path

import numpy as np
from characters import Codes, Text, draw, plot

import oxiflux as flux

State = tuple[flux.Tensor, flux.Tensor]
CONTEXT = 64


class Writer(flux.Layer):
    """From characters, and the state that those before left, to the logits of what follows each and a new state."""

    def __init__(self, alphabet: int, hidden: int = 256) -> None:
        self.embedding = flux.Embedding(alphabet, 64)
        self.lstm = flux.LSTM(64, hidden, return_state=True)
        self.out = flux.Dense(hidden, alphabet)

    def __call__(self, codes: Codes, state: State | None = None) -> tuple[flux.Tensor, State]:
        hidden, last = self.lstm(self.embedding(codes), state)
        return self.out(hidden), last

    def write(self, codes: list[int], count: int) -> list[int]:
        """The codes and `count` more, one after the other: the state knows all that came before."""
        logits, state = self(codes)
        for _ in range(count):
            codes = [*codes, draw(logits[-1])]
            logits, state = self(codes[-1:], state)
        return codes


def loss(model: Writer, windows: np.ndarray) -> flux.Tensor:
    """How little the model expected the next character, in nats."""
    logits, _ = model(windows[:, :-1])
    return flux.logitcrossentropy(logits, windows[:, 1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("text", type=Path, nargs="?", help="a file; by default the help of Python")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "char_lstm.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    text = Text.read(args.text)
    train, held_out = text.loaders(CONTEXT, batchsize=64)
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
        schedule=flux.OneCycle(args.steps, 0.005),
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
