//! Order: sorting, where things are in a sorted tensor, and where a tensor is not zero.

use super::movement::permute;
use super::{Case, take_along_axis};
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::sort as kernel;
use crate::shape;
use crate::tape::Tensor;
use smallvec::SmallVec;

operations! {
    /// The elements in ascending order along an axis, NaN last. Equal elements keep their order.
    sort(x; axis: isize = -1, descending: bool = false) = sorted, cases [
        Case { f: |t| sort(&t[0], 0, false), shapes: &[&[5, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| sort(&t[0], -1, true), shapes: &[&[2, 4]], domain: (-1.0, 1.0) },
    ];
    /// The places of the elements in ascending order along an axis, NaN last. Equal elements keep their order.
    argsort(x; axis: isize = -1, descending: bool = false) = sorting, cases [];
}

/// The axes with `axis` and the last exchanged.
fn to_last(x: &Array, axis: usize) -> SmallVec<[usize; 4]> {
    let mut order: SmallVec<[usize; 4]> = (0..x.ndim()).collect();
    order.swap(axis, x.ndim() - 1);
    order
}

fn sorting(x: &Tensor, axis: isize, descending: bool) -> Result<Tensor> {
    let axis = shape::axis("argsort", axis, x.ndim())?;
    let order = to_last(x.array(), axis);
    let rows = x.array().cast(x.dtype().widest())?.permute(&order)?.contiguous()?;
    let n = rows.shape()[rows.ndim() - 1];
    let count = rows.size().checked_div(n).unwrap_or(0);
    let out = each!(rows.dtype(), wide: T => {
        let values = rows.values::<T>("argsort")?;
        Array::written("argsort", rows.shape(), |out| kernel::argsort(count, n, values, out, descending))?
    });
    permute(&out.into(), &order)
}

fn sorted(x: &Tensor, axis: isize, descending: bool) -> Result<Tensor> {
    shape::axis("sort", axis, x.ndim())?;
    take_along_axis(x, &sorting(x, axis, descending)?, axis)
}

/// For each of `values` the place in the sorted vector `x` before which it would go: before equal ones, or with `right`
/// after them.
pub fn searchsorted(x: &Tensor, values: &Tensor, right: bool) -> Result<Tensor> {
    if x.ndim() != 1 {
        let shape = shape::show(x.shape());
        return Err(Error::Shape(format!("searchsorted: expected a vector to search in, got shape {shape}")));
    }
    let dtype = x.dtype().promote(values.dtype()).widest();
    let (x, v) = (x.array().cast(dtype)?.contiguous()?, values.array().cast(dtype)?.contiguous()?);
    let out = each!(dtype, wide: T => {
        let (x, values) = (x.values::<T>("searchsorted")?, v.values("searchsorted")?);
        Array::written("searchsorted", v.shape(), |out| kernel::searchsorted(x, values, right, out))?
    });
    Ok(out.into())
}
