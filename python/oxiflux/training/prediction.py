"""Models after their training: what they predict, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .. import _core
from ..data import DataLoader
from ..data.guarded import guarded
from ..data.items import count, whole
from ..hints import told
from ..tree import modules
from .batches import batches_of, spread, started, takes
from .measures import Means, aside, number_of, size_of
from .meters import Meter, Metrics, measures_of

__all__ = ["evaluate", "measured", "predict"]

Function = Callable[..., Any]


@told
def predict(model: Any, data: Any, *, batchsize: int = 256) -> Any:
    """The outputs of a model for all of the data, batch by batch, without a gradient and in test mode.

    `data` are inputs: an array, a tensor, a frame or a sequence of items, cut into batches of `batchsize`; a tuple of
    such inputs for a model of several. Or they are batches, as `fit` takes them, of a DataLoader, a list of arrays or
    tuples, or any other iterable; the last part of a tuple is the target and left out. The result has the outputs of
    all items along the first axis, in the form in which the model gives them: a tensor, or a tuple, list or dict of
    tensors. Layers that `trainmode` has put into training mode are back in it afterwards. No batches raise ValueError.

    >>> import oxiflux as flux
    >>> model = flux.Chain(flux.Dense(4, 3), flux.Dropout(0.5))
    >>> x = flux.rand(1000, 4)
    >>> y = flux.predict(model, x, batchsize=128)
    >>> y.shape, bool(flux.allclose(y, model(x)))
    ((1000, 3), True)
    >>> flux.predict(model, flux.DataLoader((x, flux.rand(1000, 3)), 100)).shape
    (1000, 3)
    """
    _check_model("predict", model)
    outputs = []
    with testing(model):
        for args in _inputs(model, data, whole("predict", "batchsize", batchsize, 1)):
            outputs.append(guarded("predict: the model", model, *args))  # noqa: PERF401 (an error is to name the model)
    if not outputs:
        raise ValueError("predict: the data has no batches")
    return outputs[0] if len(outputs) == 1 else _joined(outputs)


@told
def evaluate(
    model: Any,
    data: Any,
    metrics: Metrics = (),
    *,
    loss: Function | None = None,
    outputs: Function | None = None,
    batchsize: int = 256,
) -> dict[str, Any]:
    """The metrics of a model over all of the data, exactly as of one batch, and its mean loss if `loss` is given: a
    dict by their names.

    `data` is a tuple of arrays `(x, y)`, cut into batches of `batchsize`, or batches, as `fit` takes them. `metrics`
    and `outputs` are those of `fit`; here a metric may also give an array, as `confusion` does. The model is in test
    mode meanwhile, and no gradient is taken. No batches raise ValueError.

    >>> import oxiflux as flux
    >>> flux.seed(0)
    >>> model = flux.Dense(4, 3)
    >>> x, y = flux.rand(100, 4), flux.randint(0, 3, 100)
    >>> loss = lambda m, x, y: flux.logitcrossentropy(m(x), y)
    >>> found = flux.evaluate(model, (x, y), ["accuracy", "confusion"], loss=loss)
    >>> list(found), found["confusion"].shape
    (['loss', 'accuracy', 'confusion'], (3, 3))
    """
    _check_model("evaluate", model)
    size = whole("evaluate", "batchsize", batchsize, 1)
    measures = measures_of("evaluate", metrics)
    if loss is None and not measures:
        raise ValueError(
            "evaluate: there is nothing to measure; give metrics, such as ['accuracy'], or loss="
        )
    if loss is not None and not callable(loss):
        raise TypeError(f"evaluate: loss must be a function of the model and a batch, got {loss!r}")
    if isinstance(data, tuple):
        data = DataLoader(data, size) if count("evaluate", data) else []
    with testing(model):
        found = measured("evaluate", loss, Meter("evaluate", measures, outputs), model, data, False)
    if found is None:
        raise ValueError("evaluate: the data has no batches")
    return found


def measured(
    caller: str, loss: Function | None, meter: Meter, model: Any, batches: Any, as_numbers: bool = True
) -> dict[str, Any] | None:
    """The mean loss over batches, each weighted by its items, and the metrics; None if there are no batches.

    >>> meter = Meter("fit", {"size": lambda m, x: len(x)}, None)
    >>> measured("fit", lambda m, x: m * len(x), meter, 2, [[1, 2, 3], [4]])
    {'loss': 5.0, 'size': 2.5}
    """
    means, is_empty = Means(), True
    form = loss or (lambda m, *args: None)
    for batch in started(caller, batches_of(batches)):
        is_empty = False
        args = spread(batch, form)
        if loss is not None:
            value = guarded(f"{caller}: the loss", loss, model, *args)
            number = number_of(caller, "the loss", value[0] if type(value) is tuple else value)
            means.add({"loss": number} | aside(value), size_of(args))
        if meter.measures:
            meter.add(model, args)
    return None if is_empty else means.means() | meter.results(as_numbers)


@contextmanager
def testing(model: Any) -> Iterator[None]:
    """The time in which nothing is recorded, and layers in training mode are in test mode."""
    # Those that tell by themselves are in test mode anyway, and are left alone: other threads may use the model.
    layers = [layer for layer in modules(model) if getattr(layer, "active", None) is True]
    try:
        for layer in layers:
            layer.active = False
        with _core.paused():
            yield
    finally:
        for layer in layers:
            layer.active = True


def _inputs(model: Any, data: Any, size: int) -> Iterator[tuple[Any, ...]]:
    """The arguments of the model for each batch."""
    if _are_batches(data):
        for batch in started("predict", batches_of(data)):
            args = spread(batch, lambda m, *_: m)
            yield args[: max(1, len(args) - 1)]
        return
    parts = len(data) if isinstance(data, tuple) else 1
    if parts > 1 and not takes(model, parts):
        raise TypeError(
            f"predict: the data are {parts} inputs, which the model does not take; give the inputs without the targets"
        )
    if count("predict", data) == 0:
        yield data if isinstance(data, tuple) else (data,)
        return
    for batch in DataLoader(data, size):
        yield batch if isinstance(data, tuple) else (batch,)


def _are_batches(data: Any) -> bool:
    if isinstance(data, (tuple, Mapping, str)) or hasattr(data, "shape"):
        return False
    if isinstance(data, list):
        return bool(data) and (type(data[0]) is tuple or hasattr(data[0], "shape"))
    return isinstance(data, DataLoader) or (isinstance(data, Iterable) and not hasattr(data, "__getitem__"))


def _joined(outputs: list[Any]) -> Any:
    """The outputs of all batches as one, in their form."""
    first = outputs[0]
    if isinstance(first, (tuple, list)):
        parts = [_joined([output[i] for output in outputs]) for i in range(len(first))]
        return type(first)(parts) if type(first) in (tuple, list) else tuple(parts)
    if isinstance(first, Mapping):
        return {key: _joined([output[key] for output in outputs]) for key in first}
    if getattr(first, "ndim", 0) < 1:
        raise TypeError(
            "predict: the model must give an array with the items on its first axis, got "
            f"{'a scalar' if hasattr(first, 'ndim') else f'a {type(first).__name__}'}"
        )
    return _core.concat(outputs, axis=0)


def _check_model(caller: str, model: Any) -> None:
    if not callable(model):
        raise TypeError(f"{caller}: the model comes first and must be callable, got a {type(model).__name__}")
