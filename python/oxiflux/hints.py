"""Answers to everyday slips: what to write instead of a name that other libraries have.

Nothing here runs while all is well: a slip's name on a class is a descriptor that only raises, and keywords are
looked at when a class is called with some, or when a call has failed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Never, TypeVar

__all__ = ["LAYER", "MODULE", "TENSOR", "Told", "explained", "keyword", "missing", "tell", "told"]

F = TypeVar("F", bound=Callable[..., Any])

# What other libraries call a keyword, and what it may be called here. The first that the function has is meant.
SYNONYMS = {
    "alpha": ("negative_slope", "a", "eta"),
    "affine": ("affine",),
    "batch_size": ("batchsize",),
    "betas": ("beta",),
    "callbacks": ("callbacks", "cb"),
    "channels": ("channels",),
    "collate_fn": ("collate",),
    "dilations": ("dilation",),
    "dim": ("axis", "axes"),
    "drop_last": ("partial",),
    "dims": ("axis", "axes", "shape"),
    "embedding_dim": ("size_out", "width"),
    "epsilon": ("eps",),
    "gain": ("gain",),
    "hidden_size": ("size_out",),
    "in_channels": ("channels", "size_in"),
    "in_features": ("size_in",),
    "input_size": ("size_in",),
    "keepdim": ("keepdims",),
    "kernel_initializer": ("init",),
    "kernel_size": ("kernel", "window", "size"),
    "learning_rate": ("eta",),
    "lr": ("eta",),
    "momentum": ("rho", "momentum", "beta"),
    "n_epochs": ("epochs",),
    "num_classes": ("n", "classes"),
    "num_embeddings": ("size_in",),
    "num_epochs": ("epochs",),
    "num_heads": ("heads", "nheads"),
    "num_workers": ("parallel",),
    "out_channels": ("channels", "size_out"),
    "out_features": ("size_out",),
    "padding": ("pad",),
    "reduction": ("agg",),
    "size": ("shape",),
    "strides": ("stride",),
    "units": ("size_out",),
    "use_bias": ("bias",),
    "val_data": ("validation",),
    "validation_data": ("validation",),
    "verbose": ("progress",),
    "weight_decay": ("lambda_", "decay"),
}

# What the functions that train are not told, but others.
ELSEWHERE = {
    "batch_size": "DataLoader(data, 32) makes batches of 32",
    "learning_rate": "it is the rule's: Adam(0.001)",
    "lr": "it is the rule's: Adam(0.001)",
    "optimizer": "the rule, such as Adam(), comes after the data",
    "shuffle": "DataLoader(data, 32, shuffle=True) shuffles",
    "validation_split": "splitobs(data, at=0.8) makes parts of the data",
}


def keyword(function: str, given: str, known: Iterable[str]) -> str:
    """The text of the error of a keyword that a function does not have.

    >>> keyword("softmax()", "dim", ["axis"])
    "softmax() got an unexpected keyword argument 'dim'; did you mean 'axis'?"
    """
    known = [name for name in known if name != "self"]
    text = f"{function} got an unexpected keyword argument {given!r}"
    meant = next((name for name in SYNONYMS.get(given, ()) if name in known), None) or _alike(given, known)
    if meant:
        return f"{text}; did you mean {meant!r}?"
    return f"{text}; it has {', '.join(map(repr, known))}" if known else f"{text}; it has none"


def explained(text: str) -> str | None:
    """A better text for the error of a function of the core that was called with an unknown keyword."""
    from . import _core

    found = re.fullmatch(r"(\w+)\(\) got an unexpected keyword argument '(\w+)'", text)
    function = found and getattr(_core, found[1], None)
    if not found or function is None:
        return None
    # Positional ones stand before a slash.
    signature = str(function.__text_signature__).strip("()").rpartition("/")[2]
    known = [name.partition("=")[0].strip(" *") for name in signature.split(",")]
    return keyword(f"{found[1]}()", found[2], [name for name in known if name])


def told(f: F) -> F:
    """Lets a function that trains answer an unknown keyword."""
    code = f.__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    @functools.wraps(f)
    def answering(*args: Any, **given: Any) -> Any:
        for name in given:
            if name not in known:
                text = keyword(f"{f.__name__}()", name, known)
                raise TypeError(f"{text.partition(';')[0]}; {ELSEWHERE[name]}" if name in ELSEWHERE else text)
        return f(*args, **given)

    return answering  # type: ignore[return-value]


class Told:
    """Base of classes that answer an unknown keyword with the one that was meant."""

    if not TYPE_CHECKING:  # A class is called as its `__init__` says.

        def __new__(cls, *args, **given):  # noqa: ANN002, ANN003, ANN204
            init = cls.__init__
            if (args or given) and init is object.__init__ and cls.__new__ is Told.__new__:
                raise TypeError(f"{cls.__name__}() takes no arguments")
            code = getattr(init, "__code__", None)
            if (
                given and code is not None and not code.co_flags & 0x08
            ):  # It has no `**named` to take any name.
                names = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
                for name in given:
                    if name not in names:
                        raise TypeError(keyword(f"{cls.__name__}()", name, names))
            return super().__new__(cls)


class _Slip:
    """An attribute that a class does not have, for `hasattr` too; asking for it says what to write."""

    __slots__ = ("hint", "name")

    def __init__(self, name: str, hint: str) -> None:
        self.name, self.hint = name, hint

    def __get__(self, instance: object, owner: type) -> Never:
        raise AttributeError(f"{owner.__name__} has no {self.name}: {self.hint}")


def tell(cls: type, slips: dict[str, str]) -> None:
    """Lets a class answer names that it does not have."""
    for name, hint in slips.items():
        setattr(cls, name, _Slip(name, hint))

    def listed(self: object) -> list[str]:
        slips: set[str] = set()
        for base in reversed(type(self).__mro__):
            for name, value in vars(base).items():
                (slips.add if type(value) is _Slip else slips.discard)(name)
        return [n for n in object.__dir__(self) if n not in slips or n in getattr(self, "__dict__", ())]

    cls.__dir__ = listed  # type: ignore[assignment]


def missing(name: str, known: Iterable[str]) -> str:
    """The text of the error of a name that the package does not have."""
    if name in MODULE:
        return f"oxiflux has no {name}: {MODULE[name]}"
    meant = _alike(name, known)
    return f"oxiflux has no {name}" + (f"; did you mean flux.{meant}?" if meant else "")


def _alike(name: str, known: Iterable[str]) -> str | None:
    """The one of the known names that is written most like this one."""
    import difflib

    folded = {k.lower().replace("_", ""): k for k in known}
    near = difflib.get_close_matches(name.lower().replace("_", ""), folded, n=1, cutoff=0.75)
    return folded[near[0]] if near else None


_GRADIENT = "gradients come from a function: grads = flux.gradient(lambda m: loss(m(x), y), model)"
_DEVICE = "tensors are on the CPU, nothing has to be moved"
_FREE = "only gradient records, outside of it nothing has to be switched off"
_OF = "it is a function: flux.{}(t)"

TENSOR = {
    "backward": _GRADIENT,
    "grad": _GRADIENT,
    "grad_fn": _GRADIENT,
    "requires_grad": "what a gradient is taken by is an argument: flux.gradient(f, t)",
    "requires_grad_": "what a gradient is taken by is an argument: flux.gradient(f, t)",
    "is_leaf": _GRADIENT,
    "retain_grad": _GRADIENT,
    "detach": "flux.stop_gradient(t) within a gradient; outside of one nothing is recorded",
    "detach_": "flux.stop_gradient(t) within a gradient; outside of one nothing is recorded",
    "data": "outside of a gradient nothing is recorded, take t itself; within one flux.stop_gradient(t)",
    "cuda": _DEVICE,
    "cpu": _DEVICE,
    "to": f"{_DEVICE}; t.astype(dtype) converts",
    "type": "t.astype(dtype) converts, t.dtype is the type",
    "view": "t.reshape(…)",
    "view_as": "t.reshape(other.shape)",
    "permute": "t.transpose(…) or flux.permute_dims(t, axes)",
    "unsqueeze": "flux.expand_dims(t, axis) or t[..., None]",
    "t": "t.T",
    "dim": "t.ndim",
    "numel": "t.size",
    "clone": "t.copy()",
    "contiguous": "tensors are used as they are, nothing has to be done",
    "item_": "t.item()",
    "float": 't.astype("float32")',
    "double": 't.astype("float64")',
    "half": 't.astype("float16")',
    "bfloat16": 't.astype("bfloat16")',
    "long": 't.astype("int64")',
    "int": 't.astype("int32")',
    "bool": 't.astype("bool")',
    "mm": "a @ b",
    "bmm": "a @ b",
    "matmul": "a @ b",
    "expand": "flux.broadcast_to(t, shape)",
    "masked_fill": "flux.where(mask, value, t)",
    "chunk": "flux.split(t, n)",
    "add_": "t = t + x; layers and rules change their tensors by assignment",
    "mul_": "t = t * x; layers and rules change their tensors by assignment",
    "zero_": "t[...] = 0",
    "fill_": "t[...] = x",
    "copy_": "t[...] = x",
    "clamp": "t.clip(min, max)",
    "amax": "t.max(axis)",
    "amin": "t.min(axis)",
    "values": "t.numpy()",
    "to_numpy": "t.numpy()",
} | {
    name: _OF.format(name)
    for name in (
        "exp", "log", "log1p", "sqrt", "square", "sin", "cos", "tanh", "sigmoid", "relu", "softmax", "abs",
        "pow", "flip", "roll", "repeat", "tile", "split", "take", "nonzero", "where", "floor", "ceil",
        "trace", "diagonal", "isnan", "isfinite", "isinf", "sign", "logsumexp",
    )
}  # fmt: skip

LAYER = {
    "parameters": "flux.trainables(model) lists them; setup and update take the model itself",
    "named_parameters": "flux.trainables(model, path=True) lists them",
    "eval": "flux.testmode(model); outside of gradient layers are in test mode by themselves",
    "zero_grad": "gradients are values that gradient returns, nothing has to be zeroed",
    "requires_grad_": "flux.freeze(state.…) keeps parameters as they are",
    "state_dict": "flux.state(model), or flux.save(path, model)",
    "load_state_dict": "flux.loadmodel(model, state), or flux.load_torch(model, state_dict)",
    "backward": _GRADIENT,
    "cuda": _DEVICE,
    "cpu": _DEVICE,
    "to": f"{_DEVICE}; flux.f64(model) and the like convert",
    "half": "flux.f16(model)",
    "double": "flux.f64(model)",
    "named_modules": "flux.modules(model)",
    "register_parameter": "assign a tensor to an attribute, it is a parameter",
    "register_buffer": "assign a tensor, and leave its name out of what trainable(self) returns",
    "fit": "flux.fit(loss, model, data, rule)",
    "compile": "rules and losses are given to flux.train or flux.fit",
    "predict": "call the model: model(x)",
    "summary": "flux.summary(model, shape)",
}

MODULE = {
    "ADAM": "Adam",
    "ADAMW": "AdamW",
    "Adagrad": "AdaGrad",
    "Adadelta": "AdaDelta",
    "Adamax": "AdaMax",
    "AvgPool1d": "MeanPool",
    "AvgPool2d": "MeanPool",
    "BCELoss": "binarycrossentropy(yhat, y), a function",
    "BCEWithLogitsLoss": "logitbinarycrossentropy(yhat, y), a function",
    "BatchNorm1d": "BatchNorm(channels)",
    "BatchNorm2d": "BatchNorm(channels)",
    "Conv1d": "Conv((k,), channels_in, channels_out), the kernel's length says how many axes",
    "Conv2d": "Conv((k, k), channels_in, channels_out)",
    "Conv3d": "Conv((k, k, k), channels_in, channels_out)",
    "ConvTranspose2d": "ConvTranspose((k, k), channels_in, channels_out)",
    "CrossEntropyLoss": "logitcrossentropy(yhat, y), a function",
    "Flatten": "flatten, a function",
    "GELU": "gelu, a function",
    "KLDivLoss": "kldivergence(yhat, y), a function",
    "L1Loss": "mae(yhat, y), a function",
    "LeakyReLU": "leakyrelu, a function",
    "Linear": "Dense(size_in, size_out)",
    "MSELoss": "mse(yhat, y), a function",
    "MaxPool1d": "MaxPool((k,))",
    "MaxPool2d": "MaxPool((k, k))",
    "Module": "Layer is the base of layers; any object that can be called is a model",
    "ModuleList": "a list of layers is walked as it is",
    "NLLLoss": "logitcrossentropy(yhat, y), of the numbers before softmax",
    "Optimiser": "OptimiserChain",
    "Parameter": "every floating tensor of a layer is a parameter: assign one to an attribute",
    "PReLU": "leakyrelu, or a layer of one's own",
    "ReLU": "relu, a function",
    "SGD": "Descent(eta), Momentum(eta, rho) or Nesterov(eta, rho)",
    "Sequential": "Chain",
    "Sigmoid": "sigmoid, a function",
    "Softmax": "softmax, a function",
    "Tanh": "tanh, a function",
    "amax": "max",
    "amin": "min",
    "arccos": "acos",
    "arcsin": "asin",
    "arctan": "atan",
    "arctan2": "atan2",
    "array": "tensor",
    "autograd": _GRADIENT,
    "binary_cross_entropy": "binarycrossentropy",
    "bmm": "batched_mul(a, b), or a @ b",
    "cat": "concat(tensors, axis)",
    "clamp": "clip",
    "concatenate": "concat(tensors, axis)",
    "cpu": _DEVICE,
    "cross_entropy": "logitcrossentropy",
    "cuda": _DEVICE,
    "cumprod": "cumulative_prod",
    "cumsum": "cumulative_sum",
    "device": _DEVICE,
    "dot": "a @ b, or vecdot",
    "enable_grad": _FREE,
    "from_torch": "from_dlpack(tensor)",
    "functional": "activations, losses and functions are in the package itself: flux.relu, flux.mse, …",
    "gpu": _DEVICE,
    "grad": "gradient(f, *args) gives the gradients at once",
    "inference_mode": _FREE,
    "linalg": "np.linalg takes tensors; a @ b, outer, vecdot, trace and einsum are here",
    "log_softmax": "logsoftmax",
    "manual_seed": "seed(n)",
    "mm": "a @ b",
    "mse_loss": "mse",
    "nn": "layers, activations and losses are in the package itself: flux.Dense, flux.relu, flux.mse, …",
    "no_grad": _FREE,
    "norm": "np.linalg.norm(t), or flux.sqrt(flux.square(t).sum()) within a gradient",
    "optim": "rules are in the package itself: flux.Adam, flux.Descent, …",
    "permute": "permute_dims",
    "rand_like": "rand(*x.shape, dtype=x.dtype)",
    "randint_like": "randint(low, high, x.shape)",
    "randn_like": "randn(*x.shape, dtype=x.dtype)",
    "random": "rand, randn, randint and seed are in the package itself",
    "rms_norm": "a layer of one's own: x / flux.sqrt(flux.square(x).mean(-1, keepdims=True) + eps) * self.scale",
    "smooth_l1_loss": "huber_loss",
    "transpose": "permute_dims(t, axes), swapaxes, or t.T",
    "unsqueeze": "expand_dims",
    "value_and_grad": "withgradient(f, *args)",
    "view": "reshape",
}
