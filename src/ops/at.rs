//! A copy of a tensor with a part changed: what an assignment does in place, as a function with a gradient.

use super::binary::number;
use super::index::{Named, Resolved, is_whole, resolve, spread};
use super::movement::{permute, reshape_to};
use super::numbers::{Numbers, given};
use super::scatter::{Gather, rows_of, scatter_rows};
use super::view::{put, ranges_of, slice};
use super::{Index, add, astype, divide, equal, maximum, minimum, multiply, select};
use crate::array::{Array, Range};
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::reduce::{Max, Min, Sum};
use crate::kernels::scatter as kernel;
use crate::shape::Dims;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, parameters, readers,
};
use smallvec::SmallVec;

/// What becomes of a part and the values that come to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The values; of several for one place the last.
    Set,
    /// The sum of all.
    Add,
    /// The product of all.
    Multiply,
    /// The least of all.
    Min,
    /// The largest of all.
    Max,
}

impl Change {
    /// What two become.
    fn both(self, x: &Tensor, value: &Tensor) -> Result<Tensor> {
        let both = match self {
            Change::Set => return Ok(value.clone()),
            Change::Add => add(x, value),
            Change::Multiply => multiply(x, value),
            Change::Min => minimum(x, value),
            Change::Max => maximum(x, value),
        };
        astype(&both?, x.dtype())
    }
}

/// The tensor with another one in ranges of its axes.
#[derive(Clone, Debug)]
struct Put(SmallVec<[Range; 4]>);

impl Operation for Put {
    fn name(&self) -> &'static str {
        "put"
    }
    parameters! { 0: ranges }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.alike()?;
        ranges_of(x, x.shape(0), &self.0)?;
        x.shaped(1, &self.0.iter().map(|r| r.length).collect::<Dims>())
    }
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        if is_whole(&self.0, x[0].shape()) {
            return Ok(x[1].clone());
        }
        let mut out = x[0].clone();
        put(&mut out, &self.0, x[1])?;
        Ok(out)
    }
}

impl Differentiable for Put {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| match i {
            0 => {
                let lengths: Dims = self.0.iter().map(|r| r.length).collect();
                apply(Put(self.0.clone()), &[g, &zeros(&lengths, g.dtype())?])
            }
            _ => slice(g, &self.0),
        })
    }
}

/// Matrices `(outer, of, width)` with rows `(outer, rows, width)` at their numbers, of which a row that is named twice keeps
/// the last.
#[derive(Clone, Debug)]
struct PutRows {
    of: usize,
}

impl Operation for PutRows {
    fn name(&self) -> &'static str {
        "put"
    }
    parameters! { of }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        x.typed(1, x.dtype(0))?;
        rows_of(x, 0, Some(1), 2, self.of)
    }
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (rows, values, mut out) = (given(x[2]), x[1].contiguous()?, x[0].copy()?);
        let (outer, width) = (out.shape()[0], out.shape()[2]);
        each!(out.dtype(), moved: T => {
            let values = values.values::<T>("put")?;
            kernel::overwrite(outer, rows, self.of, width, values, out.values_mut("put")?);
        });
        Ok(out)
    }
}

impl Differentiable for PutRows {
    fn keeps(&self) -> Keeps {
        Keeps::Constants
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let (rows, of) = (cx.constant(0), self.of);
        let shape = [g.shape()[0], rows.size(), g.shape()[2]];
        let changed = || apply(PutRows { of }, &[g, &zeros(&shape, g.dtype())?, rows]);
        let kept = || -> Result<Tensor> {
            let taken = apply(Gather { of }, &[g, rows])?;
            rows.array().is_looked_at();
            match lasting(given(rows.array()), of)? {
                Some(last) => select(&last, &taken, &zeros(&[], g.dtype())?),
                None => Ok(taken),
            }
        };
        let wants = |i: usize| cx.wants(i);
        Ok(Grads::from_iter([
            if wants(0) { Some(changed()?) } else { None },
            if wants(1) { Some(kept()?) } else { None },
            None,
        ]))
    }
}

/// Which of the rows are the last of their number, `(rows, 1)`, unless all are.
fn lasting(rows: &[i64], of: usize) -> Result<Option<Tensor>> {
    let mut last = vec![usize::MAX; of];
    rows.iter().enumerate().for_each(|(i, &row)| last[row as usize] = i);
    let is_last: Vec<bool> = rows.iter().enumerate().map(|(i, &row)| last[row as usize] == i).collect();
    if is_last.iter().all(|&is_last| is_last) {
        return Ok(None);
    }
    Ok(Some(Array::from_slice(&[rows.len(), 1], &is_last)?.into()))
}

/// Matrices `(outer, of, width)` with rows `(outer, rows, width)` added at their numbers.
#[derive(Clone, Debug)]
struct AddRows {
    of: usize,
}

impl Operation for AddRows {
    fn name(&self) -> &'static str {
        "index_add"
    }
    parameters! { of }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        x.typed(1, x.dtype(0))?;
        rows_of(x, 0, Some(1), 2, self.of)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (rows, values, mut out) = (given(x[2]), x[1].contiguous()?, x[0].copy()?);
        let (outer, width) = (out.shape()[0], out.shape()[2]);
        each!(out.dtype(), wide: T => {
            let values = values.values::<T>("index_add")?;
            kernel::scatter::<Sum<T>, T>(outer, rows, self.of, width, values, out.values_mut("index_add")?);
        });
        Ok(out)
    }
}

impl Differentiable for AddRows {
    fn keeps(&self) -> Keeps {
        Keeps::Constants
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let values = cx.wants(1).then(|| apply(Gather { of: self.of }, &[g, cx.constant(0)]));
        Ok(Grads::from_iter([Some(g.clone()), values.transpose()?, None]))
    }
}

/// Matrices `(outer, of, width)` with the largest, or least, of what they have at some numbers of rows and of the rows
/// `(outer, rows, width)` that come there. Equals share the gradient, for they may come from one value.
#[derive(Clone, Debug)]
struct ExtremeRows {
    of: usize,
    largest: bool,
}

impl Operation for ExtremeRows {
    fn name(&self) -> &'static str {
        if self.largest { "max" } else { "min" }
    }
    parameters! { of, largest }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        x.typed(1, x.dtype(0))?;
        rows_of(x, 0, Some(1), 2, self.of)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (rows, values, mut out) = (given(x[2]), x[1].contiguous()?, x[0].copy()?);
        let (outer, width) = (out.shape()[0], out.shape()[2]);
        each!(out.dtype(), wide: T => {
            let fold =
                if self.largest { kernel::scatter::<Max<T>, T> } else { kernel::scatter::<Min<T>, T> };
            fold(outer, rows, self.of, width, values.values("put")?, out.values_mut("put")?);
        });
        Ok(out)
    }
}

impl Differentiable for ExtremeRows {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let rows = cx.constant(0);
        let taken = |x: &Tensor| apply(Gather { of: self.of }, &[x, rows]);
        let (wins, win) = (equal(cx.input(0), cx.output())?, equal(cx.input(1), &taken(cx.output())?)?);
        let (zero, one) = (zeros(&[], g.dtype())?, number(1.0, g)?);
        let count =
            add(&astype(&wins, g.dtype())?, &scatter_rows(&astype(&win, g.dtype())?, rows, self.of, "+")?)?;
        // Nothing wins where there is NaN.
        let share = divide(g, &maximum(&count, &one)?)?;
        let values = cx.wants(1).then(|| select(&win, &taken(&share)?, &zero));
        let of_x = cx.wants(0).then(|| select(&wins, &share, &zero));
        Ok(Grads::from_iter([of_x.transpose()?, values.transpose()?, None]))
    }
}

fn zeros(shape: &[usize], dtype: DType) -> Result<Tensor> {
    Ok(Array::filled("put", shape, 0.0, dtype)?.into())
}

/// The matrices with what becomes of their rows and these.
fn at_rows(x: &Tensor, values: &Tensor, rows: &Numbers, of: usize, change: Change) -> Result<Tensor> {
    if change == Change::Set {
        return apply(PutRows { of }, &[x, values, rows.tensor()]);
    }
    let dtype = x.dtype();
    let (x, values) = (astype(x, dtype.widest())?, astype(values, dtype.widest())?);
    let inputs = [&x, &values, rows.tensor()];
    let all = match change {
        Change::Add => apply(AddRows { of }, &inputs),
        Change::Multiply => multiply(&x, &scatter_rows(&values, rows.tensor(), of, "*")?),
        _ => apply(ExtremeRows { of, largest: change == Change::Max }, &inputs),
    };
    astype(&all?, dtype)
}

/// A copy of `x` in which the part `x[key]` has been changed: the value broadcasts to the part and takes the type of `x`.
///
/// ```
/// use oxiflux::{Tensor, index};
/// use oxiflux::ops::{Change, changed};
/// let x = Tensor::from([1, 2, 3, 4]);
/// let y = changed(&x, index![&Tensor::from([0, 0, 2])], &Tensor::from(5), Change::Add)?;
/// assert_eq!(y.to_vec::<i64>()?, [11, 2, 8, 4]);
/// # Ok::<(), oxiflux::Error>(())
/// ```
pub fn changed(x: &Tensor, key: &[Index], value: &Tensor, change: Change) -> Result<Tensor> {
    if x.dtype() == DType::Bool && change != Change::Set {
        return Err(Error::DType("index: a part of a bool tensor can be set, but not computed with".into()));
    }
    let value = astype(value, x.dtype())?;
    let resolved = resolve(x.shape(), key)?;
    let Resolved { ranges, view, .. } = &resolved;
    let part = || -> Result<Tensor> {
        let part = if is_whole(ranges, x.shape()) { x.clone() } else { slice(x, ranges)? };
        reshape_to(&part, view)
    };
    let new = match resolved.named()? {
        None if change == Change::Set => spread(&value, view)?,
        None => change.both(&part()?, &spread(&value, view)?)?,
        Some(Named { order, matrices, rows, shape }) => {
            let values = spread(&value, &shape)?;
            let values = reshape_to(&values, &[matrices[0], rows.len(), matrices[2]])?;
            let ordered = permute(&part()?, &order)?;
            let new = at_rows(&reshape_to(&ordered, &matrices)?, &values, &rows, matrices[1], change)?;
            let mut back = vec![0; order.len()];
            order.iter().enumerate().for_each(|(i, &axis)| back[axis] = i);
            let new = permute(&reshape_to(&new, ordered.shape())?, &back)?;
            if is_whole(ranges, x.shape()) {
                return reshape_to(&new, x.shape());
            }
            new
        }
    };
    let lengths: Dims = ranges.iter().map(|r| r.length).collect();
    apply(Put(ranges.iter().copied().collect()), &[x, &reshape_to(&new, &lengths)?])
}

readers! { "put" => Put, "put_rows" => PutRows, "add_rows" => AddRows, "extreme_rows" => ExtremeRows }

/// In Python it is a method, `x.at[key].set(value)`, whose tests check the gradients of all kinds of keys.
pub(super) const OPS: &[super::Op] = &[];
