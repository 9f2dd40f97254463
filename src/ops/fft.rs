//! Discrete Fourier transforms along an axis. Complex numbers are pairs: a last axis of two, the real and the imaginary part.

use super::Case;
use super::binary::as_float;
use super::movement::permute;
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::fourier::{self as kernel, Direction, Rows};
use crate::shape::{self, Dims};
use crate::tape::{
    Context, Differentiable, Grads, Known, Operation, Tensor, apply, choice, fields, parameters, readers,
};
use smallvec::SmallVec;

/// The transform of pairs along an axis.
#[derive(Clone, Copy, Debug)]
struct Pairs {
    direction: Direction,
    along: Along,
    /// The place of the axis from the end, where that of the pairs is 1.
    from_end: usize,
}

/// That of reals along the last axis, to pairs.
#[derive(Clone, Copy, Debug)]
struct Reals {
    along: Along,
    stands_for_mirror: bool,
}

/// That of half of a spectrum, as pairs, to reals.
#[derive(Clone, Copy, Debug)]
struct Halves {
    along: Along,
    stands_for_mirror: bool,
}

/// What all of them say of the axis.
#[derive(Clone, Copy, Debug)]
struct Along {
    /// The length of the transform: a shorter axis is continued with zeros, of a longer one the rest is left out.
    n: usize,
    /// The length of the axis in the result, likewise.
    to: usize,
    /// What all is multiplied by.
    scale: f64,
}

impl Along {
    /// The rows of an input, and the shape of the result; with `from` and `to` the number of elements for each place.
    fn rows(self, shape: &[usize], [from, to]: [usize; 2]) -> (Rows, Dims) {
        let at = shape.len() - from;
        let rows = shape::size(&shape[..at]);
        let mut out = Dims::from_slice(&shape[..at]);
        out.push(self.to);
        if to == 2 {
            out.push(2);
        }
        (Rows { rows, from: shape[at], n: self.n, to: self.to, inner: 1, scale: self.scale }, out)
    }

    /// That there is such a transform of an input whose axis is that far from its end, of so many numbers for each place.
    fn check(self, x: &Known<'_>, from_end: usize, [_, to]: [usize; 2]) -> Result<()> {
        x.floats([0])?;
        let mut shape = Dims::from_slice(x.shape(0));
        let at = shape.len() - from_end;
        shape[at] = self.to;
        shape.push(to);
        x.there_is(&shape)?;
        x.there_is(&[self.n, 4])?;
        x.holds(self.n > 0, || "a transform is of one number at least".into())
    }

    /// The transform that takes a gradient back to an axis of that length.
    fn back(self, to: usize) -> Along {
        Along { to, ..self }
    }
}

fn not_float(op: &str, x: &Array) -> Error {
    Error::DType(format!("{op}: not defined for {}", x.dtype()))
}

fields!(Along: n, to, scale);
choice!(Direction: Forward, Inverse);

/// The length of the axis of an input.
fn length(cx: &Context<'_>, from: usize) -> usize {
    let shape = cx.shape(0);
    shape[shape.len() - from]
}

impl Operation for Pairs {
    fn name(&self) -> &'static str {
        match self.direction {
            Direction::Forward => "fft",
            Direction::Inverse => "ifft",
        }
    }
    parameters! { direction, along, from_end }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.least_axes(0, 2)?;
        let shape = x.shape(0);
        x.holds((2..=shape.len()).contains(&self.from_end) && shape[shape.len() - 1] == 2, || {
            "there are no such pairs".into()
        })?;
        self.along.check(x, self.from_end, [2, 2])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0].contiguous()?;
        let mut shape = Dims::from_slice(x.shape());
        let at = shape.len() - self.from_end;
        let Along { n, to, scale } = self.along;
        let (rows, inner) = (shape::size(&shape[..at]), shape::size(&shape[at + 1..shape.len() - 1]));
        let rows = Rows { rows, from: std::mem::replace(&mut shape[at], to), n, to, inner, scale };
        each!(x.dtype(), float: T => {
            let values = x.values::<T>(self.name())?;
            Array::written(self.name(), &shape, |out| kernel::of_pairs(rows, self.direction, values, out))
        }, else Err(not_float(self.name(), &x)))
    }
}

impl Differentiable for Pairs {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let direction = self.direction.reversed();
        let back = |from| Pairs { direction, along: self.along.back(from), from_end: self.from_end };
        cx.each(|_| apply(back(length(cx, self.from_end)), &[g]))
    }
}

impl Operation for Reals {
    fn name(&self) -> &'static str {
        "rfft"
    }
    parameters! { along, stands_for_mirror }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.least_axes(0, 1)?;
        self.along.check(x, 1, [1, 2])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0].contiguous()?;
        let (rows, shape) = self.along.rows(x.shape(), [1, 2]);
        each!(x.dtype(), float: T => {
            let values = x.values::<T>("rfft")?;
            Array::written("rfft", &shape, |out| kernel::of_reals(rows, self.stands_for_mirror, values, out))
        }, else Err(not_float("rfft", &x)))
    }
}

impl Differentiable for Reals {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let back = |from| Halves { along: self.along.back(from), stands_for_mirror: self.stands_for_mirror };
        cx.each(|_| apply(back(length(cx, 1)), &[g]))
    }
}

impl Operation for Halves {
    fn name(&self) -> &'static str {
        "irfft"
    }
    parameters! { along, stands_for_mirror }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.least_axes(0, 2)?;
        x.holds(x.shape(0).ends_with(&[2]), || "there are no pairs".into())?;
        self.along.check(x, 2, [2, 1])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0].contiguous()?;
        let (rows, shape) = self.along.rows(x.shape(), [2, 1]);
        each!(x.dtype(), float: T => {
            let values = x.values::<T>("irfft")?;
            Array::written("irfft", &shape, |out| kernel::to_reals(rows, self.stands_for_mirror, values, out))
        }, else Err(not_float("irfft", &x)))
    }
}

impl Differentiable for Halves {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let back = |from| Reals { along: self.along.back(from), stands_for_mirror: self.stands_for_mirror };
        cx.each(|_| apply(back(length(cx, 2)), &[g]))
    }
}

readers! { "fft" => Pairs, "rfft" => Reals, "irfft" => Halves }

operations! {
    /// The discrete Fourier transform of pairs `(…, m, 2)` along an axis: element `k` of the result is the sum of
    /// `x[j] * exp(-2 pi i j k / n)` over `j`. The pair, a last axis of two, is a real and an imaginary part, and `axis` counts
    /// the axes before it. The axis is cut off at `n`, or continued with zeros. `norm` is "backward", "ortho", with a factor of
    /// `1 / sqrt(n)`, or "forward", with one of `1 / n`.
    fft(x; n: Option<isize> = None, axis: isize = -1, norm: String = String::from("backward")) {
        of_pairs("fft", Direction::Forward, x, n, axis, &norm)
    } cases [
        Case { f: |t| fft(&t[0], None, -1, "backward".into()), shapes: &[&[2, 5, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| fft(&t[0], Some(6), 0, "ortho".into()), shapes: &[&[4, 2, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| fft(&t[0], Some(3), 0, "forward".into()), shapes: &[&[4, 2, 2]], domain: (-1.0, 1.0) },
    ];
    /// The inverse of `fft`: with `exp(2 pi i j k / n)`, and a factor of `1 / n`, `1 / sqrt(n)` or 1 where `norm` is "backward",
    /// "ortho" or "forward".
    ifft(x; n: Option<isize> = None, axis: isize = -1, norm: String = String::from("backward")) {
        of_pairs("ifft", Direction::Inverse, x, n, axis, &norm)
    } cases [
        Case { f: |t| ifft(&t[0], None, -1, "backward".into()), shapes: &[&[2, 4, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| ifft(&t[0], Some(5), 0, "forward".into()), shapes: &[&[4, 2, 2]], domain: (-1.0, 1.0) },
    ];
    /// The Fourier transform of reals `(…, m)` along an axis: the first `n / 2 + 1` pairs of `fft`, for the others are their mirror
    /// images. They are a new last axis; the rest is that of `fft`.
    rfft(x; n: Option<isize> = None, axis: isize = -1, norm: String = String::from("backward")) {
        of_reals(x, n, axis, &norm)
    } cases [
        Case { f: |t| rfft(&t[0], None, -1, "backward".into()), shapes: &[&[2, 6]], domain: (-1.0, 1.0) },
        Case { f: |t| rfft(&t[0], Some(5), 0, "ortho".into()), shapes: &[&[7, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| rfft(&t[0], Some(4), 0, "forward".into()), shapes: &[&[3, 2]], domain: (-1.0, 1.0) },
    ];
    /// The inverse of `rfft`: `n` reals of the first `n / 2 + 1` pairs of a spectrum `(…, m, 2)`. Without `n`, they are `2 (m - 1)`.
    irfft(x; n: Option<isize> = None, axis: isize = -1, norm: String = String::from("backward")) {
        to_reals(x, n, axis, &norm)
    } cases [
        Case { f: |t| irfft(&t[0], None, -1, "backward".into()), shapes: &[&[2, 4, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| irfft(&t[0], Some(5), 0, "ortho".into()), shapes: &[&[4, 2, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| irfft(&t[0], Some(8), 0, "forward".into()), shapes: &[&[3, 2, 2]], domain: (-1.0, 1.0) },
    ];
}

/// What a transform of `n` numbers is multiplied by.
fn scale(op: &str, norm: &str, direction: Direction, n: usize) -> Result<f64> {
    match (norm, direction) {
        ("ortho", _) => Ok(1.0 / (n as f64).sqrt()),
        ("backward", Direction::Inverse) | ("forward", Direction::Forward) => Ok(1.0 / n as f64),
        ("backward" | "forward", _) => Ok(1.0),
        _ => {
            let known = "\"backward\", \"ortho\" or \"forward\"";
            Err(Error::Value(format!("{op}: norm is {known}, not {norm:?}")))
        }
    }
}

/// The length that is asked for, or the one that there would be else.
fn points(op: &str, n: Option<isize>, otherwise: usize) -> Result<usize> {
    let n = n.map_or(Ok(otherwise), usize::try_from).unwrap_or(0);
    let asked = "the transform has at least 1 point: give n, or an axis that is not empty";
    if n == 0 { Err(Error::Value(format!("{op}: {asked}"))) } else { Ok(n) }
}

/// The number of axes without that of the pairs.
fn pairs(op: &str, x: &Tensor) -> Result<usize> {
    if x.ndim() >= 2 && x.shape()[x.ndim() - 1] == 2 {
        return Ok(x.ndim() - 1);
    }
    let shape = shape::show(x.shape());
    let reals = "of reals, take rfft, or stack((x, zeros_like(x)), axis=-1)";
    Err(Error::Shape(format!(
        "{op}: expected pairs (…, n, 2) of a real and an imaginary part, got shape {shape}; {reals}"
    )))
}

/// Does `f` with the axis as the last of `axes`; those behind them are of the pair.
fn moved(x: &Tensor, axis: usize, axes: usize, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    if axis + 1 == axes {
        return f(x);
    }
    let order: SmallVec<[usize; 4]> =
        (0..axes).filter(|&i| i != axis).chain([axis]).chain(axes..x.ndim()).collect();
    let y = f(&permute(x, &order)?)?;
    let back: SmallVec<[usize; 4]> =
        (0..axis).chain([axes - 1]).chain(axis..axes - 1).chain(axes..y.ndim()).collect();
    permute(&y, &back)
}

fn of_pairs(
    op: &str,
    direction: Direction,
    x: &Tensor,
    n: Option<isize>,
    axis: isize,
    norm: &str,
) -> Result<Tensor> {
    let (x, axes) = (as_float(x)?, pairs(op, x)?);
    let axis = shape::axis(op, axis, axes)?;
    let n = points(op, n, x.shape()[axis])?;
    let along = Along { n, to: n, scale: scale(op, norm, direction, n)? };
    apply(Pairs { direction, along, from_end: axes + 1 - axis }, &[&x])
}

fn of_reals(x: &Tensor, n: Option<isize>, axis: isize, norm: &str) -> Result<Tensor> {
    let x = as_float(x)?;
    let axis = shape::axis("rfft", axis, x.ndim())?;
    let n = points("rfft", n, x.shape()[axis])?;
    let along = Along { n, to: n / 2 + 1, scale: scale("rfft", norm, Direction::Forward, n)? };
    moved(&x, axis, x.ndim(), |x| apply(Reals { along, stands_for_mirror: false }, &[x]))
}

fn to_reals(x: &Tensor, n: Option<isize>, axis: isize, norm: &str) -> Result<Tensor> {
    let (x, axes) = (as_float(x)?, pairs("irfft", x)?);
    let axis = shape::axis("irfft", axis, axes)?;
    let n = points("irfft", n, 2 * x.shape()[axis].saturating_sub(1))?;
    let along = Along { n, to: n, scale: scale("irfft", norm, Direction::Inverse, n)? };
    moved(&x, axis, axes, |x| apply(Halves { along, stands_for_mirror: true }, &[x]))
}
