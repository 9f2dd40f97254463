//! Running extremes along an axis, by their places, and running logarithms of sums of exponentials.

use super::binary::{as_float, number};
use super::scan::chosen;
use super::{
    Case, abs, add, equal, exp, flip, greater, less, log, logical_not, logical_or, select, subtract,
};
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::reduce::Axis;
use crate::kernels::running as kernel;
use crate::shape;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, compute, in_single, parameters,
    readers,
};
use smallvec::SmallVec;

/// The place of the largest or the smallest element up to each, along an axis.
#[derive(Clone, Debug)]
struct Places {
    axis: usize,
    smallest: bool,
}

impl Operation for Places {
    fn name(&self) -> &'static str {
        "running_places"
    }
    parameters! { axis, smallest }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.ascending(0, &[self.axis])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let x = x[0].cast(x[0].dtype().widest())?.contiguous()?;
        let s = x.shape();
        let axis = Axis {
            outer: shape::size(&s[..self.axis]),
            n: s[self.axis],
            inner: shape::size(&s[self.axis + 1..]),
        };
        each!(x.dtype(), wide: T => {
            let values = x.values::<T>(self.name())?;
            Array::written(self.name(), s, |out| kernel::places(axis, values, self.smallest, out))
        })
    }
}

/// The logarithm of the sum of exponentials of the elements up to each, along an axis.
#[derive(Clone, Debug)]
struct LogCumSumExp(usize);

impl Operation for LogCumSumExp {
    fn name(&self) -> &'static str {
        "logcumsumexp"
    }
    parameters! { 0: axis }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.ascending(0, &[self.0])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let mut order: SmallVec<[usize; 4]> = (0..x[0].ndim()).collect();
        order.swap(self.0, x[0].ndim() - 1);
        let rows = x[0].permute(&order)?.contiguous()?;
        let n = rows.shape()[rows.ndim() - 1];
        let count = shape::size(&rows.shape()[..rows.ndim() - 1]);
        each!(rows.dtype(), float: T => {
            let values = rows.values::<T>(self.name())?;
            Array::written(self.name(), rows.shape(), |out| kernel::logsumexp(count, n, values, out))
        }, else Err(Error::DType(format!("logcumsumexp: not defined for {}", rows.dtype()))))?
        .permute(&order)
    }
}

impl Differentiable for LogCumSumExp {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        // Element `j` is the part `exp(x_j - y_i)` of each sum `i` from its place on. What is multiplied by these may be of
        // either sign, so that its positive and its negative parts are summed apart, as logarithms.
        let (x, y, zero) = (cx.input(0), cx.output(), number(0.0, g)?);
        let (axis, lowest) = (self.0 as isize, number(f64::NEG_INFINITY, g)?);
        let part = |wanted: &Tensor| -> Result<Tensor> {
            let size = select(wanted, &abs(g)?, &number(1.0, g)?)?;
            // Where a sum is minus infinity all its terms are, and none has a part of it.
            let none = logical_or(&logical_not(wanted)?, &equal(y, &lowest)?)?;
            let finite = select(&none, &zero, y)?;
            let logs = select(&none, &lowest, &subtract(&log(&size)?, &finite)?)?;
            let sums = flip(&apply(LogCumSumExp(self.0), &[&flip(&logs, axis.into())?])?, axis.into())?;
            let empty = logical_or(&equal(&sums, &lowest)?, &equal(x, &lowest)?)?;
            let exponent = add(&select(&empty, &zero, x)?, &select(&empty, &zero, &sums)?)?;
            select(&empty, &zero, &exp(&exponent)?)
        };
        cx.each(|_| subtract(&part(&greater(g, &zero)?)?, &part(&less(g, &zero)?)?))
    }
}

readers! { "running_places" => Places, "logcumsumexp" => LogCumSumExp }

operations! {
    /// The place along an axis of the last largest element up to each, or of the last NaN; or of the last smallest.
    running_places(x; axis: isize = -1, smallest: bool = false) {
        places(x, axis, smallest)
    } cases [];
    /// `log(cumulative_sum(exp(x)))` along an axis, which only a vector may leave out, without overflow: the sums are of what
    /// is relative to the largest element so far, in float64.
    logcumsumexp(x; axis: Option<isize> = None) {
        running(x, axis)
    } cases [
        Case { f: |t| logcumsumexp(&t[0], Some(1)), shapes: &[&[2, 4, 2]], domain: (-2.0, 2.0) },
        Case { f: |t| logcumsumexp(&t[0], None), shapes: &[&[5]], domain: (-2.0, 2.0) },
    ];
}

fn places(x: &Tensor, axis: isize, smallest: bool) -> Result<Tensor> {
    compute(Places { axis: shape::axis("running_places", axis, x.ndim())?, smallest }, &[x])
}

fn running(x: &Tensor, axis: Option<isize>) -> Result<Tensor> {
    if x.dtype().is_half() {
        return in_single(&[x], |x| running(x[0], axis));
    }
    let x = as_float(x)?;
    let axis = chosen("logcumsumexp", axis, &x)?;
    apply(LogCumSumExp(axis), &[&x])
}
