//! The rule that trains: it keeps what it remembers of each parameter.

use crate::array::Array;
use crate::error::{Error, Result};
use crate::kernels::update;
use crate::optim::{self, Member, Parameter, Stage};
use crate::tape::{Tensor, Trainable};

/// Adam (Kingma and Ba 2015): `m` and `v` are moving averages of the gradient `g` and of its square, which start at 0 and are
/// corrected for it; `p - eta * m / (sqrt(v) + epsilon)`.
///
/// ```
/// use oxiflux::{Adam, Axes, Tensor, withgradient};
/// let mut p = Tensor::from([3.0f32, -4.0]);
/// let mut adam = Adam::new(0.1);
/// for _ in 0..200 {
///     let (_, gradient) = withgradient(|p| (p * p).sum(Axes::All, false), &p)?;
///     adam.update(&mut p, &gradient)?;
/// }
/// assert!(p.to_vec::<f32>()?.iter().all(|p| p.abs() < 0.01));
/// # Ok::<(), oxiflux::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Adam {
    /// The learning rate, which may be changed between steps.
    pub eta: f64,
    /// What the averages keep of themselves.
    pub beta: (f64, f64),
    /// Keeps the denominator from zero.
    pub epsilon: f64,
    memories: Vec<Option<Memory>>,
}

/// What is remembered of a parameter that has had a gradient.
#[derive(Clone, Debug)]
struct Memory {
    m: Array,
    v: Array,
    /// `beta` to the power of the steps so far.
    beta_t: (f64, f64),
}

impl Adam {
    /// A rule for one model, with the usual `beta` of (0.9, 0.999) and `epsilon` of 1e-8.
    pub fn new(eta: f64) -> Adam {
        let update::Adam { beta, epsilon, .. } = update::Adam::default();
        Adam { eta, beta, epsilon, memories: Vec::new() }
    }

    /// One step of a model, with the gradient that [`withgradient`](crate::withgradient) gave. Parameters without one stay
    /// as they are. Where something does not fit, nothing is changed.
    pub fn update(&mut self, model: &mut impl Trainable, gradient: &[Option<Tensor>]) -> Result<()> {
        let tensors = model.parameters();
        self.remember(&tensors, gradient)?;
        let &mut Adam { eta, beta, epsilon, ref mut memories } = self;
        let mut steps = Vec::new();
        for ((tensor, memory), g) in tensors.into_iter().zip(memories).zip(gradient) {
            if let (Some(memory), Some(g)) = (memory, g) {
                let beta_t = (memory.beta_t.0 * beta.0, memory.beta_t.1 * beta.1);
                steps.push(Step::new(tensor, memory, g, update::Adam { eta, beta, epsilon, beta_t }));
            }
        }
        let members = steps.iter_mut().map(|s| Member::new(&s.rule, &mut s.parameter)).collect();
        let done = optim::update(&mut [members]);
        steps.into_iter().for_each(|step| step.end(done.is_ok()));
        done
    }

    /// Makes room for what is remembered, and checks that this is the model whose memories these are.
    fn remember(&mut self, tensors: &[&mut Tensor], gradient: &[Option<Tensor>]) -> Result<()> {
        let (n, before) = (tensors.len(), self.memories.len());
        if gradient.len() != n || before != n && before != 0 {
            let wrong =
                if gradient.len() == n { ("steps before", before) } else { ("a gradient", gradient.len()) };
            return Err(Error::Value(format!(
                "Adam: {} for {} parameters, the model has {n}",
                wrong.0, wrong.1
            )));
        }
        self.memories.resize(n, None);
        for ((tensor, memory), g) in tensors.iter().zip(&mut self.memories).zip(gradient) {
            if g.is_some() && memory.is_none() {
                let zeros = || Array::filled("Adam", tensor.shape(), 0.0, tensor.dtype().widest());
                *memory = Some(Memory { m: zeros()?, v: zeros()?, beta_t: (1.0, 1.0) });
            }
        }
        Ok(())
    }
}

/// A parameter on its way through a step, and the places that its arrays were taken from.
struct Step<'a> {
    tensor: &'a mut Tensor,
    memory: &'a mut Memory,
    rule: [Stage; 1],
    beta_t: (f64, f64),
    parameter: Parameter,
}

impl<'a> Step<'a> {
    /// Takes the arrays: what nobody else holds is changed in place.
    fn new(tensor: &'a mut Tensor, memory: &'a mut Memory, g: &Tensor, rule: update::Adam) -> Step<'a> {
        let take = |array: &mut Array| std::mem::replace(array, Array::nothing());
        let parameter = Parameter {
            value: std::mem::replace(tensor, Array::nothing().into()).into_array(),
            rounded: None,
            grad: g.array().clone(),
            state: [take(&mut memory.m), take(&mut memory.v)].into_iter().collect(),
        };
        let beta_t = rule.beta_t;
        let rule = [Stage { clip: None, links: vec![Box::new(rule)] }];
        Step { tensor, memory, rule, beta_t, parameter }
    }

    /// Gives the arrays back, changed or not.
    fn end(self, is_done: bool) {
        let Step { tensor, memory, beta_t, parameter, .. } = self;
        *tensor = parameter.value.into();
        for (to, state) in [&mut memory.m, &mut memory.v].into_iter().zip(parameter.state) {
            *to = state;
        }
        if is_done {
            memory.beta_t = beta_t;
        }
    }
}
