//! Elements by number along one axis: taken from there, added up there, and put there.

use super::index::at;
use super::movement::broadcast_to;
use super::numbers::{given, owned};
use super::{Case, astype, equal, select, sum};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::along as kernel;
use crate::kernels::reduce::{Axis, Sum};
use crate::shape::{self, Axes};
use crate::tape::made;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, compute, fields, parameters,
    readers,
};

/// The axis, and its length in the tensor whose elements are numbered.
#[derive(Clone, Copy, Debug)]
struct Along {
    axis: usize,
    n: usize,
}

impl Along {
    /// How the kernel sees what is numbered, beside numbers of this shape.
    fn view(self, places: &[usize]) -> Axis {
        let [outer, inner] = [&places[..self.axis], &places[self.axis + 1..]].map(shape::size);
        Axis { outer, n: self.n, inner }
    }
    /// The shape of what is numbered.
    fn shape(self, places: &[usize]) -> shape::Dims {
        let mut shape = shape::Dims::from_slice(places);
        shape[self.axis] = self.n;
        shape
    }
    /// That an input is of numbers along the axis: they are looked at as they are read.
    fn check(self, x: &Known<'_>, places: usize) -> Result<()> {
        x.typed(places, DType::I64)?;
        x.row_major(places)?;
        x.ascending(places, &[self.axis])
    }
    /// The error for the first of the numbers that is not along the axis.
    #[cold]
    fn outside(self, places: &[i64]) -> Error {
        let mut wrong = places.iter().filter_map(|&i| at(i as isize, self.axis, self.n).err());
        // They may have been other numbers when they were used.
        wrong.next().unwrap_or_else(|| Error::Index("index: the indices change while they are used".into()))
    }
}

/// The elements of the first input that have the numbers of the second.
#[derive(Clone, Debug)]
struct GatherAlong(Along);
fields!(Along: axis, n);

impl Operation for GatherAlong {
    fn name(&self) -> &'static str {
        "take_along_axis"
    }
    parameters! { 0: along }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        self.0.check(x, 1)?;
        x.shaped(0, &self.0.shape(x.shape(1)))
    }
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (values, places, view) = (x[0].contiguous()?, given(x[1]), self.0.view(x[1].shape()));
        each!(values.dtype(), moved: T => {
            let (from, mut is_whole) = (values.values::<T>("take_along_axis")?, true);
            let out = Array::written_as("take_along_axis", x[1].shape(), values.dtype(), |out| {
                let (out, found_all) = kernel::gather(view, from, places, out);
                is_whole = found_all;
                out
            });
            if is_whole { out } else { Err(self.0.outside(places)) }
        })
    }
}

impl Differentiable for GatherAlong {
    fn keeps(&self) -> Keeps {
        Keeps::Constants
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        Ok(Grads::from_iter([Some(apply(AddAlong(self.0), &[g, cx.constant(0)])?), None]))
    }
}

/// The opposite: the elements of the first input added up at the numbers of the second, onto the third if there is one.
#[derive(Clone, Debug)]
struct AddAlong(Along);

impl Operation for AddAlong {
    fn name(&self) -> &'static str {
        "add_along_axis"
    }
    parameters! { 0: along }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.between(2, 3)?;
        self.0.check(x, 1)?;
        x.shaped(0, x.shape(1))?;
        x.there_is(&self.0.shape(x.shape(1)))?;
        x.holds(x.dtype(0) == x.dtype(0).widest(), || "the sums have no room".into())?;
        if x.len() < 3 {
            return Ok(());
        }
        x.typed(2, x.dtype(0))?;
        x.shaped(2, &self.0.shape(x.shape(1)))
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (values, places, view) = (x[0].contiguous()?, given(x[1]), self.0.view(x[1].shape()));
        let mut out = match x.get(2) {
            Some(onto) => onto.copy()?,
            None => Array::filled("add_along_axis", &self.0.shape(x[1].shape()), 0.0, values.dtype())?,
        };
        each!(out.dtype(), wide: T => {
            let values = values.values::<T>("add_along_axis")?;
            match kernel::fold::<Sum<T>, T>(view, values, places, out.values_mut("add_along_axis")?) {
                true => Ok(out),
                false => Err(self.0.outside(places)),
            }
        })
    }
}

impl Differentiable for AddAlong {
    fn keeps(&self) -> Keeps {
        Keeps::Constants
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let values = cx.wants(0).then(|| apply(GatherAlong(self.0), &[g, cx.constant(0)])).transpose()?;
        let grads = [values, None, Some(g.clone())];
        Ok(grads.into_iter().take(cx.inputs()).collect())
    }
}

/// The first input with the elements of the second at the numbers of the third; of several with one number the last.
#[derive(Clone, Debug)]
struct PutAlong(Along);

impl Operation for PutAlong {
    fn name(&self) -> &'static str {
        "put_along_axis"
    }
    parameters! { 0: along }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        self.0.check(x, 2)?;
        x.typed(1, x.dtype(0))?;
        x.shaped(1, x.shape(2))?;
        x.shaped(0, &self.0.shape(x.shape(2)))
    }
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (mut out, values, places) = (x[0].contiguous()?, x[1].contiguous()?, x[2]);
        out.make_own()?;
        each!(out.dtype(), moved: T => {
            let (x, view) = (values.values::<T>("put_along_axis")?, self.0.view(places.shape()));
            match kernel::put(view, x, given(places), out.values_mut("put_along_axis")?) {
                true => Ok(out),
                false => Err(self.0.outside(given(places))),
            }
        })
    }
}

impl Differentiable for PutAlong {
    fn keeps(&self) -> Keeps {
        Keeps::Constants
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let places = cx.constant(0);
        let zero: Tensor = Array::filled("put_along_axis", &[], 0.0, g.dtype())?.into();
        let dx = if cx.wants(0) {
            let zeros = broadcast_to(&zero, places.shape())?;
            Some(apply(PutAlong(self.0), &[g, &zeros, places])?)
        } else {
            None
        };
        let dvalues = if cx.wants(1) {
            // What another element with its number was put over has no gradient.
            let own: Tensor = made(Array::from_fn("put_along_axis", places.shape(), |i| i as i64)?).into();
            let none: Tensor = Array::full("put_along_axis", g.shape(), -1i64)?.into();
            let put = compute(PutAlong(self.0), &[&none, &own, places])?;
            let stayed = equal(&compute(GatherAlong(self.0), &[&put, places])?, &own)?;
            let taken = apply(GatherAlong(self.0), &[g, places])?;
            Some(select(&stayed, &taken, &zero)?)
        } else {
            None
        };
        Ok(Grads::from_iter([dx, dvalues, None]))
    }
}

readers! { "take_along_axis" => GatherAlong, "add_along_axis" => AddAlong, "put_along_axis" => PutAlong }

operations! {
    /// For each place along the other axes, the elements along `axis` that an integer tensor names there.
    take_along_axis(x, indices; axis: isize = -1) {
        taken(x, indices, axis)
    } cases [
        Case { f: |t| take_along_axis(&t[0], &some_indices(&[2, 4])?, 1), shapes: &[&[2, 3]], domain: (-1.0, 1.0) },
    ];
    /// `x` with `values` added up at the places along `axis` that an integer tensor names, for each place along the other
    /// axes: the opposite of `take_along_axis`.
    add_along_axis(x, indices, values; axis: isize = -1) {
        added(x, indices, values, axis)
    } cases [
        Case { f: |t| add_along_axis(&t[0], &some_indices(&[2, 4])?, &t[1], 1), shapes: &[&[2, 3], &[2, 4]], domain: (-1.0, 1.0) },
    ];
    /// `x` with `values` in the place of the elements along `axis` that an integer tensor names, for each place along the
    /// other axes. Of several values for one place the last stays, and has the gradient.
    put_along_axis(x, indices, values; axis: isize = -1) {
        put(x, indices, values, axis)
    } cases [
        Case { f: |t| put_along_axis(&t[0], &some_indices(&[2, 4])?, &t[1], 1), shapes: &[&[2, 3], &[2, 4]], domain: (-1.0, 1.0) },
    ];
}

/// Indices for the checks: 0, 2, 1, 0, …
fn some_indices(shape: &[usize]) -> Result<Tensor> {
    let values: Vec<i64> = (0..shape::size(shape) as i64).map(|i| i * 2 % 3).collect();
    Ok(Array::from_slice(shape, &values)?.into())
}

/// The axis, and the numbers along it as an operation takes them, which checks each as it reads it. They are a copy where a
/// gradient that follows `recorded` reads them again.
fn numbered(
    op: &'static str,
    x: &Tensor,
    indices: &Tensor,
    axis: isize,
    recorded: &[&Tensor],
) -> Result<(Along, Tensor)> {
    if indices.dtype().is_float() {
        return Err(Error::DType(format!("{op}: indices are integers, not {}", indices.dtype())));
    }
    let axis = shape::axis(op, axis, x.ndim())?;
    let fits =
        indices.ndim() == x.ndim() && (0..x.ndim()).all(|i| i == axis || indices.shape()[i] == x.shape()[i]);
    if !fits {
        let (a, b) = (shape::show(x.shape()), shape::show(indices.shape()));
        return Err(Error::Shape(format!("{op}: shapes {a} and {b} differ beside axis {axis}")));
    }
    let numbers = if recorded.iter().any(|x| x.place().is_some()) {
        owned(indices.array().clone(), DType::I64)?
    } else {
        let numbers = astype(indices, DType::I64)?;
        if numbers.array().is_row_major() { numbers } else { owned(numbers.into_array(), DType::I64)? }
    };
    Ok((Along { axis, n: x.shape()[axis] }, numbers))
}

fn taken(x: &Tensor, indices: &Tensor, axis: isize) -> Result<Tensor> {
    let (along, places) = numbered("take_along_axis", x, indices, axis, &[x])?;
    if indices.size() == 0 {
        // Other axes may be longer than memory could number.
        return broadcast_to(&astype(&sum(x, Axes::All, false)?, x.dtype())?, indices.shape());
    }
    apply(GatherAlong(along), &[x, &places])
}

/// `values` as many as there are indices.
fn beside(op: &str, values: &Tensor, indices: &Tensor) -> Result<Tensor> {
    broadcast_to(values, indices.shape()).map_err(|_| {
        let (a, b) = (shape::show(values.shape()), shape::show(indices.shape()));
        Error::Shape(format!("{op}: values of shape {a} do not broadcast to the indices of shape {b}"))
    })
}

fn added(x: &Tensor, indices: &Tensor, values: &Tensor, axis: isize) -> Result<Tensor> {
    let (along, places) = numbered("scatter_along", x, indices, axis, &[x, values])?;
    let values = beside("scatter_along", values, indices)?;
    let wide = x.dtype().promote(values.dtype()).widest();
    let all = apply(AddAlong(along), &[&astype(&values, wide)?, &places, &astype(x, wide)?])?;
    astype(&all, x.dtype())
}

fn put(x: &Tensor, indices: &Tensor, values: &Tensor, axis: isize) -> Result<Tensor> {
    let (along, places) = numbered("scatter_along", x, indices, axis, &[x, values])?;
    let values = beside("scatter_along", &astype(values, x.dtype())?, indices)?;
    apply(PutAlong(along), &[x, &values, &places])
}
