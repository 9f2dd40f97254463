"""BERT, GPT-2 and ViT of transformers: folders, layouts and what does not fit; tests/parity compares the numbers."""

import json

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import huggingface
from oxiflux.files.layouts import LAYOUTS
from oxiflux.huggingface import GPT2, Bert, ViT

MODELS = {
    "bert": lambda: Bert(20, 8, depth=2, nheads=2, hidden=12, places=10),
    "gpt2": lambda: GPT2(20, 8, depth=2, nheads=2, places=10),
    "vit": lambda: ViT(8, 4, 8, depth=2, nheads=2, hidden=12),
}
CONFIGS = {
    "bert": {
        "model_type": "bert", "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 12, "max_position_embeddings": 10, "type_vocab_size": 2, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    },
    "gpt2": {
        "model_type": "gpt2", "vocab_size": 20, "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 10,
        "n_inner": None, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
    },
    "vit": {
        "model_type": "vit", "image_size": 8, "patch_size": 4, "hidden_size": 8, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_channels": 3, "intermediate_size": 12, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    },
}  # fmt: skip
INPUTS = {
    "bert": np.array([[3, 1, 4]]), "gpt2": np.array([[3, 1, 4]]),
    "vit": np.random.default_rng(0).random((1, 8, 8, 3), "f"),
}  # fmt: skip

each_kind = pytest.mark.parametrize("kind", MODELS)


def folder(path, kind, tensors=None, **changes):
    (path / "config.json").write_text(json.dumps(CONFIGS[kind] | changes))
    if tensors is not False:
        flux.save(
            path / "model.safetensors", tensors or flux.to_torch(MODELS[kind](), layout=kind, numpy=True)
        )
    return path


def bits(model):
    return {path: x.numpy().tobytes() for path, x in flux._core.leaves(model)}


@each_kind
def test_a_folder_gives_the_model(kind, tmp_path):
    model = MODELS[kind]()
    found = huggingface.load(folder(tmp_path, kind, flux.to_torch(model, layout=kind, numpy=True)))
    assert bits(found) == bits(model) and repr(found) == repr(model)
    assert np.array_equal(found(INPUTS[kind]), model(INPUTS[kind]))


@each_kind
def test_a_model_may_lie_in_several_files(kind, tmp_path):
    model = MODELS[kind]()
    tensors = list(flux.to_torch(model, layout=kind, numpy=True).items())
    parts = {"a.safetensors": dict(tensors[::2]), "b.safetensors": dict(tensors[1::2])}
    for name, part in parts.items():
        flux.save(tmp_path / name, part)
    folder(tmp_path, kind, False)
    where = {key: name for name, part in parts.items() for key in part}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}))
    assert bits(huggingface.load(tmp_path)) == bits(model)
    index.write_text(json.dumps({"weight_map": {"x": "../a.safetensors"}}))
    with pytest.raises(ValueError, match=r"names '../a.safetensors', which is not in the folder"):
        huggingface.load(tmp_path)
    index.write_text("[]")
    with pytest.raises(ValueError, match="must hold a dict, got a list"):
        huggingface.load(tmp_path)


@each_kind
def test_a_prefix_and_heads_of_other_tasks_do_not_matter(kind):
    model, other = MODELS[kind](), MODELS[kind]()
    base = LAYOUTS[kind].base
    heads = {"bert": "cls.predictions.bias", "gpt2": "lm_head.weight", "vit": "classifier.weight"}
    theirs = {f"{base}.{key}": x for key, x in flux.to_torch(model, layout=kind, numpy=True).items()}
    flux.load_torch(other, theirs | {heads[kind]: np.ones((3, 8), "f")}, layout=kind)
    assert bits(other) == bits(model)
    with pytest.raises(ValueError, match=r"load_torch: the model has no place for adapter\.weight"):
        flux.load_torch(other, theirs | {"adapter.weight": np.ones(3)}, layout=kind)
    missing = next(key for key in theirs if "norm" in key.lower() or ".ln_" in key)
    with pytest.raises(ValueError, match=r"the source has nothing for .*norm"):
        flux.load_torch(other, {key: x for key, x in theirs.items() if key != missing}, layout=kind)


def test_a_part_of_a_model_takes_what_has_no_prefix():
    class Tagger(flux.Layer):
        def __init__(self):
            self.bert, self.classifier = MODELS["bert"](), flux.Dense(8, 3)

    tagger, model = Tagger(), MODELS["bert"]()
    theirs = flux.to_torch(model, layout="bert", numpy=True)
    head = {"classifier.weight": np.ones((3, 8), "f"), "classifier.bias": np.ones(3, "f")}
    flux.load_torch(tagger, theirs | head, layout="bert")
    assert bits(tagger.bert) == bits(model) and np.array_equal(tagger.classifier.weight, np.ones((8, 3)))
    back = flux.to_torch(tagger, layout="bert", numpy=True)
    assert set(back) == {f"bert.{key}" for key in theirs} | set(head)


def test_the_first_files_of_bert_are_read():
    model, other = MODELS["bert"](), MODELS["bert"]()
    theirs = flux.to_torch(model, layout="bert", numpy=True)
    old = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): x
        for key, x in theirs.items()
    }
    assert old.keys() != theirs.keys()
    flux.load_torch(other, old | {"embeddings.position_ids": np.arange(10)[None]}, layout="bert")
    assert bits(other) == bits(model)


def test_weights_of_gpt2_lie_the_other_way_round():
    theirs = flux.to_torch(MODELS["gpt2"](), layout="gpt2", numpy=True)
    assert theirs["h.0.attn.c_attn.weight"].shape == (8, 24) and theirs["h.1.mlp.c_fc.weight"].shape == (
        8,
        32,
    )
    assert all(x.flags.c_contiguous for x in theirs.values())


def test_without_a_pooler_that_of_a_file_is_spare(tmp_path):
    theirs = flux.to_torch(MODELS["bert"](), layout="bert", numpy=True)
    model = Bert(20, 8, depth=2, nheads=2, hidden=12, places=10, pooler=False)
    flux.load_torch(model, theirs, layout="bert")
    without = {key: x for key, x in theirs.items() if not key.startswith("pooler")}
    assert huggingface.load(folder(tmp_path, "bert", without)).pooler is None


def test_words_that_are_masked_change_nothing():
    model = MODELS["bert"]()
    mask = [[True, True, False]]
    a, b = model([[3, 1, 4]], mask=mask).numpy(), model([[3, 1, 9]], mask=mask).numpy()
    assert np.array_equal(a[:, :2], b[:, :2]) and not np.array_equal(a[:, 2], b[:, 2])
    np.testing.assert_allclose(a[:, :2], model([[3, 1]]).numpy(), rtol=1e-5, atol=1e-5)


def test_a_word_of_gpt2_does_not_see_the_next():
    model = MODELS["gpt2"]()
    a, b = model([[3, 1, 4]]).numpy(), model([[3, 1, 9]]).numpy()
    assert np.array_equal(a[:, :2], b[:, :2]) and not np.array_equal(a[:, 2], b[:, 2])


@each_kind
def test_a_model_learns_and_drops(kind, tmp_path):
    model = huggingface.load(folder(tmp_path, kind), dropout_prob=0.5)
    assert model.dropout.p == model.blocks[0].dropout.p == 0.5
    x, before = INPUTS[kind], model(INPUTS[kind]).numpy()
    loss = lambda m: (m(x) * np.arange(before.size).reshape(before.shape)).mean()
    losses = {flux.withgradient(loss, model)[0].item() for _ in range(3)}
    assert len(losses) == 3 and np.array_equal(model(x), before)
    grads = flux.gradient(loss, flux.testmode(model))[0]
    missing = [path for path, g in flux.trainables(grads, path=True) if not g.numpy().any()]
    assert all(
        "pooler" in path or "k_proj" in path for path in missing
    )  # a bias of keys adds the same to all


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("bert", {"model_type": "roberta"}, "model_type is one of 'bert', 'gpt2', 'vit', got 'roberta'"),
        (
            "bert",
            {"position_embedding_type": "relative_key"},
            "bert with position_embedding_type='relative_key'",
        ),
        (
            "gpt2",
            {"scale_attn_by_inverse_layer_idx": True},
            "scale_attn_by_inverse_layer_idx=True is not offered",
        ),
        ("bert", {"hidden_act": "cubic"}, "the activation is one of 'gelu', .* got 'cubic'"),
        ("bert", {"hidden_size": "8"}, "a positive integer as hidden_size, got '8'"),
        ("vit", {"patch_size": 0}, "a positive integer as patch_size, got 0"),
        ("gpt2", {"n_layer": 10**9}, r"speaks of \d+ parameters or more, and the files have \d+"),
        ("bert", {"vocab_size": 10**12}, r"speaks of \d+ parameters or more, and the files have \d+"),
        ("vit", {"image_size": 10**9}, r"speaks of \d+ parameters or more, and the files have \d+"),
        ("bert", {"num_attention_heads": 3}, "do not divide into 3 heads"),
        ("bert", {"num_hidden_layers": 1}, r"the model has no place for encoder\.layer\.1\."),
        ("gpt2", {"vocab_size": 19}, r"words\.weight has shape \(19, 8\) in the model and \(20, 8\)"),
    ],
)
def test_a_configuration_that_does_not_fit_is_an_error(tmp_path, kind, changes, message):
    with pytest.raises(ValueError, match=message):
        huggingface.load(folder(tmp_path, kind, **changes))


def test_what_is_no_folder_of_theirs_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        huggingface.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not valid JSON"):
        huggingface.load(tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="is not valid JSON"):
        huggingface.load(tmp_path)
    folder(tmp_path, "bert", False)
    flux.save(tmp_path / "model.safetensors", MODELS["bert"]().norm)
    with pytest.raises(ValueError, match="is no file of transformers"):
        huggingface.load(tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MODELS["bert"]()([1, 2]), r"Bert: expected \(batch, up to 10\) words, got shape \(2,\)"),
        (lambda: MODELS["bert"]()([[1] * 11]), r"got shape \(1, 11\)"),
        (
            lambda: MODELS["bert"]()([[1, 2]], mask=[[True]]),
            r"the shape of the words, \(1, 2\), got \(1, 1\)",
        ),
        (
            lambda: MODELS["gpt2"]()([[1] * 11]),
            r"GPT2: expected \(batch, up to 10\) words, got shape \(1, 11\)",
        ),
        (lambda: MODELS["vit"]()(np.zeros((1, 12, 8, 3), "f")), r"ViT: expected 4 patches, got 3 by 2"),
        (lambda: ViT(10, 4), r"ViT: patches of 4 do not divide an image of 10 by 10"),
        (lambda: MODELS["bert"]()([[20]]), r"label 20 is not between 0 and 19"),
    ],
)
def test_an_input_that_does_not_fit_is_named(call, message):
    with pytest.raises((ValueError, IndexError), match=message):
        call()


@pytest.mark.parametrize("kind", MODELS)
def test_a_file_of_ours_holds_a_model(kind, tmp_path):
    model = MODELS[kind]()
    flux.save(tmp_path / "m", model, classes=[type(model)])
    assert bits(flux.load(tmp_path / "m", classes=[type(model)])) == bits(model)
    other = MODELS[kind]()
    flux.loadmodel(other, flux.state(model))
    assert bits(other) == bits(model)


def test_an_empty_batch_and_an_empty_text():
    assert MODELS["bert"]()(np.zeros((0, 3), "i8")).shape == (0, 3, 8)
    assert MODELS["gpt2"]()(np.zeros((2, 0), "i8")).shape == (2, 0, 20)
    assert MODELS["vit"]()(np.zeros((0, 8, 8, 3), "f")).shape == (0, 5, 8)
