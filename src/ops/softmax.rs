//! Softmax and its logarithm, logsumexp, and the gated linear unit.

use super::binary::{as_float, number};
use super::movement::{permute, reshape_to};
use super::reduce::reduced_shape;
use super::view::narrow;
use super::{Case, equal, multiply, select, subtract, sum};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::fuse::Fusible;
use crate::kernels::softmax as kernel;
use crate::shape::{self, Axes};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, compute, is_captured, parameters,
    readers,
};
use smallvec::SmallVec;

/// Rows and their length, of a tensor that is normalised along its last axis.
fn rows(x: &Array) -> (usize, usize) {
    let n = x.shape()[x.ndim() - 1];
    (shape::size(&x.shape()[..x.ndim() - 1]), n)
}

fn not_float<T>(op: &str, x: &Array) -> Result<T> {
    Err(Error::DType(format!("{op}: not defined for {}", x.dtype())))
}

/// Softmax along the last axis, or its logarithm.
#[derive(Clone, Debug)]
struct Softmax {
    log: bool,
}

impl Operation for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "logsoftmax" } else { "softmax" }
    }
    parameters! { log }
    fn fused(&self, x: &[DType]) -> Option<Fusible> {
        each!(x[0], float: T => Some(match self.log {
            true => Fusible::rowwise::<T>(0.5, kernel::logsoftmax),
            false => Fusible::rowwise::<T>(0.5, kernel::softmax),
        }), else None)
    }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.least_axes(0, 1)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0].contiguous()?;
        let ((rows, n), op) = (rows(&x), self.name());
        each!(x.dtype(), float: T => {
            let values = x.values::<T>(op)?;
            Array::written(op, x.shape(), |out| match self.log {
                true => kernel::logsoftmax(rows, n, values, out),
                false => kernel::softmax(rows, n, values, out),
            })
        }, else not_float(op, &x))
    }
}

impl Differentiable for Softmax {
    fn keeps(&self) -> Keeps {
        Keeps::Output
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        // softmax: y (g - sum(g y)); logsoftmax: g - exp(y) sum(g).
        let y = cx.output();
        cx.each(|_| {
            if self.log {
                return subtract(g, &multiply(&super::exp(y)?, &sum(g, (-1).into(), true)?)?);
            }
            multiply(y, &subtract(g, &sum(&multiply(g, y)?, (-1).into(), true)?)?)
        })
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        Some(cx.each(|_| compute(SoftmaxGradient { log: self.log }, &[cx.output(), g])))
    }
}

/// The gradient of [`Softmax`] in one pass, of its result and the gradient for that.
#[derive(Clone, Debug)]
struct SoftmaxGradient {
    log: bool,
}

impl Operation for SoftmaxGradient {
    fn name(&self) -> &'static str {
        if self.log { "logsoftmax" } else { "softmax" }
    }
    parameters! { log }
    fn fused(&self, x: &[DType]) -> Option<Fusible> {
        each!(x[0], float: T => Some(match self.log {
            true => Fusible::rowwise_of_two::<T>(0.5, kernel::logsoftmax_grad),
            false => Fusible::rowwise_of_two::<T>(0.5, kernel::softmax_grad),
        }), else None)
    }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.least_axes(0, 1)?;
        x.shaped(1, x.shape(0))?;
        x.alike()
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (y, g) = (x[0].contiguous()?, x[1].contiguous()?);
        let ((rows, n), op) = (rows(&y), self.name());
        each!(y.dtype(), float: T => {
            let (values, g) = (y.values::<T>(op)?, g.values(op)?);
            Array::written(op, y.shape(), |out| match self.log {
                true => kernel::logsoftmax_grad(rows, n, values, g, out),
                false => kernel::softmax_grad(rows, n, values, g, out),
            })
        }, else not_float(op, &y))
    }
}

/// The logarithm of the sum of exponentials along the last axis, which it drops.
#[derive(Clone, Debug)]
struct LogSumExp;

impl Operation for LogSumExp {
    fn name(&self) -> &'static str {
        "logsumexp"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.least_axes(0, 1)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0].contiguous()?;
        let ((rows, n), lead) = (rows(&x), &x.shape()[..x.ndim() - 1]);
        each!(x.dtype(), float: T => {
            let values = x.values::<T>("logsumexp")?;
            Array::written("logsumexp", lead, |out| kernel::logsumexp(rows, n, values, out))
        }, else not_float("logsumexp", &x))
    }
}

impl Differentiable for LogSumExp {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| {
            let kept = reduced_shape(cx.shape(i), &[cx.shape(i).len() - 1], true);
            multiply(
                &reshape_to(g, &kept)?,
                &apply(Softmax { log: false }, &[&even(cx.input(i), cx.output())?])?,
            )
        })
    }
}

/// The tensor with zeros in the rows whose `logsumexp` is `-inf`: nothing but `-inf`, they share alike, as in `logaddexp`.
fn even(x: &Tensor, most: &Tensor) -> Result<Tensor> {
    let empty = equal(most, &number(f64::NEG_INFINITY, most)?)?;
    // A program has none today and may have some tomorrow.
    if !is_captured() && !empty.array().to_vec::<bool>()?.contains(&true) {
        return Ok(x.clone());
    }
    let rows = reduced_shape(x.shape(), &[x.ndim() - 1], true);
    select(&reshape_to(&empty, &rows)?, &number(0.0, x)?, x)
}

readers! { "softmax" => Softmax, "softmax_gradient" => SoftmaxGradient, "logsumexp" => LogSumExp }

operations! {
    /// `exp(x)` scaled to sum to 1 along an axis, safe for large `x`.
    softmax(x; axis: isize = -1) {
        along("softmax", x, axis, |x| apply(Softmax { log: false }, &[x]))
    } cases [
        Case { f: |t| softmax(&t[0], -1), shapes: &[&[2, 5]], domain: (-2.0, 2.0) },
        Case { f: |t| softmax(&t[0], 0), shapes: &[&[4, 3, 2]], domain: (-2.0, 2.0) },
    ];
    /// The logarithm of `softmax`, without its loss of digits.
    logsoftmax(x; axis: isize = -1) {
        along("logsoftmax", x, axis, |x| apply(Softmax { log: true }, &[x]))
    } cases [
        Case { f: |t| logsoftmax(&t[0], -1), shapes: &[&[2, 5]], domain: (-2.0, 2.0) },
        Case { f: |t| logsoftmax(&t[0], 1), shapes: &[&[2, 3, 4]], domain: (-2.0, 2.0) },
    ];
    /// The first half of an axis times the sigmoid of the second.
    glu(x; axis: isize = -1) {
        let axis = shape::axis("glu", axis, x.ndim())?;
        let n = x.shape()[axis];
        if !n.is_multiple_of(2) {
            let shape = shape::show(x.shape());
            return Err(Error::Shape(format!(
                "glu: axis {axis} of shape {shape} has length {n}, which has no halves"
            )));
        }
        multiply(&narrow(x, axis, 0, n / 2)?, &super::sigmoid(&narrow(x, axis, n / 2, n / 2)?)?)
    } cases [
        Case { f: |t| glu(&t[0], 0), shapes: &[&[4, 3]], domain: (-2.0, 2.0) },
    ];
    /// `log(sum(exp(x)))` over axes, without overflow.
    logsumexp(x; axis: Axes = Axes::All, keepdims: bool = false) {
        let x = as_float(x)?;
        let axes = axis.resolve("logsumexp", x.ndim())?;
        let order: SmallVec<[usize; 4]> =
            (0..x.ndim()).filter(|i| !axes.contains(i)).chain(axes.iter().copied()).collect();
        let kept = &order[..x.ndim() - axes.len()];
        let mut dims: shape::Dims = kept.iter().map(|&i| x.shape()[i]).collect();
        dims.push(axes.iter().map(|&i| x.shape()[i]).product());
        let moved =
            if order.windows(2).all(|w| w[0] < w[1]) { x.clone().into_owned() } else { permute(&x, &order)? };
        let y = apply(LogSumExp, &[&reshape_to(&moved, &dims)?])?;
        reshape_to(&y, &reduced_shape(x.shape(), &axes, keepdims))
    } cases [
        Case { f: |t| logsumexp(&t[0], 1.into(), true), shapes: &[&[2, 5]], domain: (-2.0, 2.0) },
        Case { f: |t| logsumexp(&t[0], [0, 2].into(), false), shapes: &[&[2, 3, 4]], domain: (-2.0, 2.0) },
    ];
}

/// Does something along the last axis for any axis.
fn along(
    op: &'static str,
    x: &Tensor,
    axis: isize,
    f: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let x = as_float(x)?;
    let axis = shape::axis(op, axis, x.ndim())?;
    if axis + 1 == x.ndim() {
        return f(&x);
    }
    let mut order: SmallVec<[usize; 4]> = (0..x.ndim()).collect();
    order.swap(axis, x.ndim() - 1);
    permute(&f(&permute(&x, &order)?)?, &order)
}
