"""Rules, modifiers and schedules: what each option does to the steps."""

import math

import numpy as np

import oxiflux as flux
import rules as formulas
from options.rows import Row, With, numbers

GRADIENTS = [numbers(3, 4, seed=i) * np.float64(s) for i, s in enumerate((2, -1, 4, 1, -3, 2, 5))]
START = numbers(3, 4, seed=50) * np.float64(3)


def steps(rule):
    """The parameter after each update."""
    model = {"w": flux.tensor(START)}
    state = flux.setup(rule, model)
    for g in GRADIENTS:
        flux.update(state, model, {"w": flux.tensor(g)})
        yield model["w"].numpy()


def rule(make, formula, names=None, **turned):
    """A rule and its formula, in which some options have other names."""
    names = names or {}
    return Row(
        lambda **o: list(steps(make(**o))),
        lambda **o: list(formula(GRADIENTS, START, **{names.get(key, key): v for key, v in o.items()})),
        turned,
        1e-8,
    )


def fast(value):
    """A value that shows only where the steps are not tiny."""
    return With(value, {"eta": 0.1})


ADAM = {"eta": 0.1, "beta": fast((0.5, 0.75)), "eps": fast(0.5)}


def change(f, **defaults):
    """A modifier without memory, whose options are those of `f(x, g, …)`."""

    def formula(grads, x, **options):
        return formulas.modified(lambda x, g: f(x, g, **(defaults | options)))(grads, x)

    return formula


def clipped_together(omega=10.0, p=2.0, whole=False):
    """One step of two parameters by themselves, or as if they were one."""
    a, b = 3 * GRADIENTS[0], 3 * GRADIENTS[2][:1]
    if not whole:
        return [-formulas.shortened(g, omega, p) for g in (a, b)]
    both = formulas.shortened(np.concatenate([a.ravel(), b.ravel()]), omega, p)
    return [-both[: a.size].reshape(a.shape), -both[a.size :].reshape(b.shape)]


def clip_norm(**options):
    grads = {"a": 3 * GRADIENTS[0], "b": 3 * GRADIENTS[2][:1]}
    model = {key: flux.zeros_like(flux.tensor(g)) for key, g in grads.items()}
    flux.update(
        flux.setup(flux.ClipNorm(**options), model), model, {k: flux.tensor(g) for k, g in grads.items()}
    )
    return [model["a"], model["b"]]


def mixed_precision(dtype=np.float32):
    """What small steps add up to in the copy, rounded to half precision at the end."""
    x = np.float16(1.0).astype(dtype)
    for _ in range(50):
        x = x - dtype(1e-9) * dtype(1)
    return np.array([x])


def small_steps(**options):
    """The sum of steps that the copy has, by a step that makes it plain."""
    model = {"w": flux.tensor(np.array([1.0], np.float16))}
    state = flux.setup(flux.MixedPrecision(flux.Descent(1e-9), **options), model)
    for _ in range(50):
        flux.update(state, model, {"w": flux.tensor(np.array([1.0], np.float16))})
    return 1e7 * (1 - state["w"].state[0].numpy().astype(np.float64))


RULES = {
    "Descent": rule(flux.Descent, formulas.descent, eta=0.5),
    "Momentum": rule(flux.Momentum, formulas.momentum, eta=0.2, rho=0.5),
    "Nesterov": rule(flux.Nesterov, formulas.nesterov, eta=0.2, rho=fast(0.5)),
    "RMSProp": rule(
        flux.RMSProp, formulas.rmsprop, eta=0.1, rho=fast(0.5), eps=fast(0.5), centred=fast(True)
    ),
    "Rprop": rule(
        flux.Rprop, formulas.rprop, {"ell": "scale", "gamma": "limits"}, eta=0.1, ell=fast((0.25, 2.0)),
        gamma=fast((0.08, 0.11)),
    ),
    "Adam": rule(flux.Adam, formulas.adam, **ADAM),
    "AdamW": rule(
        flux.AdamW, formulas.adamw, {"lambda_": "decay"}, **ADAM, lambda_=fast(0.25),
        couple=With(False, {"eta": 0.1, "lambda_": 0.25}),
    ),
    "RAdam": rule(flux.RAdam, formulas.radam, eta=0.1, beta=fast((0.5, 0.9)), eps=With(0.5, {"eta": 0.5})),
    "AdaMax": rule(flux.AdaMax, formulas.adamax, **ADAM),
    "OAdam": rule(flux.OAdam, formulas.oadam, **ADAM),
    "AdaGrad": rule(flux.AdaGrad, formulas.adagrad, eta=0.5, eps=0.5),
    "AdaDelta": rule(flux.AdaDelta, formulas.adadelta, rho=With(0.5, {"eps": 0.1}), eps=0.1),
    "AMSGrad": rule(flux.AMSGrad, formulas.amsgrad, **ADAM),
    "NAdam": rule(flux.NAdam, formulas.nadam, **ADAM),
    "AdaBelief": rule(flux.AdaBelief, formulas.adabelief, **ADAM),
    "Lion": rule(flux.Lion, formulas.lion, eta=0.1, beta=fast((0.9, 0.3))),
    "WeightDecay": rule(flux.WeightDecay, change(lambda x, g, lambda_=5e-4: g + lambda_ * x), lambda_=0.5),
    "SignDecay": rule(flux.SignDecay, change(lambda x, g, lambda_=1e-3: g + lambda_ * np.sign(x)), lambda_=0.5),
    "ClipGrad": rule(flux.ClipGrad, change(lambda x, g, delta=10: np.clip(g, -delta, delta)), delta=0.75),
    "ClipNorm": Row(
        clip_norm,
        clipped_together,
        {"omega": 0.5, "p": With(3.0, {"omega": 0.5}), "whole": With(True, {"omega": 0.5, "p": 1.0})},
        1e-9,
    ),
    "MixedPrecision": Row(
        small_steps,
        lambda dtype=np.float32: 1e7 * (1 - mixed_precision(dtype).astype(np.float64)),
        {"dtype": np.float64},
        1e-6,
    ),
}  # fmt: skip

# Schedules: twelve of their values.


def schedule(make, formula, **turned):
    return Row(
        lambda **o: [make(**o)(t) for t in range(12)],
        lambda **o: [formula(t, **o) for t in range(12)],
        turned,
    )


def cosine(t, period):
    return (1 + math.cos(math.pi * t / period)) / 2


def annealed(t, restart=True):
    return 0.5 + 2 * cosine(t % 5 if restart else t, 5)


def one_cycle(t, startval=0.12, endval=3e-5, percent_start=0.25):
    up = math.ceil(percent_start * 8)
    if t < up:
        return startval + (3 - startval) * (1 - cosine(t, up))
    return endval if t >= 8 else endval + (3 - endval) * cosine(t - up, 8 - up)


def warmed(t, start=0.0):
    return start + (2 - start) * t / 4 if t < 4 else 2 * 0.5 ** (t - 4)


SCHEDULES = {
    "Interpolator": schedule(
        lambda **o: flux.Interpolator(flux.Exp(2.0, 0.5), 3, **o),
        lambda t, floor_fn=math.floor: 2 * 0.5 ** floor_fn(t / 3),
        floor_fn=math.ceil,
    ),
    "Cos": schedule(lambda **o: flux.Cos(0.5, 2.5, 5, **o), annealed, restart=False),
    "CosAnneal": schedule(lambda **o: flux.CosAnneal(0.5, 2.5, 5, **o), annealed, restart=False),
    "OneCycle": schedule(
        lambda **o: flux.OneCycle(8, 3.0, **o), one_cycle, startval=1.0, endval=1.5, percent_start=0.7
    ),
    "Warmup": schedule(lambda **o: flux.Warmup(flux.Exp(2.0, 0.5), 4, **o), warmed, start=1.0),
}

ROWS = RULES | SCHEDULES
