"""Fourier transforms, whose numbers are pairs along a last axis in both worlds."""

from __future__ import annotations

import math

from ..recorded import Free, Size
from ..writer import Op, Writer
from .elementwise import Lowering, Term

__all__ = ["SPECTRA"]


def _transformed(
    g: Writer, x: str, rank: int, axis: int, n: Size, inverse: bool, onesided: bool = False
) -> str:
    """A transform along an axis that is counted without the pairs; the inverse one is divided by `n`."""
    is_line = rank == 1
    if is_line:
        x, axis = g.node("Unsqueeze", x, g.integers([0])), axis + 1
    length = g.node("Squeeze", g.size(n), g.integers([0])) if isinstance(n, Free) else g.number(n, "int64")
    options = {"inverse": int(inverse), "onesided": int(onesided)}
    if g.opset >= 20:
        y = str(g.node("DFT", x, length, g.number(axis, "int64"), **options))
    else:
        y = str(g.node("DFT", x, length, axis=axis, **options))
    return g.node("Squeeze", y, g.integers([0])) if is_line else y


def _scaled(g: Writer, op: Op, y: str, scale: Size, inverse: bool, n: Size) -> str:
    """What the parameters say in the place of ONNX's division by `n`."""
    pairs = zip(*(v if isinstance(v, Free) else [v] * _count(scale, n) for v in (scale, n)), strict=True)
    factors = [s * (m if inverse else 1) for s, m in pairs]
    if max(factors) - min(factors) > 1e-9 * max(factors):
        raise op.fail('a transform along a free axis has norm="backward"')
    if math.isclose(factors[0], 1, rel_tol=1e-12):
        return y
    return (Term(g, y, op.y.dtype) * float(factors[0])).name


def _count(*sizes: Size) -> int:
    return max((len(n) for n in sizes if isinstance(n, Free)), default=1)


def _fft(g: Writer, op: Op) -> str:
    p, rank = op.parameters, len(op.x.shape)
    n, inverse = p["along"]["n"], p["direction"] == "Inverse"
    y = _transformed(g, op[0], rank - 1, rank - p["from_end"], n, inverse)
    return _scaled(g, op, y, p["along"]["scale"], inverse, n)


def _rfft(g: Writer, op: Op) -> str:
    along, rank = op.parameters["along"], len(op.x.shape)
    if op.parameters["stands_for_mirror"]:
        raise op.fail("it is the gradient of irfft")
    pairs = g.node("Unsqueeze", op[0], g.integers([-1]))
    y = _transformed(g, pairs, rank, rank - 1, along["n"], False, onesided=True)
    return _scaled(g, op, y, along["scale"], False, along["n"])


def _irfft(g: Writer, op: Op) -> str:
    """The other half of the spectrum is the mirror of the first, with the other sign of what is imaginary."""
    along, rank = op.parameters["along"], len(op.x.shape)
    n, given = along["n"], op.x.shape[-2]
    if not op.parameters["stands_for_mirror"]:
        raise op.fail("it is the gradient of rfft")
    if isinstance(n, Free) or isinstance(given, Free):
        raise op.fail("the axis of an inverse transform to reals is free")
    half, axis, one = n // 2 + 1, g.integers([rank - 2]), g.integers([1])
    x = op[0]
    if given > half:
        x = g.node("Slice", x, g.integers([0]), g.integers([half]), axis, one)
    elif given < half:
        pads = [0] * (2 * rank)
        pads[2 * rank - 2] = half - given
        x = g.node("Pad", x, g.integers(pads))
    if n > 2:
        last = n - half
        mirror = g.node("Slice", x, g.integers([last]), g.integers([0]), axis, g.integers([-1]))
        signs = g.node(
            "Concat",
            *(g.node("Unsqueeze", g.number(s, op.x.dtype), g.integers([0])) for s in (1, -1)),
            axis=0,
        )
        x = g.node("Concat", x, g.node("Mul", mirror, signs), axis=rank - 2)
    y = _transformed(g, x, rank - 1, rank - 2, n, True)
    y = g.node(
        "Squeeze",
        g.node("Slice", y, g.integers([0]), one, g.integers([rank - 1]), one),
        g.integers([rank - 1]),
    )
    return _scaled(g, op, y, along["scale"], True, n)


def _stft(g: Writer, op: Op) -> str:
    frames, shape = op.parameters["frames"], op.x.shape
    if op.parameters["wanted"] != "Spectra" or frames["stands_for_mirror"]:
        raise op.fail("it is a gradient of stft")
    if isinstance(frames["n"], Free) or isinstance(frames["lead"], Free):
        raise op.fail("the length of a window is free")
    x = op[0]
    if len(shape) != 2:
        x = g.node("Reshape", x, g.node("Concat", g.integers([-1]), g.size(shape[-1]), axis=0))
    if frames["lead"]:
        mode = "reflect" if frames["reflects"] else "constant"
        x = g.node("Pad", x, g.integers([0, frames["lead"]] * 2), mode=mode)
    x = g.node("Unsqueeze", x, g.integers([-1]))
    step, length = (g.number(frames[key], "int64") for key in ("hop", "n"))
    y = g.node("STFT", x, step, op[1], length, onesided=1)
    if len(shape) != 2:
        found = g.node("Shape", y, start=1)
        rest = [g.sizes(shape[:-1])] if len(shape) > 1 else []
        y = g.node("Reshape", y, g.node("Concat", *rest, found, axis=0))
    return _scaled(g, op, y, frames["scale"], False, 1)


SPECTRA: dict[str, Lowering] = {
    "fft": _fft,
    "ifft": _fft,
    "rfft": _rfft,
    "irfft": _irfft,
    "stft": _stft,
}
