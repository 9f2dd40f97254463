"""The cases of `more_cases.py` in PyTorch; a plugin of `peers.py`."""

# ruff: noqa: F821
EAGER = TB[:2]  # where torch.compile refuses, or takes minutes


def parameters(spec, *names):
    return {name: TP(spec[name]) for name in names}


def chain(x, p, act, prefix=""):
    """Dense layers one after another, with a function between them."""
    import torch

    count = sum(name.startswith(prefix + "w") for name in p)
    for i in range(count):
        x = torch.nn.functional.linear(x, p[f"{prefix}w{i}"], p[f"{prefix}b{i}"])
        x = act(x) if i + 1 < count else x
    return x


def of_layers(spec, prefix=""):
    return {
        k: TP(v) for k, v in spec.items() if k.startswith((prefix + "w", prefix + "b")) and k[-1].isdigit()
    }


@impl("clip_adam", EAGER)
def _(s):
    import torch

    ps = [TP(a) for a in s["p"]]
    gs = [T(g) for g in s["g"]]
    opt = t_adam(ps)

    def step():
        for p, g in zip(ps, gs):
            p.grad = g
        torch.nn.utils.clip_grad_norm_(ps, 1.0)
        opt.step()

    return step


@impl([f"matmul_{n}" for n in (64, 128, 256, 512, 1024, 2048)], "torch")
def _(s):
    a, b = T(s["a"]), T(s["b"])
    return lambda: (a @ b)[0, 0]


@impl([f"matmul_{n}" for n in (64, 128, 256, 512, 1024, 2048)], "numpy")
def _(s):
    return lambda: (s["a"] @ s["b"])[0, 0]


@impl("experts", EAGER)
def _(s):
    import torch

    F = torch.nn.functional
    x, y, gate = T(s["x"]), T(s["y"]), TP(s["gate"])
    experts = [{k: TP(s[f"{k}_{i}"]) for k in ("w0", "b0", "w1", "b1")} for i in range(8)]

    def loss():
        weights, chosen = torch.topk(torch.softmax(x @ gate.T, -1), 2)
        out = torch.zeros_like(x)
        for i, p in enumerate(experts):
            rows, places = torch.where(chosen == i)
            out = out.index_add(0, rows, chain(x[rows], p, F.relu) * weights[rows, places, None])
        return F.mse_loss(out, y)

    return t_train(loss, t_adam([gate, *(v for p in experts for v in p.values())]))


@impl("siamese", TB)
def _(s):
    import torch

    a, b, same, p = T(s["a"]), T(s["b"]), T(s["same"]), of_layers(s)

    def loss():
        d = torch.cdist(chain(a, p, torch.relu), chain(b, p, torch.relu))
        return (same * d.square() + (1 - same) * torch.relu(4 - d).square()).mean()

    return t_train(loss, t_adam(list(p.values())))


@impl("vae", TB)
def _(s):
    import torch

    F = torch.nn.functional
    x, p = T(s["x"]), of_layers(s, "enc_") | of_layers(s, "dec_")
    noises = [T(s["noise"])]

    def loss(noise):
        mean, log_std = chain(x, p, F.relu, "enc_").chunk(2, -1)
        out = chain(mean + log_std.exp() * noise, p, F.relu, "dec_")
        rebuilt = F.binary_cross_entropy_with_logits(out, x, reduction="sum")
        return (rebuilt + ((2 * log_std).exp() + mean.square() - 1 - 2 * log_std).sum() / 2) / len(x)

    compiled = t_comp(loss)
    opt = t_adam(list(p.values()))

    def step():
        noise = noises.pop() if noises else torch.randn(128, 20)
        opt.zero_grad()
        value = compiled(noise)
        value.backward()
        opt.step()
        return value.detach()

    return step


@impl("separable", TB)
def _(s):
    import torch

    F = torch.nn.functional
    x, depth, point = _cl(T(s["x"])).requires_grad_(), TP(s["depth"]), TP(s["point"])
    p = parameters(s, "g0", "b0", "g1", "b1")

    def loss():
        h = F.relu(F.batch_norm(F.conv2d(x, depth, padding=1, groups=64), None, None, p["g0"], p["b0"], True))
        h = F.relu(F.batch_norm(F.conv2d(h, point), None, None, p["g1"], p["b1"], True))
        return h.square().mean()

    train = t_train(loss, torch.optim.SGD([depth, point, *p.values()], lr=1e-3))

    def step():
        x.grad = None
        return train()

    return step


@impl("masked_gru", EAGER)
def _(s):
    import torch

    m, p = torch.nn.GRU(64, 128, batch_first=True), of_layers(s)
    for part in ("ih", "hh"):
        getattr(m, f"weight_{part}_l0").data = T(s["w" + part])
        getattr(m, f"bias_{part}_l0").data = T(s["b" + part])
    x, t, lengths = T(s["x"]), T(s["t"]), T(s["lengths"])

    def loss():
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return torch.nn.functional.cross_entropy(chain(m(packed)[1][0], p, torch.relu), t)

    return t_train(loss, t_adam([*m.parameters(), *p.values()]))


@impl("groupnorm", TB)
def _(s):
    import torch

    F = torch.nn.functional
    x, w = _cl(T(s["x"])).requires_grad_(), _cl(T(s["w"])).requires_grad_()
    p = parameters(s, "b", "g", "h")

    def loss():
        h = F.conv2d(F.silu(F.group_norm(x, 8, p["g"], p["h"])), w, p["b"], padding=1)
        return (x + h).square().mean()

    train = t_train(loss, t_adam([w, *p.values()]))

    def step():
        x.grad = None
        return train()

    return step


@impl("penalty", EAGER)
def _(s):
    import torch

    real, fake, p = T(s["real"]), T(s["fake"]), of_layers(s)
    critic = lambda x: chain(x, p, torch.tanh)

    def loss():
        mixed = ((real + fake) / 2).requires_grad_()
        (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        penalty = (slope.square().sum(1).add(1e-12).sqrt() - 1).square().mean()
        return critic(fake).mean() - critic(real).mean() + 10 * penalty

    return t_train(loss, t_adam(list(p.values())))


@impl("kmeans", TB)
def _(s):
    import torch

    x, centres = T(s["x"]), T(s["centres"])

    def update():
        nearest = torch.cdist(x, centres).argmin(1)
        sums = torch.zeros(64, 32).index_add(0, nearest, x)
        return sums / torch.bincount(nearest, minlength=64).clamp(min=1)[:, None]

    f = t_comp(update)
    return lambda: f()[0, 0]


@impl("rotary", TB)
def _(s):
    import torch

    F = torch.nn.functional
    x, p = T(s["x"]), parameters(s, "wq", "wk", "wv", "wo")
    angles = torch.arange(256)[:, None] * 10000.0 ** (-torch.arange(32) / 32)
    cos, sin = angles.cos(), angles.sin()

    def turned(h):
        a, b = h.chunk(2, -1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    def loss():
        q, k, v = (F.linear(x, p["w" + n]).view(2, 256, 8, 64).transpose(1, 2) for n in "qkv")
        out = F.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=True)
        return F.linear(out.transpose(1, 2).reshape(2, 256, 512), p["wo"]).square().mean()

    return t_train(loss, t_adam(list(p.values())))


@impl("focal", TB)
def _(s):
    import torch

    x, y = TP(s["x"]), T(s["y"])

    def loss():
        ce = torch.nn.functional.binary_cross_entropy_with_logits(x, y, reduction="none")
        p = torch.sigmoid(x)
        wrong = y * (1 - p) + (1 - y) * p
        return ((0.25 * y + 0.75 * (1 - y)) * wrong.square() * ce).mean()

    f = t_comp(loss)

    def step():
        l = f()
        torch.autograd.grad(l, x)
        return l.detach()

    return step


@impl("ctc", EAGER)
def _(s):
    import torch

    F = torch.nn.functional
    x, y = TP(s["x"]), T(s["y"])
    lengths = torch.full((16,), 100), torch.full((16,), 20)

    def step():
        l = F.ctc_loss(F.log_softmax(x, -1).transpose(0, 1), y, *lengths, blank=31, reduction="none").mean()
        torch.autograd.grad(l, x)
        return l.detach()

    return step


@impl("ode", TB)
def _(s):
    import torch

    x, y, p = T(s["x"]), T(s["y"]), of_layers(s)

    def loss():
        h = x
        for _ in range(40):
            h = h + 0.025 * chain(h, p, torch.tanh)
        return torch.nn.functional.mse_loss(h, y)

    return t_train(loss, t_adam(list(p.values())))


@impl("ensemble", TB)
def _(s):
    import torch

    x, y, p = T(s["x"]), T(s["y"]), of_layers(s)

    def loss():
        h = x.expand(16, 64, 10)
        for i in range(3):
            h = torch.baddbmm(p[f"b{i}"][:, None], h, p[f"w{i}"].transpose(1, 2))
            h = torch.relu(h) if i < 2 else h
        return (h - y).square().mean()

    return t_train(loss, t_adam(list(p.values())))


@impl("sampled", TB)
def _(s):
    import torch

    h, table, words, t = T(s["h"]), TP(s["table"]), T(s["words"]), T(s["t"])
    loss = lambda: torch.nn.functional.cross_entropy(h @ table[words].T, t)
    return t_train(loss, torch.optim.SGD([table], lr=0.1))


@impl("series", TB)
def _(s):
    import torch

    m, p = torch.nn.LSTM(32, 64, batch_first=True), of_layers(s)
    for part in ("ih", "hh"):
        getattr(m, f"weight_{part}_l0").data = T(s["w" + part])
        getattr(m, f"bias_{part}_l0").data = T(s["b" + part])
    x, y, conv, bias = T(s["x"]), T(s["y"]), TP(s["conv"]), TP(s["cb"])

    def loss():
        h = torch.relu(torch.nn.functional.conv1d(x, conv, bias, padding=2)).transpose(1, 2)
        return torch.nn.functional.mse_loss(chain(m(h)[0][:, -1], p, torch.relu), y)

    return t_train(loss, t_adam([*m.parameters(), *p.values(), conv, bias]))


@impl("rbf", TB)
def _(s):
    import torch

    x, y = T(s["x"]), T(s["y"])
    centres, widths, weights = (TP(s[k]) for k in ("centres", "widths", "weights"))

    def loss():
        squares = ((x[:, None] - centres) ** 2).sum(-1)
        return torch.nn.functional.mse_loss((torch.exp(-torch.exp(widths) * squares) * weights).sum(-1), y)

    return t_train(loss, torch.optim.SGD([centres, widths, weights], lr=s["lr"]))


@impl("rbf", "jax")
def _(s):
    import jax

    def loss(p, d):
        squares = ((d[0][:, None] - p[0]) ** 2).sum(-1)
        rows = (jax.numpy.exp(-jax.numpy.exp(p[1]) * squares) * p[2]).sum(-1)
        return ((rows - d[1]) ** 2).mean()

    p = [J(s[k]) for k in ("centres", "widths", "weights")]
    return j_train(loss, p, (J(s["x"]), J(s["y"])), "sgd", s["lr"])


@impl("pinn", EAGER)
def _(s):
    import torch

    p, x, wanted = of_layers(s), TP(s["x"]), T(s["wanted"])

    def loss():
        u = chain(x, p, torch.tanh)
        (du,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        (ddu,) = torch.autograd.grad(du.sum(), x, create_graph=True)
        return torch.nn.functional.mse_loss(ddu, wanted)

    return t_train(loss, t_adam(list(p.values())))


@impl("pinn", "jax")
def _(s):
    import jax

    def network(p, x):
        for i in range(4):
            x = x @ p[f"w{i}"].T + p[f"b{i}"]
            x = jax.numpy.tanh(x) if i < 3 else x
        return x.sum()

    def loss(p, d):
        slope = jax.grad(network, 1)
        curvature = jax.grad(lambda x: slope(p, x).sum())(d[0])
        return ((curvature - d[1]) ** 2).mean()

    p = {k: J(v) for k, v in s.items() if k[0] in "wb" and k[-1].isdigit()}
    return j_train(loss, p, (J(s["x"]), J(s["wanted"])))
