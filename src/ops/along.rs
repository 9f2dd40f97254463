//! Elements by number along one axis: taken from there, added up there, and put there.

use super::index::at;
use super::movement::broadcast_to;
use super::numbers::{Numbers, given};
use super::{Case, add, astype, equal, select, sum};
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::along as kernel;
use crate::kernels::reduce::{Axis, Sum};
use crate::shape::{self, Axes};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Operation, Tensor, apply, compute, fields, parameters,
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
}

/// The elements of the first input that have the numbers of the second.
#[derive(Debug)]
struct GatherAlong(Along);
fields!(Along: axis, n);

impl Operation for GatherAlong {
    fn name(&self) -> &'static str {
        "take_along_axis"
    }
    parameters! { 0: along }
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (values, places) = (x[0].contiguous()?, x[1]);
        each!(values.dtype(), moved: T => {
            let x = values.values::<T>("take_along_axis")?;
            Array::written_as("take_along_axis", places.shape(), values.dtype(), |out| {
                kernel::gather(self.0.view(places.shape()), x, given(places), out)
            })
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

/// The opposite: the elements of the first input added up at the numbers of the second.
#[derive(Debug)]
struct AddAlong(Along);

impl Operation for AddAlong {
    fn name(&self) -> &'static str {
        "add_along_axis"
    }
    parameters! { 0: along }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (values, places) = (x[0].cast(x[0].dtype().widest())?.contiguous()?, x[1]);
        let shape = self.0.shape(places.shape());
        each!(values.dtype(), wide: T => {
            let mut out = Array::filled("add_along_axis", &shape, 0.0, values.dtype())?;
            let x = values.values::<T>("add_along_axis")?;
            kernel::fold::<Sum<T>, T>(self.0.view(places.shape()), x, given(places), out.make_mut::<T>()?);
            Ok(out)
        })
    }
}

impl Differentiable for AddAlong {
    fn keeps(&self) -> Keeps {
        Keeps::Constants
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        Ok(Grads::from_iter([Some(apply(GatherAlong(self.0), &[g, cx.constant(0)])?), None]))
    }
}

/// The first input with the elements of the second at the numbers of the third; of several with one number the last.
#[derive(Debug)]
struct PutAlong(Along);

impl Operation for PutAlong {
    fn name(&self) -> &'static str {
        "put_along_axis"
    }
    parameters! { 0: along }
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (mut out, values, places) = (x[0].contiguous()?, x[1].contiguous()?, x[2]);
        out.make_own()?;
        each!(out.dtype(), moved: T => {
            let (x, view) = (values.values::<T>("put_along_axis")?, self.0.view(places.shape()));
            kernel::put(view, x, given(places), out.values_mut("put_along_axis")?);
        });
        Ok(out)
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
            let own: Tensor = Array::from_fn("put_along_axis", places.shape(), |i| i as i64)?.into();
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

/// The axis and the numbers along it, counted from the front.
fn numbered(op: &'static str, x: &Tensor, indices: &Tensor, axis: isize) -> Result<(Along, Numbers)> {
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
    let n = x.shape()[axis];
    let given = Numbers::of(indices.array().clone())?;
    if given.iter().all(|&i| (0..n as i64).contains(&i)) {
        return Ok((Along { axis, n }, given));
    }
    let from_front = compute(FromFront(Along { axis, n }), &[given.tensor()])?;
    Ok((Along { axis, n }, Numbers::of(from_front.into_array())?))
}

/// Numbers of which negative ones count from the end, counted from the front.
#[derive(Debug)]
struct FromFront(Along);

impl Operation for FromFront {
    fn name(&self) -> &'static str {
        "from_front"
    }
    parameters! { 0: along }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let mut from_front = Array::full("from_front", x[0].shape(), 0i64)?;
        for (to, &i) in from_front.make_mut::<i64>()?.iter_mut().zip(given(x[0])) {
            *to = at(i as isize, self.0.axis, self.0.n)? as i64;
        }
        Ok(from_front)
    }
}

fn taken(x: &Tensor, indices: &Tensor, axis: isize) -> Result<Tensor> {
    let (along, places) = numbered("take_along_axis", x, indices, axis)?;
    if indices.size() == 0 {
        // Other axes may be longer than memory could number.
        return broadcast_to(&astype(&sum(x, Axes::All, false)?, x.dtype())?, indices.shape());
    }
    apply(GatherAlong(along), &[x, places.tensor()])
}

/// `values` as many as there are indices.
fn beside(op: &str, values: &Tensor, indices: &Tensor) -> Result<Tensor> {
    broadcast_to(values, indices.shape()).map_err(|_| {
        let (a, b) = (shape::show(values.shape()), shape::show(indices.shape()));
        Error::Shape(format!("{op}: values of shape {a} do not broadcast to the indices of shape {b}"))
    })
}

fn added(x: &Tensor, indices: &Tensor, values: &Tensor, axis: isize) -> Result<Tensor> {
    let (along, places) = numbered("scatter_along", x, indices, axis)?;
    let values = beside("scatter_along", values, indices)?;
    add(x, &astype(&apply(AddAlong(along), &[&values, places.tensor()])?, x.dtype())?)
}

fn put(x: &Tensor, indices: &Tensor, values: &Tensor, axis: isize) -> Result<Tensor> {
    let (along, places) = numbered("scatter_along", x, indices, axis)?;
    let values = beside("scatter_along", &astype(values, x.dtype())?, indices)?;
    apply(PutAlong(along), &[x, &values, places.tensor()])
}
