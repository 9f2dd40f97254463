"""Optimisers and schedules of PyTorch: the parameter after each step, and the learning rate before it."""

import numpy as np
import torch
from torch import optim
from torch.optim import lr_scheduler

X = np.random.default_rng(0).normal(size=(3, 4))
GRADIENTS = np.random.default_rng(1).normal(size=(8, 3, 4))
TINY = 1e-300


def steps(make, before=lambda w: None):
    def case():
        w = torch.tensor(X, requires_grad=True)
        rule = make([w])
        points = [X]
        for g in GRADIENTS:
            w.grad = torch.tensor(g)
            before(w)
            rule.step()
            points.append(w.detach().numpy().copy())
        return {"points": np.stack(points), "gradients": GRADIENTS}

    return case


def momentum(p):
    return optim.SGD(p, 0.3, momentum=0.8)


def whole_norm(p=2.0):
    """Two parameters whose gradients are clipped as one."""

    def case():
        w = {k: torch.tensor(v, requires_grad=True) for k, v in {"a": X[0], "b": X[1:]}.items()}
        rule = optim.Adam(w.values(), 0.1)
        for g in GRADIENTS:
            for k, part in {"a": g[0], "b": g[1:]}.items():
                w[k].grad = torch.tensor(part)
            torch.nn.utils.clip_grad_norm_(w.values(), 0.5, norm_type=p)
            rule.step()
        return w

    return case


RULES = {
    "SGD": steps(lambda p: optim.SGD(p, 0.3)),
    "SGD with momentum": steps(momentum),
    "SGD with Nesterov's momentum": steps(lambda p: optim.SGD(p, 0.3, momentum=0.8, nesterov=True)),
    "SGD with weight decay": steps(lambda p: optim.SGD(p, 0.3, momentum=0.8, weight_decay=0.2)),
    "Adam": steps(lambda p: optim.Adam(p, 0.1, (0.8, 0.99), 1e-3)),
    "AdamW": steps(lambda p: optim.AdamW(p, 0.1, (0.8, 0.99), 1e-3, weight_decay=0.2)),
    "RMSprop": steps(lambda p: optim.RMSprop(p, 0.1, 0.8, 1e-3)),
    "RMSprop, centred": steps(lambda p: optim.RMSprop(p, 0.1, 0.8, 1e-3, centered=True)),
    "Adadelta": steps(lambda p: optim.Adadelta(p, 1.0, 0.8, 1e-3)),
    "Rprop": steps(lambda p: optim.Rprop(p, 0.1, (0.4, 1.3), (0.05, 0.15))),
    "Adagrad": steps(lambda p: optim.Adagrad(p, 0.1, initial_accumulator_value=1e-3, eps=1e-3)),
    "Adamax": steps(lambda p: optim.Adamax(p, 0.1, (0.8, 0.99), TINY)),
    "RAdam": steps(lambda p: optim.RAdam(p, 0.1, (0.8, 0.99), TINY)),
    "NAdam": steps(lambda p: optim.NAdam(p, 0.1, (0.8, 0.99), TINY, momentum_decay=1e9)),
    "AMSGrad": steps(lambda p: optim.Adam(p, 0.1, (0.8, 0.99), TINY, amsgrad=True)),
    "clipped values": steps(momentum, lambda w: torch.nn.utils.clip_grad_value_([w], 0.5)),
    "clipped norm": steps(momentum, lambda w: torch.nn.utils.clip_grad_norm_([w], 0.5)),
    "clipped norm, p=1": steps(momentum, lambda w: torch.nn.utils.clip_grad_norm_([w], 0.5, norm_type=1)),
}

WHOLE = {"p=2": whole_norm(), "p=1": whole_norm(1.0), "p=inf": whole_norm(float("inf"))}


def rates(make, n=20):
    def case():
        rule = optim.SGD([torch.zeros(1, requires_grad=True)], 2.0, momentum=0.9)
        schedule = make(rule)
        values = []
        for _ in range(n):
            values.append(rule.param_groups[0]["lr"])
            rule.step()
            schedule.step()
        return {"rates": np.array(values)}

    return case


SCHEDULES = {
    "StepLR": rates(lambda r: lr_scheduler.StepLR(r, 4, 0.5)),
    "MultiStepLR": rates(lambda r: lr_scheduler.MultiStepLR(r, [3, 8, 9], 0.5)),
    "ExponentialLR": rates(lambda r: lr_scheduler.ExponentialLR(r, 0.8)),
    "PolynomialLR": rates(lambda r: lr_scheduler.PolynomialLR(r, 12, 2.0)),
    "CosineAnnealingLR": rates(lambda r: lr_scheduler.CosineAnnealingLR(r, 6, 0.5)),
    "CosineAnnealingWarmRestarts": rates(lambda r: lr_scheduler.CosineAnnealingWarmRestarts(r, 6, 1, 0.5)),
    "CyclicLR": rates(lambda r: lr_scheduler.CyclicLR(r, 0.5, 2.0, 4, 4, cycle_momentum=False)),
    "LinearLR": rates(lambda r: lr_scheduler.LinearLR(r, 0.25, 1.0, 5)),
    "LambdaLR, inverse": rates(lambda r: lr_scheduler.LambdaLR(r, lambda t: 1 / (1 + 0.5 * t) ** 2)),
}

THEMES = {"rules": RULES, "whole_norm": WHOLE, "schedules": SCHEDULES}
