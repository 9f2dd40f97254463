//! Running sums and products along an axis, and the product over axes.

use super::gradient::through;
use super::movement::{permute, reshape_to};
use super::reduce::reduced_shape;
use super::view::narrow;
use super::{Case, concat, flip, multiply};
use crate::array::Array;
use crate::dtype::{Element, each};
use crate::error::{Error, Result};
use crate::kernels::reduce::{Axis, Fold, Prod, Sum};
use crate::kernels::scan as kernel;
use crate::shape::{self, Axes};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, in_single, parameters, readers,
};
use smallvec::SmallVec;

/// The folds of the elements of a row-major array up to each, along an axis.
fn running<K: Fold<In: Element, Out: Element>>(op: &'static str, x: &Array, axis: usize) -> Result<Array> {
    let (values, s) = (x.values(op)?, x.shape());
    let along = Axis { outer: shape::size(&s[..axis]), n: s[axis], inner: shape::size(&s[axis + 1..]) };
    Array::written(op, s, |out| kernel::scan::<K>(along, values, out))
}

/// The sum of the elements up to each, along an axis.
#[derive(Clone, Debug)]
struct CumulativeSum(usize);

impl Operation for CumulativeSum {
    fn name(&self) -> &'static str {
        "cumulative_sum"
    }
    parameters! { 0: axis }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.ascending(0, &[self.0])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0].cast(x[0].dtype().widest())?.contiguous()?;
        each!(x.dtype(), wide: T => running::<Sum<T>>(self.name(), &x, self.0))
    }
}

impl Differentiable for CumulativeSum {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        // What an element is part of are the sums from its place on.
        let axis = self.0 as isize;
        cx.each(|_| flip(&apply(CumulativeSum(self.0), &[&flip(g, axis.into())?])?, axis.into()))
    }
}

/// The product of the elements up to each, along an axis.
#[derive(Clone, Debug)]
struct CumulativeProduct(usize);

impl Operation for CumulativeProduct {
    fn name(&self) -> &'static str {
        "cumulative_prod"
    }
    parameters! { 0: axis }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.ascending(0, &[self.0])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0].cast(x[0].dtype().widest())?.contiguous()?;
        each!(x.dtype(), wide: T => running::<Prod<T>>(self.name(), &x, self.0))
    }
}

impl Differentiable for CumulativeProduct {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        through(cx, g, |x| doubled(&x[0], self.0))
    }
}

readers! { "cumulative_sum" => CumulativeSum, "cumulative_prod" => CumulativeProduct }

operations! {
    /// The sum of the elements up to each, along an axis, which only a vector may leave out. Integers are summed in 64 bits.
    cumulative_sum(x; axis: Option<isize> = None) {
        apply(CumulativeSum(chosen("cumulative_sum", axis, x)?), &[x])
    } cases [
        Case { f: |t| cumulative_sum(&t[0], Some(1)), shapes: &[&[2, 4, 2]], domain: (-1.0, 1.0) },
    ];
    /// The product of the elements up to each, along an axis, which only a vector may leave out. Integers are multiplied in
    /// 64 bits.
    cumulative_prod(x; axis: Option<isize> = None) {
        apply(CumulativeProduct(chosen("cumulative_prod", axis, x)?), &[x])
    } cases [
        Case { f: |t| cumulative_prod(&t[0], Some(0)), shapes: &[&[4, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| cumulative_prod(&super::subtract(&t[0], &t[0])?, Some(0)), shapes: &[&[3]], domain: (0.5, 1.0) },
    ];
    /// The product over axes. Integers are multiplied in 64 bits.
    prod(x; axis: Axes = Axes::All, keepdims: bool = false) {
        product(x, axis, keepdims)
    } cases [
        Case { f: |t| prod(&t[0], Axes::All, false), shapes: &[&[2, 3]], domain: (-1.0, 1.0) },
        Case { f: |t| prod(&t[0], [0, 2].into(), true), shapes: &[&[2, 3, 2]], domain: (0.5, 1.5) },
        Case { f: |t| prod(&super::subtract(&t[0], &t[0])?, 0.into(), false), shapes: &[&[2]], domain: (0.5, 1.5) },
    ];
}

/// The axis, which must be given where there is a choice.
pub(super) fn chosen(op: &str, axis: Option<isize>, x: &Tensor) -> Result<usize> {
    match axis {
        None if x.ndim() > 1 => {
            Err(Error::Value(format!("{op}: a tensor of {} axes needs `axis`", x.ndim())))
        }
        _ => shape::axis(op, axis.unwrap_or(-1), x.ndim()),
    }
}

/// [`CumulativeProduct`] by doubling: after step `s` each element holds the product of the `2^s` up to it. All of it has
/// gradients, zeros included.
fn doubled(x: &Tensor, axis: usize) -> Result<Tensor> {
    let n = x.shape()[axis];
    let (mut y, mut reach) = (x.clone(), 1);
    while reach < n {
        let head = narrow(&y, axis, 0, reach)?;
        let rest = multiply(&narrow(&y, axis, reach, n - reach)?, &narrow(&y, axis, 0, n - reach)?)?;
        y = concat(&[&head, &rest], axis as isize)?;
        reach *= 2;
    }
    Ok(y)
}

/// By halves: a tree of products, whose gradients need no division and so are right where there are zeros.
fn product(x: &Tensor, axis: Axes, keepdims: bool) -> Result<Tensor> {
    let axes = axis.resolve("prod", x.ndim())?;
    if x.dtype().is_half() {
        return in_single(&[x], |x| product(x[0], axis, keepdims));
    }
    let order: SmallVec<[usize; 4]> =
        (0..x.ndim()).filter(|i| !axes.contains(i)).chain(axes.iter().copied()).collect();
    let rows: usize = order[..x.ndim() - axes.len()].iter().map(|&i| x.shape()[i]).product();
    let n: usize = axes.iter().map(|&i| x.shape()[i]).product();
    let kept = reduced_shape(x.shape(), &axes, keepdims);
    let moved = reshape_to(&permute(x, &order)?, &[rows, n])?;
    if n == 0 {
        return Ok(Array::filled("prod", &kept, 1.0, x.dtype().widest())?.into());
    }
    let mut y = super::astype(&moved, x.dtype().widest())?;
    while y.shape()[1] > 1 {
        let n = y.shape()[1];
        let half = n / 2;
        let low = narrow(&y, 1, 0, half)?;
        let halves = multiply(&low, &narrow(&y, 1, half, half)?)?;
        y = if n % 2 == 0 { halves } else { concat(&[&halves, &narrow(&y, 1, n - 1, 1)?], 1)? };
    }
    reshape_to(&y, &kept)
}
