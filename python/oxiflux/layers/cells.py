"""Recurrent cells: one step of a sequence, a function of the input and the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from .. import _core
from .._core import ShapeError, Tensor, relu, sigmoid, tanh
from ..hints import told
from ..init import glorot_uniform
from ..show import describe, name_of
from .base import Layer, blame, check_activation, check_sizes, made, made_bias, shape_of

if TYPE_CHECKING:
    from ..typing import ArrayLike

    Init = Callable[[tuple[int, int]], Any]

__all__ = ["Cell", "GRUCell", "GRUv3Cell", "LSTMCell", "RNNCell", "State", "initialstates", "scan"]

Input: TypeAlias = "ArrayLike"
State: TypeAlias = Any  # a tensor, or a tuple of them


@told
def initialstates(layer: Any) -> State:
    """The state from which a recurrent layer or cell starts: zeros of shape `(hidden,)`, and for an LSTM two of
    them, `(h, c)`.

    A cell of one's own says it with a method `initialstates()`; without one, TypeError is raised. Ref:
    Flux.jl, `initialstates`.

    >>> import oxiflux as flux
    >>> flux.initialstates(flux.GRU(2, 3)).tolist()
    [0.0, 0.0, 0.0]
    >>> [state.shape for state in flux.initialstates(flux.LSTMCell(2, 3))]
    [(3,), (3,)]
    """
    method = getattr(layer, "initialstates", None)
    if method is None:
        raise TypeError(f"initialstates: {describe(layer)} has no method initialstates()")
    return method()


def scan(cell: Any, x: Input, state: State) -> tuple[Tensor, State]:
    """The outputs of a cell for each step of a sequence, side by side along the time, and the last state."""
    x = _core.asarray(x)
    outputs = []
    for t in range(x.shape[-2]):
        found = cell(x[..., t, :], state)
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(f"a cell returns (output, state), got {describe(found)}")
        y, state = found
        outputs.append(y)
    return _core.stack(outputs, axis=-2), state


class Cell(Layer):
    """Base of the cells: a kernel for the input, one for the state, a bias, each for all gates side by side.

    A cell is called for a step; `sequence` does all steps at once.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias: Tensor | None
    bias_hh: Tensor | None = None
    gates: ClassVar[int]
    open_at: ClassVar[int | None] = 0

    def __init__(
        self, size_in: int, size_out: int, init_kernel: Init, init_recurrent_kernel: Init, bias: Any
    ) -> None:
        name = type(self).__name__
        check_sizes(name, size_in, size_out)
        shown, width = f"{name}({size_in} => {size_out})", self.gates * size_out
        self.weight_ih = made(shown, init_kernel, (size_in, width))
        self.weight_hh = made(shown, init_recurrent_kernel, (size_out, width))
        self.bias = made_bias(shown, self.weight_ih, bias, width)

    def initialstates(self) -> State:
        """The state to start from: zeros of shape `(hidden,)`."""
        return _core.zeros(self.weight_hh.shape[:1], dtype=self.weight_hh.dtype)

    def __call__(self, x: Input, state: State = None) -> tuple[Tensor, State]:
        """The output of one step and the new state."""
        try:
            return self._run(x, state, True, True)
        except Exception as error:
            blame(error, self.describe())
            raise

    def sequence(self, x: Input, state: State, with_state: bool) -> tuple[Tensor, State]:
        """The output of each step, and the last state if it is wanted."""
        return self._run(x, state, False, with_state)

    def _run(self, x: Input, state: State, is_step: bool, with_state: bool) -> tuple[Tensor, State]:
        states = self._states(self.initialstates() if state is None else state)
        y, memory = _core.recurrent(
            self._kind(),
            x,
            states,
            self.weight_ih,
            self.weight_hh,
            self.bias,
            self.bias_hh,
            is_step,
            with_state,
        )
        if not with_state:
            return y, None
        last = y if is_step else y[..., -1, :]
        return y, last if memory is None else (last, memory)

    def _kind(self) -> str:
        """What the core calls this kind of cell."""
        raise NotImplementedError

    def _states(self, state: State) -> tuple[Input, ...]:
        """The parts of a state; TypeError if it is not one of this cell."""
        if isinstance(state, tuple) or (isinstance(state, list) and any(type(s) is Tensor for s in state)):
            raise TypeError(f"the state is one tensor, got a {type(state).__name__}")
        return (state,)

    def describe(self) -> str:
        """The cell on one line."""
        size_in, size_out = self.weight_ih.shape[0], self.weight_hh.shape[0]
        return f"{type(self).__name__}({size_in} => {size_out}{self._options()})"

    def _options(self) -> str:
        """What is printed behind the sizes."""
        return "" if self.bias is not None else "; bias=False"


class RNNCell(Cell):
    """The plainest recurrent cell: `h' = activation(x @ weight_ih + h @ weight_hh + bias)`.

    `cell(x, h)` with `x` of shape `(batch, size_in)` or `(size_in,)` gives `(output, state)`, here both `h'`,
    of shape `(batch, size_out)` or `(size_out,)`. Without `h` it starts from zeros; a state of shape
    `(size_out,)` serves a whole batch. `init_kernel` makes `weight_ih`, `init_recurrent_kernel` makes
    `weight_hh`; `bias` is zeros, or none with `bias=False`, or the given values. Shapes that do not fit raise
    ShapeError. `RNN` takes whole sequences. Ref: Flux.jl, `RNNCell`; Elman, Finding structure in time, 1990.

    >>> import oxiflux as flux
    >>> cell = flux.RNNCell(2, 3)
    >>> cell
    RNNCell(2 => 3, tanh)  # 18 parameters
    >>> y, state = cell(flux.rand(5, 2))
    >>> y, state = cell(flux.rand(5, 2), state)
    >>> y.shape
    (5, 3)
    """

    gates = 1
    activation: Callable[[Tensor], Tensor]

    def __init__(
        self,
        size_in: int,
        size_out: int,
        activation: Callable[[Tensor], Tensor] = tanh,
        *,
        init_kernel: Init = glorot_uniform,
        init_recurrent_kernel: Init = glorot_uniform,
        bias: bool | ArrayLike = True,
    ) -> None:
        check_activation("RNNCell", activation)
        super().__init__(size_in, size_out, init_kernel, init_recurrent_kernel, bias)
        self.activation = activation

    def _run(self, x: Input, state: State, is_step: bool, with_state: bool) -> tuple[Tensor, State]:
        if self.activation in (tanh, relu):
            return super()._run(x, state, is_step, with_state)
        return _steps(self, x, state, is_step)

    def _kind(self) -> str:
        return "tanh" if self.activation is tanh else "relu"

    def step(self, a: Tensor, h: Tensor) -> Tensor:
        """The state after `h`, where `a` is the product of the input and the bias."""
        return self.activation(a + h @ self.weight_hh)

    def _options(self) -> str:
        return f", {name_of(self.activation)}{super()._options()}"


class LSTMCell(Cell):
    """Long short-term memory: a cell whose memory `c` goes from step to step with little in its way.

    With `input, forget, candidate, output` the four parts of `x @ weight_ih + h @ weight_hh + bias`,

        c' = sigmoid(forget) * c + sigmoid(input) * tanh(candidate)
        h' = sigmoid(output) * tanh(c')

    `cell(x, (h, c))` gives `(output, state)`, which are `h'` and `(h', c')`; the rest is as for `RNNCell`.
    `LSTM` takes whole sequences. Ref: Flux.jl, `LSTMCell`; Hochreiter and Schmidhuber, 1997.

    >>> import oxiflux as flux
    >>> cell = flux.LSTMCell(2, 3)
    >>> cell
    LSTMCell(2 => 3)    # 72 parameters
    >>> y, (h, c) = cell(flux.rand(5, 2))
    >>> y.shape, h.shape, c.shape
    ((5, 3), (5, 3), (5, 3))
    """

    gates = 4

    def __init__(
        self,
        size_in: int,
        size_out: int,
        *,
        init_kernel: Init = glorot_uniform,
        init_recurrent_kernel: Init = glorot_uniform,
        bias: bool | ArrayLike = True,
    ) -> None:
        super().__init__(size_in, size_out, init_kernel, init_recurrent_kernel, bias)

    def initialstates(self) -> State:
        """The states to start from, `(h, c)`: zeros of shape `(hidden,)`."""
        zeros = super().initialstates()
        return zeros, zeros

    def _kind(self) -> str:
        return "lstm"

    def _states(self, state: State) -> tuple[Input, ...]:
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise TypeError(f"the state is a pair (h, c), got {describe(state)}")
        return tuple(state)


class GRUCell(Cell):
    """The gated recurrent unit, in the variant of version 1 of its paper: fewer gates than an LSTM.

    With `reset, update, candidate` the three parts of the products,

        r = sigmoid(x @ weight_ih + h @ weight_hh + bias)    (the columns of reset)
        z = sigmoid(x @ weight_ih + h @ weight_hh + bias)    (the columns of update)
        n = tanh(x @ weight_ih + r * (h @ weight_hh) + bias) (the columns of candidate)
        h' = (1 - z) * n + z * h

    `cell(x, h)` gives `(output, state)`, both `h'`; the rest is as for `RNNCell`. With `recurrent_bias=True`,
    which Flux does not have, `bias_hh` is added to `h @ weight_hh`: the GRU of PyTorch and cuDNN. `GRU` takes
    whole sequences, `GRUv3Cell` is the other variant. Ref: Flux.jl, `GRUCell`; Cho et al., Learning phrase
    representations using RNN encoder-decoder, 2014, arXiv:1406.1078v1.

    >>> import oxiflux as flux
    >>> cell = flux.GRUCell(2, 3)
    >>> cell
    GRUCell(2 => 3)     # 54 parameters
    >>> y, state = cell(flux.rand(5, 2), flux.zeros(3))
    >>> y.shape
    (5, 3)
    """

    gates = 3
    bias_hh: Tensor | None

    def __init__(
        self,
        size_in: int,
        size_out: int,
        *,
        init_kernel: Init = glorot_uniform,
        init_recurrent_kernel: Init = glorot_uniform,
        bias: bool | ArrayLike = True,
        recurrent_bias: bool | ArrayLike = False,
    ) -> None:
        super().__init__(size_in, size_out, init_kernel, init_recurrent_kernel, bias)
        self.bias_hh = made_bias(self.describe(), self.weight_hh, recurrent_bias, 3 * size_out)

    def _kind(self) -> str:
        return "gru"

    def _options(self) -> str:
        given = [
            *(["bias=False"] if self.bias is None else []),
            *(["recurrent_bias=True"] if self.bias_hh is not None else []),
        ]
        return f"; {', '.join(given)}" if given else ""


class GRUv3Cell(Cell):
    """The gated recurrent unit, in the variant of version 3 of its paper: reset comes before the product.

    It is `GRUCell` but for the candidate, which has a kernel of its own for the state:

        n = tanh(x @ weight_ih + (r * h) @ weight_candidate + bias)

    `weight_hh` is `(size_out, 2 * size_out)` and `weight_candidate` `(size_out, size_out)`. `GRUv3` takes
    whole sequences. Ref: Flux.jl, `GRUv3Cell`; Cho et al., 2014, arXiv:1406.1078v3.

    >>> import oxiflux as flux
    >>> cell = flux.GRUv3Cell(2, 3)
    >>> cell
    GRUv3Cell(2 => 3)   # 54 parameters
    >>> cell(flux.rand(5, 2))[0].shape
    (5, 3)
    """

    gates = 3
    weight_ih: Tensor
    weight_hh: Tensor
    weight_candidate: Tensor
    bias: Tensor | None

    def __init__(
        self,
        size_in: int,
        size_out: int,
        *,
        init_kernel: Init = glorot_uniform,
        init_recurrent_kernel: Init = glorot_uniform,
        bias: bool | ArrayLike = True,
    ) -> None:
        check_sizes("GRUv3Cell", size_in, size_out)
        shown = f"GRUv3Cell({size_in} => {size_out})"
        self.weight_ih = made(shown, init_kernel, (size_in, 3 * size_out))
        self.weight_hh = made(shown, init_recurrent_kernel, (size_out, 2 * size_out))
        self.weight_candidate = made(shown, init_recurrent_kernel, (size_out, size_out))
        self.bias = made_bias(shown, self.weight_ih, bias, 3 * size_out)

    def _run(self, x: Input, state: State, is_step: bool, with_state: bool) -> tuple[Tensor, State]:
        return _steps(self, x, state, is_step)

    def step(self, a: Tensor, h: Tensor) -> Tensor:
        """The state after `h`, where `a` is the product of the input and the bias."""
        size = self.weight_candidate.shape[0]
        gates = sigmoid(a[..., : 2 * size] + h @ self.weight_hh)
        r, z = gates[..., :size], gates[..., size:]
        n = tanh(a[..., 2 * size :] + (r * h) @ self.weight_candidate)
        return (1 - z) * n + z * h


def _steps(cell: RNNCell | GRUv3Cell, x: Input, state: State, is_step: bool) -> tuple[Tensor, State]:
    """Steps of a cell that the core does not know."""
    (size_in, _), size = cell.weight_ih.shape, cell.weight_hh.shape[0]
    shape = shape_of(x)
    axes, form = ((1, 2), "(batch, features) or (features,)")
    if not is_step:
        axes, form = ((2, 3), "(batch, time, features) or (time, features)")
    problem = ""
    if len(shape) not in axes:
        problem = f"expected an input of shape {form}"
    elif shape[-1] != size_in:
        problem = f"expected {size_in} feature{'s' * (size_in != 1)} on the last axis"
    elif not is_step and not shape[-2]:
        problem = "the sequence is empty"
    if problem:
        raise ShapeError(f"{problem}, got shape {shape}")
    (h,) = cell._states(cell.initialstates() if state is None else state)
    fitting = [(size,)] + [(shape[0], size)] * (len(shape) == axes[1])
    if shape_of(h) not in fitting:
        expected = " or ".join(map(str, fitting))
        raise ShapeError(f"expected a state of shape {expected}, got shape {shape_of(h)}")
    h = _core.asarray(h, cell.weight_hh.dtype)
    a = _core.dense(x, cell.weight_ih, cell.bias)
    if is_step:
        y = cell.step(a, h)
        return y, y
    return scan(lambda a, h: (cell.step(a, h),) * 2, a, h)
