"""Flux, the machine-learning stack of Julia, for Python: `import oxiflux as flux`.

Every public name is listed here, a group for each module that it comes from; `make stubs` writes the lists. A module
that not every program needs is imported when one of its names is asked for.
`from oxiflux import *` takes all of them but those of Python's own: abs, all, any, bool, compile, max, min, pow, round,
sum.
"""
# ruff: noqa: F401, F403, F405, I001, RUF022
# fmt: off

import typing as _typing

from . import hints as _hints, protocols as _protocols, signatures as _signatures, threadpools
from ._core import (
    DType, DTypeError, Generator, Leaf, ShapeError, Tensor, acos, acosh, add, arange, argmax, argmin,
    argsort, asarray, asin, asinh, astype, atan, atan2, atanh, bfloat16, bitwise_and, bitwise_invert,
    bitwise_left_shift, bitwise_or, bitwise_right_shift, bitwise_xor, broadcast_to, ceil, celu, concat,
    copysign, cos, cosh, count_nonzero, cumulative_prod, cumulative_sum, default_generator, digamma, divide,
    dtype, elu, empty, empty_cache, empty_like, equal, erf, erfc, erfinv, exp, exp2, expand_dims, expm1,
    eye, flip, float16, float32, float64, floor, floor_divide, fmax, fmin, fmod, from_dlpack, from_numpy,
    full, full_like, gelu, gelu_erf, gelu_sigmoid, gelu_tanh, get_num_threads, glu, greater, greater_equal,
    hardshrink, hardsigmoid, hardswish, hardtanh, hypot, identity, int16, int32, int64, int8, is_recording,
    is_training, isfinite, isinf, isnan, leakyrelu, lerp, less, less_equal, lgamma, linspace, lisht, log,
    log10, log1p, log2, logaddexp, logcosh, logcumsumexp, logical_and, logical_not, logical_or, logical_xor,
    logit, logsigmoid, logsoftmax, logsumexp, matmul, matrix_transpose, maximum, mean, memory_in_use,
    minimum, mish, multiply, nan_to_num, nansum, negative, nextafter, nonzero, normalise, not_equal,
    one_hot, ones, ones_like, paused, permute_dims, power, prelu, prod, rand, randint, randn, randperm,
    reciprocal, relu, relu6, remainder, reshape, rsqrt, searchsorted, seed, selu, set_num_threads, sigmoid,
    sigmoid_fast, sign, signbit, sin, sinc, sinh, softmax, softplus, softshrink, softsign, sort, sqrt,
    square, squeeze, stack, std, subtract, swish, take, take_along_axis, tan, tanh, tanh_fast, tanhshrink,
    tensor, thresholdrelu, trelu, trigamma, trunc, uint16, uint32, uint64, uint8, var, where, xlog1py,
    xlogy, zeros, zeros_like,
)
# Names of Python's own, which `from oxiflux import *` leaves alone; written so for type checkers.
from ._core import (
    abs as abs, all as all, any as any, max as max, min as min, pow as pow, round as round, sum as sum,
    bool_ as bool_, bool_ as bool,
)
from .standard import __array_api_version__, __array_namespace_info__, e, inf, nan, newaxis, pi
from .einsum import einsum, tensordot
from .functions import (
    allclose, array_split, bincount, block_diag, broadcast_arrays, broadcast_shapes, can_cast,
    cartesian_prod, cdist, clip, column_stack, conj, corrcoef, cosine_similarity, cov, cross, cummax,
    cummin, diag, diag_embed, diagonal, diff, dstack, exp10, finfo, fliplr, flipud, heaviside, histogram,
    hstack, iinfo, imag, index_add, interp, isclose, isdtype, isin, kron, masked_scatter, median, meshgrid,
    moveaxis, nanmax, nanmean, nanmedian, nanmin, nanprod, nanquantile, nanstd, nanvar, outer,
    pairwise_distance, percentile, polygamma, positive, quantile, real, repeat, rescale, result_type,
    rms_norm, roll, rot90, rrelu, scatter_along, split, swapaxes, tile, topk, trace, trapezoid, tril,
    tril_indices, triu, triu_indices, unflatten, unique_all, unique_counts, unique_inverse, unique_values,
    unstack, vecdot, vstack,
)
from .checkpoint import checkpoint
from .strict import strict
from .custom import custom_gradient
from .gradcheck import gradcheck
from .gradient import (
    diaghessian, gradient, hessian, ignore_derivatives, jacobian, jvp, pullback, stop_gradient,
    withgradient, withjacobian,
)
from .onehot import onecold, onehot, onehotbatch
from .functors import children, fmap, fmap_with_path, fmapstructure, fmapstructure_with_path, isleaf
from .tree import Params, bf16, f16, f32, f64, loadmodel, modules, params, state, trainables

if _typing.TYPE_CHECKING:
    from . import augment as augment, distributed as distributed, fft as fft, linalg as linalg, losses as losses
    from . import metrics as metrics, onnx as onnx, optimisers as optimisers, sklearn as sklearn
    from .compiled import *
    from .profiling import *
    from .vector import *
    from .shapes import *
    from .data import *
    from .draws import *
    from .files import *
    from .init import *
    from .layers import *
    from .losses import *
    from .optimisers import *
    from .training import *

__version__ = "0.1.0"

__all__ = [
    "AMSGrad", "AccumGrad", "AdaBelief", "AdaDelta", "AdaGrad", "AdaMax", "Adam", "AdamW",
    "AdaptiveMaxPool", "AdaptiveMeanPool", "AlphaDropout", "BatchNorm", "BatchView", "Bilinear", "Callback",
    "Chain", "ClipGrad", "ClipNorm", "ComposedSchedule", "Conv", "ConvTranspose", "Cos", "CosAnneal",
    "CrossCor", "DType", "DTypeError", "DataLoader", "Dense", "DepthwiseConv", "Descent", "Dropout", "EMA",
    "EarlyStopping", "Embedding", "EmbeddingBag", "Exp", "GRU", "GRUCell", "GRUv3", "GRUv3Cell",
    "Generator", "GlobalMaxPool", "GlobalMeanPool", "GradientNorm", "GroupNorm", "History", "InstanceNorm",
    "Interpolator", "Inv", "LSTM", "LSTMCell", "Layer", "LayerNorm", "Leaf", "Lion", "Loop", "MaxPool",
    "Maxout", "MeanPool", "MixedPrecision", "ModelCheckpoint", "Momentum", "MultiHeadAttention", "NAdam",
    "Nesterov", "OAdam", "OneCycle", "OptimiserChain", "PReLU", "PairwiseFusion", "Parallel", "Params",
    "PixelShuffle", "Poly", "Profile", "ProfileRow", "Program", "RAdam", "RMSNorm", "RMSProp", "RNN",
    "RNNCell", "RateCurve", "Recurrence", "RotaryEncoding", "Rprop", "Rule", "Run", "SWA", "SamePad",
    "Scale", "Schedule", "Scheduler", "Sequence", "ShapeError", "Shifted", "SignDecay", "Sin", "SinDecay2",
    "SinExp", "SinusoidalEncoding", "SkipConnection", "Stateful", "Step", "Tensor", "TransformerBlock",
    "Triangle", "TriangleDecay2", "TriangleExp", "Upsample", "Warmup", "WeightDecay", "WeightNorm",
    "__version__", "acos", "acosh", "activations", "add", "adjust", "allclose", "arange", "argmax",
    "argmin", "argsort", "array_split", "asarray", "asin", "asinh", "astype", "atan", "atan2", "atanh",
    "augment", "autosize", "batch", "batch_sequence", "batched_mul", "batched_vec", "batchseq", "bernoulli",
    "bf16", "bfloat16", "binary_focal_loss", "binarycrossentropy", "bincount", "bitwise_and",
    "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "block_diag", "bool_", "broadcast_arrays", "broadcast_shapes", "broadcast_to", "can_cast",
    "cartesian_prod", "cdist", "ceil", "celu", "checkpoint", "children", "chunk", "clip", "column_stack",
    "concat", "conj", "conv", "copysign", "corrcoef", "cos", "cosh", "cosine_embedding_loss",
    "cosine_similarity", "count_nonzero", "cov", "create_bias", "cross", "crossentropy", "ctc_loss",
    "cummax", "cummin", "cumulative_prod", "cumulative_sum", "custom_gradient", "db_to_power",
    "default_generator", "depthwiseconv", "destructure", "diag", "diag_embed", "diaghessian", "diagonal",
    "dice_coeff_loss", "diff", "digamma", "divide", "dot_product_attention", "dot_product_attention_scores",
    "dropout", "dstack", "dtype", "e", "eachobs", "early_stopping", "einsum", "elu", "empty", "empty_cache",
    "empty_like", "equal", "erf", "erfc", "erfinv", "evaluate", "exp", "exp10", "exp2", "expand_dims",
    "expm1", "eye", "f16", "f32", "f64", "fft", "filterobs", "find_rate", "finfo", "fit", "flatten", "flip",
    "fliplr", "flipud", "float16", "float32", "float64", "floor", "floor_divide", "fmap", "fmap_with_path",
    "fmapstructure", "fmapstructure_with_path", "fmax", "fmin", "fmod", "focal_loss", "fold", "freeze",
    "from_dlpack", "from_numpy", "full", "full_like", "gather", "gelu", "gelu_erf", "gelu_sigmoid",
    "gelu_tanh", "get_num_threads", "getobs", "glorot_normal", "glorot_uniform", "glu", "gradcheck",
    "gradient", "greater", "greater_equal", "grid_sample", "group_counts", "group_indices", "groupobs",
    "gumbel_softmax", "hamming_window", "hann_window", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "heaviside", "hessian", "hinge_loss", "histogram", "hstack", "huber_loss", "hypot", "identity",
    "identity_init", "ignore_derivatives", "iinfo", "imag", "imrotate", "index_add", "inf", "initialstates",
    "int16", "int32", "int64", "int8", "interp", "is_recording", "is_training", "isclose", "isdtype",
    "isfinite", "isin", "isinf", "isleaf", "isnan", "istft", "jacobian", "joinobs", "jvp", "kaiming_normal",
    "kaiming_uniform", "kfolds", "kldivergence", "kron", "label_smoothing", "leakyrelu", "leavepout",
    "lecun_normal", "lerp", "less", "less_equal", "lgamma", "linalg", "linspace", "lisht", "load",
    "load_checkpoint", "load_iris", "load_torch", "loadmodel", "log", "log10", "log1p", "log2", "logaddexp",
    "logcosh", "logcumsumexp", "logical_and", "logical_not", "logical_or", "logical_xor", "logit",
    "logitbinarycrossentropy", "logitcrossentropy", "logsigmoid", "logsoftmax", "logsumexp", "losses",
    "lpnormpool", "mae", "make_causal_mask", "make_moons", "make_poly", "make_sin", "make_spiral", "mapobs",
    "margin_ranking_loss", "masked_scatter", "matmul", "matrix_transpose", "maximum", "maxpool", "mean",
    "meanpool", "median", "melscale_filterbanks", "memory_in_use", "meshgrid", "metrics", "minimum", "mish",
    "modules", "moveaxis", "mse", "msle", "multinomial", "multiply", "nan", "nan_to_num", "nanmax",
    "nanmean", "nanmedian", "nanmin", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar", "negative",
    "newaxis", "nextafter", "nfan", "nll_loss", "nonzero", "normal", "normalise", "not_equal", "numobs",
    "obsview", "one_hot", "onecold", "onehot", "onehotbatch", "ones", "ones32", "ones_like", "optimisers",
    "orthogonal", "outer", "outputsize", "oversample", "pad_circular", "pad_constant", "pad_reflect",
    "pad_repeat", "pad_symmetric", "pad_zeros", "pairwise_distance", "params", "patience", "paused",
    "percentile", "permute_dims", "pi", "pixel_shuffle", "pixel_unshuffle", "plateau", "poisson_loss",
    "polygamma", "positive", "power", "power_to_db", "predict", "prelu", "prod", "profile", "pullback",
    "quantile", "rand", "rand32", "rand_like", "randint", "randn", "randn32", "randn_like", "randobs",
    "randperm", "real", "reciprocal", "relu", "relu6", "remainder", "remove_weight_norms", "repeat",
    "rescale", "reshape", "result_type", "rms_norm", "roll", "rot90", "rotary_encoding", "rpad_constant",
    "rrelu", "rsqrt", "save", "save_checkpoint", "scatter", "scatter_along", "searchsorted", "seed", "selu",
    "set_num_threads", "setup", "show_program", "shuffleobs", "siamese_contrastive_loss", "sigmoid",
    "sigmoid_fast", "sign", "signbit", "sin", "sinc", "sinh", "sinusoidal_encoding", "slidingwindow",
    "softmax", "softplus", "softshrink", "softsign", "sort", "sparse_init", "spectrogram", "split",
    "splitobs", "sqrt", "square", "squared_hinge_loss", "squeeze", "stack", "state", "std", "stft",
    "stop_gradient", "strict", "subtract", "summary", "swapaxes", "swish", "take", "take_along_axis", "tan",
    "tanh", "tanh_fast", "tanhshrink", "tensor", "tensordot", "testmode", "thaw", "threadpools",
    "thresholdrelu", "throttle", "tile", "timeseries_kfolds", "to_torch", "topk", "trace", "train",
    "trainables", "trainmode", "trainstep", "trainstep_withgradient", "trapezoid", "trelu", "trigamma",
    "tril", "tril_indices", "triplet_margin_loss", "triu", "triu_indices", "trunc", "truncated_normal",
    "tversky_loss", "uint16", "uint32", "uint64", "uint8", "unbatch", "undersample", "unflatten", "unfold",
    "unique_all", "unique_counts", "unique_inverse", "unique_values", "unstack", "update",
    "update_statistics", "upsample_bicubic", "upsample_bilinear", "upsample_linear", "upsample_nearest",
    "upsample_trilinear", "var", "vecdot", "vstack", "where", "withgradient", "withjacobian", "xlog1py",
    "xlogy", "zeros", "zeros32", "zeros_like",
]


# Modules that are names, and modules whose names are found when one of them is asked for.
_MODULES = [
    "augment", "distributed", "fft", "linalg", "losses", "metrics", "onnx", "optimisers", "sklearn",
]
_LATER = {
    "compiled": [
        "compile", "show_program",
    ],
    "profiling": [
        "Profile", "ProfileRow", "profile",
    ],
    "vector": [
        "destructure",
    ],
    "shapes": [
        "autosize", "outputsize", "summary",
    ],
    "data": [
        "BatchView", "DataLoader", "batch", "batch_sequence", "batchseq", "chunk", "eachobs", "filterobs",
        "getobs", "group_counts", "group_indices", "groupobs", "joinobs", "kfolds", "leavepout",
        "load_iris", "make_moons", "make_poly", "make_sin", "make_spiral", "mapobs", "numobs", "obsview",
        "oversample", "randobs", "rpad_constant", "shuffleobs", "slidingwindow", "splitobs",
        "timeseries_kfolds", "unbatch", "undersample",
    ],
    "draws": [
        "bernoulli", "gumbel_softmax", "multinomial", "normal",
    ],
    "files": [
        "Program", "load", "load_checkpoint", "load_torch", "save", "save_checkpoint", "to_torch",
    ],
    "init": [
        "create_bias", "glorot_normal", "glorot_uniform", "identity_init", "kaiming_normal",
        "kaiming_uniform", "lecun_normal", "nfan", "ones32", "orthogonal", "rand32", "rand_like", "randn32",
        "randn_like", "sparse_init", "truncated_normal", "zeros32",
    ],
    "layers": [
        "AdaptiveMaxPool", "AdaptiveMeanPool", "AlphaDropout", "BatchNorm", "Bilinear", "Chain", "Conv",
        "ConvTranspose", "CrossCor", "Dense", "DepthwiseConv", "Dropout", "Embedding", "EmbeddingBag",
        "GRU", "GRUCell", "GRUv3", "GRUv3Cell", "GlobalMaxPool", "GlobalMeanPool", "GroupNorm",
        "InstanceNorm", "LSTM", "LSTMCell", "Layer", "LayerNorm", "MaxPool", "Maxout", "MeanPool",
        "MultiHeadAttention", "PReLU", "PairwiseFusion", "Parallel", "PixelShuffle", "RMSNorm", "RNN",
        "RNNCell", "Recurrence", "RotaryEncoding", "SamePad", "Scale", "SinusoidalEncoding",
        "SkipConnection", "TransformerBlock", "Upsample", "WeightNorm", "activations", "batched_mul",
        "batched_vec", "conv", "db_to_power", "depthwiseconv", "dot_product_attention",
        "dot_product_attention_scores", "dropout", "flatten", "fold", "gather", "grid_sample",
        "hamming_window", "hann_window", "imrotate", "initialstates", "istft", "lpnormpool",
        "make_causal_mask", "maxpool", "meanpool", "melscale_filterbanks", "pad_circular", "pad_constant",
        "pad_reflect", "pad_repeat", "pad_symmetric", "pad_zeros", "pixel_shuffle", "pixel_unshuffle",
        "power_to_db", "remove_weight_norms", "rotary_encoding", "scatter", "sinusoidal_encoding",
        "spectrogram", "stft", "testmode", "trainmode", "unfold", "upsample_bicubic", "upsample_bilinear",
        "upsample_linear", "upsample_nearest", "upsample_trilinear",
    ],
    "losses": [
        "binary_focal_loss", "binarycrossentropy", "cosine_embedding_loss", "crossentropy", "ctc_loss",
        "dice_coeff_loss", "focal_loss", "hinge_loss", "huber_loss", "kldivergence", "label_smoothing",
        "logitbinarycrossentropy", "logitcrossentropy", "mae", "margin_ranking_loss", "mse", "msle",
        "nll_loss", "poisson_loss", "siamese_contrastive_loss", "squared_hinge_loss", "triplet_margin_loss",
        "tversky_loss",
    ],
    "optimisers": [
        "AMSGrad", "AccumGrad", "AdaBelief", "AdaDelta", "AdaGrad", "AdaMax", "Adam", "AdamW", "ClipGrad",
        "ClipNorm", "ComposedSchedule", "Cos", "CosAnneal", "Descent", "Exp", "Interpolator", "Inv", "Lion",
        "Loop", "MixedPrecision", "Momentum", "NAdam", "Nesterov", "OAdam", "OneCycle", "OptimiserChain",
        "Poly", "RAdam", "RMSProp", "Rprop", "Rule", "Schedule", "Scheduler", "Sequence", "Shifted",
        "SignDecay", "Sin", "SinDecay2", "SinExp", "Stateful", "Step", "Triangle", "TriangleDecay2",
        "TriangleExp", "Warmup", "WeightDecay", "adjust", "freeze", "setup", "thaw", "update",
    ],
    "training": [
        "Callback", "EMA", "EarlyStopping", "GradientNorm", "History", "ModelCheckpoint", "RateCurve",
        "Run", "SWA", "early_stopping", "evaluate", "find_rate", "fit", "patience", "plateau", "predict",
        "throttle", "train", "trainstep", "trainstep_withgradient", "update_statistics",
    ],
}


def __dir__() -> list[str]:
    python = {"abs", "all", "any", "bool", "compile", "max", "min", "pow", "round", "sum"}
    return sorted({*__all__, *python, "__doc__", "__file__", "__name__", "__path__"})


if not _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        home = next((module for module, names in _LATER.items() if name in names), None)
        if home is None:
            if name in _MODULES or name in _LATER:
                return import_module(f"{__name__}.{name}")
            raise AttributeError(_hints.missing(name, __dir__()))
        module = import_module(f"{__name__}.{home}")
        found = {each: getattr(module, each) for each in _LATER[home]}
        _signatures.show(found.values())
        for each, value in found.items():
            globals().setdefault(each, value)
        return globals()[name]


_hints.tell(Tensor, _hints.TENSOR)
_signatures.show(globals().values())
