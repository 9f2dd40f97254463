//! Layers one after the other.

use super::Layer;
use crate::error::Result;
use crate::tape::{Tensor, Trainable};
use std::fmt;

/// Layers, each applied to what the one before gives.
///
/// ```
/// use oxiflux::{Chain, DType, Dense, Generator, Layer, ops};
/// let mut rng = Generator::new(0);
/// let model = Chain::new()
///     .then(Dense::new(4, 16, "relu", &mut rng)?)
///     .then(Dense::new(16, 3, "identity", &mut rng)?)
///     .map(|x| ops::softmax(x, -1));
/// assert_eq!(format!("{model:?}"), "Chain(Dense(4 => 16, relu), Dense(16 => 3), function)");
/// let chances = model.call(&rng.randn(&[5, 4], DType::F32)?)?;
/// assert_eq!(chances.shape(), [5, 3]);
/// # Ok::<(), oxiflux::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Chain(Vec<Box<dyn Link>>);

impl Chain {
    /// A chain without layers, which gives what it is given.
    pub fn new() -> Chain {
        Chain::default()
    }

    /// With another layer at its end.
    pub fn then(mut self, layer: impl Layer + 'static) -> Chain {
        self.0.push(Box::new(layer));
        self
    }

    /// With a function without parameters at its end.
    pub fn map(self, f: impl Fn(&Tensor) -> Result<Tensor> + Clone + Send + Sync + 'static) -> Chain {
        self.then(Function(f))
    }
}

impl Layer for Chain {
    fn call(&self, x: &Tensor) -> Result<Tensor> {
        self.0.iter().try_fold(x.clone(), |x, layer| layer.call(&x))
    }
}

impl Trainable for Chain {
    fn parameters(&mut self) -> Vec<&mut Tensor> {
        self.0.iter_mut().flat_map(|layer| layer.parameters()).collect()
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<String> = self.0.iter().map(|layer| format!("{layer:?}")).collect();
        write!(f, "Chain({})", layers.join(", "))
    }
}

/// A layer whichever it is: `Clone` knows the type of what it clones, and asks for a box here.
trait Link: fmt::Debug + Send + Sync {
    fn call(&self, x: &Tensor) -> Result<Tensor>;
    fn parameters(&mut self) -> Vec<&mut Tensor>;
    fn boxed(&self) -> Box<dyn Link>;
}

impl<L: Layer + 'static> Link for L {
    fn call(&self, x: &Tensor) -> Result<Tensor> {
        Layer::call(self, x)
    }
    fn parameters(&mut self) -> Vec<&mut Tensor> {
        Trainable::parameters(self)
    }
    fn boxed(&self) -> Box<dyn Link> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Link> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

/// A function as a layer.
#[derive(Clone)]
struct Function<F>(F);

impl<F: Fn(&Tensor) -> Result<Tensor> + Clone + Send + Sync> Layer for Function<F> {
    fn call(&self, x: &Tensor) -> Result<Tensor> {
        (self.0)(x)
    }
}

impl<F> Trainable for Function<F> {
    fn parameters(&mut self) -> Vec<&mut Tensor> {
        Vec::new()
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("function")
    }
}
