"""Models of Hugging Face's transformers and ours give the same once ours have their parameters."""

import numpy as np
import pytest

import oxiflux as flux
from oxiflux.huggingface import GPT2, Bert, ViT
from parity.stored import stored

STORED = stored("transformers")


class Classifier(flux.Layer):
    """BERT with a head, as `BertForSequenceClassification`."""

    def __init__(self):
        self.bert, self.classifier = bert(), flux.Dense(8, 3)

    def __call__(self, *inputs, **options):
        return self.classifier(self.bert.pooler(self.bert(*inputs, **options)[:, 0]))


def bert():
    return Bert(20, 8, depth=2, nheads=2, hidden=12, places=10)


def read(model, inputs):
    return model(inputs["input_ids"], inputs["token_type_ids"], mask=inputs["attention_mask"])


CASES = {
    "bert": (bert, read),
    "bert, classifier": (Classifier, read),
    "gpt2": (lambda: GPT2(20, 8, depth=2, nheads=2, places=10), lambda m, inputs: m(inputs["input_ids"])),
    "vit": (
        lambda: ViT(8, 4, 8, depth=2, nheads=2, hidden=12),
        lambda m, inputs: m(np.moveaxis(inputs["pixel_values"], 1, -1)),
    ),
}  # fmt: skip


def layout(name):
    return name.partition(",")[0]


def test_every_stored_case_is_compared():
    assert set(CASES) == set(STORED)


@pytest.mark.parametrize("name", CASES)
def test_a_model_gives_what_theirs_gives(name):
    make, call = CASES[name]
    kept = STORED[name]
    model = flux.load_torch(make(), kept["state"], layout=layout(name))
    y = call(model, kept["inputs"]).numpy()
    if "attention_mask" in kept["inputs"] and y.ndim == 3:
        real = kept["inputs"]["attention_mask"] == 1  # what stands for padding is nothing
        y, kept["y"] = y[real], kept["y"][real]
    np.testing.assert_allclose(y, kept["y"], rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize("name", CASES)
def test_the_way_back_gives_their_state_dict_to_the_bit(name):
    theirs = STORED[name]["state"]
    model = flux.load_torch(CASES[name][0](), theirs, layout=layout(name))
    back = flux.to_torch(model, layout=layout(name), numpy=True)
    again = flux.load_torch(CASES[name][0](), back, layout=layout(name))
    for (path, a), (_, b) in zip(flux._core.leaves(model), flux._core.leaves(again), strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes(), path
    if (
        name == "gpt2"
    ):  # their class with a head calls the rest `transformer`, and has the table of words twice
        back = {f"transformer.{key}": x for key, x in back.items()} | {"lm_head.weight": back["wte.weight"]}
    if name == "vit":  # their files have the names that ours have; their modules have others since version 5
        assert set(back) > {"encoder.layer.1.attention.attention.query.weight", "layernorm.bias"}
        assert len(back) == len(theirs)
        return
    assert set(back) == set(theirs)
    for key, x in back.items():
        assert x.tobytes() == theirs[key].tobytes(), key
