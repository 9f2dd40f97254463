//! What is done to gradients before a rule takes them, one row each.
//!
//! These are rows like those of [`update`](super::update), for which the gradient is what changes and the parameter is
//! what they look at beside it.

use super::real::Real;
use super::update::{Rule, rules};

rules! {
    /// `g + lambda * x`.
    WeightDecay {
        /// The weight of the gradient of half the sum of squares.
        lambda: f64 = 5e-4,
    } keeps 0;
    |r, g, x, s| { (g + x * r.lambda, s) }

    /// `g + lambda * sign(x)`.
    SignDecay {
        /// The weight of the gradient of the sum of absolute values.
        lambda: f64 = 1e-3,
    } keeps 0;
    |r, g, x, s| { (g + x.sign() * r.lambda, s) }

    /// `g` held between `-delta` and `delta`.
    ClipGrad {
        /// The largest component.
        delta: f64 = 10.0,
    } keeps 0;
    |r, g, _x, s| { (g.min(R::lit(r.delta)).max(R::lit(-r.delta)), s) }

    /// `factor * g`.
    Scale {
        /// What the gradient is multiplied by.
        factor: f64 = 1.0,
    } keeps 0;
    |r, g, _x, s| { (g * r.factor, s) }
}
