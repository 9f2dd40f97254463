//! Reverse-mode differentiation: one loop over a tape, from its end to its start, that knows no operation.

use super::{add, add_in_place, astype, broadcast_to, sum_to};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape;
use crate::tape::{Context, Grads, Scope, Step, Tensor, Trace, is_recording};

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
        Some(old) if !is_recording() => add_in_place(old, &dx)?,
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

/// The value of `f(xs)` and its gradient with respect to each of `xs`.
///
/// ```
/// use oxiflux::{Array, Tensor, gradient::withgradient, ops, shape::Axes};
/// let x = Tensor::from(Array::from_slice(&[3], &[1.0, 2.0, 3.0])?);
/// let (loss, grads) = withgradient::<oxiflux::Error>(|x| ops::sum(&ops::multiply(&x[0], &x[0])?, Axes::All, false), &[x])?;
/// assert_eq!(loss.item()?, 14.0);
/// let dx = grads[0].as_ref().map(|g| g.to_vec::<f64>()).transpose()?;
/// assert_eq!(dx, Some(vec![2.0, 4.0, 6.0]));
/// # Ok::<(), oxiflux::Error>(())
/// ```
pub fn withgradient<E: From<Error>>(
    f: impl FnOnce(&[Tensor]) -> std::result::Result<Tensor, E>,
    xs: &[Tensor],
) -> std::result::Result<(Tensor, Vec<Option<Tensor>>), E> {
    let scope = Scope::enter();
    let xs = xs.iter().map(|x| scope.watch(x)).collect::<Result<Vec<Tensor>>>()?;
    let y = f(&xs)?;
    let trace = scope.close();
    let grads = backward(&trace, &[(y.clone(), seed(&y)?)], &xs, false)?;
    Ok((y, grads))
}
