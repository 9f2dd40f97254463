"""What several ranks find out together; test_distributed.py runs it by mpiexec."""

import gc
import hashlib
import math
import os
import sys
import tempfile
import threading
import time
import warnings

import numpy as np

import oxiflux as flux
from oxiflux import distributed as d

WORLD = d.initialize(timeout=60)


def _refuse(*_):
    raise AssertionError("something is pickled")


if WORLD.comm is not None:
    from mpi4py import MPI

    MPI.pickle.__init__(dumps=_refuse, loads=_refuse)
ROWS = 23  # of batches of 8 the last has 7, and with 3 ranks none is divided evenly


class Late:
    """A rule in Python that keeps the gradient it gets, for two steps."""

    def init(self, x):
        return flux.zeros_like(x), flux.zeros_like(x)

    def apply(self, state, x, dx):
        first, second = state
        return (second, dx), first * 0.1


RULES = [
    Late(),
    flux.Descent(0.05), flux.Momentum(), flux.Nesterov(0.01), flux.RMSProp(), flux.RMSProp(centred=True), flux.Rprop(),
    flux.Adam(0.01), flux.RAdam(0.01), flux.AdaMax(0.01), flux.OAdam(0.01), flux.AMSGrad(0.01), flux.NAdam(0.01),
    flux.AdaGrad(), flux.AdaDelta(), flux.AdaBelief(0.01), flux.AdamW(0.01), flux.Lion(0.01),
    flux.OptimiserChain(flux.WeightDecay(0.1), flux.SignDecay(0.01), flux.Descent(0.05)),
    flux.OptimiserChain(flux.ClipGrad(0.01), flux.Descent(0.5)),
    flux.OptimiserChain(flux.ClipNorm(0.1, whole=True), flux.Adam(0.01)),
    flux.OptimiserChain(flux.AccumGrad(2), flux.Adam(0.01)),
    flux.MixedPrecision(flux.Adam(0.01), "float64"),
]  # fmt: skip


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, 4)), rng.normal(size=(ROWS, 1))


class Items:
    """Data that Python makes item by item, so that a loader has workers for them."""

    def __len__(self):
        return ROWS

    def __getitem__(self, i):
        return tuple(part[i] for part in data())


class Net:
    """Tied weights, and a part that no loss uses."""

    def __init__(self, norm=None):
        flux.seed(5)
        self.a, self.b = flux.f64(flux.Dense(4, 4, flux.tanh)), flux.f64(flux.Dense(4, 1))
        self.tied = self.a
        self.unused = flux.f64(flux.Dense(2, 2))
        self.norm = flux.f64(norm) if norm else None

    def __call__(self, x):
        x = self.a(self.tied(x))
        return self.b(self.norm(x) if self.norm else x)


def loss(m, x, y):
    return flux.mse(m(x), y)


def is_alike(*trees):
    """Whether all ranks have the same bits."""
    bits = b"".join(t.numpy().tobytes() for _, t in flux._core.leaves(trees))
    return len({*WORLD.texts(hashlib.sha256(bits).hexdigest())}) == 1


def trained(rule, together, model=None, **options):
    model = model or Net()
    state = flux.setup(rule, model)
    flux.freeze(state.b.bias)
    loader = flux.DataLoader(data(), 8, shuffle=True, rng=flux.Generator(3))
    history = flux.fit(
        loss,
        model,
        loader,
        state,
        epochs=3,
        validation=data(),
        metrics=["mae", "r2"],
        distributed=together,
        **options,
    )
    return model, history


def same(a, b, tolerance=1e-6):
    for (path, x), (_, y) in zip(flux._core.leaves(a), flux._core.leaves(b), strict=True):
        worst = float(np.abs(x.numpy() - y.numpy()).max(initial=0))
        assert worst <= tolerance, (path, worst)


def check_every_rule_gives_what_one_process_gives():
    for rule in RULES:
        (one, alone), (many, history) = trained(rule, False), trained(rule, True)
        same(one, many)
        for name in ("loss", "val_loss", "val_mae", "val_r2"):
            assert np.allclose(alone[name], history[name], rtol=0, atol=1e-6), (rule, name)
        same(many, trained(rule, True)[0], 0)


def check_a_loop_of_ones_own():
    for rule in [
        Late(),
        flux.Adam(0.01),
        flux.OptimiserChain(flux.ClipNorm(0.1, whole=True), flux.AccumGrad(2), flux.Momentum()),
    ]:
        one, many = Net(), Net()
        alone = flux.setup(rule, one)
        state = flux.setup(d.DistributedOptimiser(rule), many)
        loader = flux.DataLoader(data(), 8)
        d.synchronize(many)
        d.synchronize(state)
        for _ in range(2):  # six steps, each of which writes memory that one before it has written
            flux.train(loss, one, loader, alone)
            for x, y in d.shared(loader):
                flux.update(state, many, flux.gradient(lambda m: loss(m, x, y), many)[0])
        same(one, many)
        if not isinstance(rule, Late):
            flux.adjust(state, 0.5)


def check_a_scheduler_within_keeps_its_place_and_is_sent():
    rule = flux.OptimiserChain(flux.ClipNorm(1.0), flux.Scheduler(flux.Exp(0.5, 0.9), flux.Adam))
    one, many = Net(), Net()
    alone, state = flux.setup(rule, one), flux.setup(d.DistributedOptimiser(rule), many)
    loader = flux.DataLoader(data(), 8)
    flux.train(loss, one, loader, alone)
    flux.train(loss, many, d.shared(loader), state)
    same(one, many)
    if WORLD.rank:
        # A rank that comes with a state of its own gets that of rank 0.
        state = flux.setup(d.DistributedOptimiser(rule), many)
    d.synchronize(state)
    flux.train(loss, one, loader, alone)
    flux.train(loss, many, d.shared(loader), state)
    same(one, many)
    assert is_alike(many, state.b.weight.state)
    try:
        flux.Scheduler(flux.Exp(0.5, 0.9), d.DistributedOptimiser(flux.Adam()))
    except TypeError as error:
        assert "DistributedOptimiser(Scheduler(" in str(error)
    else:
        raise AssertionError("a Scheduler around ranks was taken")


def check_a_loader_with_workers_gives_what_one_process_gives():
    loaded = lambda: flux.DataLoader(Items(), 8, shuffle=True, rng=flux.Generator(1), parallel=2)
    one, many = Net(), Net()
    flux.fit(loss, one, loaded(), flux.Adam(0.01), epochs=2)
    flux.fit(loss, many, loaded(), flux.Adam(0.01), epochs=2, distributed=True)
    same(one, many)


def check_synchronised_statistics():
    (one, _), (many, _) = (
        trained(flux.Descent(0.05), False, Net(flux.BatchNorm(4))),
        trained(flux.Descent(0.05), True, Net(d.SyncBatchNorm(4))),
    )
    same(one, many)
    many = Net(d.SyncBatchNorm(4))
    state = flux.setup(d.DistributedOptimiser(flux.Descent(0.05)), many)
    flux.freeze(state.b.bias)
    loader = flux.DataLoader(data(), 8, shuffle=True, rng=flux.Generator(3))
    for _ in range(3):
        flux.train(loss, many, d.shared(loader), state)
    same(one, many)
    many, _ = trained(flux.Descent(0.05), True, Net(flux.BatchNorm(4)))
    statistics = many.norm.mu.numpy()
    assert (d.bcast(statistics) == statistics).all()


def check_ranks_that_use_different_parameters():
    model = {
        "a": flux.tensor([1.0], dtype=flux.float64),
        "b": flux.tensor([1.0], dtype=flux.float64),
        "c": flux.ones(1),
    }
    flux.fit(
        lambda m, x: (m["a"] if WORLD.rank == 0 else m["b"]).sum(),
        model, [np.zeros((WORLD.size, 1))], flux.Descent(1.0), distributed=True,
    )  # fmt: skip
    share = 1 / WORLD.size
    assert np.allclose([model["a"].item(), model["b"].item(), model["c"].item()], [1 - share, share, 1.0])


def check_a_loop_of_ones_own_with_different_parameters():
    rule = d.DistributedOptimiser(flux.Descent(1.0))
    model = {name: flux.ones(2, dtype=flux.float64) for name in "abc"}
    state = flux.setup(rule, model)
    flux.freeze(state["c"])

    def step(*names):
        grads = flux.gradient(lambda m: sum((m[name].sum() for name in names), 0.0), model)[0]
        flux.update(state, model, grads)

    share = 1 / WORLD.size
    expected = {"a": 1.0, "b": 1.0, "c": 1.0}
    for mine, others in [("a", "a"), ("b", "b"), ("a", "b"), ("b", "a"), ("ab", "c"), ("", "b"), ("c", "")]:
        try:
            step(*(mine if WORLD.rank == 0 else others))
        except TypeError as error:
            assert "nothing to train" in str(error) and "c" in mine + others, error
        for name in "ab":
            expected[name] -= share * ((name in mine) + (name in others) * (WORLD.size - 1))
        assert is_alike(model), (mine, others)
        for name, t in model.items():
            assert np.allclose(t.numpy(), expected[name]), (mine, others, name)
    other = {name: flux.ones(2, dtype=flux.float64) for name in "xyz"}
    beside = flux.setup(rule, other)
    flux.freeze(beside["z"])
    try:
        if WORLD.rank == 0:
            step("a", "b")
        else:
            flux.update(beside, other, flux.gradient(lambda m: m["x"].sum() + m["y"].sum(), other)[0])
    except d.DisagreementError as error:
        assert "rank 0 has" in str(error), error
    else:
        raise AssertionError("two models were taken for one")


def check_compiled_training_is_that_of_ranks():
    def own(compiled, norm=None):
        model = Net(norm)
        state = flux.setup(d.DistributedOptimiser(flux.Adam(0.01)), model)
        loader = flux.DataLoader(data(), 8)
        for _ in range(3):
            flux.train(loss, model, d.shared(loader), state, compile=compiled)
        return model

    same(own(False), own(True), 0)
    (eager, alone), (again, history) = (
        trained(flux.Adam(0.01), True),
        trained(flux.Adam(0.01), True, compile=True),
    )
    same(eager, again, 0)
    assert alone["loss"] == history["loss"]


def check_a_compiled_step_leaves_the_update_of_ranks_out():
    model = {"w": flux.ones(2)}
    state = flux.setup(d.DistributedOptimiser(flux.Descent(1.0)), model)

    def step(x):
        value, grads = flux.withgradient(lambda m: (m["w"] * x).sum(), model)
        flux.update(state, model, grads[0])
        return value

    again = flux.compile(step)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(3):
            again(flux.tensor([1.0, WORLD.rank]))
    assert any("its update is one of all ranks together" in str(w.message) for w in found), found
    assert np.allclose(model["w"].numpy(), [-2.0, 1 - 3 * (WORLD.size - 1) / 2])


def check_gradients_of_16_bits_are_widened_before_they_are_weighed():
    model = {"w": flux.ones(1, dtype=flux.float16)}
    state = flux.setup(d.DistributedOptimiser(flux.Descent(1.0)), model)
    tiny = 2.0**-24  # the smallest number above 0 of its type, of which a part is 0
    rule = state["w"].rule
    flux.update(state, model, {"w": flux.full((1,), tiny, dtype=flux.float16)})
    (reducer,) = d.optimiser._REDUCERS[rule].values()
    assert reducer.sums[0].sums[1 - reducer.turn][0] == np.float32(tiny)


def check_bfloat16_on_the_wire():
    one, many = trained(flux.Descent(0.05), False)[0], trained(flux.Descent(0.05), True, wire="bfloat16")[0]
    same(one, many)  # float64 is sent as it is
    narrow = {"w": flux.ones(300)}
    flux.fit(lambda m, x: (m["w"] * x).sum() / 300, narrow, [np.full((WORLD.size, 300), 0.3, np.float32)],
             flux.Descent(1.0), distributed=True, wire="bfloat16")  # fmt: skip
    expected = 1 - 0.3 / 300
    assert np.allclose(narrow["w"].numpy(), expected, rtol=0, atol=1e-5)
    assert (d.bcast(narrow["w"]).numpy() == narrow["w"].numpy()).all()


def check_files_are_of_rank_0_and_a_run_goes_on():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(WORLD.plain("a folder", folder), "run.safetensors")
        keep = flux.ModelCheckpoint(path + ".best", "val_loss")
        half, _ = trained(flux.Adam(0.01), True, checkpoint=path, callbacks=keep)
        d.barrier()
        assert os.path.exists(path) and os.path.exists(path + ".best")
        model = Net()
        rule = flux.Adam(0.01)
        loader = flux.DataLoader(data(), 8, shuffle=True, rng=flux.Generator(3))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            history = flux.fit(loss, model, loader, rule, epochs=3, validation=data(), metrics=["mae", "r2"],
                               checkpoint=path, resume=True, distributed=True)  # fmt: skip
        assert len(history) == 3
        same(half, model, 0)
        d.barrier()


def check_only_rank_0_writes_and_averages_are_alike():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "run.safetensors")  # another folder on each rank
        for average in (flux.EMA(0.5), flux.SWA(0.5)):
            model = Net(flux.BatchNorm(4))
            _, history = trained(
                flux.Adam(0.01), True, model, checkpoint=path, log=os.path.join(folder, "log"),
                callbacks=[average, flux.ModelCheckpoint(path + ".best"), flux.GradientNorm()],
            )  # fmt: skip
            assert is_alike(model), average
            assert len({*WORLD.texts(repr([*history]))}) == 1, average
        written = {*os.listdir(folder)}
        assert written == ({"run.safetensors", "run.safetensors.best", "log"} if WORLD.rank == 0 else set())


def check_memory_is_used_again():
    def fitted(n):
        flux.fit(
            lambda m, x: flux.square(m(x)).mean(),
            flux.Dense(n, n),
            [np.ones((6, n))],
            flux.Adam(),
            distributed=True,
        )

    for n in (50, 20):
        fitted(n)
    gc.collect()
    count = len(WORLD.shared)
    for n in (50, 20, 49, 50):
        fitted(n)
    assert len(WORLD.shared) == count
    # A state that changes with every step has the memory of the one before.
    model = {"w": flux.ones(40)}
    state = flux.setup(d.DistributedOptimiser(flux.Adam()), model)
    for i in range(5):
        flux.update(state, model, {"w": flux.ones(40)})
        flux.adjust(state, 0.1 / (1 + i))
    assert len(WORLD.shared) <= count + 1
    assert is_alike(model)


def check_a_fit_within_a_callback_of_all():
    lengths = []
    inner = lambda row: lengths.append(
        len(flux.fit(loss, Net(), [data()], flux.Adam(), epochs=2, distributed=True))
    )
    flux.fit(loss, Net(), [data()], flux.Adam(), epochs=2, distributed=True, callbacks=inner)
    assert lengths == [2, 2]


def check_a_process_that_a_rank_forks_is_none():
    for end, status in [(lambda: sys.exit(0), 0), (lambda: d.barrier(), 1)]:
        sys.stdout.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the child has not
            child = os.fork()
        if child == 0:
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115
            end()
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status
    d.barrier()


def check_a_callback_of_one_rank_ends_all():
    history = flux.fit(
        loss, Net(), [data()], flux.Adam(), epochs=9, distributed=True,
        callbacks=lambda row: WORLD.rank == WORLD.size - 1 and row["epoch"] == 2,
    )  # fmt: skip
    assert len(history) == 2
    rows = WORLD.texts(repr([*history]))
    assert len(set(rows)) == 1


def check_nan_on_one_rank_is_seen_by_all():
    x, y = data()
    x[-1] = math.nan
    model = Net()
    before = flux.state(model)
    try:
        flux.fit(loss, model, [(x, y)], flux.Adam(), distributed=True)
    except ValueError as error:
        assert "the loss is nan" in str(error)
    else:
        raise AssertionError("NaN was not seen")
    after = flux.state(model)
    assert str(before) == str(after)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        flux.fit(loss, model, [(x, y), data()], flux.Adam(), distributed=True, on_nan="skip")
    assert any("its batch is left out" in str(w.message) for w in found)


def check_train_leaves_a_step_out_on_all_ranks_or_on_none():
    good = np.ones((4, 2))
    for bad in (math.nan, 0.0):  # of sqrt(0) only the gradient is not finite
        mine = np.full((4, 2), bad) if WORLD.rank == WORLD.size - 1 else good
        model = {"w": flux.ones(2, dtype=flux.float64)}
        state = flux.setup(d.DistributedOptimiser(flux.Descent(0.1)), model)
        root = lambda m, x: flux.sqrt(m["w"] * x).mean()
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            flux.train(root, model, [good, mine, good], state, on_nan="skip")
        assert [str(w.message).count("at step 2; its batch is left out") for w in found] == [1], found
        assert is_alike(model)
        before = model["w"].tolist()
        assert before[0] < 1
        model["w"] = flux.ones(2, dtype=flux.float64)
        state = flux.setup(d.DistributedOptimiser(flux.Descent(0.1)), model)
        try:
            flux.train(root, model, [mine], state)
        except ValueError as error:
            assert "the loss is nan" in str(error) or "gradient" in str(error), error
        else:
            raise AssertionError("a step that was not finite was done")
        assert model["w"].tolist() == [1.0, 1.0]


def check_batches_with_fewer_rows_than_ranks():
    x, y = data()
    few = flux.DataLoader((x[: WORLD.size + 1], y[: WORLD.size + 1]), WORLD.size)
    one, many = Net(), Net()
    flux.fit(loss, one, few, flux.Descent(0.1), epochs=2, validation=few, metrics=["mae"])
    flux.fit(loss, many, few, flux.Descent(0.1), epochs=2, validation=few, metrics=["mae"], distributed=True)
    same(one, many)


def check_each_rank_draws_its_own_noise():
    flux.seed(0)
    flux.fit(loss, Net(), [data()], flux.Descent(0.0), distributed=True)
    assert len({*WORLD.texts(str(flux.rand(3).tolist()))}) == WORLD.size


def check_reductions():
    ranks = np.arange(WORLD.size)
    assert d.allreduce(float(WORLD.rank)) == ranks.sum()
    assert d.allreduce(WORLD.rank, "mean") == ranks.mean()
    assert d.allreduce(flux.tensor([float(WORLD.rank)]), "max").tolist() == [WORLD.size - 1]
    assert d.reduce(np.array([WORLD.rank]), "min", root=1) == ([0] if WORLD.rank == 1 else None)
    assert d.allreduce(flux.ones(2, dtype=flux.bfloat16)).dtype == flux.bfloat16
    assert d.bcast(flux.full((2,), float(WORLD.rank)), root=1).tolist() == [1.0, 1.0]
    part = d.DistributedDataContainer(np.arange(10))
    assert sum(WORLD.meet("items", len(part))[:, 0]) == 10


def check_means_by_weights_are_those_of_all_ranks():
    x, labels = data()[0], (data()[0][:, 0] > 0).astype(int)
    some = np.where(np.arange(ROWS) % 8 < 3, -1, labels)  # of several ranks the first has none that counts
    weight = [1.0, 3.0]
    soft = np.stack([labels, 1 - labels], axis=1) * 0.9

    def plain(m, x, y, weight=None):
        return flux.logitcrossentropy(m(x), y, weight=weight)

    def mixed(m, x, y):
        parted = flux.crossentropy(flux.softmax(m(x)), y, ignore_index=-1, weight=weight)
        return parted + 0.1 * flux.square(m(x)).mean()

    def ignoring(m, x, y):
        return flux.logitcrossentropy(m(x), y, ignore_index=-1)

    def of_each(m, x, y):
        return flux.logitcrossentropy(m(x), y, weight=weight)

    for loss, y, options in [
        (plain, labels, {"class_weight": weight}),
        (plain, labels, {"class_weight": "balanced"}),
        (mixed, some, {}),
        (ignoring, some, {}),
        (ignoring, labels, {}),
        (ignoring, some, {"compile": True}),
        (of_each, soft, {}),
    ]:
        histories, models = [], []
        for together in (False, True):
            models.append(flux.f64(flux.Dense(4, 2, init=flux.ones)))
            loader = flux.DataLoader((x, y), 8)
            options |= {"validation": (x, y)} if loss is not plain else {}
            fitted = flux.fit(
                loss, models[-1], loader, flux.Descent(0.1), epochs=2, distributed=together, **options
            )
            histories.append(fitted)
        same(*models)
        for name in histories[0].columns[2:-1]:
            assert np.allclose(histories[0][name], histories[1][name], rtol=0, atol=1e-6), (loss, y, name)
    none = np.full(ROWS, -1)
    try:
        flux.fit(
            ignoring, flux.Dense(4, 2), flux.DataLoader((x, none), 8), flux.Descent(0.1), distributed=True
        )
    except ValueError as error:
        assert "there is nothing to take the mean of" in str(error), error
    else:
        raise AssertionError("a mean of nothing was taken")
    one, many = (flux.f64(flux.Dense(4, 2, init=flux.ones)) for _ in range(2))
    flux.train(ignoring, one, flux.DataLoader((x, some), 8), flux.setup(flux.Descent(0.1), one))
    state = flux.setup(d.DistributedOptimiser(flux.Descent(0.1)), many)
    flux.train(ignoring, many, d.shared(flux.DataLoader((x, some), 8)), state)
    same(one, many)


def check_two_threads_of_a_rank_do_not_meet_the_others_at_once():
    said = []
    with tempfile.TemporaryDirectory() as folder:
        is_refused = os.path.join(WORLD.plain("a folder", folder), "refused")

        def other():
            while not WORLD._watch.since:
                time.sleep(1e-3)
            try:
                d.barrier()
            except RuntimeError as error:
                said.append(str(error))
            with open(is_refused, "w"):
                pass

        # The other ranks let rank 0 wait until that has happened.
        thread = threading.Thread(target=other)
        if WORLD.rank == 0:
            thread.start()
        while WORLD.rank and not os.path.exists(is_refused):
            time.sleep(1e-3)
        d.allreduce(1.0)
        if WORLD.rank == 0:
            thread.join()
            assert "another thread of rank 0 is in allreduce('sum')" in said[0], said
        d.barrier()


def check_no_pickle_crosses_ranks():
    try:
        WORLD.comm.allgather({"an": "object"})
    except AssertionError as error:
        assert "something is pickled" in str(error)
    else:
        raise AssertionError("what all checks are held to is not looked for")


def check_what_differs_is_named():
    def ordered(names):
        return {name: flux.ones(2) for name in names}

    def fitted(model):
        flux.fit(lambda m, x: _sum(m), model, [np.zeros((6, 1))], flux.Descent(), distributed=True)

    def step(model, rule=None):
        state = flux.setup(d.DistributedOptimiser(rule or flux.Descent()), model)
        flux.update(state, model, flux.gradient(_sum, model)[0])

    def rows(n):
        return flux.DataLoader(tuple(part[:n] for part in data()), 8)

    for call in [
        lambda: d.allreduce(np.zeros(2 + WORLD.rank)),
        lambda: d.synchronize(flux.Dense(2, 2 + WORLD.rank)),
        lambda: fitted((flux.f64 if WORLD.rank else flux.f32)(flux.Dense(4, 1))),
        lambda: fitted(flux.Chain(*[flux.Dense(4, 4)] * WORLD.rank, flux.Dense(4, 1))),
        lambda: fitted(ordered("ab" if WORLD.rank else "ba")),
        lambda: step(ordered("ab" if WORLD.rank else "ba")),
        lambda: step(ordered("abc" if WORLD.rank else "ab")),
        lambda: step(flux.f64(ordered("a")) if WORLD.rank else ordered("a")),
        lambda: step(ordered("a"), [flux.Adam(), flux.Descent()][WORLD.rank % 2]),
        lambda: d.barrier() if WORLD.rank else d.allreduce(1.0),
        lambda: flux.fit(loss, Net(), [data()] * (1 + WORLD.rank), flux.Adam(), distributed=True),
        lambda: flux.fit(loss, Net(), rows(20 - WORLD.rank), flux.Adam(), distributed=True),
        lambda: flux.fit(loss, Net(), rows(20), flux.Adam(1e-3 * (1 + WORLD.rank)), distributed=True),
        lambda: flux.fit(loss, Net(), rows(20), flux.Adam(), epochs=1 + WORLD.rank, distributed=True),
        lambda: flux.fit(
            loss, Net(), rows(20), flux.Adam(), metrics=["mae", "r2"][WORLD.rank % 2 :], distributed=True
        ),
    ]:
        try:
            call()
        except d.DisagreementError as error:
            assert "rank 0" in str(error) and "1" in str(error), error
        else:
            raise AssertionError("ranks that differ were not seen")


def _sum(model):
    return sum(t.sum() for _, t in flux._core.leaves(model))


if __name__ == "__main__":
    flux.set_num_threads(1)
    for name, check in [*globals().items()]:
        if name.startswith("check_"):
            check()
            if WORLD.rank == 0:
                sys.stdout.write(f"{name}\n")
    sys.stdout.write("done\n")
