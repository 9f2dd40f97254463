//! Normalisation with a scale and a bias, as one operation with a gradient of its own: what the normalising layers do.

use super::binary::{as_dtype, as_float, number};
use super::movement::reshape_to;
use super::{Case, add, divide, mean, multiply, sqrt, square, subtract, sum};
use crate::array::Array;
use crate::dtype::{DType, Element, each};
use crate::error::{Error, Result};
use crate::kernels::norm::{self as kernel, Grouping, Moments, Parameters};
use crate::shape;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Operation, Tensor, apply, apply_beside, cast, compute_beside,
};
use std::borrow::Cow;

/// `(x - mean) / sqrt(var + eps) * scale + bias`, with the moments of each group or with given ones.
///
/// Its inputs are `x`, `scale` and `bias`, and after these the moments, if they are given; else they are beside the result.
#[derive(Debug)]
struct Norm {
    layout: Grouping,
    eps: f64,
    is_given: bool,
}

/// The arrays as the kernels take them.
fn parameters<'a, T: Element>(scale: &'a Array, bias: &'a Array, eps: f64) -> Result<Parameters<'a, T>> {
    Ok(Parameters { scale: scale.values("norm")?, bias: bias.values("norm")?, eps })
}

fn not_float(x: &Array) -> Error {
    Error::DType(format!("norm: not defined for {}", x.dtype()))
}

impl Norm {
    /// The gradients of `x`, `scale` and `bias`, composed of operations that have gradients themselves.
    fn composed(
        &self,
        x: &Tensor,
        scale: &Tensor,
        [m, var]: [&Tensor; 2],
        g: &Tensor,
    ) -> Result<[Tensor; 3]> {
        let Grouping { outer, n, groups, width } = self.layout;
        let [x, g] = [reshape_to(x, &[outer, n, groups, width])?, reshape_to(g, &[outer, n, groups, width])?];
        let average = |t: &Tensor| mean(t, [1, 3].into(), true);
        let (m, var) = match self.is_given {
            true => (reshape_to(m, &[outer, 1, groups, 1])?, reshape_to(var, &[outer, 1, groups, 1])?),
            false => (average(&x)?, average(&square(&subtract(&x, &average(&x)?)?)?)?),
        };
        let inverse = divide(&number(1.0, &x)?, &sqrt(&add(&var, &number(self.eps, &x)?)?)?)?;
        let normal = multiply(&subtract(&x, &m)?, &inverse)?;
        let scaled = multiply(&g, &reshape_to(scale, &[groups, width])?)?;
        let left = match self.is_given {
            true => scaled,
            false => {
                let along = multiply(&normal, &average(&multiply(&scaled, &normal)?)?)?;
                subtract(&scaled, &add(&average(&scaled)?, &along)?)?
            }
        };
        let dscale = sum(&multiply(&g, &normal)?, [0, 1].into(), false)?;
        Ok([multiply(&left, &inverse)?, dscale, sum(&g, [0, 1].into(), false)?])
    }
}

fn moments<'a, T: Element>(mean: &'a Array, var: &'a Array) -> Result<Moments<'a, T>> {
    Ok(Moments { mean: mean.values("norm")?, var: var.values("norm")? })
}

impl Operation for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(inputs)?.0)
    }
    fn forward_beside(&self, inputs: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let [x, scale, bias] = [inputs[0].contiguous()?, inputs[1].contiguous()?, inputs[2].contiguous()?];
        let layout = self.layout;
        if let [mean, var] = &inputs[3..] {
            let (mean, var) = (mean.contiguous()?, var.contiguous()?);
            return each!(x.dtype(), float: T => {
                let (p, moments) = (parameters(&scale, &bias, self.eps)?, moments(&mean, &var)?);
                let values = x.values::<T>("norm")?;
                let out = Array::written("norm", x.shape(), |out| {
                    kernel::normalise_with(layout, values, p, moments, out)
                })?;
                Ok((out, Vec::new()))
            }, else Err(not_float(&x)));
        }
        let of_each = [layout.outer, layout.groups];
        each!(x.dtype(), float: T => {
            let (p, values) = (parameters(&scale, &bias, self.eps)?, x.values::<T>("norm")?);
            let shapes = [x.shape(), &of_each, &of_each];
            let [out, mean, var] =
                Array::written_all("norm", shapes, |out| kernel::normalise(layout, values, p, out))?;
            Ok((out, vec![mean, var]))
        }, else Err(not_float(&x)))
    }
}

impl Norm {
    /// The moments, wherever they come from.
    fn moments(&self, cx: &Context<'_>) -> [Tensor; 2] {
        match self.is_given {
            true => [cx.input(3).clone(), cx.input(4).clone()],
            false => [0, 1].map(|i| cx.beside()[i].clone().into()),
        }
    }

    /// What is found for `x`, `scale` and `bias`, in their shapes.
    fn fitted(&self, cx: &Context<'_>, found: &[Tensor]) -> Result<Grads> {
        let fitted = |i: usize| found.get(i).filter(|_| cx.wants(i)).map(|g| reshape_to(g, cx.shape(i)));
        (0..cx.inputs()).map(|i| fitted(i).transpose()).collect()
    }
}

impl Differentiable for Norm {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let [mean, var] = &self.moments(cx);
        self.fitted(cx, &self.composed(cx.input(0), cx.input(1), [mean, var], g)?)
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        let [mean, var] = &self.moments(cx);
        let op = NormGradient { layout: self.layout, eps: self.eps, is_given: self.is_given };
        let found = compute_beside(op, &[cx.input(0), cx.input(1), mean, var, g]);
        Some(found.and_then(|found| self.fitted(cx, &found)))
    }
}

/// The gradients of [`Norm`] for `x`, `scale` and `bias` in one pass, of `x`, `scale`, the moments and the gradient for the
/// result.
#[derive(Debug)]
struct NormGradient {
    layout: Grouping,
    eps: f64,
    is_given: bool,
}

impl Operation for NormGradient {
    fn name(&self) -> &'static str {
        "norm"
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(inputs)?.0)
    }
    fn forward_beside(&self, inputs: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let [x, scale, mean, var, g] = [0, 1, 2, 3, 4].map(|i| inputs[i].contiguous());
        let (x, scale, mean, var, g) = (x?, scale?, mean?, var?, g?);
        each!(x.dtype(), float: T => {
            let (p, moments) = (parameters(&scale, &scale, self.eps)?, moments(&mean, &var)?);
            let (shapes, pair) = ([x.shape(), scale.shape(), scale.shape()], [x.values::<T>("norm")?, g.values("norm")?]);
            let [dx, dscale, dbias] = Array::written_all("norm", shapes, |out| {
                kernel::gradient(self.layout, self.is_given, pair, p, moments, out)
            })?;
            Ok((dx, vec![dscale, dbias]))
        }, else Err(not_float(&x)))
    }
}

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
    let op = Norm { layout, eps: checked(eps)?, is_given: false };
    let (y, moments) = apply_beside(op, &[&x, &scale, &bias])?;
    let mut dims = shape::Dims::from_slice(&x.shape()[..together.lead]);
    dims.push(layout.groups);
    let [mean, var] = [0, 1].map(|i| moments[i].reshape(&dims).map(Tensor::from));
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
    let op = Norm { layout, eps: checked(eps)?, is_given: true };
    cast(&apply(op, &[&x, &scale, &bias, &mean, &var])?, given.dtype())
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
    ],
}];
