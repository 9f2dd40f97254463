"""Models of Hugging Face's transformers: small ones with random parameters, and what they give."""

import logging

import numpy as np
import torch
import transformers
from torch_layers import randomised

logging.disable(logging.WARNING)  # of what is not trained

BERT = {
    "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
    "max_position_embeddings": 10,
}  # fmt: skip
GPT2 = {
    "vocab_size": 20, "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 10, "bos_token_id": None,
    "eos_token_id": None,
}  # fmt: skip
VIT = {
    "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12, "image_size": 8,
    "patch_size": 4,
}  # fmt: skip
WORDS = np.array([[5, 3, 8, 19], [2, 9, 0, 0]])
KINDS = np.array([[0, 0, 1, 1], [0, 1, 0, 0]])
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])


def case(make, config, inputs, result):
    def run():
        module = randomised(make(config))
        tensors = {name: torch.tensor(x) for name, x in inputs.items()}
        with torch.no_grad():
            y = module(**tensors)
        found = y[result]
        return {
            "state": {name: x for name, x in module.state_dict().items() if x.is_floating_point()},
            "inputs": inputs,
            "y": found,
        }

    return run


TEXT = {"input_ids": WORDS, "token_type_ids": KINDS, "attention_mask": MASK}
IMAGES = {
    "pixel_values": np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype("f"),
}
THEMES = {
    "transformers": {
        "bert": case(transformers.BertModel, transformers.BertConfig(**BERT), TEXT, "last_hidden_state"),
        "bert, classifier": case(
            transformers.BertForSequenceClassification, transformers.BertConfig(**BERT, num_labels=3), TEXT, "logits"
        ),
        "gpt2": case(transformers.GPT2LMHeadModel, transformers.GPT2Config(**GPT2), {"input_ids": WORDS}, "logits"),
        "vit": case(transformers.ViTModel, transformers.ViTConfig(**VIT), IMAGES, "last_hidden_state"),
    }
}  # fmt: skip
