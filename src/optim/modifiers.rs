//! What is done to the gradients of parameters before their rule takes them.

use super::Parameter;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::modify::Scale;
use crate::kernels::update::{self, Rule, Slot};
use crate::tape::Tensor;
use crate::{dtype, ops, shape};

/// A change of gradients.
pub trait Modifier: Send + Sync {
    /// Changes the gradients of parameters that share a rule; it leaves all else as it is.
    fn modify(&self, parameters: &mut [Parameter]) -> Result<()>;
}

/// A row of [`modify`](crate::kernels::modify), element by element.
#[derive(Clone, Copy, Debug)]
pub struct OnGradient<K>(pub K);

impl<K: Rule + Send> Modifier for OnGradient<K> {
    fn modify(&self, parameters: &mut [Parameter]) -> Result<()> {
        let values = parameters.iter_mut().map(|p| {
            p.fit()?;
            p.value.cast(p.grad.dtype())?.contiguous()
        });
        let values = values.collect::<Result<Vec<Array>>>()?;
        let (mut single, mut double) = (Vec::<Slot<f32>>::new(), Vec::<Slot<f64>>::new());
        for (p, value) in parameters.iter_mut().zip(&values) {
            match value.dtype() {
                DType::F64 => double.push(slot(&mut p.grad, value)?),
                _ => single.push(slot(&mut p.grad, value)?),
            }
        }
        // SAFETY: `slot` gives row-major memory of the same length, that of the gradient ours alone.
        unsafe {
            update::update(&self.0, &single);
            update::update(&self.0, &double);
        }
        Ok(())
    }
}

fn slot<T: dtype::Float>(grad: &mut Array, value: &Array) -> Result<Slot<T>> {
    let n = value.size();
    Ok(Slot { p: grad.make_mut::<T>()?.as_mut_ptr(), g: value.ptr(), s: [std::ptr::null_mut(); 3], n })
}

/// `g * min(1, omega / norm)` with the `p`-norm of each gradient, or of the whole of them.
#[derive(Clone, Copy, Debug)]
pub struct ClipNorm {
    /// The largest norm.
    pub omega: f64,
    /// The power of the norm.
    pub p: f64,
    /// Whether the norm is that of all gradients together.
    pub whole: bool,
}

impl Modifier for ClipNorm {
    fn modify(&self, parameters: &mut [Parameter]) -> Result<()> {
        let mut norms = Vec::with_capacity(parameters.len());
        for parameter in parameters.iter_mut() {
            parameter.fit()?;
            let found = norm(&parameter.grad, self.p)?;
            if !found.is_finite() {
                let shape = shape::show(parameter.grad.shape());
                return Err(Error::Value(format!(
                    "ClipNorm: the gradient of a parameter of shape {shape} has the norm {found}"
                )));
            }
            norms.push(found);
        }
        let factor = |norm: f64| OnGradient(Scale { factor: self.omega / norm });
        if self.whole {
            let norm = norm(&Array::from_slice(&[norms.len()], &norms)?, self.p)?;
            return if norm > self.omega { factor(norm).modify(parameters) } else { Ok(()) };
        }
        for (i, &norm) in norms.iter().enumerate() {
            if norm > self.omega {
                factor(norm).modify(&mut parameters[i..=i])?;
            }
        }
        Ok(())
    }
}

/// `(|x_1|^p + ... + |x_n|^p)^(1 / p)`.
fn norm(x: &Array, p: f64) -> Result<f64> {
    let number = |x: Tensor| Ok::<f64, Error>(x.to_vec::<f64>()?.first().copied().unwrap_or(0.0));
    let total = |x: &Tensor| number(ops::sum(x, shape::Axes::All, false)?);
    if x.size() == 0 {
        return Ok(0.0);
    }
    let x = Tensor::from(x.clone());
    if p == 2.0 {
        let squares = total(&ops::square(&x)?)?;
        if (1e-30..1e30).contains(&squares) {
            return Ok(squares.sqrt());
        }
    }
    let sizes = ops::abs(&x)?;
    let largest = number(ops::max(&sizes, shape::Axes::All, false)?)?;
    if p == f64::INFINITY || largest == 0.0 || !largest.is_finite() {
        return Ok(largest);
    }
    // Divided by the largest component, no power overflows.
    let largest_alone: Tensor = Array::filled("norm", &[], largest, x.dtype())?.into();
    let powers = ops::power(&ops::divide(&sizes, &largest_alone)?, p)?;
    Ok(largest * total(&powers)?.powf(1.0 / p))
}
