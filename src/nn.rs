//! Networks: layers with parameters, chains of them, and the rule that trains them.

mod adam;
mod chain;
mod dense;

pub use adam::Adam;
pub use chain::Chain;
pub use dense::Dense;

use crate::error::Result;
use crate::tape::{Tensor, Trainable};
use std::fmt::Debug;

/// A function of a tensor, with parameters.
pub trait Layer: Trainable + Debug + Clone + Send + Sync {
    /// The function.
    fn call(&self, x: &Tensor) -> Result<Tensor>;
}
