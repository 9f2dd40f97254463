"""Models from the folders of transformers: `config.json` says what they are, safetensors files have the numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .. import _core, files
from .._core import Tensor
from ..init import zeros32
from .bert import Bert
from .gpt2 import GPT2
from .vit import ViT

__all__ = ["load"]

Config = dict[str, Any]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": _core.gelu_erf, "gelu_new": _core.gelu_tanh, "gelu_fast": _core.gelu_tanh,
    "gelu_pytorch_tanh": _core.gelu_tanh, "relu": _core.relu, "silu": _core.swish, "swish": _core.swish,
    "tanh": _core.tanh,
}  # fmt: skip
# What changes the computation in a way that is not here, and the values that do not.
_PLAIN = {
    "position_embedding_type": ("absolute", None), "is_decoder": (False, None), "add_cross_attention": (False, None),
    "scale_attn_by_inverse_layer_idx": (False, None), "scale_attn_weights": (True, None), "qkv_bias": (True, None),
}  # fmt: skip


def load(folder: str | PathLike[str], *, dropout_prob: float = 0.0) -> Any:
    """Makes a model from a folder with a `config.json` and a `model.safetensors`, as `save_pretrained` writes it.

    It is a `Bert`, a `GPT2` or a `ViT`, by the `model_type` that the configuration names; heads for a task are left
    out: give `load_torch` a model that has one. Other types, options that change what is computed, and files that do
    not fit what the configuration says raise ValueError. `dropout_prob` is that in training. No code is run.

    >>> import json, os, tempfile
    >>> import oxiflux as flux
    >>> from oxiflux import huggingface
    >>> folder = tempfile.mkdtemp()
    >>> sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16, "vocab_size": 50}
    >>> with open(os.path.join(folder, "config.json"), "w") as file:
    ...     json.dump({"model_type": "gpt2", **sizes}, file)
    >>> model = huggingface.GPT2(50, 8, depth=1, nheads=2, places=16)
    >>> theirs = flux.to_torch(model, layout="gpt2", numpy=True)
    >>> flux.save(os.path.join(folder, "model.safetensors"), theirs)
    >>> again = huggingface.load(folder)
    >>> bool(flux.all(again([[1, 2, 3]]) == model([[1, 2, 3]])))
    True
    """
    place = Path(folder)
    config = _json(place / "config.json")
    kind = config.get("model_type")
    if kind not in _MODELS:
        raise ValueError(
            f"huggingface.load: model_type is one of {', '.join(map(repr, _MODELS))}, got {kind!r}"
        )
    for key, plain in _PLAIN.items():
        if config.get(key) not in plain:
            raise ValueError(f"huggingface.load: {kind} with {key}={config[key]!r} is not offered")
    tensors = _tensors(place)
    options = {ours: _size(config, theirs) for ours, theirs in _SIZES[kind].items()}
    options["hidden"] = _size(config, _HIDDEN[kind]) if config.get(_HIDDEN[kind]) else 4 * options["size"]
    _check_sizes(options, tensors)
    name = config.get(
        "activation_function" if kind == "gpt2" else "hidden_act", "gelu_new" if kind == "gpt2" else "gelu"
    )
    if name not in _ACTIVATIONS:
        raise ValueError(
            f"huggingface.load: the activation is one of {', '.join(map(repr, _ACTIVATIONS))}, got {name!r}"
        )
    others: dict[str, Any] = {"activation": _ACTIVATIONS[name], "dropout_prob": dropout_prob, "init": zeros32}
    eps = config.get("layer_norm_epsilon" if kind == "gpt2" else "layer_norm_eps")
    if isinstance(eps, float):
        others["eps"] = eps
    if kind != "gpt2":
        others["pooler"] = any("pooler." in name for name in tensors)
    model: Bert | GPT2 | ViT = _MODELS[kind](**options, **others)
    return files.load_torch(model, tensors, layout=kind)


_MODELS: dict[str, Callable[..., Any]] = {"bert": Bert, "gpt2": GPT2, "vit": ViT}
_HIDDEN = {"bert": "intermediate_size", "gpt2": "n_inner", "vit": "intermediate_size"}
_SIZES = {
    "bert": {
        "vocabulary": "vocab_size", "size": "hidden_size", "depth": "num_hidden_layers",
        "nheads": "num_attention_heads", "places": "max_position_embeddings", "kinds": "type_vocab_size",
    },
    "gpt2": {
        "vocabulary": "vocab_size", "size": "n_embd", "depth": "n_layer", "nheads": "n_head", "places": "n_positions",
    },
    "vit": {
        "image": "image_size", "patch": "patch_size", "size": "hidden_size", "depth": "num_hidden_layers",
        "nheads": "num_attention_heads", "channels": "num_channels",
    },
}  # fmt: skip


def _size(config: Config, key: str) -> int:
    n = config.get(key)
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ValueError(f"huggingface.load: config.json must have a positive integer as {key}, got {n!r}")
    return n


def _check_sizes(options: dict[str, int], tensors: dict[str, Any]) -> None:
    """Raises before memory is taken for more parameters than there are."""
    size, hidden = options["size"], options["hidden"]
    count = options["depth"] * (4 * size * size + 2 * size * hidden)
    count += size * (options.get("vocabulary", 0) + options.get("places", 0) + options.get("kinds", 0))
    if "image" in options:
        count += size * (
            options["channels"] * options["patch"] ** 2 + (options["image"] // options["patch"]) ** 2
        )
    total = sum(x.size for x in tensors.values())
    if count > total:
        raise ValueError(
            f"huggingface.load: config.json speaks of {count} parameters or more, and the files have {total}"
        )


def _tensors(place: Path) -> dict[str, Any]:
    """All tensors of a folder, which may be in several files with an index."""
    index = place / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.exists():
        parts = _json(index).get("weight_map")
        if not isinstance(parts, dict) or not all(isinstance(name, str) for name in parts.values()):
            raise ValueError(f"huggingface.load: {index} has no weight_map of names of files")
        names = sorted(set(parts.values()))
        if outside := [name for name in names if Path(name).name != name]:
            raise ValueError(f"huggingface.load: {index} names {outside[0]!r}, which is not in the folder")
    tensors: dict[str, Any] = {}
    for name in names:
        found = files.load(place / name)
        if not isinstance(found, dict) or not all(
            isinstance(x, (Tensor, np.ndarray)) for x in found.values()
        ):
            raise ValueError(
                f"huggingface.load: {place / name} is no file of transformers; flux.load reads it"
            )
        tensors |= found
    return tensors


def _json(path: Path) -> Config:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"huggingface.load: {path} is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"huggingface.load: {path} must hold a dict, got a {type(config).__name__}")
    return config
