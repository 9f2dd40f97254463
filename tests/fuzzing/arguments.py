"""Draws arguments as Python source, by the name of the parameter that they are for."""

import random

FLOATS = ["float32", "float32", "float32", "float64", "float16", "bfloat16"]
DTYPES = [*FLOATS, "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]
LENGTHS = [0, 1, 1, 2, 2, 3, 3, 4, 5, 7, 17]
INTEGERS = [
    0,
    1,
    2,
    3,
    5,
    -1,
    -2,
    -7,
    63,
    127,
    2**31,
    -(2**31),
    2**40,
    2**63 - 1,
    2**63,
    -(2**63),
    2**64,
    2**70,
]
REALS = [0.0, 1.0, 0.5, 1e-8, -1.0, 2.0, 1e-45, 1e300, -1e300, "np.inf", "-np.inf", "np.nan"]
# What no parameter is for.
WRONG = [
    "None", "True", "'x'", "''", "b'x'", "'\\ud800'", "'a' * 1000", "1j", "10**400", "-10**400", "()", "[]", "[[]]",
    "{}", "{1: 2}", "set()", "object()", "nested(50)", "nested(70, ())", "nested(3000)", "nested(100_000)",
    "cyclic()", "[0] * 100", "range(5)", "range(2**40)", "range(2**70)", "np.float64(1)", "np.int8(-1)", "...",
    "slice(None)", "lambda x: x", "lambda: 1", "flux.tanh", "int", "flux.Tensor", "'float32'", "flux.float32",
    "np.float32", "np.dtype('O')", "[1, [2, 3]]", "np.array(['a'])", "np.array([None, 1.0], object)",
    "np.array([1 + 1j])", "np.array('2020-01-01', 'M8[D]')", "np.zeros(2, 'i4,f4')", "np.array([], object)",
    "memoryview(b'abc')", "iter([1.0, 2.0])", "(i for i in range(3))", "{'a': 1.0}", "flux.Dense(2, 3)",
    "flux.default_generator()", "NotImplemented", "np.ma.array([1.0, 2.0], mask=[0, 1])", "np.matrix([[1.0]])",
    "np.zeros((1,) * 33)", "np.zeros((1,) * 64)", "np.broadcast_to(np.float32(1), (2**20, 2**20, 2**20))",
    "np.zeros((0, 2**40, 2**20), 'float32')", "[flux.ones(2), None]", "[float('nan')]", "[2**64]", "[True, 2]",
    "liar('__len__')", "liar('__iter__')", "liar('__array__')", "liar('__index__')", "liar('__float__')",
    "liar('__getitem__')", "liar('__eq__')", "liar('__hash__')", "liar('__bool__')", "liar('__call__')",
    "liar('__dlpack__')", "liar('__getattr__')", "liar('__del__')", "liar('__repr__')",
]  # fmt: skip


class Arguments:
    """The arguments of one call, which mostly fit together: they have the same shape, or broadcast to it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.shape = self.new_shape()
        self.dtype = rng.choice(FLOATS if rng.random() < 0.75 else DTYPES)

    def one(self, choices):
        return self.rng.choice(choices)

    def chance(self, p):
        return self.rng.random() < p

    def new_shape(self, axes=None):
        axes = self.one([0, 1, 1, 2, 2, 2, 3, 3, 4, 5]) if axes is None else axes
        return tuple(self.one(LENGTHS) for _ in range(axes))

    def near_shape(self):
        """The shape of the call, or one that broadcasts to it, or any."""
        if self.chance(0.65):
            return self.shape
        if self.chance(0.6):
            return tuple(1 if self.chance(0.3) else n for n in self.shape)[self.rng.randint(0, 1) :]
        return self.new_shape()

    def tensor(self, shape=None, dtype=None, kind=None):
        shape = self.near_shape() if shape is None else shape
        dtype = dtype or (self.dtype if self.chance(0.85) else self.one(DTYPES))
        kind = kind or self.one(["small", "small", "nasty"])
        seed = self.rng.randrange(1000)
        form = self.rng.random()
        if form < 0.6:
            x = f"t({shape}, {dtype!r}, {seed}, {kind!r})"
            if self.chance(0.15) and len(shape) > 0:
                backwards = tuple(reversed(range(len(shape))))
                x = f"flux.permute_dims(t({shape[::-1]}, {dtype!r}, {seed}, {kind!r}), {backwards})"
            elif self.chance(0.1) and len(shape) > 0:
                x = f"t({(2 * shape[0], *shape[1:])}, {dtype!r}, {seed}, {kind!r})[::-2]"
            elif self.chance(0.05):
                x = f"flux.broadcast_to(t((), {dtype!r}, {seed}, {kind!r}), {shape})"
            return x
        # NumPy has no bfloat16.
        dtype = "float32" if dtype == "bfloat16" else dtype
        x = f"numbers({shape}, {dtype!r}, {seed}, {kind!r})"
        if form < 0.9:
            wrap = self.one(
                ["", "", "strided", "readonly", "overlapping", "fortran", "misaligned", "swapped"]
            )
            return f"{wrap}({x})" if wrap else x
        return f"{x}.tolist()"

    def floats(self, shape=None):
        return self.tensor(shape, self.one(FLOATS))

    def array_like(self):
        return self.one(
            [lambda: self.tensor()] * 6
            + [self.real, lambda: self.same(), lambda: f"[{self.real()}, {self.real()}]"]
        )()

    def same(self):
        """The tensor that other arguments of the call are, too."""
        return "shared"

    def integer(self):
        return str(self.one(INTEGERS) if self.chance(0.3) else self.rng.randint(0, 5))

    def size(self):
        return self.one(["1", "2", "3", "3", "4", "5", "0", "-1"]) if self.chance(0.95) else self.integer()

    def sizes(self):
        if self.chance(0.4):
            return self.size()
        n = self.one([0, 1, 1, 2, 2, 2, 3, 4])
        return "(" + "".join(f"{self.size()}, " for _ in range(n)) + ")"

    def window(self):
        return "(" + "".join(f"{self.size()}, " for _ in range(self.one([1, 2, 2, 3]))) + ")"

    def real(self):
        return str(self.one(REALS) if self.chance(0.5) else round(self.rng.uniform(-3, 3), 2))

    def axis(self):
        n = len(self.shape)
        if self.chance(0.65) and n:
            return str(self.rng.randint(-n, n - 1))
        return self.one(["None", self.axes(), self.integer(), "(0, 0)", "()", "[0]", "(-1, 0)", "range(2)"])

    def axes(self):
        order = list(range(len(self.shape)))
        self.rng.shuffle(order)
        if self.chance(0.2):
            order = order[1:]
        return str(tuple(order))

    def new_shape_text(self):
        if self.chance(0.7):
            return str(self.near_shape())
        return self.one(
            ["-1", "(-1, 1)", "(2, -1)", "(-1, -1)", "(0, -1)", "(2**31, 2**31)", "(2**62, 4)", "(2**63,)", "7",
             "(1,) * 40", "[2, 3]", "(2.0,)", "(True, 2)", "range(3)", "range(2**40)", "np.array([2, 3])",
             "t((2,), 'int64')"]
        )  # fmt: skip

    def dtype_name(self):
        if self.chance(0.8):
            name = self.one(DTYPES)
            return self.one([repr(name), f"flux.dtype({name!r})"])
        return self.one(
            [
                "None",
                "'x'",
                "np.float32",
                "float",
                "int",
                "bool",
                "'complex64'",
                "'O'",
                "'>f4'",
                "np.dtype('S3')",
            ]
        )

    def labels(self):
        shape = self.one([self.shape, self.shape[:-1], self.shape[1:], self.new_shape(1)])
        dtype = self.one(["int64", "int64", "int32", "uint8", "int8", "uint64"])
        return self.tensor(shape, dtype, self.one(["labels", "labels", "labels", "nasty"]))

    def index(self):
        """What stands between brackets."""
        part = lambda: self.one(
            ["0", "-1", self.integer(), ":", "::-1", "1:", ":2", f"{self.integer()}:{self.integer()}",
             f"::{self.integer()}", "...", "None", "[0, 0]", "[]", "[-1, 2**40]", self.labels(), "True", "False",
             self.tensor(dtype="bool"), f"t({self.shape[:1]}, 'bool', 3)", "np.int64(1)", "1.0", "'x'"]
        )  # fmt: skip
        return ", ".join(part() for _ in range(self.one([1, 1, 1, 2, 2, 3, 6])))

    def function(self):
        return self.one(
            ["flux.tanh", "flux.relu", "lambda *x: total(x)", "lambda *x: x[0]", "lambda *x: None",
             "lambda *x: np.asarray(x[0])", "lambda *x: (x[0] * 2, {'a': 1})", "flux.mean", "flux.sum",
             "flux.Dense(3, 2)",
             "lambda x: total(x * x)", "lambda *x: liar('__len__')()", "flux.add", "np.tanh", "lambda *x, **k: 1.0"]
        )  # fmt: skip

    def init(self):
        return self.one(
            ["flux.glorot_uniform", "flux.zeros32", "flux.ones32", "flux.orthogonal", "flux.identity_init",
             "flux.randn32", "lambda *s: flux.ones((2, 2))", "lambda *s: None", "np.zeros", "lambda s: s"]
        )  # fmt: skip

    def layer(self):
        row = self.one(
            ["Dense", "Conv", "BatchNorm", "LayerNorm", "LSTM", "GRU", "RNN", "Embedding", "Dropout"]
        )
        return self.one([self.model(), self.function(), f"layer({row!r})"])

    def model(self):
        return f"model({self.rng.randrange(8)})"

    def rule(self):
        return self.one(
            ["flux.Descent(0.1)", "flux.Adam()", "flux.Momentum()", "flux.AdamW(lambda_=0.1)", "flux.Rprop()",
             "flux.OptimiserChain(flux.ClipNorm(1.0, whole=True), flux.Adam())", "flux.AccumGrad(2)", "flux.Lion()",
             "flux.MixedPrecision(flux.Adam())", "flux.OptimiserChain()", "flux.RAdam()"]
        )  # fmt: skip

    def data(self):
        n = self.one([0, 1, 2, 3, 7])
        return self.one(
            [f"numbers(({n}, 3))", f"(numbers(({n}, 3)), numbers(({n},), 'int64', 1, 'labels'))", f"list(range({n}))",
             f"{{'x': t(({n}, 2)), 'y': list('abcdefgh')[:{n}]}}", f"t(({n}, 3))", f"'abcdefgh'[:{n}]",
             f"[numbers((3,)), numbers(({n},))]", f"range({n})", f"[({n}, 'a')] * {n}",
             f"flux.DataLoader(numbers(({n}, 3)), batchsize=2)", f"flux.mapobs(lambda x: x, numbers(({n}, 3)))"]
        )  # fmt: skip

    def state(self):
        model = self.model()
        return self.one([f"flux.setup({self.rule()}, {model})", "flux.setup(flux.Adam(), [flux.ones(2)])"])

    def rng_object(self):
        return self.one(["None", "flux.Generator(1)", "flux.default_generator()"])

    def text(self):
        words = "nearest bilinear linear border zeros reflection left right xy ij + - * / max min mean weight ij,jk->ik"
        words += " ii->i ...i,i...-> i,i ij-> skip stop raise ignore .2f integral real"
        return repr(self.one([*words.split(), "real floating", "signed integer"]))

    def many(self, of):
        n = self.one([0, 1, 1, 2, 2, 3, 5])
        form = self.one(["[{}]", "({})", "[{}]"])
        return form.format("".join(f"{of()}, " for _ in range(n)))

    def tensors(self):
        return self.many(self.array_like) if self.chance(0.8) else self.tensor()

    def flag(self):
        return (
            self.one(["True", "False"])
            if self.chance(0.9)
            else self.one(["None", "2", "'yes'", "np.True_", "1"])
        )

    def pair(self):
        return f"({self.real()}, {self.real()})"

    def named(self, name):
        """An argument for the parameter of this name; 1 in 20 is for none."""
        if name not in GUARDED and self.chance(0.05):
            return self.one(WRONG)
        return BY_NAME.get(name, Arguments.array_like)(self)


def _table(**drawers):
    return {name: drawer for names, drawer in drawers.items() for name in names.split("__")}


A = Arguments
BY_NAME = _table(
    axis=A.axis, axis1__axis2__source__destination=A.axis, axes=A.axes, shape__size=A.new_shape_text,
    dtype__dtype_=A.dtype_name, to=A.dtype_name, name=A.dtype_name, kind=A.text, subscripts=A.text,
    keepdims__descending__bias__flipped__affine__track_stats__active__shuffle=A.flag,
    align_corners__periodic__center__normalized__window_normalized__causal__return_scores=A.flag,
    copy__training__couple__centred__whole__restart__partial__padbatch__path_=A.flag,
    return_state__recurrent_bias__endpoint__batched__leading__trailing__frozen=A.flag,
    eps__eta__rho__momentum__alpha__p__gain__lambda___omega__delta__gamma__lo__hi__std__mean__ddof=A.real,
    correction__theta__lambd__smooth__margin__exponent__fill_value__value__val__l0__l1__start=A.real,
    stop__step__angle__scale__sparsity__power__fraction__decay__degree__timeout__startval__endval=A.real,
    maxval__percent_start__init_score__min_dist__rtol__atol__fmin__fmax__dropout_prob__low__high=A.real,
    beta__ell=A.pair, window=A.window, stride__pad__dilation__outpad=A.sizes,
    size_in__size_out__channels__groups__count__nheads__r__n__k__offset__num__n_rows__n_cols=A.size,
    n_fft__hop_length__window_length__original_length__n_freqs__n_mels__sample_rate=A.size,
    batchsize__wait__width__delay__period__steps__nsteps__max_iter__midpoint__padding_idx=A.size,
    shift__sections__repetitions__repeats__dstsize__dims__step_sizes=A.sizes,
    sizes_in=A.pair, seed=A.integer,
    indices__idx__labels__classes__y__label__input_lengths__target_lengths__stratified=A.labels,
    f__loss__predicate__distance__connection__activation__agg__fdrop__reduction__collate=A.function,
    callback__method__op__floor_fn__advance=A.function,
    rate__noise=A.real, gap__max_train_size=A.size, parameters__coef=A.pair, buffer=A.flag, largest=A.flag,
    per=A.text, init__init_kernel__init_recurrent_kernel__init_beta__init_gamma=A.init,
    layer__layers__cell__chain=A.layer, model__models__tree__dst__src_model=A.model,
    rule__rules__schedule__parts=A.rule, state=A.state, data__datas__items__seqs=A.data, rng=A.rng_object,
    mode__which__side__indexing__padding_mode__on_nan__format_spec__order=A.text,
    tensors=A.tensors, tangents=A.tensors, args__xs__operands=A.array_like,
    yhat__q__v__grid__weight=A.floats, test__mask__where=lambda self: self.tensor(dtype="bool"),
    at=A.real, path=lambda self: self.one(["path()", f"file({self.rng.randrange(10**6)})", "path('no/such/folder')"]),
    # These decide how long a call takes or how many processes it starts.
    epochs=lambda self: self.one(["0", "1", "2", "-1"]), parallel=lambda self: "False",
    progress=lambda self: "False", log=lambda self: "None", checkpoint=lambda self: "None",
    grads=lambda self: self.one(["(None,)", "None", "[flux.ones(3)]", "{'w': flux.ones((3, 2)), 'same': 1.0}"]),
)  # fmt: skip
GUARDED = {"epochs", "parallel", "progress", "log", "checkpoint", "path", "timeout"}
