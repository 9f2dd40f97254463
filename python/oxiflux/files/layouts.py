"""How Hugging Face's transformers name and turn the parameters of a model, beside the names of PyTorch's own layers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

__all__ = ["LAYOUTS", "Layout", "layout_of"]


class Layout:
    """Names of a model here, `{}` for the number of a block, beside those of transformers.

    `base` is the word that stands before all names but those of a head; `form` how attention has its projections;
    `turned` names weights that lie `(in, out)` there; `spare` what a file may have that a model does not need: heads
    for other tasks, and buffers. `variants` are other names of the same, as patterns, and what is read for them.
    """

    base: str
    form: str
    names: dict[str, str]
    variants: dict[str, str]

    def __init__(
        self,
        base: str,
        form: str,
        names: dict[str, str],
        turned: str = "(?!)",
        spare: str = "(?!)",
        variants: dict[str, str] | None = None,
    ) -> None:
        self.base, self.form, self.names = base, form, names
        self.variants = variants or {}
        self._turned, self._spare = re.compile(turned), re.compile(spare)

    @cached_property
    def _inward(self) -> list[tuple[re.Pattern[str], str]]:
        return [_rule(theirs, ours) for ours, theirs in self.names.items()]

    @cached_property
    def _outward(self) -> list[tuple[re.Pattern[str], str]]:
        return [_rule(ours, theirs) for ours, theirs in self.names.items()]

    def ours(self, name: str) -> str:
        """The name here of one in transformers."""
        for old, new in self.variants.items():
            name = re.sub(old, new, name)
        return _replaced(name, self._inward)

    def theirs(self, name: str) -> str:
        """The name in transformers of one here."""
        return _replaced(name, self._outward)

    def others(self, name: str) -> Iterator[str]:
        """The same name with the base before it, and without."""
        yield f"{self.base}.{name}"
        if name.startswith(f"{self.base}."):
            yield name.removeprefix(f"{self.base}.")

    def is_turned(self, theirs: str) -> bool:
        """Whether it lies `(in, out)` in transformers and `(out, in)` in PyTorch's layers."""
        return self._turned.search(theirs) is not None

    def is_spare(self, theirs: str) -> bool:
        """Whether a file may have it for nothing."""
        return self._spare.search(theirs) is not None


def _rule(old: str, new: str) -> tuple[re.Pattern[str], str]:
    pattern = re.escape(old).replace(r"\{\}", r"(\d+)")
    count = iter(range(2, 10))
    place = re.sub(r"\{\}", lambda _: rf"\g<{next(count)}>", new)
    return re.compile(rf"^(.*\.)?{pattern}(?=\.|$)"), rf"\g<1>{place}"


def _replaced(name: str, rules: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, place in rules:
        renamed, count = pattern.subn(place, name)
        if count:
            return renamed
    return name


def _block(theirs: str, parts: dict[str, str]) -> dict[str, str]:
    return {f"blocks.{{}}.{ours}": f"{theirs}.{{}}.{name}" for ours, name in parts.items()}


LAYOUTS = {
    "bert": Layout(
        "bert",
        "modules",
        {
            "words": "embeddings.word_embeddings",
            "places": "embeddings.position_embeddings.weight",
            "kinds": "embeddings.token_type_embeddings",
            "norm": "embeddings.LayerNorm",
            "pooler": "pooler.dense",
            **_block(
                "encoder.layer",
                {
                    "self_attn.q_proj": "attention.self.query",
                    "self_attn.k_proj": "attention.self.key",
                    "self_attn.v_proj": "attention.self.value",
                    "self_attn.out_proj": "attention.output.dense",
                    "norm1": "attention.output.LayerNorm",
                    "linear1": "intermediate.dense",
                    "linear2": "output.dense",
                    "norm2": "output.LayerNorm",
                },
            ),
        },
        spare=r"^cls\.|^classifier\.|^qa_outputs\.|(^|\.)pooler\.|(^|\.)embeddings\.position_ids$",
        # As the first files of BERT, which came from TensorFlow, have them.
        variants={r"LayerNorm\.gamma$": "LayerNorm.weight", r"LayerNorm\.beta$": "LayerNorm.bias"},
    ),
    "gpt2": Layout(
        "transformer",
        "joined",
        {
            "words": "wte",
            "places": "wpe.weight",
            "norm": "ln_f",
            **_block(
                "h",
                {
                    "self_attn.in_proj_weight": "attn.c_attn.weight",
                    "self_attn.in_proj_bias": "attn.c_attn.bias",
                    "self_attn.out_proj": "attn.c_proj",
                    "norm1": "ln_1",
                    "linear1": "mlp.c_fc",
                    "linear2": "mlp.c_proj",
                    "norm2": "ln_2",
                },
            ),
        },
        turned=r"\.(c_attn|c_proj|c_fc)\.weight$",
        # The head is the table of words; the mask was kept as a buffer.
        spare=r"^lm_head\.weight$|^score\.|\.attn\.(masked_)?bias$",
    ),
    "vit": Layout(
        "vit",
        "modules",
        {
            "first": "embeddings.cls_token",
            "places": "embeddings.position_embeddings",
            "patches": "embeddings.patch_embeddings.projection",
            "norm": "layernorm",
            "pooler": "pooler.dense",
            **_block(
                "encoder.layer",
                {
                    "self_attn.q_proj": "attention.attention.query",
                    "self_attn.k_proj": "attention.attention.key",
                    "self_attn.v_proj": "attention.attention.value",
                    "self_attn.out_proj": "attention.output.dense",
                    "norm1": "layernorm_before",
                    "linear1": "intermediate.dense",
                    "linear2": "output.dense",
                    "norm2": "layernorm_after",
                },
            ),
        },
        spare=r"^classifier\.|(^|\.)pooler\.|(^|\.)embeddings\.mask_token$",
        # As modules of transformers 5 have them, whose files are as before.
        variants={
            r"(^|\.)layers\.(\d+)\.": r"\g<1>encoder.layer.\g<2>.",
            r"attention\.q_proj\.": "attention.attention.query.",
            r"attention\.k_proj\.": "attention.attention.key.",
            r"attention\.v_proj\.": "attention.attention.value.",
            r"attention\.o_proj\.": "attention.output.dense.",
            r"mlp\.fc1\.": "intermediate.dense.",
            r"mlp\.fc2\.": "output.dense.",
        },
    ),
}


def layout_of(caller: str, name: Any) -> Layout | None:
    """The layout of this name.

    >>> layout_of("load_torch", "bert").theirs("blocks.3.linear1.bias")
    'encoder.layer.3.intermediate.dense.bias'
    """
    if name is None:
        return None
    if not isinstance(name, str) or name not in LAYOUTS:
        raise ValueError(f"{caller}: layout is one of {', '.join(map(repr, LAYOUTS))}, got {name!r}")
    return LAYOUTS[name]
