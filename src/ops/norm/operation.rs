//! Normalisation with a scale and a bias as an operation with a gradient of its own.

use crate::array::Array;
use crate::dtype::{Element, each};
use crate::error::{Error, Result};
use crate::kernels::norm::{self as kernel, Grouping, Moments, Parameters};
use crate::ops::binary::number;
use crate::ops::movement::reshape_to;
use crate::ops::{add, divide, mean, multiply, sqrt, square, subtract, sum};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, choice, compute_beside, fields,
    parameters, readers,
};

/// `(x - mean) / sqrt(var + eps) * scale + bias`, with the moments of each group or with given ones.
///
/// Its inputs are `x`, `scale` and `bias`, and after these the moments, if they are given; else they are beside the result.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) layout: Grouping,
    pub(super) eps: f64,
    pub(super) about: About,
}

fields!(Grouping: outer, n, groups, width);
choice!(About: Mean, Zero, Given);

/// What the elements are compared to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The mean of each group.
    Mean,
    /// Zero: the variance is the mean of the squares of a row.
    Zero,
    /// A mean that is given, as is the variance.
    Given,
}

/// The arrays as the kernels take them.
fn parameters<'a, T: Element>(
    scale: &'a Array,
    bias: &'a Array,
    eps: f64,
    about: About,
) -> Result<Parameters<'a, T>> {
    let about_zero = about == About::Zero;
    Ok(Parameters { scale: scale.values("norm")?, bias: bias.values("norm")?, eps, about_zero })
}

fn not_float(x: &Array) -> Error {
    Error::DType(format!("norm: not defined for {}", x.dtype()))
}

impl Norm {
    /// That inputs are of the elements and of the scales of columns.
    fn check_inputs(&self, x: &Known<'_>, [elements, scale]: [usize; 2]) -> Result<()> {
        let Grouping { outer, n, groups, width } = self.layout;
        x.there_is(&[outer, n, groups, width])?;
        x.holds(self.about != About::Zero || (n == 1 && groups == 1), || "the groups are no rows".into())?;
        x.sized(elements, self.layout.size())?;
        x.sized(scale, self.layout.columns())
    }

    /// That inputs are of means and variances.
    fn check_moments(&self, x: &Known<'_>, these: [usize; 2]) -> Result<()> {
        these.into_iter().try_for_each(|i| x.sized(i, self.layout.outer * self.layout.groups))
    }

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
        let (m, var) = match self.about {
            About::Given => {
                (reshape_to(m, &[outer, 1, groups, 1])?, reshape_to(var, &[outer, 1, groups, 1])?)
            }
            About::Mean => (average(&x)?, average(&square(&subtract(&x, &average(&x)?)?)?)?),
            About::Zero => (number(0.0, &x)?, average(&square(&x)?)?),
        };
        let inverse = divide(&number(1.0, &x)?, &sqrt(&add(&var, &number(self.eps, &x)?)?)?)?;
        let normal = multiply(&subtract(&x, &m)?, &inverse)?;
        let scaled = multiply(&g, &reshape_to(scale, &[groups, width])?)?;
        let along = || multiply(&normal, &average(&multiply(&scaled, &normal)?)?);
        let left = match self.about {
            About::Given => scaled,
            About::Mean => subtract(&scaled, &add(&average(&scaled)?, &along()?)?)?,
            About::Zero => subtract(&scaled, &along()?)?,
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
    parameters! { layout, eps, about }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        let is_given = self.about == About::Given;
        x.count(if is_given { 5 } else { 3 })?;
        self.check_inputs(x, [0, 1])?;
        x.sized(2, self.layout.columns())?;
        x.floats(0..x.len())?;
        if is_given { self.check_moments(x, [3, 4]) } else { Ok(()) }
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
                let (p, moments) = (parameters(&scale, &bias, self.eps, self.about)?, moments(&mean, &var)?);
                let values = x.values::<T>("norm")?;
                let out = Array::written("norm", x.shape(), |out| {
                    kernel::normalise_with(layout, values, p, moments, out)
                })?;
                Ok((out, Vec::new()))
            }, else Err(not_float(&x)));
        }
        let of_each = [layout.outer, layout.groups];
        each!(x.dtype(), float: T => {
            let (p, values) = (parameters(&scale, &bias, self.eps, self.about)?, x.values::<T>("norm")?);
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
        match self.about {
            About::Given => [cx.input(3).clone(), cx.input(4).clone()],
            About::Mean | About::Zero => [0, 1].map(|i| cx.beside()[i].clone().into()),
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
        let op = NormGradient { layout: self.layout, eps: self.eps, about: self.about };
        let found = compute_beside(op, &[cx.input(0), cx.input(1), mean, var, g]);
        Some(found.and_then(|found| self.fitted(cx, &found)))
    }
}

/// The gradients of [`Norm`] for `x`, `scale` and `bias` in one pass, of `x`, `scale`, the moments and the gradient for the
/// result.
#[derive(Clone, Debug)]
struct NormGradient {
    layout: Grouping,
    eps: f64,
    about: About,
}

impl Operation for NormGradient {
    fn name(&self) -> &'static str {
        "norm"
    }
    parameters! { layout, eps, about }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(5)?;
        let op = Norm { layout: self.layout, eps: self.eps, about: self.about };
        op.check_inputs(x, [0, 1])?;
        op.check_moments(x, [2, 3])?;
        x.floats(0..5)?;
        x.sized(4, op.layout.size())
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(inputs)?.0)
    }
    fn forward_beside(&self, inputs: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let [x, scale, mean, var, g] = [0, 1, 2, 3, 4].map(|i| inputs[i].contiguous());
        let (x, scale, mean, var, g) = (x?, scale?, mean?, var?, g?);
        each!(x.dtype(), float: T => {
            let (p, moments) = (parameters(&scale, &scale, self.eps, self.about)?, moments(&mean, &var)?);
            let (shapes, pair) = ([x.shape(), scale.shape(), scale.shape()], [x.values::<T>("norm")?, g.values("norm")?]);
            let [dx, dscale, dbias] = Array::written_all("norm", shapes, |out| {
                kernel::gradient(self.layout, self.about == About::Given, pair, p, moments, out)
            })?;
            Ok((dx, vec![dscale, dbias]))
        }, else Err(not_float(&x)))
    }
}

readers! { "norm" => Norm, "norm_gradient" => NormGradient }
