"""Every rule and modifier of Optimisers.jl written again in NumPy and float64, for the tests: each yields the parameter
after each step.
"""

import numpy as np

import oxiflux as flux


def descent(grads, x, eta=0.1):
    for g in grads:
        x = x - eta * g
        yield x


def momentum(grads, x, eta=0.01, rho=0.9):
    velocity = np.zeros_like(x)
    for g in grads:
        velocity = rho * velocity + eta * g
        x = x - velocity
        yield x


def nesterov(grads, x, eta=0.001, rho=0.9):
    velocity = np.zeros_like(x)
    for g in grads:
        velocity_next = rho * velocity - eta * g
        # A step along the velocity and a look ahead by the next one.
        x = x + rho * velocity_next - eta * g
        velocity = velocity_next
        yield x


def rmsprop(grads, x, eta=0.001, rho=0.9, eps=1e-8, centred=False):
    square, mean = np.zeros_like(x), np.zeros_like(x)
    for g in grads:
        square = rho * square + (1 - rho) * g * g
        if centred:
            mean = rho * mean + (1 - rho) * g
        # The variance is not negative, but its rounding may be.
        x = x - eta * g / (np.sqrt(np.maximum(square - mean * mean, 0)) + eps)
        yield x


def rprop(grads, x, eta=1e-3, scale=(0.5, 1.2), limits=(1e-6, 50.0)):
    before, step = np.zeros_like(x), np.full_like(x, eta)
    for g in grads:
        agreement = before * g
        step = np.where(agreement > 0, np.minimum(step * scale[1], limits[1]), step)
        step = np.where(agreement < 0, np.maximum(step * scale[0], limits[0]), step)
        before = np.where(agreement < 0, 0, g)
        x = x - step * np.sign(before)
        yield x


def moments(grads, beta):
    """Step number, gradient, and Adam's two running moments."""
    m = v = np.zeros_like(grads[0])
    for t, g in enumerate(grads, 1):
        m = beta[0] * m + (1 - beta[0]) * g
        v = beta[1] * v + (1 - beta[1]) * g * g
        yield t, g, m, v


def adam(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-8):
    return adamw(grads, x, eta, beta, 0.0, eps)


def adamw(grads, x, eta=0.001, beta=(0.9, 0.999), decay=0.0, eps=1e-8, couple=True):
    for t, _, m, v in moments(grads, beta):
        step = m / (1 - beta[0] ** t) / (np.sqrt(v / (1 - beta[1] ** t)) + eps)
        x = x - (eta * (step + decay * x) if couple else eta * step + decay * x)
        yield x


def radam(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-8):
    longest = 2 / (1 - beta[1]) - 1
    for t, _, m, v in moments(grads, beta):
        length = longest - 2 * t * beta[1] ** t / (1 - beta[1] ** t)
        step = m / (1 - beta[0] ** t)
        if length > 4:
            rectification = np.sqrt(
                (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            )
            step = step * rectification / (np.sqrt(v / (1 - beta[1] ** t)) + eps)
        x = x - eta * step
        yield x


def adamax(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-8):
    largest = np.zeros_like(x)
    for t, g, m, _ in moments(grads, beta):
        largest = np.maximum(beta[1] * largest, np.abs(g))
        x = x - eta / (1 - beta[0] ** t) * m / (largest + eps)
        yield x


def oadam(grads, x, eta=0.001, beta=(0.5, 0.9), eps=1e-8):
    before = np.zeros_like(x)
    for t, _, m, v in moments(grads, beta):
        term = eta * m / (1 - beta[0] ** t) / (np.sqrt(v / (1 - beta[1] ** t)) + eps)
        x = x - (2 * term - before)
        before = term
        yield x


def adagrad(grads, x, eta=0.1, eps=1e-8):
    total = np.full_like(x, eps)
    for g in grads:
        total = total + g * g
        x = x - eta * g / (np.sqrt(total) + eps)
        yield x


def adadelta(grads, x, rho=0.9, eps=1e-8):
    square, steps = np.zeros_like(x), np.zeros_like(x)
    for g in grads:
        square = rho * square + (1 - rho) * g * g
        step = g * np.sqrt(steps + eps) / np.sqrt(square + eps)
        steps = rho * steps + (1 - rho) * step * step
        x = x - step
        yield x


def amsgrad(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-8):
    m = v = largest = np.full_like(x, eps)
    for g in grads:
        m = beta[0] * m + (1 - beta[0]) * g
        v = beta[1] * v + (1 - beta[1]) * g * g
        largest = np.maximum(largest, v)
        x = x - eta * m / (np.sqrt(largest) + eps)
        yield x


def nadam(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-8):
    for t, g, m, v in moments(grads, beta):
        ahead = beta[0] * m / (1 - beta[0] ** (t + 1)) + (1 - beta[0]) * g / (1 - beta[0] ** t)
        x = x - eta * ahead / (np.sqrt(v * beta[1] / (1 - beta[1] ** t)) + eps)
        yield x


def adabelief(grads, x, eta=0.001, beta=(0.9, 0.999), eps=1e-16):
    s = np.zeros_like(x)
    for t, g, m, _ in moments(grads, beta):
        s = beta[1] * s + (1 - beta[1]) * (g - m) ** 2 + eps
        x = x - eta * m / (1 - beta[0] ** t) / (np.sqrt(s / (1 - beta[1] ** t)) + eps)
        yield x


def lion(grads, x, eta=0.001, beta=(0.9, 0.999)):
    m = np.zeros_like(x)
    for g in grads:
        m = beta[1] * g + (1 - beta[1]) * m
        x = x - eta * np.sign((beta[1] - beta[0]) * g + beta[0] * m)
        yield x


def paced(grads, x, etas, rhos=None):
    """Momentum with a learning rate, and perhaps a friction, of its own at each step."""
    velocity = np.zeros_like(x)
    for t, g in enumerate(grads):
        velocity = (0.9 if rhos is None else rhos(t)) * velocity + etas(t) * g
        x = x - velocity
        yield x


def modified(change):
    """What a modifier without memory does by itself: the gradient it makes of `x` and `g` is the step."""

    def steps(grads, x):
        for g in grads:
            x = x - change(x, g)
            yield x

    return steps


def accumulated(grads, x, n):
    for t, _ in enumerate(grads, 1):
        if t % n == 0:
            x = x - sum(grads[t - n : t]) / n
        yield x


def chained(grads, x):
    """Decay, clipping, and a velocity."""
    velocity = np.zeros_like(x)
    for g in grads:
        velocity = 0.9 * velocity + 0.1 * np.clip(g + 0.5 * x, -1, 1)
        x = x - velocity
        yield x


def shortened(g, omega, p=2):
    size = np.linalg.norm(g.ravel(), p) if g.size else 0
    return g * (omega / size) if size > omega else g


# A rule, its formula, and the options that the formula needs to be told.
ROWS = [
    (flux.Descent(), descent, {}),
    (flux.Descent(0.5), descent, {"eta": 0.5}),
    (flux.Momentum(), momentum, {}),
    (flux.Momentum(0.2, 0.5), momentum, {"eta": 0.2, "rho": 0.5}),
    (flux.Nesterov(), nesterov, {}),
    (flux.Nesterov(0.2, 0.5), nesterov, {"eta": 0.2, "rho": 0.5}),
    (flux.RMSProp(), rmsprop, {}),
    (flux.RMSProp(centred=True), rmsprop, {"centred": True}),
    (flux.RMSProp(0.1, 0.5, 1e-3), rmsprop, {"eta": 0.1, "rho": 0.5, "eps": 1e-3}),
    (flux.Rprop(), rprop, {}),
    (
        flux.Rprop(0.5, (0.25, 2.0), (0.2, 0.6)),
        rprop,
        {"eta": 0.5, "scale": (0.25, 2.0), "limits": (0.2, 0.6)},
    ),
    (flux.Adam(), adam, {}),
    (flux.Adam(0.1, (0.5, 0.75), 1e-3), adam, {"eta": 0.1, "beta": (0.5, 0.75), "eps": 1e-3}),
    (flux.AdamW(), adamw, {}),
    (flux.AdamW(0.1, lambda_=0.25), adamw, {"eta": 0.1, "decay": 0.25}),
    (flux.AdamW(0.1, lambda_=0.25, couple=False), adamw, {"eta": 0.1, "decay": 0.25, "couple": False}),
    (flux.RAdam(), radam, {}),
    (flux.RAdam(0.1, (0.9, 0.99)), radam, {"eta": 0.1, "beta": (0.9, 0.99)}),
    (flux.AdaMax(), adamax, {}),
    (flux.AdaMax(0.1, (0.5, 0.75), 1e-3), adamax, {"eta": 0.1, "beta": (0.5, 0.75), "eps": 1e-3}),
    (flux.OAdam(), oadam, {}),
    (flux.OAdam(0.1, (0.9, 0.99), 1e-3), oadam, {"eta": 0.1, "beta": (0.9, 0.99), "eps": 1e-3}),
    (flux.AdaGrad(), adagrad, {}),
    (flux.AdaGrad(0.5, 1e-3), adagrad, {"eta": 0.5, "eps": 1e-3}),
    (flux.AdaDelta(), adadelta, {}),
    (flux.AdaDelta(0.5, 1e-3), adadelta, {"rho": 0.5, "eps": 1e-3}),
    (flux.AMSGrad(), amsgrad, {}),
    (flux.AMSGrad(0.1, (0.5, 0.75), 1e-3), amsgrad, {"eta": 0.1, "beta": (0.5, 0.75), "eps": 1e-3}),
    (flux.NAdam(), nadam, {}),
    (flux.NAdam(0.1, (0.5, 0.75), 1e-3), nadam, {"eta": 0.1, "beta": (0.5, 0.75), "eps": 1e-3}),
    (flux.AdaBelief(), adabelief, {}),
    (flux.AdaBelief(0.1, (0.5, 0.75), 1e-3), adabelief, {"eta": 0.1, "beta": (0.5, 0.75), "eps": 1e-3}),
    (flux.Lion(), lion, {}),
    (flux.Lion(0.1, (0.5, 0.75)), lion, {"eta": 0.1, "beta": (0.5, 0.75)}),
    (flux.WeightDecay(), modified(lambda x, g: g + 5e-4 * x), {}),
    (flux.WeightDecay(0.5), modified(lambda x, g: g + 0.5 * x), {}),
    (flux.SignDecay(), modified(lambda x, g: g + 1e-3 * np.sign(x)), {}),
    (flux.SignDecay(0.5), modified(lambda x, g: g + 0.5 * np.sign(x)), {}),
    (flux.ClipGrad(), modified(lambda x, g: np.clip(g, -10, 10)), {}),
    (flux.ClipGrad(0.75), modified(lambda x, g: np.clip(g, -0.75, 0.75)), {}),
    (flux.ClipNorm(), modified(lambda x, g: shortened(g, 10)), {}),
    (flux.ClipNorm(0.5, 1), modified(lambda x, g: shortened(g, 0.5, 1)), {}),
    (flux.ClipNorm(0.5, np.inf), modified(lambda x, g: shortened(g, 0.5, np.inf)), {}),
    (flux.AccumGrad(1), accumulated, {"n": 1}),
    (flux.AccumGrad(2), accumulated, {"n": 2}),
    (flux.MixedPrecision(flux.Adam(), "float64"), adam, {}),
    (flux.OptimiserChain(), descent, {"eta": 1}),
    (flux.Scheduler(flux.Exp(0.5, 0.5), flux.Momentum), paced, {"etas": lambda t: 0.5 ** (t + 1)}),
    (
        flux.Scheduler(
            flux.OptimiserChain(flux.WeightDecay(0.0), flux.Momentum()), eta=0.25, rho=flux.Exp(0.5, 0.5)
        ),
        paced,
        {"etas": lambda t: 0.25, "rhos": lambda t: 0.5 ** (t + 1)},
    ),
    (
        flux.OptimiserChain(flux.Scheduler(flux.Exp(0.5, 0.5), flux.Momentum()), flux.WeightDecay(0.0)),
        paced,
        {"etas": lambda t: 0.5 ** (t + 1)},
    ),
    (
        flux.MixedPrecision(flux.Scheduler(flux.Exp(0.5, 0.5), flux.Momentum()), "float64"),
        paced,
        {"etas": lambda t: 0.5 ** (t + 1)},
    ),
    (flux.OptimiserChain(flux.WeightDecay(0.5), flux.ClipGrad(1.0), flux.Momentum(0.1)), chained, {}),
    (flux.OptimiserChain(flux.ClipNorm(1e9), flux.OptimiserChain(flux.NAdam(0.1))), nadam, {"eta": 0.1}),
]
NAMES = [repr(rule) for rule, _, _ in ROWS]
