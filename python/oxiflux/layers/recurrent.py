"""Recurrent layers: cells over whole sequences."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, overload

from .._core import ShapeError, Tensor, tanh
from ..init import glorot_uniform
from ..show import describe
from .base import Layer, locate, named_any, shape_of
from .cells import Cell, GRUCell, GRUv3Cell, LSTMCell, RNNCell, State, initialstates, scan
from .given import require_size

if TYPE_CHECKING:
    # Checkers know this module whether it is installed or not.
    from typing_extensions import TypeVar

    from ..typing import ArrayLike
    from .cells import Init

    # What a call gives: with the last state a tuple of both.
    Output = TypeVar("Output", default=Tensor)
else:
    from typing import TypeVar

    Output = TypeVar("Output")

__all__ = ["GRU", "LSTM", "RNN", "GRUv3", "Recurrence"]


class SequenceLayer(Layer, Generic[Output]):
    """Base of the recurrent layers: a `cell`, and whether the last state is returned too."""

    cell: Any
    return_state: bool
    open_at: ClassVar[int | None] = 0
    is_made_of_layer = True

    def __init__(self, cell: Any, return_state: bool) -> None:
        self.cell = cell
        self.return_state = return_state

    def _cell(self, kind: type[Cell], cell: Any, size_out: Any, options: dict[str, Any]) -> Cell:
        """The cell that was given in the place of the sizes, or a new one of this kind."""
        name = type(self).__name__
        if not isinstance(cell, Layer):
            require_size(name, size_out=size_out)
            return kind(cell, size_out, **options)
        if type(cell) is not kind:
            raise TypeError(
                f"{name}: the cell must be of {kind.__name__}, got {describe(cell)}; see Recurrence"
            )
        usual = inspect.signature(kind).parameters
        given = [key for key, value in options.items() if value is not usual[key].default]
        if size_out is not True or given:
            what = given[0] if given else f"{size_out!r}"
            raise TypeError(
                f"{name}: {describe(cell)} has its sizes and options, and {what} was given besides"
            )
        return cell

    def initialstates(self) -> State:
        """The state to start from, that of the cell."""
        return initialstates(self.cell)

    @named_any
    def __call__(self, x: ArrayLike, state: State = None) -> Output:
        """The output of each step; with `return_state`, that and the last state."""
        y, state = self.cell.sequence(x, state, self.return_state)
        return (y, state) if self.return_state else y  # type: ignore[return-value]

    def describe(self) -> str:
        """The layer on one line."""
        return describe(self.cell).replace("Cell(", "(", 1)


class Recurrence(SequenceLayer[Output]):
    """Takes whole sequences through a cell: `(batch, time, features)` or `(time, features)` becomes
    `(batch, time, hidden)` or `(time, hidden)`.

    `layer(x, state)` starts from `state`, or from `initialstates(cell)` if none is given. It returns the
    outputs of the cell, and with `return_state=True` a tuple of those and the last state. A cell of one's own
    is any object that can be called with an input of one step and a state, returns `(output, state)`, and has
    a method `initialstates()`. The time is the last axis but one. An empty sequence raises ShapeError.
    Ref: Flux.jl, `Recurrence`.

    >>> import oxiflux as flux
    >>> layer = flux.Recurrence(flux.LSTMCell(2, 3))
    >>> layer(flux.rand(4, 7, 2)).shape
    (4, 7, 3)
    >>> class Average(flux.Layer):
    ...     def __init__(self, size):
    ...         self.decay = flux.zeros(size)
    ...
    ...     def initialstates(self):
    ...         return flux.zeros_like(self.decay)
    ...
    ...     def __call__(self, x, state):
    ...         keep = flux.sigmoid(self.decay)
    ...         state = keep * state + (1 - keep) * x
    ...         return state, state
    >>> flux.Recurrence(Average(2))([[1, 2], [1, 2], [1, 2]]).tolist()
    [[0.5, 1.0], [0.75, 1.5], [0.875, 1.75]]
    """

    open_at: ClassVar[int | None] = None
    is_made_of_layer = False

    @overload
    def __init__(self: Recurrence[Tensor], cell: Any, *, return_state: Literal[False] = ...) -> None: ...
    @overload
    def __init__(self: Recurrence[Any], cell: Any, *, return_state: bool) -> None: ...
    def __init__(self, cell: Any, *, return_state: bool = False) -> None:
        if not callable(cell):
            raise TypeError(f"Recurrence: the cell must be callable, got {describe(cell)}")
        super().__init__(cell, return_state)

    def __call__(self, x: ArrayLike, state: State = None) -> Output:
        """The output of the cell for each step; with `return_state`, that and the last state."""
        if isinstance(self.cell, Cell):
            return super().__call__(x, state)
        shape = shape_of(x)
        if len(shape) < 2 or not shape[-2]:
            problem = "the sequence is empty" if len(shape) > 1 else "expected a sequence, (time, features)"
            raise ShapeError(f"{self.describe()}: {problem}, got shape {shape}")
        state = initialstates(self.cell) if state is None else state
        try:
            y, state = scan(self.cell, x, state)
        except Exception as error:
            locate(error, "Recurrence", ".cell")
            raise
        return (y, state) if self.return_state else y  # type: ignore[return-value]

    def describe(self) -> str:
        """The layer and its cell on one line."""
        return f"Recurrence({describe(self.cell)})"

    def _shown(self) -> list[tuple[str | None, Any]]:
        """What a table lists: the cell."""
        return [(None, self.cell)]


class RNN(SequenceLayer[Output]):
    """The plainest recurrent layer, `RNNCell` over whole sequences:
    `h[t] = activation(x[t] @ weight_ih + h[t - 1] @ weight_hh + bias)`.

    `RNN(size_in, size_out, activation=tanh, *, …)`, or `RNN(cell, *, return_state=False)` of an `RNNCell`, takes
    `(batch, time, size_in)` or `(time, size_in)` to `(batch, time, size_out)` or `(time, size_out)`; a `size_in` of
    None is left to `autosize`. `layer(x, state)` starts from a state of shape `(batch, size_out)` or `(size_out,)`,
    zeros if none is given. With `return_state=True` it returns `(y, state)`, where the state is the last one and
    continues the sequence in the next call; the layer itself holds none. `layer.cell` has the parameters. With `tanh`
    and `relu` all steps are one operation. Shapes that do not fit and empty sequences raise ShapeError.
    Ref: Flux.jl, `RNN`.

    >>> import oxiflux as flux
    >>> layer = flux.RNN(2, 3, flux.relu, return_state=True)
    >>> layer
    RNN(2 => 3, relu)   # 18 parameters
    >>> y, state = layer(flux.rand(4, 7, 2))
    >>> y.shape, state.shape
    ((4, 7, 3), (4, 3))
    """

    @overload
    def __init__(
        self: RNN[Tensor],
        size_in: int | None,
        size_out: int | Callable[[int], int],
        activation: Callable[[Tensor], Tensor] = ...,
        *,
        return_state: Literal[False] = ...,
        init_kernel: Init = ...,
        init_recurrent_kernel: Init = ...,
        bias: bool | ArrayLike = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: RNN[Any],
        size_in: int | None,
        size_out: int | Callable[[int], int],
        activation: Callable[[Tensor], Tensor] = ...,
        *,
        return_state: bool,
        init_kernel: Init = ...,
        init_recurrent_kernel: Init = ...,
        bias: bool | ArrayLike = ...,
    ) -> None: ...
    @overload
    def __init__(self: RNN[Tensor], size_in: RNNCell, *, return_state: Literal[False] = ...) -> None: ...
    @overload
    def __init__(self: RNN[Any], size_in: RNNCell, *, return_state: bool) -> None: ...
    def __init__(
        self,
        size_in: Any,
        size_out: Any = True,
        activation: Callable[[Tensor], Tensor] = tanh,
        *,
        return_state: bool = False,
        init_kernel: Init = glorot_uniform,
        init_recurrent_kernel: Init = glorot_uniform,
        bias: bool | ArrayLike = True,
    ) -> None:
        options = {
            "activation": activation, "bias": bias, "init_kernel": init_kernel,
            "init_recurrent_kernel": init_recurrent_kernel,
        }  # fmt: skip
        super().__init__(self._cell(RNNCell, size_in, size_out, options), return_state)


class LSTM(SequenceLayer[Output]):
    """Long short-term memory, `LSTMCell` over whole sequences, as one operation.

    `(batch, time, size_in)` or `(time, size_in)` becomes `(batch, time, size_out)` or `(time, size_out)`. A
    state is a pair `(h, c)`; the rest is as for `RNN`. Ref: Flux.jl, `LSTM`; Hochreiter and Schmidhuber, 1997.

    >>> import oxiflux as flux
    >>> layer = flux.LSTM(2, 3, return_state=True)
    >>> layer
    LSTM(2 => 3)        # 72 parameters
    >>> x = flux.rand(4, 7, 2)
    >>> y, state = layer(x[:, :5])
    >>> rest, (h, c) = layer(x[:, 5:], state)
    >>> rest.shape, c.shape
    ((4, 2, 3), (4, 3))
    """

    @overload
    def __init__(
        self: LSTM[Tensor],
        size_in: int | None,
        size_out: int | Callable[[int], int],
        *,
        return_state: Literal[False] = ...,
        init_kernel: Init = ...,
        init_recurrent_kernel: Init = ...,
        bias: bool | ArrayLike = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: LSTM[Any],
        size_in: int | None,
        size_out: int | Callable[[int], int],
        *,
        return_state: bool,
        init_kernel: Init = ...,
        init_recurrent_kernel: Init = ...,
        bias: bool | ArrayLike = ...,
    ) -> None: ...
    @overload
    def __init__(self: LSTM[Tensor], size_in: LSTMCell, *, return_state: Literal[False] = ...) -> None: ...
    @overload
    def __init__(self: LSTM[Any], size_in: LSTMCell, *, return_state: bool) -> None: ...
    def __init__(
        self,
        size_in: Any,
        size_out: Any = True,
        *,
        return_state: bool = False,
        init_kernel: Init = glorot_uniform,
        init_recurrent_kernel: Init = glorot_uniform,
        bias: bool | ArrayLike = True,
    ) -> None:
        options = {
            "bias": bias, "init_kernel": init_kernel,
            "init_recurrent_kernel": init_recurrent_kernel,
        }  # fmt: skip
        super().__init__(self._cell(LSTMCell, size_in, size_out, options), return_state)


class GRU(SequenceLayer[Output]):
    """Gated recurrent units, `GRUCell` over whole sequences, as one operation.

    `(batch, time, size_in)` or `(time, size_in)` becomes `(batch, time, size_out)` or `(time, size_out)`; the
    rest is as for `RNN`. With `recurrent_bias=True` it is the GRU of PyTorch and cuDNN. Ref: Flux.jl, `GRU`;
    Cho et al., 2014, arXiv:1406.1078v1.

    >>> import oxiflux as flux
    >>> layer = flux.GRU(2, 3)
    >>> layer
    GRU(2 => 3)         # 54 parameters
    >>> layer(flux.rand(7, 2)).shape
    (7, 3)
    """

    @overload
    def __init__(
        self: GRU[Tensor],
        size_in: int | None,
        size_out: int | Callable[[int], int],
        *,
        return_state: Literal[False] = ...,
        init_kernel: Init = ...,
        init_recurrent_kernel: Init = ...,
        bias: bool | ArrayLike = ...,
        recurrent_bias: bool | ArrayLike = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: GRU[Any],
        size_in: int | None,
        size_out: int | Callable[[int], int],
        *,
        return_state: bool,
        init_kernel: Init = ...,
        init_recurrent_kernel: Init = ...,
        bias: bool | ArrayLike = ...,
        recurrent_bias: bool | ArrayLike = ...,
    ) -> None: ...
    @overload
    def __init__(self: GRU[Tensor], size_in: GRUCell, *, return_state: Literal[False] = ...) -> None: ...
    @overload
    def __init__(self: GRU[Any], size_in: GRUCell, *, return_state: bool) -> None: ...
    def __init__(
        self,
        size_in: Any,
        size_out: Any = True,
        *,
        return_state: bool = False,
        init_kernel: Init = glorot_uniform,
        init_recurrent_kernel: Init = glorot_uniform,
        bias: bool | ArrayLike = True,
        recurrent_bias: bool | ArrayLike = False,
    ) -> None:
        options = {
            "bias": bias, "recurrent_bias": recurrent_bias, "init_kernel": init_kernel,
            "init_recurrent_kernel": init_recurrent_kernel,
        }  # fmt: skip
        super().__init__(self._cell(GRUCell, size_in, size_out, options), return_state)


class GRUv3(SequenceLayer[Output]):
    """Gated recurrent units, `GRUv3Cell` over whole sequences: `GRU` with the reset before the product.

    `(batch, time, size_in)` or `(time, size_in)` becomes `(batch, time, size_out)` or `(time, size_out)`; the
    rest is as for `RNN`. Ref: Flux.jl, `GRUv3`; Cho et al., 2014, arXiv:1406.1078v3.

    >>> import oxiflux as flux
    >>> layer = flux.GRUv3(2, 3)
    >>> layer
    GRUv3(2 => 3)       # 54 parameters
    >>> layer(flux.rand(4, 7, 2)).shape
    (4, 7, 3)
    """

    @overload
    def __init__(
        self: GRUv3[Tensor],
        size_in: int | None,
        size_out: int | Callable[[int], int],
        *,
        return_state: Literal[False] = ...,
        init_kernel: Init = ...,
        init_recurrent_kernel: Init = ...,
        bias: bool | ArrayLike = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: GRUv3[Any],
        size_in: int | None,
        size_out: int | Callable[[int], int],
        *,
        return_state: bool,
        init_kernel: Init = ...,
        init_recurrent_kernel: Init = ...,
        bias: bool | ArrayLike = ...,
    ) -> None: ...
    @overload
    def __init__(self: GRUv3[Tensor], size_in: GRUv3Cell, *, return_state: Literal[False] = ...) -> None: ...
    @overload
    def __init__(self: GRUv3[Any], size_in: GRUv3Cell, *, return_state: bool) -> None: ...
    def __init__(
        self,
        size_in: Any,
        size_out: Any = True,
        *,
        return_state: bool = False,
        init_kernel: Init = glorot_uniform,
        init_recurrent_kernel: Init = glorot_uniform,
        bias: bool | ArrayLike = True,
    ) -> None:
        options = {
            "bias": bias, "init_kernel": init_kernel,
            "init_recurrent_kernel": init_recurrent_kernel,
        }  # fmt: skip
        super().__init__(self._cell(GRUv3Cell, size_in, size_out, options), return_state)
