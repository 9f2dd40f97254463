//! Normalisation with a scale and a bias: what the normalising layers do.

use super::Case;
use super::binary::{as_dtype, as_float};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::norm::Grouping;
use crate::ops::movement::reshape_to;
use crate::shape;
use crate::tape::{Tensor, apply, apply_beside, cast};
pub(super) use operation::READERS;
use operation::{About, Norm};
use std::borrow::Cow;

mod operation;
pub(super) mod normalise;

/// What is normalised together.
#[derive(Clone, Copy, Debug)]
pub struct Together {
    /// How many leading axes are not reduced.
    pub lead: usize,
    /// How many trailing axes the scale and the bias have.
    pub trail: usize,
    /// Into how many groups the elements of the trailing axes fall; each has moments of its own.
    pub groups: usize,
}

impl Together {
    fn layout(self, x: &Array) -> Result<Grouping> {
        let (shape, Together { lead, trail, groups }) = (x.shape(), self);
        let fits = lead + trail <= shape.len() && groups > 0;
        let columns = if fits { shape::size(&shape[shape.len() - trail..]) } else { 1 };
        if !fits || !columns.is_multiple_of(groups) {
            let shape = shape::show(shape);
            return Err(Error::Shape(format!(
                "norm: {lead} leading and {trail} trailing axes, of which {groups} groups are made, do not fit shape {shape}"
            )));
        }
        let [outer, n] = [&shape[..lead], &shape[lead..shape.len() - trail]].map(shape::size);
        Ok(Grouping { outer, n, groups, width: columns / groups })
    }
}

/// A scale or bias in the type of `x`, or `value` for each column if there is none.
fn column<'a>(
    given: Option<&'a Tensor>,
    value: f64,
    layout: Grouping,
    x: &Tensor,
) -> Result<Cow<'a, Tensor>> {
    match given {
        None => Ok(Cow::Owned(Array::filled("norm", &[layout.columns()], value, x.dtype())?.into())),
        Some(t) if t.size() == layout.columns() => as_dtype(t, x.dtype()),
        Some(t) => {
            let (columns, shape) = (layout.columns(), shape::show(t.shape()));
            Err(Error::Shape(format!(
                "norm: {columns} columns need as many scales and biases, got shape {shape}"
            )))
        }
    }
}

/// `x` in the type of the parameters, which is its own if there are none.
fn input<'a>(x: &'a Tensor, given: &[Option<&Tensor>]) -> Result<Cow<'a, Tensor>> {
    match given.iter().flatten().next() {
        Some(t) => as_dtype(x, t.dtype()),
        None => as_float(x),
    }
}

fn checked(eps: f64) -> Result<f64> {
    if eps >= 0.0 { Ok(eps) } else { Err(Error::Value(format!("norm: eps must not be negative, got {eps}"))) }
}

/// `(x - mean) / sqrt(var + eps) * scale + bias`, and the means and variances: of shape `(lead.., groups)`.
pub fn norm(
    x: &Tensor,
    scale: Option<&Tensor>,
    bias: Option<&Tensor>,
    together: Together,
    eps: f64,
) -> Result<[Tensor; 3]> {
    let given = input(x, &[scale, bias])?;
    let x = as_dtype(&given, given.dtype().widest())?;
    let layout = together.layout(x.array())?;
    let (scale, bias) = (column(scale, 1.0, layout, &x)?, column(bias, 0.0, layout, &x)?);
    let op = Norm { layout, eps: checked(eps)?, about: About::Mean };
    let (y, moments) = apply_beside(op, &[&x, &scale, &bias])?;
    let mut dims = shape::Dims::from_slice(&x.shape()[..together.lead]);
    dims.push(layout.groups);
    let [mean, var] = [0, 1].map(|i| reshape_to(&moments[i].clone().into(), &dims));
    Ok([cast(&y, given.dtype())?, mean?, var?])
}

/// [`norm`] of each element of the last axis with a mean and a variance that are given and have no gradient.
pub fn norm_with(
    x: &Tensor,
    [mean, var]: [&Tensor; 2],
    scale: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let given = input(x, &[Some(mean)])?;
    let x = as_dtype(&given, given.dtype().widest())?;
    let together = Together { lead: 0, trail: 1, groups: mean.size() };
    let layout = together.layout(x.array())?;
    let (scale, bias) = (column(scale, 1.0, layout, &x)?, column(bias, 0.0, layout, &x)?);
    let (mean, var) =
        (column(Some(mean), 0.0, layout, &x)?.at(None), column(Some(var), 1.0, layout, &x)?.at(None));
    let op = Norm { layout, eps: checked(eps)?, about: About::Given };
    cast(&apply(op, &[&x, &scale, &bias, &mean, &var])?, given.dtype())
}

/// `x / sqrt(mean(x^2) + eps) * scale` with the mean over the axes from `lead` on, whose sizes are those of the scale.
pub fn rms_norm(x: &Tensor, scale: Option<&Tensor>, lead: usize, eps: f64) -> Result<Tensor> {
    let given = input(x, &[scale])?;
    let x = as_dtype(&given, given.dtype().widest())?;
    let together = Together { lead, trail: x.ndim().saturating_sub(lead), groups: 1 };
    let layout = together.layout(x.array())?;
    let (scale, bias) = (column(scale, 1.0, layout, &x)?, column(None, 0.0, layout, &x)?);
    let op = Norm { layout, eps: checked(eps)?, about: About::Zero };
    cast(&apply(op, &[&x, &scale, &bias])?, given.dtype())
}

/// [`norm`] of the checks: normalises and forgets the moments.
fn only(t: &[Tensor], lead: usize, groups: usize) -> Result<Tensor> {
    let together = Together { lead, trail: t[1].ndim(), groups };
    let [y, ..] = norm(&t[0], Some(&t[1]), Some(&t[2]), together, 1e-3)?;
    Ok(y)
}

/// Means and variances for the checks.
fn constants(n: usize) -> Result<[Tensor; 2]> {
    let of = |value| Ok::<Tensor, Error>(Array::filled("norm", &[n], value, DType::F64)?.into());
    Ok([of(0.3)?, of(1.7)?])
}

pub(super) const OPS: &[super::Op] = &[super::Op {
    name: "norm",
    cases: &[
        Case { f: |t| only(t, 1, 1), shapes: &[&[3, 2, 4], &[2, 4], &[2, 4]], domain: (-2.0, 2.0) },
        Case { f: |t| only(t, 0, 3), shapes: &[&[2, 4, 3], &[3], &[3]], domain: (-2.0, 2.0) },
        Case { f: |t| only(t, 1, 2), shapes: &[&[2, 3, 4], &[4], &[4]], domain: (-2.0, 2.0) },
        Case { f: |t| only(t, 0, 2), shapes: &[&[0, 2], &[2], &[2]], domain: (-2.0, 2.0) },
        Case {
            f: |t| {
                let [mean, var] = constants(3)?;
                norm_with(&t[0], [&mean, &var], Some(&t[1]), Some(&t[2]), 1e-3)
            },
            shapes: &[&[2, 5, 3], &[3], &[3]],
            domain: (-2.0, 2.0),
        },
        Case {
            f: |t| rms_norm(&t[0], Some(&t[1]), 1, 1e-3),
            shapes: &[&[3, 2, 4], &[2, 4]],
            domain: (-2.0, 2.0),
        },
    ],
}];
