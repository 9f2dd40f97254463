//! The fully connected layer.

use super::Layer;
use crate::dtype::DType;
use crate::error::Result;
use crate::ops::{self, Activation};
use crate::random::Generator;
use crate::shape;
use crate::tape::{Tensor, Trainable};
use std::fmt;

/// `activation(x @ weight + bias)` for `x` of shape `(.., in)`: a weight of shape `(in, out)` and a bias of shape `(out,)`.
///
/// ```
/// use oxiflux::{Dense, DType, Generator, Layer};
/// let mut rng = Generator::new(0);
/// let layer = Dense::new(4, 3, "relu", &mut rng)?;
/// assert_eq!(format!("{layer:?}"), "Dense(4 => 3, relu)");
/// assert_eq!(layer.call(&rng.randn(&[5, 4], DType::F32)?)?.shape(), [5, 3]);
/// assert!(Dense::new(4, 3, "rleu", &mut rng).is_err());
/// # Ok::<(), oxiflux::Error>(())
/// ```
#[derive(Clone)]
pub struct Dense {
    /// What the inputs are multiplied by.
    pub weight: Tensor,
    /// What is added, if anything.
    pub bias: Option<Tensor>,
    activation: &'static Activation,
}

impl Dense {
    /// A layer of float32 with a weight drawn from `rng` (Glorot and Bengio 2010) and a bias of zeros. `activation` is one
    /// that [`ops::activations`] lists, such as "relu" or, for none, "identity"; another name is an error.
    pub fn new(inputs: usize, outputs: usize, activation: &str, rng: &mut Generator) -> Result<Dense> {
        let activation = ops::activation(activation)?;
        let bound = (6.0 / (inputs + outputs).max(1) as f64).sqrt();
        let weight = (rng.rand(&[inputs, outputs], DType::F32)? - 0.5) * (2.0 * bound);
        let bias = Some(Tensor::zeros(&[outputs], DType::F32)?);
        Ok(Dense { weight, bias, activation })
    }
}

impl Layer for Dense {
    fn call(&self, x: &Tensor) -> Result<Tensor> {
        ops::dense(x, &self.weight, self.bias.as_ref(), Some(self.activation))
    }
}

impl Trainable for Dense {
    fn parameters(&mut self) -> Vec<&mut Tensor> {
        [&mut self.weight].into_iter().chain(&mut self.bias).collect()
    }
}

impl fmt::Debug for Dense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.weight.shape(), self.activation.name()) {
            ([inputs, outputs], "identity") => write!(f, "Dense({inputs} => {outputs})"),
            ([inputs, outputs], name) => write!(f, "Dense({inputs} => {outputs}, {name})"),
            (other, _) => write!(f, "Dense(weight of shape {})", shape::show(other)),
        }
    }
}
