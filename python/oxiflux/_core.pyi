# The operations at the end and all documentation come from `make stubs`, the rest is written by hand. mypy.stubtest holds
# it to the module. This one file is long because the module is one.
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from types import EllipsisType, ModuleType, SimpleNamespace
from typing import Any, Literal, Self, TypeAlias, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from .typing import ArrayLike, Axes, DTypeLike, Shape

_T = TypeVar("_T")
_Place: TypeAlias = int | slice | EllipsisType | Sequence[Any] | NDArray[Any] | Tensor | None
_Index: TypeAlias = _Place | tuple[_Place, ...]

isa: Literal["portable", "avx2", "avx512"]
op_names: list[str]
kernels: frozenset[str]
Namespace = SimpleNamespace

class ShapeError(ValueError):
    """Shapes that do not fit each other or the function."""

class DTypeError(TypeError):
    """An element type that the function does not take."""

@final
class DType:
    """The type of a tensor's elements. Equal to its name and to NumPy's type of that name."""
    @property
    def itemsize(self) -> int:
        """Bytes an element takes."""
    @property
    def kind(self) -> str:
        """One of "b" (bool), "i", "u" (integers) and "f" (floating point)."""
    @property
    def name(self) -> str:
        """The name, as in NumPy."""
    @property
    def dtype(self) -> np.dtype[Any]:
        """The type as NumPy has it, which makes a `dtype=` of NumPy take it."""
    def __format__(self, spec: str, /) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Tensor:
    """A dense array of numbers of one type, on the CPU.

    It is made by `tensor(data, dtype=None)`, by functions such as `zeros(shape)`, `rand(*shape)` and
    `from_numpy(array)`, and by operations on others.

    Operations on tensors are recorded inside `gradient` and nowhere else. A tensor can be assigned to (`x[0] = 1`) and
    an optimiser updates it in place, but what has been made from it before never changes.
    """

    __array_priority__: float
    def __array_namespace__(self, /, *, api_version: str | None = None) -> ModuleType: ...
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any: ...
    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, options: Any
    ) -> Any: ...
    def __format__(self, spec: str, /) -> str: ...
    def __complex__(self) -> complex: ...
    def __trunc__(self) -> int: ...
    def __floor__(self) -> int: ...
    def __ceil__(self) -> int: ...
    def __round__(self, decimals: int | None = None) -> Any: ...
    def __reversed__(self) -> Iterator[Tensor]: ...
    def __divmod__(self, other: ArrayLike, /) -> tuple[Tensor, Tensor]: ...
    def __rdivmod__(self, other: ArrayLike, /) -> tuple[Tensor, Tensor]: ...
    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
    @property
    def dtype(self) -> DType:
        """The type of the elements."""
    @property
    def ndim(self) -> int:
        """The number of axes."""
    @property
    def size(self) -> int:
        """The number of elements."""
    @property
    def nbytes(self) -> int:
        """The bytes that the elements take."""
    @property
    def device(self) -> Literal["cpu"]:
        """Where the elements are: always "cpu"."""
    def to_device(self, device: str, /, *, stream: object = None) -> Tensor:
        """The tensor itself, for there is one device."""
    @property
    def T(self) -> Tensor:
        """The tensor with its axes reversed."""
    @property
    def at(self) -> At:
        """Copies of it with a part changed: `x.at[i].set(v)` is what `x` would be after `x[i] = v`."""
    @property
    def mT(self) -> Tensor:
        """The tensor with its last two axes exchanged."""
    def numpy(self) -> NDArray[Any]:
        """A read-only NumPy array over the same memory. It keeps these values when the tensor is assigned to."""
    def item(self) -> Any:
        """The only element, as a Python number."""
    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
    def astype(self, dtype: DTypeLike) -> Tensor:
        """The same values as another element type."""
    def copy(self) -> Tensor:
        """A tensor of its own with the same values."""
    def reshape(self, *shape: Shape) -> Tensor:
        """The same elements in row-major order with another shape; one length may be -1."""
    def transpose(self, *axes: Shape) -> Tensor:
        """The axes in another order; reversed, if none is given."""
    def flatten(self) -> Tensor:
        """The elements in row-major order along one axis."""
    def ravel(self) -> Tensor:
        """The elements in row-major order along one axis."""
    def round(self, decimals: int = 0) -> Tensor:
        """The nearest numbers of so many decimals, whole ones unless given; from the middle to the even neighbour."""
    def dot(self, other: ArrayLike) -> Tensor:
        """The matrix product with another tensor."""
    def all(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        """Whether every element over axes is not zero."""
    def any(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        """Whether any element over axes is not zero."""
    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """Where the first largest element is."""
    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """Where the first smallest element is."""
    def clip(self, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Tensor:
        """The elements, none below `min` and none above `max`."""
    def cumprod(self, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
        """The running products along an axis, which only a vector may leave out."""
    def cumsum(self, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
        """The running sums along an axis, which only a vector may leave out."""
    def max(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        """The largest element over axes."""
    def mean(self, axis: Axes = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
        """The arithmetic mean over axes."""
    def min(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        """The smallest element over axes."""
    def prod(self, axis: Axes = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
        """The product over axes."""
    def sort(self, axis: int = -1, descending: bool = False) -> Tensor:
        """The elements in order along an axis, as a new tensor."""
    def argsort(self, axis: int = -1, descending: bool = False) -> Tensor:
        """The places of the elements in order along an axis."""
    def squeeze(self, axis: Axes = None) -> Tensor:
        """The tensor without axes of length one, or without those that are given."""
    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """The tensor with two axes exchanged."""
    def std(
        self, axis: Axes = None, keepdims: bool = False, ddof: float = 0.0, dtype: DTypeLike | None = None
    ) -> Tensor:
        """The standard deviation over axes."""
    def sum(self, axis: Axes = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
        """The sum over axes."""
    def var(
        self, axis: Axes = None, keepdims: bool = False, ddof: float = 0.0, dtype: DTypeLike | None = None
    ) -> Tensor:
        """The variance over axes, `sum((x - mean)^2) / (n - ddof)`."""
    # As a type checker is to see it: NumPy's operators refuse it, so that `array @ tensor` is what `__rmatmul__` gives, a
    # tensor; NumPy's functions take it for a buffer. It may be called without a dtype and is none.
    def __array__(self, dtype: Any, copy: bool | None = None) -> NDArray[Any]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __dlpack__(
        self,
        *,
        stream: None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __copy__(self) -> Tensor: ...
    def __deepcopy__(self, _memo: Any) -> Tensor: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __getitem__(self, key: _Index, /) -> Tensor: ...
    def __setitem__(self, key: _Index, value: ArrayLike, /) -> None: ...
    def __delitem__(self, key: object, /) -> None: ...
    def __bool__(self) -> bool: ...
    def __float__(self) -> float: ...
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, value: ArrayLike, /) -> Tensor: ...  # type: ignore[override]
    def __ne__(self, value: ArrayLike, /) -> Tensor: ...  # type: ignore[override]
    def __lt__(self, value: ArrayLike, /) -> Tensor: ...
    def __le__(self, value: ArrayLike, /) -> Tensor: ...
    def __gt__(self, value: ArrayLike, /) -> Tensor: ...
    def __ge__(self, value: ArrayLike, /) -> Tensor: ...
    def __neg__(self) -> Tensor: ...
    def __pos__(self) -> Tensor: ...
    def __abs__(self) -> Tensor: ...
    def __invert__(self) -> Tensor: ...
    def __add__(self, value: ArrayLike, /) -> Tensor: ...
    def __radd__(self, value: ArrayLike, /) -> Tensor: ...
    def __sub__(self, value: ArrayLike, /) -> Tensor: ...
    def __rsub__(self, value: ArrayLike, /) -> Tensor: ...
    def __mul__(self, value: ArrayLike, /) -> Tensor: ...
    def __rmul__(self, value: ArrayLike, /) -> Tensor: ...
    def __truediv__(self, value: ArrayLike, /) -> Tensor: ...
    def __rtruediv__(self, value: ArrayLike, /) -> Tensor: ...
    def __floordiv__(self, value: ArrayLike, /) -> Tensor: ...
    def __rfloordiv__(self, value: ArrayLike, /) -> Tensor: ...
    def __mod__(self, value: ArrayLike, /) -> Tensor: ...
    def __rmod__(self, value: ArrayLike, /) -> Tensor: ...
    def __pow__(self, value: ArrayLike, mod: None = None, /) -> Tensor: ...
    def __rpow__(self, value: ArrayLike, mod: None = None, /) -> Tensor: ...
    def __matmul__(self, value: ArrayLike, /) -> Tensor: ...
    def __rmatmul__(self, value: ArrayLike, /) -> Tensor: ...
    def __and__(self, value: ArrayLike, /) -> Tensor: ...
    def __rand__(self, value: ArrayLike, /) -> Tensor: ...
    def __or__(self, value: ArrayLike, /) -> Tensor: ...
    def __ror__(self, value: ArrayLike, /) -> Tensor: ...
    def __xor__(self, value: ArrayLike, /) -> Tensor: ...
    def __rxor__(self, value: ArrayLike, /) -> Tensor: ...
    def __lshift__(self, value: ArrayLike, /) -> Tensor: ...
    def __rlshift__(self, value: ArrayLike, /) -> Tensor: ...
    def __rshift__(self, value: ArrayLike, /) -> Tensor: ...
    def __rrshift__(self, value: ArrayLike, /) -> Tensor: ...

@final
class Generator:
    """A stream of random numbers: Philox 4x32-10 (Salmon et al. 2011), the same on every machine and for any number of
    threads.
    """
    def __new__(cls, seed: int = 0) -> Self: ...
    def rand(self, *shape: Shape, dtype: DTypeLike = "float32") -> Tensor:
        """Numbers equally likely in [0, 1)."""
    def randn(self, *shape: Shape, dtype: DTypeLike = "float32") -> Tensor:
        """Normal numbers of mean 0 and variance 1."""
    def randint(self, low: int, high: int, shape: Shape | None = None, dtype: DTypeLike = "int64") -> Tensor:
        """Integers equally likely from `low` to `high`, which is not among them."""
    def randperm(self, n: int) -> Tensor:
        """The numbers below `n` in random order."""
    def split(self, n: int) -> list[Generator]:
        """`n` generators whose streams have nothing in common with each other or with this one."""
    def get_state(self) -> tuple[int, int]:
        """The place in the stream, to be given to `set_state`."""
    def set_state(self, state: tuple[int, int]) -> None:
        """Goes to a place that `get_state` gave."""
    def __setstate__(self, state: tuple[int, int]) -> None: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Leaf:
    """What an optimiser keeps for one parameter: its rule, the rule's state, and whether updates are held back."""

    rule: Any
    state: Any
    frozen: bool
    def __new__(cls, rule: Any, state: Any = None, frozen: bool = False) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Steps:
    """The steps of a training: of a model and the state of its optimiser. What else a loss may change, such as models that
    are not its argument, is `beside`.
    """

    in_test_mode: bool
    def __new__(cls, caller: str, model: Any, state: Any, beside: Any, is_fresh: bool = False, /) -> Self: ...
    def __call__(
        self,
        loss: Callable[[Any], Any],
        agreed: Callable[[float, Any], tuple[float, Any]] | None = None,
        compiled: compiled | None = None,
        batch: tuple[Any, ...] | None = None,
        /,
    ) -> tuple[Any, float, Any, str]: ...

@final
class At:
    def __getitem__(self, key: _Index, /) -> Part: ...

@final
class Part:
    def get(self) -> Tensor: ...
    def set(self, value: ArrayLike) -> Tensor: ...
    def add(self, value: ArrayLike) -> Tensor: ...
    def multiply(self, value: ArrayLike) -> Tensor: ...
    def mul(self, value: ArrayLike) -> Tensor: ...
    def min(self, value: ArrayLike) -> Tensor: ...
    def max(self, value: ArrayLike) -> Tensor: ...

@final
class Guard:
    """The picture of what a function can reach."""
    def __new__(cls, roots: object, tensors: Sequence[Tensor], count: int) -> Self: ...
    def fits(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> bool:
        """Whether all is as it was."""
    def difference(
        self, args: tuple[Any, ...], kwargs: dict[str, Any] | None, names: Sequence[str], /
    ) -> str | None:
        """What is not as it was, in words; `names` are those of the arguments by position."""

@final
class Captured:
    """What was captured in one call."""
    def is_like(self, other: Captured) -> bool:
        """Whether another call did the same."""

@final
class Saved:
    """Programs of one function, each with the forms of its calls and of its results."""
    def call(self, state: list[Tensor], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
        """What a call returns, by the first program that takes its arguments; `state` are the tensors that are kept."""
    def shown(self) -> list[str]:
        """The programs as text, a line for each step."""
    def signatures(self) -> list[str]:
        """How it can be called, a line for each program."""
    def write(self, path: str | PathLike[str], state: list[tuple[str, Tensor]]) -> None:
        """Writes them to a file with the tensors that they keep."""

@final
class compiled:
    """A function that is captured and done again."""
    def __new__(cls, function: object, missed: object) -> Self: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __get__(self, ob: object, _class: object = None, /) -> Any: ...
    def add(self, captured: Captured, reason: str | None = None) -> None:
        """Adds the program of what was captured; `reason` is why those that there are did not do."""
    def difference(
        self, args: tuple[Any, ...], kwargs: dict[str, Any] | None, names: Sequence[str], /
    ) -> str | None:
        """What a call differs in from those that the program is for which was done last, in words; `names` are those of the
        arguments by position.
        """
    def saved(self, names: dict[int, str], bound: object | None = None, /) -> tuple[Saved, dict[str, Tensor]]:
        """The programs as they are written to files, and the tensors that they keep by name: `names` has some by their addresses.
        Those of a method are of the object that it is `bound` to.
        """
    def settle(self) -> None:
        """Captures nothing any more."""
    def shown(self) -> list[str]:
        """The programs as text, a line for each step, the one that was done last before the others."""
    @property
    def is_settled(self) -> bool:
        """Whether nothing is captured any more."""
    @property
    def counts(self) -> tuple[int, int, int, int]:
        """How many programs there are, the bytes of their constants, and the calls that one was done again for and those
        that none fitted.
        """
    @property
    def __wrapped__(self) -> Any: ...

def capture(
    guard: Guard, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None, /
) -> tuple[Any, Captured | None, str | None]:
    """What a call of `f` returns, and what was captured of it or why that cannot be done again; `None` if it has changed what
    it depends on.
    """

@final
class Profiling:
    """A profile that is open: operations are timed until it is closed."""
    def __new__(cls) -> Self:
        """Starts; an error while another is open."""
    def now(self) -> tuple[int, int]:
        """Nanoseconds since it was opened, and the number of this thread."""
    def close(self) -> tuple[list[tuple[Any, ...]], list[tuple[int, str]], int, int]:
        """Ends it: what was done, the names of the threads by their numbers, how many operations found no room, and the most
        bytes that tensors held.
        """

@final
class Snapshot:
    """What containers, objects, arrays and generators hold. The values of tensors are not among it."""
    def __new__(cls, *roots: Any, twice: bool = False) -> Self: ...
    def put_back(self) -> None:
        """Goes back. What does not let itself be put back has not let itself be changed either."""

@final
class paused:
    """A context in which nothing is recorded. With `variables` it will be later, when these tensors are the variables:
    layers do not take that for the end of training, and to use another tensor of the gradient is an error.
    """
    def __new__(cls, variables: Sequence[Tensor] | None = None, /) -> Self: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *_args: object) -> None: ...

def _meet(*values: ArrayLike) -> list[Tensor]: ...
def _restore(bytes: bytes, shape: tuple[int, ...], dtype: DTypeLike) -> Tensor: ...
def tensor(data: ArrayLike, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor of data: a number, nested lists, an array or a tensor, copied. Python floats become float32, or float64 if
    float32 does not hold them, and integers int64; arrays keep their element type.
    """

def asarray(
    data: ArrayLike,
    dtype: DTypeLike | None = None,
    *,
    device: str | None = None,
    copy: bool | None = None,
) -> Tensor:
    """A tensor of data, as `tensor`, but over the same memory where that is possible: an array that is changed afterwards
    changes the tensor too. Truth values are always copied, and floats inside a gradient, which may need them later. With
    `copy=True` everything is copied; with `copy=False` nothing, a tensor comes back itself, and what cannot be taken over
    is an error.
    """

def from_numpy(array: NDArray[Any], /) -> Tensor:
    """A tensor over the memory of a NumPy array, which must not be changed while the tensor lives. Truth values are copied."""

def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of another library's array, which must not be changed while the tensor lives. Truth values are
    copied. A tensor gives another one of the same values, through which gradients pass.
    """

def paused_for(variables: Sequence[Tensor], /) -> paused:
    """A context in which nothing is recorded, because these tensors get their gradients in another way: to use another tensor
    of the gradient is an error.
    """

def all_finite(x: ArrayLike, /) -> bool:
    """Whether all numbers of a tensor are finite. It is a look at the values and not recorded."""

def are_where(tensors: Iterable[Tensor], others: Iterable[Tensor], /) -> bool:
    """Whether tensors are where others are, one by one: of those that are alive, nothing has been written to one since the
    other was made of it.
    """

def assign(x: Tensor, y: ArrayLike, /) -> None:
    """Gives a tensor the values of another, in place; shape must be equal, the element type is kept."""

def dtype(name: DTypeLike, /) -> DType:
    """The element type of that name, or of that NumPy or Python type."""

def rand(*shape: Shape, dtype: DTypeLike = "float32") -> Tensor:
    """Numbers equally likely in [0, 1), from the shared generator."""

def randn(*shape: Shape, dtype: DTypeLike = "float32") -> Tensor:
    """Normal numbers of mean 0 and variance 1, from the shared generator."""

def randint(low: int, high: int, shape: Shape | None = None, dtype: DTypeLike = "int64") -> Tensor:
    """Integers equally likely from `low` to `high`, which is not among them, from the shared generator."""

def randperm(n: int) -> Tensor:
    """The numbers below `n` in random order, from the shared generator."""

def dropout(
    x: ArrayLike,
    keep: float,
    scale: float,
    shift: float = 0.0,
    dropped: float = 0.0,
    rng: Generator | None = None,
    /,
) -> Tensor:
    """`x * scale + shift` for each element with probability `keep`, and `dropped` for the others."""

def seed(n: int, /) -> None:
    """Starts the shared generator anew: the same seed gives the same numbers."""

def replay(generator: Generator | None, /) -> Generator | None:
    """Lets this thread draw from another generator in place of the shared one, or from that again; gives what was before."""

def twin(generator: Generator | None = None, /) -> Generator:
    """A generator at the place of another, or of the shared one, to draw once more what that has drawn from there."""

def default_generator() -> Generator:
    """The generator that everything random draws from unless it is given another."""

def get_num_threads() -> int:
    """How many threads the kernels use, the calling one included."""

def set_num_threads(n: int, /) -> None:
    """Sets how many threads the kernels use, the calling one included. Results do not depend on it."""

def is_strict() -> bool:
    """Whether less accurate algorithms are left out of what this thread computes."""

def set_strict(on: bool, /) -> None:
    """Leaves less accurate algorithms out for all threads that have not said otherwise, or doesn't."""

def strict_here(on: bool | None, /) -> bool | None:
    """Leaves less accurate algorithms out for this thread or doesn't, or does what holds for all; gives what was before."""

def memory_peak() -> int:
    """Bytes that living tensors have held at most since this was asked the last time."""

def memory_in_use() -> int:
    """Bytes that living tensors hold, rounded up to the sizes that memory is handed out in."""

def empty_cache() -> None:
    """Gives memory that is kept for reuse back to the system."""

def is_left_out(x: ArrayLike) -> bool:
    """Whether this was computed by a checkpointed function and is not its result: no gradient goes through it."""

def is_recording() -> bool:
    """Whether what is computed on this thread is recorded for a gradient."""

def is_written() -> bool:
    """Whether what this thread computes is written down: what is remembered from earlier would be missing there."""

def holds(x: ArrayLike, /) -> bool:
    """The truth of one element. A program looks at it again, and is not done where it is another."""

def table(numbers: np.ndarray[Any, Any], /) -> Tensor:
    """Numbers of an array of NumPy that follow from shapes and plain numbers alone, such as a table of indices: a program has
    them among its own, as it has those of a list.
    """

def are_below(numbers: ArrayLike, n: int, /) -> bool:
    """Whether all of some integers are at least 0 and below `n`."""

def record(
    f: Callable[[], Sequence[Tensor]], given: Sequence[Tensor], /, stop: int | None = None
) -> tuple[list[int], list[tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...]]], list[Tensor]]:
    """What `f()` computes: its tensors as numbers of values, the operations as `(name, parameters, inputs, outputs)`, and the
    values, of which the first are those `given`. The operation of the number `stop` is an error.
    """

def is_training() -> bool:
    """Whether layers that behave differently in training do so by themselves: a gradient is open on this thread."""

def stop_gradient(x: ArrayLike, /) -> Tensor:
    """The same values without a place on any tape: no gradient passes."""

def gradient(f: Callable[..., Any], /, *args: Any) -> tuple[Any, ...]:
    """The gradient of `f(*args)` with respect to each argument, in the argument's shape."""

def withgradient(f: Callable[..., Any], /, *args: Any) -> tuple[Any, tuple[Any, ...]]:
    """The value of `f(*args)` and its gradient with respect to each argument, in the argument's shape.

    If `f` returns a tuple, its first element is the loss and the rest comes back unchanged. `None` stands for "does not
    depend on it".
    """

def pullback(f: Callable[..., _T], /, *args: Any) -> tuple[_T, Callable[..., tuple[Any, ...]]]:
    """The value of `f(*args)`, and a function that takes a gradient of it back to the arguments."""

def custom(value: ArrayLike, inputs: Iterable[Any], rule: Callable[..., Any], /) -> Tensor:
    """Records that `value` was computed from `inputs` and that `rule` takes a gradient of it back to each of them."""

def read_program(
    tensors: list[tuple[str, Tensor]], notes: dict[str, str], /
) -> tuple[Saved, list[tuple[str, Tensor]]] | None:
    """The programs of a file of these tensors and notes, and the tensors that they keep by name; `None` if it has none."""

def read_tensors(path: str | PathLike[str], /) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file by name, in the order of their data, and the texts of its metadata."""

def write_tensors(
    path: str | PathLike[str], tensors: Sequence[tuple[str, Tensor]], notes: dict[str, str], /
) -> None:
    """Writes tensors and texts to a safetensors file, which a kill at any moment leaves as it was or as it is to be."""

def children(ob: object, /, trainable: bool = False) -> list[tuple[Any, Any]] | None:
    """The children of an object as (key, child) pairs: items of dicts, lists and tuples, attributes of objects, what a
    closure has captured; None for what has no children. With `trainable` a class may restrict them.
    """

def leaves(ob: object, /, trainable: bool = False) -> list[tuple[tuple[Any, ...], Tensor]]:
    """The tensors of a tree as (path, tensor) pairs, each tensor once, depth first; with `trainable` only the floating ones
    among the children that are trained.
    """

def update(state: Any, model: Any, grads: Any, /) -> None:
    """One optimiser step: walks the state, the model and the gradients together and changes the model's tensors and the
    state in place.
    """

def track(
    mu: Tensor, var: Tensor, mean: Tensor, variance: Tensor, momentum: float, correction: float, /
) -> bool:
    """Moves a running mean and variance towards those of a batch: `(1 - momentum) * mu + momentum * mean`, and so the
    variance, times `correction`. Where a number would not be finite both stay as they were, and the answer is False.
    """

def dense(
    x: ArrayLike,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: Callable[[Tensor], Tensor] | None = None,
    /,
) -> Tensor:
    """`activation(x @ weight + bias)` for `x` of shape `(.., in)`, `weight` of shape `(in, out)` and `bias` of shape `(out,)`.

    An activation of this module is computed in the same pass; any other callable is called with the result.
    """

def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    bias: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    heads: tuple[int, int] = (1, 1),
    causal: bool = False,
    /,
) -> Tensor:
    """`softmax(q kᵀ / √features + bias) v` for each of `heads` equal parts of the features: as many as there
    are of queries, and of keys and values.
    """

def recurrent(
    kind: str,
    x: ArrayLike,
    states: Sequence[ArrayLike],
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    bias_hh: Tensor | None = None,
    is_step: bool = False,
    with_memory: bool = False,
    /,
) -> tuple[Tensor, Tensor | None]:
    """Takes sequences of shape `(batch, time, features)` or `(time, features)` through a recurrent layer, or a single step
    of shape `(batch, features)` or `(features,)`.

    `kind` is "tanh", "relu", "lstm" or "gru", `states` the state and for an LSTM the memory to start from. Gives the
    state after each step and, with `with_memory`, the last memory.
    """

def attention_scores(
    q: ArrayLike,
    k: ArrayLike,
    bias: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    heads: tuple[int, int] = (1, 1),
    causal: bool = False,
    /,
) -> Tensor:
    """`softmax(q kᵀ / √features + bias)`, of shape `(.., heads, queries, keys)`."""

def conv(
    x: ArrayLike,
    weight: ArrayLike,
    bias: Tensor | None,
    activation: Callable[[Tensor], Tensor] | None,
    /,
    stride: Sequence[int],
    pad: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """`activation(x * weight + bias)`, a cross-correlation of `x` of shape `(batch, *spatial, in)` with a weight of shape
    `(*window, in // groups, out)`; `pad` is `(before, after)` of each dimension, one pair after the other.

    An activation of this module is computed in the same pass; any other callable is called with the result.
    """

def conv_transpose(
    x: ArrayLike,
    weight: ArrayLike,
    bias: Tensor | None,
    activation: Callable[[Tensor], Tensor] | None,
    /,
    stride: Sequence[int],
    pad: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    outpad: Sequence[int],
) -> Tensor:
    """`activation(y + bias)` with the gradient `y` for its input of a convolution whose result has the gradient `x`: `x` has
    the shape `(batch, *spatial, in)`, the weight `(*window, out // groups, in)`; `outpad` is added to each length.
    """

def slogdet(x: ArrayLike, /) -> tuple[Tensor, Tensor]:
    """The signs of determinants, and the logarithms of their sizes."""

def eigh(x: ArrayLike, /) -> tuple[Tensor, Tensor]:
    """The eigenvalues of symmetric matrices in ascending order, and the eigenvectors, which are columns."""

def svd(x: ArrayLike, /, full_matrices: bool) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and Vh of matrices `U diag(S) Vh`, the singular values S in descending order; with `full_matrices` U and Vh are
    square.
    """

def qr(x: ArrayLike, /, complete: bool) -> tuple[Tensor, Tensor]:
    """Q with orthonormal columns and the upper triangular R of matrices `Q R`; with `complete` Q is square."""

def norm(
    x: ArrayLike,
    scale: Tensor | None,
    bias: Tensor | None,
    lead: int,
    trail: int,
    groups: int,
    eps: float,
    /,
) -> tuple[Tensor, Tensor, Tensor]:
    """`(x - mean) / sqrt(var + eps) * scale + bias`, the means and the variances.

    `lead` axes keep moments of their own; the elements of the last `trail` axes, whose sizes are those of `scale`
    and `bias`, fall into `groups` groups; the moments are taken over all else.
    """

def rms_norm(x: ArrayLike, scale: Tensor | None, lead: int, eps: float, /) -> Tensor:
    """`x / sqrt(mean(x^2) + eps) * scale`, with the mean over the axes from `lead` on, whose sizes are those of `scale`."""

def norm_with(
    x: ArrayLike,
    mean: Tensor,
    var: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    eps: float,
    /,
) -> Tensor:
    """`(x - mean) / sqrt(var + eps) * scale + bias` for means and variances of the last axis, which get no gradient."""

def fft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The discrete Fourier transform of pairs `(…, m, 2)` along an axis: element `k` of the result is the sum of
    `x[j] * exp(-2 pi i j k / n)` over `j`. The pair, a last axis of two, is a real and an imaginary part, and `axis` counts
    the axes before it. The axis is cut off at `n`, or continued with zeros. `norm` is "backward", "ortho", with a factor of
    `1 / sqrt(n)`, or "forward", with one of `1 / n`.
    """

def ifft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `fft`: with `exp(2 pi i j k / n)`, and a factor of `1 / n`, `1 / sqrt(n)` or 1 where `norm` is "backward",
    "ortho" or "forward".
    """

def rfft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The Fourier transform of reals `(…, m)` along an axis: the first `n / 2 + 1` pairs of `fft`, for the others are their mirror
    images. They are a new last axis; the rest is that of `fft`.
    """

def irfft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `rfft`: `n` reals of the first `n / 2 + 1` pairs of a spectrum `(…, m, 2)`. Without `n`, they are `2 (m - 1)`."""

def stft(
    x: ArrayLike, window: ArrayLike, /, hop_length: int, center: bool = True, normalized: bool = False
) -> Tensor:
    """The Fourier transforms of frames of sound `(…, time)`, times a window `(n,)`, as pairs `(…, frames, n / 2 + 1, 2)` of real and
    imaginary parts. With `center`, sound goes on by reflection for `n / 2` before it begins and after it ends; `normalized`
    divides by `sqrt(n)`.
    """

def istft_sum(
    y: ArrayLike, window: ArrayLike, /, hop_length: int, start: int, length: int, normalized: bool = False
) -> Tensor:
    """The sum of the inverse Fourier transforms of spectra `(…, frames, n / 2 + 1, 2)`, times a window `(n,)`, where the frames lie: what
    there is from `start` on, `(…, length)`. `istft` is this, divided by the sum of the squares of the windows.
    """

def zeros(shape: Shape, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """A tensor of zeros."""

def ones(shape: Shape, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """A tensor of ones."""

def empty(shape: Shape, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """A tensor whose elements are unspecified."""

def full(
    shape: Shape,
    fill_value: ArrayLike,
    dtype: DTypeLike | None = None,
    *,
    device: str | None = None,
) -> Tensor:
    """A tensor of one value; its type is that of the value, unless given."""

def zeros_like(x: ArrayLike, /, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """Zeros of the shape and type of another tensor."""

def ones_like(x: ArrayLike, /, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """Ones of the shape and type of another tensor."""

def empty_like(x: ArrayLike, /, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """Unspecified elements in the shape and type of another tensor."""

def full_like(
    x: ArrayLike,
    /,
    fill_value: ArrayLike,
    dtype: DTypeLike | None = None,
    *,
    device: str | None = None,
) -> Tensor:
    """One value in the shape and type of another tensor."""

def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float | None = None,
    dtype: DTypeLike | None = None,
    *,
    device: str | None = None,
) -> Tensor:
    """`start, start + step, …` up to `stop`, which is not among them; from 0 if only `stop` is given."""

def linspace(
    start: float,
    stop: float,
    /,
    num: int,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    endpoint: bool = True,
) -> Tensor:
    """`num` numbers evenly spread from `start` to `stop`, which is the last unless `endpoint` is false."""

def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Ones on the `k`-th diagonal of a matrix of zeros."""

def one_hot(labels: ArrayLike, n: int, /, dtype: DTypeLike = "bool") -> Tensor:
    """For each label, a row of `n` with a one at the label's place."""

def broadcast_to(x: ArrayLike, /, shape: Shape) -> Tensor:
    """Repeated, without copying, to a shape that it broadcasts to."""

def searchsorted(
    x: ArrayLike, values: ArrayLike, /, *, side: str = "left", sorter: ArrayLike | None = None
) -> Tensor:
    """For each of `values` the place in the sorted vector `x` before which it would go: before equal ones (`side="left"`)
    or after them (`side="right"`). With `sorter`, the places of its elements in order as `argsort` gives them, `x` need
    not be sorted.
    """

def sort(x: ArrayLike, /, axis: int = -1, descending: bool = False, *, stable: bool = True) -> Tensor:
    """The elements in ascending order along an axis, NaN last. Equal elements keep their order, whether that is asked for by
    `stable` or not.
    """

def argsort(x: ArrayLike, /, axis: int = -1, descending: bool = False, *, stable: bool = True) -> Tensor:
    """The places of the elements in ascending order along an axis, NaN last. Equal elements keep their order, whether that is
    asked for by `stable` or not.
    """

def sum(
    x: ArrayLike, /, axis: Axes = None, keepdims: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The sum over axes. Integers are summed in 64 bits, or in `dtype`, to which the elements are converted first."""

def prod(
    x: ArrayLike, /, axis: Axes = None, keepdims: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The product over axes. Integers are multiplied in 64 bits, or in `dtype`, to which the elements are converted first."""

def cumulative_sum(
    x: ArrayLike,
    /,
    axis: int | None = None,
    *,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Tensor:
    """The sum of the elements up to each, along an axis, which only a vector may leave out. Integers are summed in 64 bits, or
    in `dtype`, to which the elements are converted first. With `include_initial`, 0 comes before the first sum.
    """

def cumulative_prod(
    x: ArrayLike,
    /,
    axis: int | None = None,
    *,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Tensor:
    """The product of the elements up to each, along an axis, which only a vector may leave out. Integers are multiplied in
    64 bits, or in `dtype`, to which the elements are converted first. With `include_initial`, 1 comes before the first
    product.
    """

def astype(x: ArrayLike, /, dtype: DTypeLike, *, copy: bool = True, device: str | None = None) -> Tensor:
    """The same values as another element type. With `copy=False` a tensor of that type comes back itself."""

def reshape(x: ArrayLike, /, shape: Shape, *, copy: bool | None = None) -> Tensor:
    """The same elements in another shape, of which one length may be -1: what is left for it. Where the order in memory allows
    it nothing is copied; with `copy=False` everything else is an error. To assign to the result never changes `x`.
    """

def nonzero(x: ArrayLike, /) -> tuple[Tensor, ...]:
    """Where the elements are not zero: for each axis the places along it, in row-major order."""

def concat(tensors: Iterable[ArrayLike], /, axis: int | None = 0) -> Tensor:
    """The tensors one after the other along an axis that they have; their other axes must agree."""

def stack(tensors: Iterable[ArrayLike], /, axis: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis."""

def power(x: ArrayLike, /, exponent: float) -> Tensor:
    """`x` to a power that is the same for all elements."""

def polygamma(x: ArrayLike, /, order: float) -> Tensor:
    """The derivative of `digamma` of a whole order."""

def attention_apply(scores: ArrayLike, v: ArrayLike, kv_heads: int, /) -> Tensor:
    """The values of each head weighted by scores of shape `(.., heads, queries, keys)`."""

# The rest is written by scripts/stubs.py.

bfloat16: DType
bool_: DType
float16: DType
float32: DType
float64: DType
int16: DType
int32: DType
int64: DType
int8: DType
uint16: DType
uint32: DType
uint64: DType
uint8: DType

def abs(x: ArrayLike, /) -> Tensor:
    """`|x|`. The gradient at 0 is 0."""

def acos(x: ArrayLike, /) -> Tensor:
    """The angle in radians between 0 and pi that has this cosine."""

def acosh(x: ArrayLike, /) -> Tensor:
    """The inverse of `cosh`, from 1 on."""

def add(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a + b`."""

def add_along_axis(x: ArrayLike, indices: ArrayLike, values: ArrayLike, /, axis: int = -1) -> Tensor:
    """`x` with `values` added up at the places along `axis` that an integer tensor names, for each place along the other
    axes: the opposite of `take_along_axis`.
    """

def all(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether every element over axes is not zero."""

def any(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether any element over axes is not zero."""

def argfirst(x: ArrayLike, /, k: int, axis: int = -1, descending: bool = False) -> Tensor:
    """The places of the first `k` elements in ascending order along an axis, NaN last. Equal elements keep their order."""

def argmax(x: ArrayLike, /, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the first largest element, or the first NaN, is: along an axis, or in row-major order."""

def argmin(x: ArrayLike, /, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the first smallest element, or the first NaN, is: along an axis, or in row-major order."""

def argranked(x: ArrayLike, /, ranks: Sequence[int], axis: int = -1) -> Tensor:
    """The places of the elements that have the given ranks in ascending order along an axis, NaN last. Ranks ascend."""

def asin(x: ArrayLike, /) -> Tensor:
    """The angle in radians between -pi/2 and pi/2 that has this sine."""

def asinh(x: ArrayLike, /) -> Tensor:
    """The inverse of `sinh`."""

def atan(x: ArrayLike, /) -> Tensor:
    """The angle in radians between -pi/2 and pi/2 that has this tangent."""

def atan2(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The angle of the point `(b, a)`, in radians."""

def atanh(x: ArrayLike, /) -> Tensor:
    """The inverse of `tanh`, between -1 and 1."""

def bins(x: ArrayLike, edges: ArrayLike, /) -> Tensor:
    """The number of the bin of each element, for edges that do not decrease: 1 for the first, 0 for what is below it or
    NaN, and one more than there are bins for what is above the last. A bin has its lower edge, the last both.
    """

def bitwise_and(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The bits that both have."""

def bitwise_invert(x: ArrayLike, /) -> Tensor:
    """Every bit turned over; for bool, logical not."""

def bitwise_left_shift(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a` shifted left by `b` bits; 0 where `b` is the width or more."""

def bitwise_or(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The bits that one or both have."""

def bitwise_right_shift(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a` shifted right by `b` bits, with its sign."""

def bitwise_xor(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The bits that exactly one has."""

def ceil(x: ArrayLike, /) -> Tensor:
    """The smallest whole number that is not below `x`. A step function: no gradient passes."""

def celu(x: ArrayLike, /, alpha: float = 1.0) -> Tensor:
    """`max(0, x) + min(0, alpha (e^(x / alpha) - 1))`."""

def cholesky(x: ArrayLike, /) -> Tensor:
    """The lower triangular L with `A = L Lᵀ`."""

def copysign(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The magnitude of `a` with the sign of `b`. The gradient at 0 is 0."""

def cos(x: ArrayLike, /) -> Tensor:
    """The cosine of an angle in radians."""

def cosh(x: ArrayLike, /) -> Tensor:
    """The hyperbolic cosine."""

def count_nonzero(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """How many elements over axes are not zero."""

def counts(x: ArrayLike, /, n: int = 0) -> Tensor:
    """How often each of the numbers from 0 on and below `n` is among integers."""

def ctc_loss(logits: ArrayLike, labels: ArrayLike, /) -> Tensor:
    """The loss of connectionist temporal classification: minus the logarithm of the probability that logits of shape
    `(times, classes)` make the labels, over all alignments. The last class is the blank.
    """

def ctc_losses(logits: ArrayLike, labels: ArrayLike, lengths: ArrayLike, /) -> Tensor:
    """`ctc_loss` of each sequence of logits `(batch, times, classes)`, with labels `(batch, n)`. How many times and labels
    of each sequence count is in `lengths`, integers of shape `(batch, 2)`; labels that do not count are below the last
    class all the same.
    """

def det(x: ArrayLike, /) -> Tensor:
    """The determinants of square matrices."""

def digamma(x: ArrayLike, /) -> Tensor:
    """The derivative of `lgamma`: infinite at 0, NaN at other whole numbers below it."""

def distances(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The Euclidean distances of the points `a`, `(..., n, width)`, from the points `b`, `(..., m, width)`, by their
    differences: `(..., n, m)`. Equal points have the gradient 0.
    """

def divide(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a / b`, in a floating type."""

def eigvalsh(x: ArrayLike, /) -> Tensor:
    """The eigenvalues of symmetric matrices in ascending order."""

def elu(x: ArrayLike, /, alpha: float = 1.0) -> Tensor:
    """`x` above 0, else `alpha (e^x - 1)`."""

def equal(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a == b`."""

def erf(x: ArrayLike, /) -> Tensor:
    """The error function, `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0 to `x`."""

def erfc(x: ArrayLike, /) -> Tensor:
    """`1 - erf(x)`, exact where that is small."""

def erfinv(x: ArrayLike, /) -> Tensor:
    """The inverse of `erf`: infinite at -1 and 1, NaN beyond."""

def exp(x: ArrayLike, /) -> Tensor:
    """`e^x`."""

def exp2(x: ArrayLike, /) -> Tensor:
    """`2^x`."""

def expand_dims(x: ArrayLike, /, axis: Axes) -> Tensor:
    """A new axis of length 1 at a place of the result, or several at theirs."""

def expm1(x: ArrayLike, /) -> Tensor:
    """`e^x - 1`, exact for small `x`."""

def flip(x: ArrayLike, /, axis: Axes = None) -> Tensor:
    """The elements in reverse order along axes."""

def floor(x: ArrayLike, /) -> Tensor:
    """The largest whole number that is not above `x`. A step function: no gradient passes."""

def floor_divide(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`floor(a / b)`. A step function: no gradient passes. An integer divided by zero is an error."""

def fmax(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The larger of `a` and `b`, the other where one is NaN. Where they are equal each gets half of the gradient."""

def fmin(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The smaller of `a` and `b`, the other where one is NaN. Where they are equal each gets half of the gradient."""

def fmod(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """What is left of `a` after division towards 0, with the sign of `a`. An integer divided by zero is an error."""

def gelu(x: ArrayLike, /) -> Tensor:
    """`x` times the normal distribution function, by its approximation with `tanh`: `gelu_tanh`."""

def gelu_erf(x: ArrayLike, /) -> Tensor:
    """`x/2 (1 + erf(x / sqrt 2))`."""

def gelu_sigmoid(x: ArrayLike, /) -> Tensor:
    """`x * sigmoid(1.702 x)`, an approximation of `gelu` within 0.021 (Hendrycks and Gimpel 2016)."""

def gelu_tanh(x: ArrayLike, /) -> Tensor:
    """`x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))` (Hendrycks and Gimpel 2016)."""

def glu(x: ArrayLike, /, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second."""

def greater(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a > b`."""

def greater_equal(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a >= b`."""

def hardshrink(x: ArrayLike, /, lambd: float = 0.5) -> Tensor:
    """`x`, and 0 within `lambda` of 0."""

def hardsigmoid(x: ArrayLike, /) -> Tensor:
    """`(x + 3) / 6` held between 0 and 1."""

def hardswish(x: ArrayLike, /) -> Tensor:
    """`x * hardsigmoid(x)`."""

def hardtanh(x: ArrayLike, /) -> Tensor:
    """`x` held between -1 and 1."""

def hypot(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`sqrt(a^2 + b^2)` without overflow on the way."""

def identity(x: ArrayLike, /) -> Tensor:
    """`x`."""

def inv(x: ArrayLike, /) -> Tensor:
    """The inverses of square matrices."""

def isfinite(x: ArrayLike, /) -> Tensor:
    """Whether `x` is neither infinite nor NaN."""

def isinf(x: ArrayLike, /) -> Tensor:
    """Whether `x` is infinite."""

def isnan(x: ArrayLike, /) -> Tensor:
    """Whether `x` is NaN."""

def leakyrelu(x: ArrayLike, /, a: float = 0.01) -> Tensor:
    """`x` above 0, else `a * x`."""

def lerp(a: ArrayLike, b: ArrayLike, weight: ArrayLike, /) -> Tensor:
    """`a + weight * (b - a)`: `a` where `weight` is 0, `b` where it is 1. All three broadcast, in a floating type."""

def less(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a < b`."""

def less_equal(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a <= b`."""

def lgamma(x: ArrayLike, /) -> Tensor:
    """The logarithm of the absolute value of the gamma function, of which `gamma(n + 1)` is the factorial of `n`."""

def lisht(x: ArrayLike, /) -> Tensor:
    """`x * tanh(x)`."""

def log(x: ArrayLike, /) -> Tensor:
    """The natural logarithm."""

def log10(x: ArrayLike, /) -> Tensor:
    """The logarithm to base 10."""

def log1p(x: ArrayLike, /) -> Tensor:
    """`log(1 + x)`, exact for small `x`."""

def log2(x: ArrayLike, /) -> Tensor:
    """The logarithm to base 2."""

def logaddexp(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`log(exp(a) + exp(b))` without overflow."""

def logcosh(x: ArrayLike, /) -> Tensor:
    """`log(cosh(x))` without overflow."""

def logcumsumexp(x: ArrayLike, /, axis: int | None = None) -> Tensor:
    """`log(cumulative_sum(exp(x)))` along an axis, which only a vector may leave out, without overflow: the sums are of what
    is relative to the largest element so far, in float64.
    """

def logical_and(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Whether both are not zero."""

def logical_not(x: ArrayLike, /) -> Tensor:
    """Whether `x` is zero."""

def logical_or(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Whether one or both are not zero."""

def logical_xor(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Whether exactly one is not zero."""

def logit(x: ArrayLike, /) -> Tensor:
    """`log(x / (1 - x))`, the inverse of `sigmoid`: infinite at 0 and 1, NaN beyond."""

def logitbinarycrossentropy_each(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`-b log(sigmoid(a)) - (1 - b) log(sigmoid(-a))`: what is certain and right costs nothing."""

def logitcrossentropy_labels(logits: ArrayLike, labels: ArrayLike, /) -> Tensor:
    """`-log softmax(x)[label]` for each row: logits of shape `(.., classes)`, integer labels of shape `(..)`."""

def logitcrossentropy_mean(logits: ArrayLike, labels: ArrayLike, /) -> Tensor:
    """The mean of `logitcrossentropy_labels` over all rows."""

def logsigmoid(x: ArrayLike, /) -> Tensor:
    """`log(sigmoid(x))` without underflow."""

def logsoftmax(x: ArrayLike, /, axis: int = -1) -> Tensor:
    """The logarithm of `softmax`, without its loss of digits."""

def logsumexp(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`log(sum(exp(x)))` over axes, without overflow."""

def mae(yhat: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The mean absolute error, `sum(|yhat - y|) / n`. The shapes must be equal."""

def matmul(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The matrix product, on the last two axes; the leading axes broadcast. A vector counts as a row on the left and as a column on the right."""

def matrix_transpose(x: ArrayLike, /) -> Tensor:
    """The last two axes exchanged."""

def max(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest element over axes; NaN if there is one. Elements that tie share the gradient."""

def maximum(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The larger of `a` and `b`; NaN if either is. Where they are equal each gets half of the gradient."""

def maxpool(
    x: ArrayLike,
    /,
    window: Axes = None,
    stride: Axes = None,
    pad: Axes = 0,
    dilation: Axes = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest element of each window of images `(batch, *lengths, channels)` with one to three lengths; NaN if there
    is one. Of equals the first has the gradient.

    `stride` is that of the windows unless given, `pad` one number or two for each length: `(before, after, …)`;
    `dilation` is how far apart the elements of a window are. With `ceil_mode` there is one window more where some
    elements are left after the last.
    """

def mean(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean over axes, in a floating type."""

def meanpool(
    x: ArrayLike,
    /,
    window: Axes = None,
    stride: Axes = None,
    pad: Axes = 0,
    dilation: Axes = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of images `(batch, *lengths, channels)` with one to three lengths, in which padding counts
    as zeros, or not at all without `count_include_pad`. The other parameters are those of `maxpool`; what of a window
    lies past the padding never counts.
    """

def min(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The smallest element over axes; NaN if there is one. Elements that tie share the gradient."""

def minimum(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The smaller of `a` and `b`; NaN if either is. Where they are equal each gets half of the gradient."""

def mish(x: ArrayLike, /) -> Tensor:
    """`x * tanh(softplus(x))`."""

def mse(yhat: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The mean squared error, `sum((yhat - y)^2) / n`. The shapes must be equal."""

def multiply(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a * b`."""

def nan_to_num(
    x: ArrayLike, /, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`x` with `nan` in the place of NaN, and with `posinf` and `neginf` in the place of the infinities, by default the
    largest and the lowest number of the type. Integers stay as they are. What is replaced has no gradient.
    """

def nansum(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The sum over axes of the elements that are not NaN, 0 where there are none. NaN has the gradient 0."""

def negative(x: ArrayLike, /) -> Tensor:
    """`-x`."""

def nextafter(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The next number after `a` on the way to `b`. No gradient passes."""

def normalise(x: ArrayLike, /, axis: Axes = 0, eps: float = 1e-05) -> Tensor:
    """`(x - mean) / sqrt(var + eps)` over axes, by default the first: mean 0 and standard deviation 1, where the
    variance is not tiny beside `eps`.
    """

def not_equal(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a != b`."""

def pad_constant(x: ArrayLike, /, pad: Axes = 0, value: float = 0.0) -> Tensor:
    """The tensor with `value` around it: `pad` is one number for all sides, or two for each axis, `(before, after, …)`."""

def permute_dims(x: ArrayLike, /, axes: Axes) -> Tensor:
    """The axes in another order; all of them reversed, if none is given."""

def pinv_with(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The pseudo-inverses `y` of the matrices `x`, which have the gradient of such."""

def pow(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a` to the power `b`."""

def prelu(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a` where it is above 0, else `a * b`: a slope that is learned, for each channel on the last axis or for all. At 0
    the gradient is the slope.
    """

def put_along_axis(x: ArrayLike, indices: ArrayLike, values: ArrayLike, /, axis: int = -1) -> Tensor:
    """`x` with `values` in the place of the elements along `axis` that an integer tensor names, for each place along the
    other axes. Of several values for one place the last stays, and has the gradient.
    """

def reciprocal(x: ArrayLike, /) -> Tensor:
    """`1 / x`."""

def relu(x: ArrayLike, /) -> Tensor:
    """`max(0, x)`."""

def relu6(x: ArrayLike, /) -> Tensor:
    """`min(max(0, x), 6)`."""

def remainder(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """What is left of `a` after `floor_divide`, with the sign of `b`. An integer divided by zero is an error."""

def repeat(x: ArrayLike, /, repeats: int, axis: int = 0) -> Tensor:
    """The elements each so many times along an axis, neighbours together."""

def resample(
    x: ArrayLike, starts: ArrayLike, columns: ArrayLike, weights: ArrayLike, /, axis: int = 0
) -> Tensor:
    """A sparse matrix times `x` along an axis: element `r` of the result is the sum of `weights[k] * x[columns[k]]` for
    `k` from `starts[r]` up to `starts[r + 1]`. There are gradients for `x` alone.
    """

def round(x: ArrayLike, /) -> Tensor:
    """The nearest whole number, the even one of two. A step function: no gradient passes."""

def rsqrt(x: ArrayLike, /) -> Tensor:
    """`1 / sqrt(x)`; NaN below 0."""

def running_places(x: ArrayLike, /, axis: int = -1, smallest: bool = False) -> Tensor:
    """The place along an axis of the last largest element up to each, or of the last NaN; or of the last smallest."""

def scatter(x: ArrayLike, indices: ArrayLike, /, n: int = 0, op: str = "+", axis: int = 0) -> Tensor:
    """The opposite of `take`: the elements of `x` whose places along `axis` have the same index, folded together.

    The axes of `x` from `axis` on are those of `indices`; they become one of `n`. `op` is "+", "*", "max" or "min";
    where no element goes, there is the neutral element of that. Integers are folded in 64 bits.
    """

def selu(x: ArrayLike, /) -> Tensor:
    """`elu` scaled so that activations keep mean 0 and variance 1 (Klambauer et al. 2017)."""

def sigmoid(x: ArrayLike, /) -> Tensor:
    """`1 / (1 + e^-x)`."""

def sigmoid_fast(x: ArrayLike, /) -> Tensor:
    """`sigmoid`, which is fast here already."""

def sign(x: ArrayLike, /) -> Tensor:
    """-1, 0 or 1 by the sign of `x`; NaN for NaN. A step function: no gradient passes."""

def signbit(x: ArrayLike, /) -> Tensor:
    """Whether the sign bit is set; true for -0.0."""

def sin(x: ArrayLike, /) -> Tensor:
    """The sine of an angle in radians."""

def sinc(x: ArrayLike, /) -> Tensor:
    """`sin(pi x) / (pi x)`, and 1 at 0."""

def sinh(x: ArrayLike, /) -> Tensor:
    """The hyperbolic sine."""

def softmax(x: ArrayLike, /, axis: int = -1) -> Tensor:
    """`exp(x)` scaled to sum to 1 along an axis, safe for large `x`."""

def softplus(x: ArrayLike, /) -> Tensor:
    """`log(1 + e^x)` without overflow."""

def softshrink(x: ArrayLike, /, lambd: float = 0.5) -> Tensor:
    """`x` brought nearer to 0 by `lambda`, and 0 within it."""

def softsign(x: ArrayLike, /) -> Tensor:
    """`x / (1 + |x|)`."""

def solve(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The solutions X of `A X = B`, where the leading axes broadcast and B may be a vector."""

def sqrt(x: ArrayLike, /) -> Tensor:
    """The square root; NaN below 0."""

def square(x: ArrayLike, /) -> Tensor:
    """`x^2`."""

def squeeze(x: ArrayLike, /, axis: Axes = None) -> Tensor:
    """Without axes of length 1: those named, or all."""

def std(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False, correction: float = 0.0) -> Tensor:
    """The standard deviation over axes: the square root of `var`."""

def subtract(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a - b`."""

def sumpool(
    x: ArrayLike,
    /,
    window: Axes = None,
    stride: Axes = None,
    pad: Axes = 0,
    dilation: Axes = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The sum of each window of images `(batch, *lengths, channels)`; the parameters are those of `maxpool`."""

def svdvals(x: ArrayLike, /) -> Tensor:
    """The singular values of matrices in descending order."""

def swish(x: ArrayLike, /) -> Tensor:
    """`x * sigmoid(x)`."""

def take(x: ArrayLike, indices: ArrayLike, /, axis: int = 0) -> Tensor:
    """The elements that an integer tensor names along an axis, the first unless another is given."""

def take_along_axis(x: ArrayLike, indices: ArrayLike, /, axis: int = -1) -> Tensor:
    """For each place along the other axes, the elements along `axis` that an integer tensor names there."""

def tan(x: ArrayLike, /) -> Tensor:
    """The tangent of an angle in radians."""

def tanh(x: ArrayLike, /) -> Tensor:
    """The hyperbolic tangent."""

def tanh_fast(x: ArrayLike, /) -> Tensor:
    """`tanh`, which is fast here already."""

def tanhshrink(x: ArrayLike, /) -> Tensor:
    """`x - tanh(x)`."""

def thresholdrelu(x: ArrayLike, /, theta: float = 1.0) -> Tensor:
    """`x` above the threshold `theta`, else 0: `trelu` by its other name."""

def trelu(x: ArrayLike, /, theta: float = 1.0) -> Tensor:
    """`x` above the threshold `theta`, else 0."""

def trigamma(x: ArrayLike, /) -> Tensor:
    """The derivative of `digamma`: infinite at 0 and at whole numbers below it."""

def trunc(x: ArrayLike, /) -> Tensor:
    """The whole number next to `x` on the way to 0. A step function: no gradient passes."""

def var(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False, correction: float = 0.0) -> Tensor:
    """The mean squared distance from the mean over axes, `sum((x - mean)^2) / (n - correction)`."""

def where(test: ArrayLike, a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a` where `test` is true (not zero), else `b`. All three broadcast."""

def xlog1py(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a log(1 + b)`, 0 where `a` is 0."""

def xlogy(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """`a log(b)`, 0 where `a` is 0."""
