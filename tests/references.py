"""What layers compute, in NumPy, by their definitions: one window, query or step at a time, in float64."""

import itertools

import numpy as np

# Convolution


def correlation(x, w, stride, pad, dilation, groups=1):
    """For each element of the window, the pixels it sees times its matrix."""
    dims = w.ndim - 2
    window, each, out = w.shape[:dims], w.shape[dims], w.shape[-1] // groups
    x = np.pad(x.astype(np.float64), [(0, 0), *zip(pad[::2], pad[1::2], strict=True), (0, 0)])
    counts = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(x.shape[1:-1], window, stride, dilation, strict=True)
    ]
    y = np.zeros((x.shape[0], *counts, w.shape[-1]))
    for element in np.ndindex(*window):
        seen = tuple(
            slice(k * d, k * d + (n - 1) * s + 1, s)
            for k, d, n, s in zip(element, dilation, counts, stride, strict=True)
        )
        pixels = x[(slice(None), *seen)]
        for g in range(groups):
            channels = pixels[..., g * each : (g + 1) * each]
            y[..., g * out : (g + 1) * out] += channels @ w[element][:, g * out : (g + 1) * out]
    return y


def transposed(x, w, stride, pad, dilation, outpad, groups=1):
    """Each pixel adds its copy of the window to the result."""
    dims = w.ndim - 2
    window, out, each = w.shape[:dims], w.shape[dims], w.shape[-1] // groups
    lengths = [
        (n - 1) * s + (k - 1) * d + 1 + o
        for n, k, s, d, o in zip(x.shape[1:-1], window, stride, dilation, outpad, strict=True)
    ]
    y = np.zeros((x.shape[0], *lengths, out * groups))
    for pixel in np.ndindex(*x.shape[1:-1]):
        for element in np.ndindex(*window):
            at = tuple(p * s + k * d for p, s, k, d in zip(pixel, stride, element, dilation, strict=True))
            for g in range(groups):
                value = x[(slice(None), *pixel)][:, g * each : (g + 1) * each]
                matrix = w[element][:, g * each : (g + 1) * each]
                y[(slice(None), *at)][:, g * out : (g + 1) * out] += value @ matrix.T
    crop = tuple(slice(b, n - a) for b, a, n in zip(pad[::2], pad[1::2], lengths, strict=True))
    return y[(slice(None), *crop)]


# Pooling


def pooled(x, f, fill, window, stride, pad, dilation=None, ceil_mode=False):
    """`f(box, axis)` of every window, a box of shape `(batch, *window, channels)`, over the padded array.

    With `ceil_mode` a window may reach past the padding, where there is NaN.
    """
    sides = list(zip(pad[::2], pad[1::2], strict=True))
    before = x.shape[1:-1]
    x = np.pad(x, [(0, 0), *sides, (0, 0)], constant_values=fill)
    dilation = (1,) * len(window) if dilation is None else dilation
    reach = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
    places = [range(0, n - r + 1, s) for n, r, s in zip(x.shape[1:-1], reach, stride, strict=True)]
    if ceil_mode:
        # As long as something is left, and the image or the padding before it has the start.
        places = [
            [p for p in range(0, n + s - r + 1, s) if p < m + side[0] and p - s + r < n]
            for n, r, s, m, side in zip(x.shape[1:-1], reach, stride, before, sides, strict=True)
        ]
        more = [max(0, p[-1] + r - n) for p, r, n in zip(places, reach, x.shape[1:-1], strict=True)]
        x = np.pad(x, [(0, 0), *((0, n) for n in more), (0, 0)], constant_values=np.nan)
    out = np.zeros((x.shape[0], *map(len, places), x.shape[-1]), x.dtype)
    for to in itertools.product(*(range(len(p)) for p in places)):
        box = [slice(p[i], p[i] + r, d) for p, i, r, d in zip(places, to, reach, dilation, strict=True)]
        out[:, *to] = f(x[:, *box], axis=tuple(range(1, x.ndim - 1)))
    return out


def adaptive(lengths, size):
    """The windows and strides with which `lengths` become `size`."""
    stride = tuple(n // m for n, m in zip(lengths, size, strict=True))
    return tuple(n - (m - 1) * s for n, m, s in zip(lengths, size, stride, strict=True)), stride


def interpolated(x, lengths, align_corners=True):
    """Each axis by `numpy.interp`, which holds the ends."""
    for axis, m in enumerate(lengths, start=1):
        n = x.shape[axis]
        if align_corners:
            at = np.linspace(0, n - 1, m) if m > 1 else np.zeros(1)
        else:
            at = (np.arange(m) + 0.5) * n / m - 0.5
        rows = [np.interp(at, np.arange(n), row) for row in np.moveaxis(x, axis, -1).reshape(-1, n)]
        x = np.moveaxis(np.reshape(rows, (*np.delete(x.shape, axis), m)), -1, axis)
    return x


def cubic(x, lengths, align_corners=True, a=-0.75):
    """Each axis by Keys' kernel, element by element, with the ends past the ends."""

    def kernel(d):
        d = abs(d)
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

    for axis, m in enumerate(lengths, start=1):
        rows, n = np.moveaxis(x, axis, 0), x.shape[axis]
        y = np.zeros((m, *rows.shape[1:]))
        for i in range(m) if n != m else ():
            at = i * (n - 1) / max(1, m - 1) if align_corners else (i + 0.5) * n / m - 0.5
            for j in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
                y[i] += kernel(at - j) * rows[min(max(j, 0), n - 1)]
        x = np.moveaxis(rows if n == m else y, 0, axis)
    return x


def shuffled(x, r):
    """Every pixel of the result from the channel that it was."""
    n = x.ndim - 2
    y = np.zeros((len(x), *(r * k for k in x.shape[1:-1]), x.shape[-1] // r**n), x.dtype)
    for to in np.ndindex(y.shape):
        channel = to[-1]
        for k in to[1:-1]:
            channel = channel * r + k % r
        y[to] = x[(to[0], *(k // r for k in to[1:-1]), channel)]
    return y


# Normalisation


def moments(x, axes):
    """The mean and the variance over axes."""
    x = x.astype(np.float64)
    return x.mean(axes, keepdims=True), x.var(axes, keepdims=True)


def normal(x, axes, eps=1e-5):
    """What has mean 0 and variance 1 over axes."""
    mean, var = moments(x, axes)
    return (x - mean) / np.sqrt(var + eps)


def root_mean_square(x, axes, eps=1e-5):
    """What has a mean square of 1 over axes."""
    x = x.astype(np.float64)
    return x / np.sqrt((x**2).mean(axes, keepdims=True) + eps)


def grouped(x, groups, eps=1e-5):
    """The group norm of `(batch, …, channels)`, a group at a time."""
    y = np.empty(x.shape)
    for part in np.split(np.arange(x.shape[-1]), groups):
        y[..., part] = normal(x[..., part], tuple(range(1, x.ndim)), eps)
    return y


# Recurrence: the parameters of a cell, the input of a step and the states give the new states, the output first.


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(p, x, h):
    return (np.tanh(x @ p.weight_ih + h @ p.weight_hh + p.bias),)


def lstm(p, x, h, c):
    i, f, g, o = np.split(x @ p.weight_ih + h @ p.weight_hh + p.bias, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(p, x, h):
    xr, xz, xn = np.split(x @ p.weight_ih + p.bias, 3, axis=-1)
    hr, hz, hn = np.split(h @ p.weight_hh + p.bias_hh, 3, axis=-1)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    return ((1 - z) * np.tanh(xn + r * hn) + z * h,)


def gruv3(p, x, h):
    xr, xz, xn = np.split(x @ p.weight_ih + p.bias, 3, axis=-1)
    hr, hz = np.split(h @ p.weight_hh, 2, axis=-1)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    return ((1 - z) * np.tanh(xn + (r * h) @ p.weight_candidate) + z * h,)


def sequence(step, p, x, *states):
    """The outputs of each step of `(…, time, features)`, and the last states."""
    outputs = []
    for t in range(x.shape[-2]):
        states = step(p, x[..., t, :].astype(np.float64), *states)
        outputs.append(states[0])
    return np.stack(outputs, axis=-2), states


# Attention


def shared(x, nheads, kv_heads):
    """Each head as often as heads of queries meet it."""
    heads = np.split(x, kv_heads, axis=-1)
    return np.concatenate([heads[h * kv_heads // nheads] for h in range(nheads)], axis=-1)


def attention(q, k, v, bias=None, mask=None, nheads=1, causal=False, kv_heads=None):
    """Result and scores, head by head and query by query."""
    k, v = (shared(x, nheads, kv_heads or nheads) for x in (k, v))
    batch, queries, keys = q.shape[:-2], q.shape[-2], k.shape[-2]
    full = (*batch, nheads, queries, keys)
    bias = np.broadcast_to(0.0 if bias is None else bias, full)
    mask = np.broadcast_to(True if mask is None else mask, full)
    heads = [np.split(x.astype(np.float64), nheads, axis=-1) for x in (q, k, v)]
    y = np.zeros((*batch, queries, v.shape[-1]))
    scores = np.zeros(full)
    for b in np.ndindex(*batch):
        for h in range(nheads):
            qh, kh, vh = (x[h][b] for x in heads)
            for i in range(queries):
                seen = mask[(*b, h, i)] & ((np.arange(keys) <= i) | (not causal))
                if not seen.any():
                    continue
                logits = kh[seen] @ qh[i] / np.sqrt(qh.shape[-1]) + bias[(*b, h, i)][seen]
                p = np.exp(logits - logits.max())
                scores[(*b, h, i)][seen] = p / p.sum()
                y[(*b, i)][h * vh.shape[-1] : (h + 1) * vh.shape[-1]] = scores[(*b, h, i)] @ vh
    return y, scores


# Places in a sequence


def waves(length, features, base=1e4, offset=0):
    """Number by number."""
    table = np.zeros((length, features))
    for t, j in np.ndindex(length, features):
        angle = (t + offset) / base ** ((j - j % 2) / features)
        table[t, j] = np.cos(angle) if j % 2 else np.sin(angle)
    return table


def turned(x, width, base=1e4, offset=0, interleaved=False):
    """Pairs of features as complex numbers, times numbers of length 1."""
    x = x.astype(np.float64)
    y = np.zeros(x.shape)
    for t, head, i in np.ndindex(x.shape[-2], x.shape[-1] // width, width // 2):
        a, b = (2 * i, 2 * i + 1) if interleaved else (i, i + width // 2)
        a, b = a + head * width, b + head * width
        z = (x[..., t, a] + 1j * x[..., t, b]) * np.exp(1j * (t + offset) / base ** (2 * i / width))
        y[..., t, a], y[..., t, b] = z.real, z.imag
    return y
