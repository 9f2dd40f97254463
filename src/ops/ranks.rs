//! The places of elements by their rank, without sorting all of them.

use super::{Case, take_along_axis};
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::ranks as kernel;
use crate::shape::{self, Dims};
use crate::tape::{Known, Operation, Tensor, compute, parameters, readers};
use smallvec::SmallVec;

/// The places of the first `k` elements in order along an axis.
#[derive(Clone, Debug)]
struct First {
    k: usize,
    axis: usize,
    descending: bool,
}

/// The places of the elements of the given ranks, in ascending order, along an axis.
#[derive(Clone, Debug)]
struct Ranked {
    ranks: SmallVec<[usize; 4]>,
    axis: usize,
}

/// `f` of rows along an axis, each of which gives `k` places: it is told how many rows there are, and how long they are.
fn by_rows(
    x: &Array,
    axis: usize,
    k: usize,
    f: impl FnOnce(&Array, [usize; 2], &[usize]) -> Result<Array>,
) -> Result<Array> {
    let mut order: SmallVec<[usize; 4]> = (0..x.ndim()).collect();
    order.swap(axis, x.ndim() - 1);
    let rows = x.cast(x.dtype().widest())?.permute(&order)?.contiguous()?;
    let n = rows.shape()[rows.ndim() - 1];
    let count = shape::size(&rows.shape()[..rows.ndim() - 1]);
    let mut shape = Dims::from_slice(rows.shape());
    shape[rows.ndim() - 1] = k;
    f(&rows, [count, n], &shape)?.permute(&order)
}

impl Operation for First {
    fn name(&self) -> &'static str {
        "argfirst"
    }
    parameters! { k, axis, descending }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.ascending(0, &[self.axis])?;
        x.holds(self.k <= x.shape(0)[self.axis], || format!("there are no {} elements", self.k))
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        by_rows(x[0], self.axis, self.k, |x, [rows, n], shape| {
            each!(x.dtype(), wide: T => {
                let values = x.values::<T>(self.name())?;
                Array::written(self.name(), shape, |out| {
                    kernel::first([rows, n, self.k], values, out, self.descending)
                })
            })
        })
    }
}

impl Operation for Ranked {
    fn name(&self) -> &'static str {
        "argranked"
    }
    parameters! { ranks, axis }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.ascending(0, &[self.axis])?;
        let n = x.shape(0)[self.axis];
        let fits = self.ranks.is_sorted() && self.ranks.iter().all(|&rank| rank < n);
        x.holds(fits, || format!("{:?} are no ranks of {n}", self.ranks))
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        by_rows(x[0], self.axis, self.ranks.len(), |x, [rows, n], shape| {
            each!(x.dtype(), wide: T => {
                let values = x.values::<T>(self.name())?;
                Array::written(self.name(), shape, |out| kernel::ranked([rows, n], &self.ranks, values, out))
            })
        })
    }
}

readers! { "argfirst" => First, "argranked" => Ranked }

operations! {
    /// The places of the first `k` elements in ascending order along an axis, NaN last. Equal elements keep their order.
    argfirst(x; k: usize, axis: isize = -1, descending: bool = false) {
        first(x, k, axis, descending)
    } cases [
        Case {
            f: |t| take_along_axis(&t[0], &argfirst(&t[0], 2, 0, true)?, 0),
            shapes: &[&[5, 2]],
            domain: (-1.0, 1.0),
        },
    ];
    /// The places of the elements that have the given ranks in ascending order along an axis, NaN last. Ranks ascend.
    argranked(x; ranks: Vec<usize>, axis: isize = -1) {
        ranked(x, ranks, axis)
    } cases [
        Case {
            f: |t| take_along_axis(&t[0], &argranked(&t[0], vec![1, 3], -1)?, -1),
            shapes: &[&[2, 4]],
            domain: (-1.0, 1.0),
        },
    ];
}

fn first(x: &Tensor, k: usize, axis: isize, descending: bool) -> Result<Tensor> {
    let axis = shape::axis("argfirst", axis, x.ndim())?;
    if k > x.shape()[axis] {
        let shape = shape::show(x.shape());
        return Err(Error::Value(format!(
            "argfirst: axis {axis} of shape {shape} has no first {k} elements"
        )));
    }
    compute(First { k, axis, descending }, &[x])
}

fn ranked(x: &Tensor, ranks: Vec<usize>, axis: isize) -> Result<Tensor> {
    let axis = shape::axis("argranked", axis, x.ndim())?;
    if ranks.windows(2).any(|w| w[0] >= w[1]) || ranks.last().is_some_and(|&r| r >= x.shape()[axis]) {
        let shape = shape::show(x.shape());
        return Err(Error::Value(format!(
            "argranked: {ranks:?} are not ascending ranks along axis {axis} of shape {shape}"
        )));
    }
    compute(Ranked { ranks: ranks.into(), axis }, &[x])
}
