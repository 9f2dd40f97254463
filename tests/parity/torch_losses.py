"""Losses and activations of PyTorch, with the gradients for their inputs."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (as everyone writes it)


def drawn(kind, shape=(6, 4), seed=0):
    x = torch.tensor(np.random.default_rng(seed).standard_normal(shape))
    return {
        "real": x, "positive": x.exp(), "unit": x.sigmoid(), "rows": x.softmax(-1), "sign": x.sign(),
        "counts": x.exp().round(),
    }[kind]  # fmt: skip


LABELS = torch.tensor([3, 0, 1, 1, 2, 3])


def loss(f, p, t):
    def case():
        prediction = drawn(p, seed=0).requires_grad_()
        target = LABELS if t == "labels" else drawn(t, seed=1)
        value = f(prediction, target)
        (grad,) = torch.autograd.grad(value, prediction)
        return {"prediction": prediction, "target": target, "value": value, "grad": grad}

    return case


def ctc(reduction):
    def case():
        logits = torch.tensor(np.random.default_rng(0).standard_normal((3, 9, 5))).requires_grad_()
        labels = torch.tensor(np.random.default_rng(1).integers(0, 4, (3, 3)))
        times, lengths = torch.tensor([9, 7, 8]), torch.tensor([3, 2, 1])
        value = F.ctc_loss(
            logits.log_softmax(-1).transpose(0, 1), labels, times, lengths, blank=4, reduction=reduction
        )
        (grad,) = torch.autograd.grad(value, logits)
        return {
            "prediction": logits, "target": labels, "times": times, "lengths": lengths, "value": value, "grad": grad,
        }  # fmt: skip

    return case


def kl(p, t):
    return F.kl_div(p.log(), t, reduction="batchmean")


LOSSES = {
    "mse": loss(F.mse_loss, "real", "real"),
    "mae": loss(F.l1_loss, "real", "real"),
    "huber": loss(F.huber_loss, "real", "real"),
    "huber, delta": loss(lambda p, t: F.huber_loss(p, t, delta=0.3), "real", "real"),
    "cross entropy of labels": loss(F.cross_entropy, "real", "labels"),
    "cross entropy of labels, summed": loss(
        lambda p, t: F.cross_entropy(p, t, reduction="sum"), "real", "labels"
    ),
    "cross entropy of probabilities": loss(F.cross_entropy, "real", "rows"),
    "cross entropy, smoothed": loss(
        lambda p, t: F.cross_entropy(p, t, label_smoothing=0.2), "real", "labels"
    ),
    "likelihood of labels": loss(lambda p, t: F.nll_loss(p.log(), t), "rows", "labels"),
    "binary cross entropy": loss(F.binary_cross_entropy, "unit", "unit"),
    "binary cross entropy of logits": loss(F.binary_cross_entropy_with_logits, "real", "unit"),
    "Kullback-Leibler": loss(kl, "rows", "rows"),
    "Poisson": loss(lambda p, t: F.poisson_nll_loss(p, t, log_input=False, eps=0), "positive", "counts"),
    "CTC, summed": ctc("sum"),
}

X = np.concatenate([np.linspace(-6, 6, 49) + 0.013, [-40.0, 40.0, -900.0, 900.0]])


def activation(f):
    """Values, and derivatives of first and second order."""

    def case():
        x = torch.tensor(X, requires_grad=True)
        y = f(x)
        (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        found = {"x": x, "y": y, "first": first}
        if not first.requires_grad:
            return found | {"second": torch.zeros_like(x)}
        try:
            return found | {"second": torch.autograd.grad(first.sum(), x)[0]}
        except RuntimeError:  # PyTorch has none of some that are made of straight lines.
            return found

    return case


ACTIVATIONS = {
    "celu": activation(F.celu),
    "celu, 0.3": activation(lambda x: F.celu(x, 0.3)),
    "elu": activation(F.elu),
    "elu, 0.3": activation(lambda x: F.elu(x, 0.3)),
    "gelu_erf": activation(F.gelu),
    "gelu_tanh": activation(lambda x: F.gelu(x, approximate="tanh")),
    "hardsigmoid": activation(F.hardsigmoid),
    "hardswish": activation(F.hardswish),
    "hardtanh": activation(F.hardtanh),
    "leakyrelu": activation(F.leaky_relu),
    "leakyrelu, 0.3": activation(lambda x: F.leaky_relu(x, 0.3)),
    "logsigmoid": activation(F.logsigmoid),
    "mish": activation(F.mish),
    "relu": activation(F.relu),
    "relu6": activation(F.relu6),
    "selu": activation(F.selu),
    "sigmoid": activation(torch.sigmoid),
    "softplus": activation(lambda x: torch.logaddexp(x, torch.zeros_like(x))),
    "softshrink": activation(F.softshrink),
    "softsign": activation(F.softsign),
    "swish": activation(F.silu),
    "tanh": activation(torch.tanh),
    "tanhshrink": activation(F.tanhshrink),
    "trelu": activation(lambda x: F.threshold(x, 1, 0)),
}

THEMES = {"losses": LOSSES, "activations": ACTIVATIONS}
