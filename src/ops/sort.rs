//! Order: sorting, where things are in a sorted tensor, and where a tensor is not zero.

use super::{Case, take_along_axis};
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::sort as kernel;
use crate::shape;
use crate::tape::{Known, Operation, Tensor, compute, parameters, readers};
use smallvec::SmallVec;

readers! { "argsort" => Argsort, "searchsorted" => SearchSorted }

operations! {
    /// The elements in ascending order along an axis, NaN last. Equal elements keep their order.
    sort(x; axis: isize = -1, descending: bool = false) {
        shape::axis("sort", axis, x.ndim())?;
        take_along_axis(x, &sorting(x, axis, descending)?, axis)
    } cases [
        Case { f: |t| sort(&t[0], 0, false), shapes: &[&[5, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| sort(&t[0], -1, true), shapes: &[&[2, 4]], domain: (-1.0, 1.0) },
    ];
    /// The places of the elements in ascending order along an axis, NaN last. Equal elements keep their order.
    argsort(x; axis: isize = -1, descending: bool = false) {
        sorting(x, axis, descending)
    } cases [];
}

/// The places of the elements in order along an axis.
#[derive(Clone, Debug)]
struct Argsort {
    axis: usize,
    descending: bool,
}

impl Operation for Argsort {
    fn name(&self) -> &'static str {
        "argsort"
    }
    parameters! { axis, descending }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.ascending(0, &[self.axis])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let mut order: SmallVec<[usize; 4]> = (0..x[0].ndim()).collect();
        order.swap(self.axis, x[0].ndim() - 1);
        let rows = x[0].cast(x[0].dtype().widest())?.permute(&order)?.contiguous()?;
        let n = rows.shape()[rows.ndim() - 1];
        let count = rows.size().checked_div(n).unwrap_or(0);
        each!(rows.dtype(), wide: T => {
            let values = rows.values::<T>("argsort")?;
            Array::written("argsort", rows.shape(), |out| {
                kernel::argsort(count, n, values, out, self.descending)
            })
        })?
        .permute(&order)
    }
}

fn sorting(x: &Tensor, axis: isize, descending: bool) -> Result<Tensor> {
    compute(Argsort { axis: shape::axis("argsort", axis, x.ndim())?, descending }, &[x])
}

/// The places of the second input's numbers in the sorted vector that is the first.
#[derive(Clone, Debug)]
struct SearchSorted {
    right: bool,
}

impl Operation for SearchSorted {
    fn name(&self) -> &'static str {
        "searchsorted"
    }
    parameters! { right }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.axes(0, 1)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let dtype = x[0].dtype().promote(x[1].dtype()).widest();
        let (x, v) = (x[0].cast(dtype)?.contiguous()?, x[1].cast(dtype)?.contiguous()?);
        each!(dtype, wide: T => {
            let (x, values) = (x.values::<T>("searchsorted")?, v.values("searchsorted")?);
            Array::written("searchsorted", v.shape(), |out| kernel::searchsorted(x, values, self.right, out))
        })
    }
}

/// For each of `values` the place in the sorted vector `x` before which it would go: before equal ones, or with `right`
/// after them.
pub fn searchsorted(x: &Tensor, values: &Tensor, right: bool) -> Result<Tensor> {
    if x.ndim() != 1 {
        let shape = shape::show(x.shape());
        return Err(Error::Shape(format!("searchsorted: expected a vector to search in, got shape {shape}")));
    }
    compute(SearchSorted { right }, &[x, values])
}
