//! Reverse-mode differentiation: one loop over a tape, from its end to its start, that knows no operation.

use super::{add, add_into, astype, broadcast_to, sum_to};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape;
use crate::tape::profile::{During, Pass};
use crate::tape::{Context, Grads, Scope, Step, Tensor, Trace, Trainable, is_recording};
use std::borrow::Borrow;

/// The gradients of `outputs`, each with the gradient that comes in for it, with respect to `variables`.
///
/// `None` stands for "does not depend on it". With `keep` the trace can be walked again.
pub fn backward(
    trace: &Trace,
    outputs: &[(Tensor, Tensor)],
    variables: &[Tensor],
    keep: bool,
) -> Result<Vec<Option<Tensor>>> {
    walk(trace, outputs, variables, keep, Step::backward)
}

/// [`backward`] with a say in how each gradient rule is called.
pub(crate) fn walk(
    trace: &Trace,
    outputs: &[(Tensor, Tensor)],
    variables: &[Tensor],
    keep: bool,
    call: impl Fn(&Step, &Tensor) -> Result<Grads>,
) -> Result<Vec<Option<Tensor>>> {
    let _pass = During::new(Pass::Backward);
    let line_of = |(y, g): &'_ (Tensor, Tensor)| match trace.line(y)? {
        Some(line) => Ok(Some((line, like(g, y)?))),
        None => Ok(None),
    };
    let ends = outputs.iter().filter_map(|end| line_of(end).transpose()).collect::<Result<Vec<_>>>()?;
    let mut grads: Vec<Option<Tensor>> = vec![None; ends.iter().map(|(line, _)| line + 1).max().unwrap_or(0)];
    for (line, g) in ends {
        accumulate(&mut grads[line], g)?;
    }
    let mut is_variable = vec![false; grads.len()];
    let lines = variables.iter().map(|v| trace.line(v)).collect::<Result<Vec<_>>>()?;
    for &line in lines.iter().flatten() {
        if let Some(v) = is_variable.get_mut(line) {
            *v = true;
        }
    }
    for line in (0..grads.len()).rev() {
        if grads[line].is_none() || is_variable[line] {
            continue;
        }
        let Some(step) = trace.take(line) else { continue };
        let Some(g) = grads[line].take() else { continue };
        let found = call(&step, &g);
        drop(g);
        let found = found.and_then(|found| {
            for (i, dx) in found.into_iter().enumerate() {
                if let (Some(dx), Some((parent, (shape, dtype)))) = (dx, trace.parent(&step, i)) {
                    accumulate(&mut grads[parent], fit(dx, shape, *dtype)?)?;
                }
            }
            Ok(())
        });
        // Also when a rule has failed: the next walk finds the trace whole.
        if keep || trace.is_nested() {
            trace.put_back(step);
        }
        found?;
    }
    Ok(lines.into_iter().map(|line| line.and_then(|n| grads.get(n).cloned().flatten())).collect())
}

/// A gradient that comes in, as the rules take it for granted: of the type and the shape of the result.
fn like(g: &Tensor, y: &Tensor) -> Result<Tensor> {
    let g = if g.shape() == y.shape() { g.clone() } else { broadcast_to(g, y.shape())? };
    if g.dtype() == y.dtype() { Ok(g) } else { astype(&g, y.dtype()) }
}

/// Sums a gradient back over the axes along which its input was broadcast, and gives it that input's type.
fn fit(dx: Tensor, shape: &[usize], dtype: DType) -> Result<Tensor> {
    let dx = if dx.shape() == shape { dx } else { sum_to(&dx, shape)? };
    if dx.dtype() == dtype { Ok(dx) } else { astype(&dx, dtype) }
}

/// Adds a gradient to what came in before: in place where the sum is nobody else's.
fn accumulate(sum: &mut Option<Tensor>, dx: Tensor) -> Result<()> {
    *sum = Some(match sum.take() {
        None => dx,
        Some(old) if !is_recording() => add_into(old, &dx)?,
        Some(old) => add(&old, &dx)?,
    });
    Ok(())
}

/// The gradients of what `f` computes of an operation's inputs: the rule of an operation that does what others do together,
/// where theirs are its own.
pub(super) fn through(
    cx: &Context<'_>,
    g: &Tensor,
    f: impl FnOnce(&[Tensor]) -> Result<Tensor>,
) -> Result<Grads> {
    let scope = Scope::enter();
    let watched = |i| if cx.wants(i) { scope.watch(cx.input(i)) } else { Ok(cx.input(i).clone()) };
    let inputs = (0..cx.inputs()).map(watched).collect::<Result<Vec<Tensor>>>()?;
    let y = f(&inputs)?;
    let grads = backward(&scope.close(), &[(y, g.clone())], &inputs, false)?;
    Ok(grads.into_iter().enumerate().map(|(i, g)| g.filter(|_| cx.wants(i))).collect())
}

/// A gradient of ones for a loss, which must be a single number of a floating type.
pub fn seed(loss: &Tensor) -> Result<Tensor> {
    if loss.ndim() != 0 || !loss.dtype().is_float() {
        let (shape, dtype) = (shape::show(loss.shape()), loss.dtype());
        return Err(Error::Shape(format!(
            "gradient: the loss must be a single float, got a {dtype} tensor of shape {shape}; reduce it with sum or mean"
        )));
    }
    Ok(Array::filled("gradient", &[], 1.0, loss.dtype())?.into())
}

/// The value of `f(model)`, and its gradient with respect to each of the model's parameters, in their order; `None` where
/// it does not depend on one. A model is whatever is [`Trainable`]: a tensor, a list of them, a [`Chain`](crate::Chain).
///
/// ```
/// use oxiflux::{Axes, Tensor, withgradient};
/// let x = Tensor::from([1.0, 2.0, 3.0]);
/// let (value, gradient) = withgradient(|x| (x * x).sum(Axes::All, false), &x)?;
/// assert_eq!(value.item()?, 14.0);
/// assert_eq!(gradient[0].as_ref().map(Tensor::to_string), Some("[2.0, 4.0, 6.0]".into()));
/// # Ok::<(), oxiflux::Error>(())
/// ```
///
/// A function with several arguments takes a list of them, and a gradient inside has a gradient too:
///
/// ```
/// use oxiflux::{Error, Tensor, withgradient};
/// let (x, y) = (Tensor::from(3.0), Tensor::from(5.0));
/// let slope = |x: &Tensor| -> Result<Tensor, Error> {
///     let (_, gradient) = withgradient(|x| Ok::<_, Error>(x * x * x), x)?;
///     gradient.into_iter().flatten().next().ok_or(Error::Value("x is not used".into()))
/// };
/// let (slope, gradient) = withgradient(|t| Ok::<_, Error>(slope(&t[0])? * &t[1]), &[x, y])?;
/// assert_eq!(slope.item()?, 135.0);
/// let gradient = gradient.iter().flatten().map(Tensor::item).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(gradient, [90.0, 27.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn withgradient<M, E>(
    f: impl FnOnce(&M) -> std::result::Result<Tensor, E>,
    model: &M,
) -> std::result::Result<(Tensor, Vec<Option<Tensor>>), E>
where
    M: ToOwned<Owned: Trainable> + ?Sized,
    E: From<Error>,
{
    let mut watched = model.to_owned();
    let scope = Scope::enter();
    let mut variables = Vec::new();
    for parameter in watched.parameters() {
        *parameter = scope.watch(parameter)?;
        variables.push(parameter.clone());
    }
    let y = f(watched.borrow())?;
    let trace = scope.close();
    let gradient = backward(&trace, &[(y.clone(), seed(&y)?)], &variables, false)?;
    Ok((y, gradient))
}
