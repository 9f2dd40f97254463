"""What the text examples share: sentences from the documentation of SciPy, and which of its parts each is from.

python examples/sentences.py and python examples/sentence_bert.py learn to tell where a sentence is from.
"""

import importlib
import inspect
import re

import numpy as np

import oxiflux as flux

PARTS = ["interpolate", "linalg", "ndimage", "optimize", "signal", "sparse", "special", "stats"]
Part = tuple[list[str], np.ndarray]


def first_sentence(thing: object, name: str) -> str:
    """The first paragraph of a docstring, without the call that some begin with."""
    text = (inspect.getdoc(thing) or "").strip()
    if re.match(rf"{name}\(", text):
        text = text.partition("\n\n")[2]
    return " ".join(text.split("\n\n")[0].split())


def load(seed: int) -> tuple[Part, Part]:
    """Sentences and the numbers of their parts, to train on and, one of five, to test."""
    found: dict[str, int] = {}
    for number, part in enumerate(PARTS):
        module = importlib.import_module(f"scipy.{part}")
        for name in module.__all__:
            thing = getattr(module, name)
            text = "" if inspect.ismodule(thing) else first_sentence(thing, name)
            if len(text.split()) > 3:
                found.setdefault(text, number)
    texts, labels = list(found), np.array(list(found.values()))
    train, test = flux.splitobs(
        np.arange(len(texts)), at=0.8, shuffle=True, stratified=labels, rng=flux.Generator(seed)
    )
    return ([texts[i] for i in train], labels[train]), ([texts[i] for i in test], labels[test])
