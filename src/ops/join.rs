//! Tensors put together along an axis.

use super::movement::reshape_to;
use super::view::narrow;
use super::{Case, binary};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::put as kernel;
use crate::shape::{self, Dims};
use crate::tape::{Context, Differentiable, Grads, Known, Operation, Tensor, apply, parameters, readers};
use std::borrow::Cow;

#[derive(Clone, Debug)]
struct Concat {
    axis: usize,
    lengths: Dims,
}

impl Operation for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }
    parameters! { axis, lengths }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.between(1, usize::MAX)?;
        x.alike()?;
        let first = x.shape(0);
        x.holds(self.axis < first.len() && self.lengths.len() == x.len(), || {
            format!("{self:?} is of other inputs")
        })?;
        for (i, &n) in self.lengths.iter().enumerate() {
            let mut shape = Dims::from_slice(first);
            shape[self.axis] = n;
            x.shaped(i, &shape)?;
        }
        let mut shape = Dims::from_slice(first);
        shape[self.axis] = self.lengths.iter().fold(0, |all: usize, &n| all.saturating_add(n));
        x.there_is(&shape)
    }
    fn moves(&self) -> bool {
        true
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (mut dims, dtype) = (Dims::from_slice(x[0].shape()), x[0].dtype());
        dims[self.axis] = self.lengths.iter().sum();
        let parts = x.iter().map(|part| part.contiguous()).collect::<Result<Vec<_>>>()?;
        let (rows, inner) = (shape::size(&dims[..self.axis]), shape::size(&dims[self.axis + 1..]));
        each!(dtype, moved: T => {
            let matrix = |(part, &n): (_, &usize)| Ok((Array::values::<T>(part, "concat")?, n * inner));
            let matrices = parts.iter().zip(&self.lengths).map(matrix).collect::<Result<Vec<_>>>()?;
            Array::written_as("concat", &dims, dtype, |out| kernel::side_by_side(rows, &matrices, out))
        })
    }
}

impl Differentiable for Concat {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|i| narrow(g, self.axis, self.lengths[..i].iter().sum(), self.lengths[i]))
    }
}

/// The tensors one after the other along an axis that they have; their other axes must agree.
pub fn concat(tensors: &[&Tensor], axis: isize) -> Result<Tensor> {
    let Some(first) = tensors.first() else {
        return Err(Error::Value("concat: there are no tensors".into()));
    };
    let axis = shape::axis("concat", axis, first.ndim())?;
    let agree = |t: &Tensor| {
        t.ndim() == first.ndim() && (0..t.ndim()).all(|i| i == axis || t.shape()[i] == first.shape()[i])
    };
    if let Some((i, t)) = tensors.iter().enumerate().find(|(_, t)| !agree(t)) {
        let (a, b) = (shape::show(first.shape()), shape::show(t.shape()));
        return Err(Error::Shape(format!(
            "concat: shapes {a} and {b} (tensor {i}) differ beside axis {axis}"
        )));
    }
    let dtype = tensors.iter().fold(first.dtype(), |d: DType, t| d.promote(t.dtype()));
    let tensors: Vec<Cow<'_, Tensor>> =
        tensors.iter().map(|t| binary::as_dtype(t, dtype)).collect::<Result<_>>()?;
    let lengths = tensors.iter().map(|t| t.shape()[axis]).collect();
    apply(Concat { axis, lengths }, &tensors.iter().map(|t| &**t).collect::<Vec<_>>())
}

/// The tensors, all of one shape, along a new axis.
pub fn stack(tensors: &[&Tensor], axis: isize) -> Result<Tensor> {
    let Some(first) = tensors.first() else { return Err(Error::Value("stack: there are no tensors".into())) };
    let at = shape::axis("stack", axis, first.ndim() + 1)?;
    if let Some((i, t)) = tensors.iter().enumerate().find(|(_, t)| t.shape() != first.shape()) {
        let (a, b) = (shape::show(first.shape()), shape::show(t.shape()));
        return Err(Error::Shape(format!("stack: shapes {a} and {b} (tensor {i}) differ")));
    }
    let mut dims = Dims::from_slice(first.shape());
    dims.insert(at, 1);
    let columns: Vec<Tensor> = tensors.iter().map(|t| reshape_to(t, &dims)).collect::<Result<_>>()?;
    concat(&columns.iter().collect::<Vec<_>>(), at as isize)
}

readers! { "concat" => Concat }

pub(super) const OPS: &[super::Op] = &[
    super::Op {
        name: "concat",
        cases: &[Case {
            f: |t| concat(&[&t[0], &t[1]], 1),
            shapes: &[&[2, 3], &[2, 1]],
            domain: (-1.0, 1.0),
        }],
    },
    super::Op {
        name: "stack",
        cases: &[Case {
            f: |t| stack(&[&t[0], &t[1], &t[0]], -1),
            shapes: &[&[2, 3], &[2, 3]],
            domain: (-1.0, 1.0),
        }],
    },
];
