//! Update rules on arrays: one fused pass over all parameters that share a rule.

mod modifiers;

pub use modifiers::{ClipNorm, Modifier, OnGradient};

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::update::{self, Rule, Slot};
use crate::shape;
use smallvec::SmallVec;

/// A parameter on its way through a step: its values, its gradient and what its rule remembers.
pub struct Parameter {
    /// The values, which the step changes.
    pub value: Array,
    /// The gradient.
    pub grad: Array,
    /// The rule's state, of the shape of the values, which the step changes.
    pub state: SmallVec<[Array; 3]>,
}

impl Parameter {
    /// Makes the gradient what the kernels take: row-major, and of the type that the parameter is updated in.
    fn fit(&mut self) -> Result<()> {
        let (shape, dtype) = (self.value.shape(), self.value.dtype());
        let misfit = self.state.iter().chain([&self.grad]).find(|a| a.shape() != shape);
        if let Some(a) = misfit {
            let (want, got) = (shape::show(shape), shape::show(a.shape()));
            return Err(Error::Shape(format!(
                "update: a gradient or state of shape {got} for a parameter of shape {want}"
            )));
        }
        if !dtype.is_float() {
            return Err(Error::DType(format!("update: a {dtype} parameter, expected a float")));
        }
        // Numbers of 16 bits are updated as float32, and the state stays that.
        self.grad = self.grad.cast(dtype.widest())?.contiguous()?;
        Ok(())
    }

    /// Makes everything what the kernels take: values and state ours alone, all row-major and of one type.
    fn prepare(&mut self, states: usize) -> Result<()> {
        self.fit()?;
        let n = self.state.len();
        if n != states {
            return Err(Error::Value(format!(
                "update: a parameter with {n} tensors of state, expected {states}"
            )));
        }
        let dtype = self.grad.dtype();
        for a in &mut self.state {
            if a.dtype() != dtype {
                *a = a.cast(dtype)?;
            }
        }
        Ok(())
    }
}

/// A rule with its hyper-parameters, whichever it is.
pub trait AnyRule: Send + Sync {
    /// All that may fail of one step for these parameters: what comes back does it.
    fn prepare<'a>(&'a self, parameters: &'a mut [Parameter]) -> Result<Box<dyn FnOnce() + 'a>>;
}

impl<K: Rule + Send> AnyRule for K {
    fn prepare<'a>(&'a self, parameters: &'a mut [Parameter]) -> Result<Box<dyn FnOnce() + 'a>> {
        let mut wide = Vec::with_capacity(parameters.len());
        for p in parameters.iter_mut() {
            p.prepare(K::STATES)?;
            wide.push(if p.value.dtype().is_half() { Some(p.value.cast(DType::F32)?) } else { None });
        }
        let (mut single, mut double) = (Vec::<Slot<f32>>::new(), Vec::<Slot<f64>>::new());
        for (p, wide) in parameters.iter_mut().zip(&mut wide) {
            let Parameter { value, grad, state } = p;
            match (value.dtype(), wide) {
                (DType::F64, _) => double.push(slot(value, grad, state)?),
                (_, None) => single.push(slot(value, grad, state)?),
                (_, Some(wide)) => {
                    value.make_mut::<u16>()?;
                    single.push(slot(wide, grad, state)?);
                }
            }
        }
        Ok(Box::new(move || {
            // SAFETY: `slot` gives row-major memory of the same length for all, the written parts ours alone.
            unsafe {
                if !single.is_empty() {
                    update::update(self, &single);
                }
                if !double.is_empty() {
                    update::update(self, &double);
                }
            }
            for (p, wide) in parameters.iter_mut().zip(&wide) {
                if let Some(wide) = wide {
                    wide.convert(&mut p.value);
                }
            }
        }))
    }
}

/// One step of `rule` for all `parameters`. Where something does not fit, none is changed.
pub fn step(rule: &dyn AnyRule, parameters: &mut [Parameter]) -> Result<()> {
    rule.prepare(parameters)?();
    Ok(())
}

fn slot<T: crate::dtype::Float>(value: &mut Array, grad: &Array, state: &mut [Array]) -> Result<Slot<T>> {
    let mut s = [std::ptr::null_mut(); 3];
    for (to, a) in s.iter_mut().zip(state) {
        *to = a.make_mut::<T>()?.as_mut_ptr();
    }
    Ok(Slot { p: value.make_mut::<T>()?.as_mut_ptr(), g: grad.ptr(), s, n: grad.size() })
}
