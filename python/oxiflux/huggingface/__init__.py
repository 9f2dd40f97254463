"""BERT, GPT-2 and ViT as Hugging Face's transformers have them, written with layers, and read from their files.

It is imported when it is named: `from oxiflux import huggingface`. `load` makes a model from a folder of transformers;
`load_torch(model, source, layout="bert")` and `to_torch(model, layout="bert")` take the parameters of a model that is
there, or of one that has it as the part `bert` beside a head, in and out by the same names.
"""

from .bert import Bert
from .gpt2 import GPT2
from .loading import load
from .vit import ViT

__all__ = ["GPT2", "Bert", "ViT", "load"]
