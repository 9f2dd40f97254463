"""Models from modules of PyTorch: which layer of ours stands for which of theirs, with the same options."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .. import _core, layers

__all__ = ["model_of"]

Module = Any


def model_of(module: Module, path: str = "", made: dict[int, Any] | None = None) -> Any:
    """A model of the form of a module, its parameters not yet those; what is known by the names of classes alone.

    What no layer stands for raises ValueError with its place.
    """
    made = {} if made is None else made
    if id(module) not in made:
        name = type(module).__name__
        if name == "Sequential":
            kids = {
                k: model_of(kid, f"{path}.{k}" if path else k, made) for k, kid in module.named_children()
            }
            numbered = list(kids) == [str(i) for i in range(len(kids))]
            made[id(module)] = layers.Chain(*kids.values()) if numbered else layers.Chain(**kids)
        else:
            make = _LAYERS.get(name)
            where = f" at {path}" if path else ""
            if make is None:
                raise ValueError(
                    f"load_torch: no layer is known for the {name}{where}; write a model of layers and give "
                    "load_torch(model, module)"
                )
            try:
                made[id(module)] = make(module)
            except _UnknownError as error:
                raise ValueError(f"load_torch: the {name}{where} has {error}, which is not offered") from None
    return made[id(module)]


class _UnknownError(Exception):
    """An option that the layer here does not have."""


def _only(module: Module, **values: Any) -> None:
    """Raises if an option has another value."""
    for key, value in values.items():
        if (given := getattr(module, key, value)) != value:
            raise _UnknownError(f"{key}={given!r}")


def _each(n: Any, like: Module) -> tuple[int, ...]:
    """A size for each axis of space, the number of which ends the name of the class."""
    return tuple(n) if isinstance(n, (tuple, list)) else (n,) * int(type(like).__name__[-2])


def _conv(m: Module) -> Any:
    _only(m, padding_mode="zeros")
    pad = m.padding
    if pad == "valid":
        pad = 0
    elif pad == "same":
        # Of what cannot be split evenly, one more is behind there.
        whole = [d * (k - 1) for k, d in zip(m.kernel_size, m.dilation, strict=True)]
        pad = tuple(side for n in whole for side in (n // 2, n - n // 2))
    return layers.Conv(
        tuple(m.kernel_size), m.in_channels, m.out_channels, stride=m.stride, pad=pad, dilation=m.dilation,
        groups=m.groups, bias=m.bias is not None,
    )  # fmt: skip


def _conv_transpose(m: Module) -> Any:
    return layers.ConvTranspose(
        tuple(m.kernel_size), m.in_channels, m.out_channels, stride=m.stride, pad=m.padding, dilation=m.dilation,
        groups=m.groups, outpad=m.output_padding, bias=m.bias is not None,
    )  # fmt: skip


def _batch_norm(m: Module) -> Any:
    if m.momentum is None or not m.track_running_stats:
        raise _UnknownError(f"momentum={m.momentum} and track_running_stats={m.track_running_stats}")
    return layers.BatchNorm(m.num_features, affine=m.affine, eps=m.eps, momentum=m.momentum)


def _instance_norm(m: Module) -> Any:
    if m.momentum is None and m.track_running_stats:
        raise _UnknownError("momentum=None")
    return layers.InstanceNorm(
        m.num_features,
        affine=m.affine,
        track_stats=m.track_running_stats,
        eps=m.eps,
        momentum=m.momentum or 0.0,
    )


def _layer_norm(m: Module) -> Any:
    if len(m.normalized_shape) > 1:
        # Axes of images have another order here.
        raise _UnknownError(f"normalized_shape={tuple(m.normalized_shape)}, more axes than one")
    if m.elementwise_affine and m.bias is None:
        raise _UnknownError("bias=False")
    return layers.LayerNorm(*m.normalized_shape, affine=m.elementwise_affine, eps=m.eps)


def _rms_norm(m: Module) -> Any:
    if len(m.normalized_shape) > 1 or m.eps is None:
        raise _UnknownError(f"normalized_shape={tuple(m.normalized_shape)} and eps={m.eps}")
    return layers.RMSNorm(*m.normalized_shape, affine=m.elementwise_affine, eps=m.eps)


def _max_pool(m: Module) -> Any:
    _only(m, return_indices=False)
    options = {"stride": _each(m.stride, m), "pad": _each(m.padding, m), "dilation": _each(m.dilation, m)}
    return layers.MaxPool(_each(m.kernel_size, m), ceil_mode=m.ceil_mode, **options)


def _mean_pool(m: Module) -> Any:
    _only(m, divisor_override=None)
    options = {"stride": _each(m.stride, m), "pad": _each(m.padding, m)}
    includes = m.count_include_pad
    return layers.MeanPool(
        _each(m.kernel_size, m), ceil_mode=m.ceil_mode, count_include_pad=includes, **options
    )


def _adaptive(layer: Callable[[tuple[int, ...]], Any]) -> Callable[[Module], Any]:
    def make(m: Module) -> Any:
        size = _each(m.output_size, m)
        if None in size:
            raise _UnknownError(f"output_size={size}")
        return layer(size)

    return make


def _embedding(m: Module) -> Any:
    _only(m, max_norm=None, scale_grad_by_freq=False)
    return layers.Embedding(m.num_embeddings, m.embedding_dim, padding_idx=m.padding_idx)


def _bag(m: Module) -> Any:
    _only(m, max_norm=None, scale_grad_by_freq=False, padding_idx=None)
    return layers.EmbeddingBag(m.num_embeddings, m.embedding_dim, getattr(_core, m.mode))


def _recurrent(layer: Callable[..., Any]) -> Callable[[Module], Any]:
    def make(m: Module) -> Any:
        _only(m, num_layers=1, bidirectional=False, batch_first=True, proj_size=0)
        options: dict[str, Any] = {"bias": m.bias}
        if layer is layers.GRU:
            options["recurrent_bias"] = m.bias
        elif layer is layers.RNN:
            options["activation"] = getattr(_core, m.nonlinearity)
        return layer(m.input_size, m.hidden_size, **options)

    return make


def _attention(m: Module) -> Any:
    _only(m, batch_first=True, bias_k=None, bias_v=None, add_zero_attn=False)
    size = m.embed_dim
    bias = m.in_proj_bias is not None
    return layers.MultiHeadAttention(
        ((size, m.kdim, m.vdim), size, size), nheads=m.num_heads, bias=bias, dropout_prob=m.dropout
    )


def _block(m: Module) -> Any:
    _only(m.self_attn, batch_first=True)
    name = getattr(m.activation, "__name__", type(m.activation).__name__)
    activations = {"relu": _core.relu, "gelu": _core.gelu_erf, "ReLU": _core.relu}
    if name not in activations:
        raise _UnknownError(f"activation={name}")
    return layers.TransformerBlock(
        m.linear1.in_features, m.self_attn.num_heads, hidden=m.linear1.out_features, activation=activations[name],
        prenorm=m.norm_first, norm=partial(layers.LayerNorm, eps=m.norm1.eps), dropout_prob=m.dropout.p,
        bias=m.linear1.bias is not None,
    )  # fmt: skip


def _flatten(m: Module) -> Any:
    _only(m, start_dim=1, end_dim=-1)
    return layers.flatten


def _gelu(m: Module) -> Any:
    return _core.gelu_tanh if m.approximate == "tanh" else _core.gelu_erf


def _plain(function: Any, **values: Any) -> Callable[[Module], Any]:
    """A function that has no options here, where theirs has these values."""

    def make(m: Module) -> Any:
        _only(m, **values)
        return function

    return make


def _with(function: Any, **names: str) -> Callable[[Module], Any]:
    """A function with options of theirs, by the names that they have here."""
    return lambda m: partial(function, **{ours: getattr(m, theirs) for ours, theirs in names.items()})


def _by_dimension(name: str, make: Callable[[Module], Any]) -> dict[str, Callable[[Module], Any]]:
    return {f"{name}{n}d": make for n in (1, 2, 3)}


_LAYERS: dict[str, Callable[[Module], Any]] = {
    **_by_dimension("AdaptiveAvgPool", _adaptive(layers.AdaptiveMeanPool)),
    **_by_dimension("AdaptiveMaxPool", _adaptive(layers.AdaptiveMaxPool)),
    **_by_dimension("AvgPool", _mean_pool),
    **_by_dimension("BatchNorm", _batch_norm),
    **_by_dimension("Conv", _conv),
    **_by_dimension("ConvTranspose", _conv_transpose),
    **_by_dimension("InstanceNorm", _instance_norm),
    **_by_dimension("MaxPool", _max_pool),
    "Dropout": lambda m: layers.Dropout(m.p),
    "ELU": _with(_core.elu, alpha="alpha"),
    "Embedding": _embedding,
    "EmbeddingBag": _bag,
    "Flatten": _flatten,
    "GELU": _gelu,
    "GRU": _recurrent(layers.GRU),
    "GroupNorm": lambda m: layers.GroupNorm(m.num_channels, m.num_groups, affine=m.affine, eps=m.eps),
    "Hardsigmoid": _plain(_core.hardsigmoid),
    "Hardswish": _plain(_core.hardswish),
    "Hardtanh": _plain(_core.hardtanh, min_val=-1.0, max_val=1.0),
    "Identity": _plain(_core.identity),
    "LSTM": _recurrent(layers.LSTM),
    "LayerNorm": _layer_norm,
    "LeakyReLU": _with(_core.leakyrelu, a="negative_slope"),
    "Linear": lambda m: layers.Dense(m.in_features, m.out_features, bias=m.bias is not None),
    "LogSoftmax": _plain(_core.logsoftmax, dim=-1),
    "Mish": _plain(_core.mish),
    "MultiheadAttention": _attention,
    "PReLU": lambda m: layers.PReLU(m.num_parameters),
    "PixelShuffle": lambda m: layers.PixelShuffle(m.upscale_factor),
    "RMSNorm": _rms_norm,
    "RNN": _recurrent(layers.RNN),
    "ReLU": _plain(_core.relu),
    "ReLU6": _plain(_core.relu6),
    "SELU": _plain(_core.selu),
    "SiLU": _plain(_core.swish),
    "Sigmoid": _plain(_core.sigmoid),
    "Softmax": _plain(_core.softmax, dim=-1),
    "Softplus": _plain(_core.softplus, beta=1.0, threshold=20.0),
    "Tanh": _plain(_core.tanh),
    "TransformerEncoderLayer": _block,
}
