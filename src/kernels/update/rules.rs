//! The rules and the modifiers of gradients, one row each.
//!
//! The formulas are those of Optimisers.jl. A rule holds its hyper-parameters and, where its formula depends on the
//! step, that step's numbers: `beta_t` is `beta` to the power of the step, which counts from 1.

use super::Rule;
use crate::kernels::real::Real;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }
       keeps $states:literal $(from $init:expr)?;
       |$s:ident, $p:ident, $g:ident, $old:ident| $step:block)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)* }
            }
        }
        impl Rule for $name {
            const STATES: usize = $states;
            $(fn init(&self) -> [f64; 3] {
                let init: fn(&$name) -> [f64; 3] = $init;
                init(self)
            })?
            #[allow(unused_variables)]
            #[inline(always)]
            fn step<R: Real>(&self, $p: R, $g: R, $old: [R; 3]) -> (R, [R; 3]) {
                let $s = self;
                $step
            }
        }
    )*};
}

/// Moving averages of the gradient and of its square.
#[inline(always)]
fn moments<R: Real>(beta: (f64, f64), m: R, v: R, g: R) -> (R, R) {
    (m * beta.0 + g * (1.0 - beta.0), v * beta.1 + g * g * (1.0 - beta.1))
}

/// `m / (1 - beta_t.0) / (sqrt(v / (1 - beta_t.1)) + epsilon)`, with one division per element.
#[inline(always)]
fn corrected<R: Real>(m: R, v: R, beta_t: (f64, f64), epsilon: f64) -> R {
    m * (1.0 / (1.0 - beta_t.0)) / (v.sqrt() * (1.0 / (1.0 - beta_t.1).sqrt()) + epsilon)
}

rules! {
    /// `p - eta * g`.
    Descent {
        /// The learning rate.
        eta: f64 = 0.1,
    } keeps 0;
    |r, p, g, s| { (g * r.eta, s) }

    /// `v = rho * v + eta * g`; `p - v`.
    Momentum {
        /// The learning rate.
        eta: f64 = 0.01,
        /// What the velocity keeps of itself.
        rho: f64 = 0.9,
    } keeps 1;
    |r, p, g, s| {
        let v = s[0] * r.rho + g * r.eta;
        (v, [v, s[1], s[2]])
    }

    /// `p + rho^2 * v - (1 + rho) * eta * g`, then `v = rho * v - eta * g`.
    Nesterov {
        /// The learning rate.
        eta: f64 = 0.001,
        /// What the velocity keeps of itself.
        rho: f64 = 0.9,
    } keeps 1;
    |r, p, g, s| {
        let dx = g * ((1.0 + r.rho) * r.eta) - s[0] * (r.rho * r.rho);
        (dx, [s[0] * r.rho - g * r.eta, s[1], s[2]])
    }

    /// `q = rho * q + (1 - rho) * g^2`; `p - eta * g / (sqrt(q) + epsilon)`.
    RmsProp {
        /// The learning rate.
        eta: f64 = 0.001,
        /// What the average keeps of itself.
        rho: f64 = 0.9,
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-8,
    } keeps 1;
    |r, p, g, s| {
        let q = s[0] * r.rho + g * g * (1.0 - r.rho);
        (g * r.eta / (q.sqrt() + r.epsilon), [q, s[1], s[2]])
    }

    /// [`RmsProp`] with the variance in place of the second moment: also `l = rho * l + (1 - rho) * g`;
    /// `p - eta * g / (sqrt(q - l^2) + epsilon)`.
    CentredRmsProp {
        /// The learning rate.
        eta: f64 = 0.001,
        /// What the averages keep of themselves.
        rho: f64 = 0.9,
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-8,
    } keeps 2;
    |r, p, g, s| {
        let q = s[0] * r.rho + g * g * (1.0 - r.rho);
        let l = s[1] * r.rho + g * (1.0 - r.rho);
        // The variance is not negative, but its rounding may be.
        let variance = (q - l * l).max(R::lit(0.0));
        (g * r.eta / (variance.sqrt() + r.epsilon), [q, l, s[2]])
    }

    /// The step `h` of a parameter grows while its gradient keeps its sign and shrinks when that changes;
    /// `p - h * sign(g)`, with `g` taken as 0 when its sign has changed.
    Rprop {
        /// The first step.
        eta: f64 = 1e-3,
        /// The factors by which the step shrinks and grows.
        ell: (f64, f64) = (0.5, 1.2),
        /// The smallest and the largest step.
        gamma: (f64, f64) = (1e-6, 50.0),
    } keeps 2 from |r| [0.0, r.eta, 0.0];
    |r, p, g, s| {
        let (agreement, zero, h) = (s[0] * g, R::lit(0.0), s[1]);
        let grown = (h * r.ell.1).min(R::lit(r.gamma.1));
        let shrunk = (h * r.ell.0).max(R::lit(r.gamma.0));
        let h = R::select_gt(agreement, zero, grown, R::select_gt(zero, agreement, shrunk, h));
        let g = R::select_gt(zero, agreement, zero, g);
        (h * g.sign(), [g, h, s[2]])
    }

    /// `m = beta.0 * m + (1 - beta.0) * g`; `v = beta.1 * v + (1 - beta.1) * g^2`;
    /// `p - eta * m / (1 - beta_t.0) / (sqrt(v / (1 - beta_t.1)) + epsilon)`.
    Adam {
        /// The learning rate.
        eta: f64 = 0.001,
        /// What the averages keep of themselves.
        beta: (f64, f64) = (0.9, 0.999),
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-8,
        /// `beta` to the power of the step.
        beta_t: (f64, f64) = (0.9, 0.999),
    } keeps 2;
    |r, p, g, s| {
        let (m, v) = moments(r.beta, s[0], s[1], g);
        (corrected(m, v, r.beta_t, r.epsilon) * r.eta, [m, v, s[2]])
    }

    /// [`Adam`] with weight decay, `dx` being Adam's step for a learning rate of 1: `p - eta * (dx + lambda * p)`, or
    /// `p - eta * dx - lambda * p` if not `couple`.
    AdamW {
        /// The learning rate.
        eta: f64 = 0.001,
        /// What the averages keep of themselves.
        beta: (f64, f64) = (0.9, 0.999),
        /// The weight decay.
        lambda: f64 = 0.0,
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-8,
        /// Whether the learning rate scales the decay, as in PyTorch.
        couple: bool = true,
        /// `beta` to the power of the step.
        beta_t: (f64, f64) = (0.9, 0.999),
    } keeps 2;
    |r, p, g, s| {
        let (m, v) = moments(r.beta, s[0], s[1], g);
        let decay = if r.couple { r.eta * r.lambda } else { r.lambda };
        (corrected(m, v, r.beta_t, r.epsilon) * r.eta + p * decay, [m, v, s[2]])
    }

    /// [`Adam`] whose adaptive rate is rectified: with `rho_inf = 2 / (1 - beta.1) - 1` and
    /// `rho = rho_inf - 2 * t * beta_t.1 / (1 - beta_t.1)`, Adam's step times
    /// `sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))`; `eta * m / (1 - beta_t.0)` while `rho <= 4`.
    RAdam {
        /// The learning rate.
        eta: f64 = 0.001,
        /// What the averages keep of themselves.
        beta: (f64, f64) = (0.9, 0.999),
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-8,
        /// `beta` to the power of the step.
        beta_t: (f64, f64) = (0.9, 0.999),
        /// The step, from 1.
        t: u64 = 1,
    } keeps 2;
    |r, p, g, s| {
        let (m, v) = moments(r.beta, s[0], s[1], g);
        let limit = 2.0 / (1.0 - r.beta.1) - 1.0;
        let rho = limit - 2.0 * r.t as f64 * r.beta_t.1 / (1.0 - r.beta_t.1);
        let dx = if rho > 4.0 {
            let rate = ((rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho)).sqrt();
            corrected(m, v, r.beta_t, r.epsilon) * (rate * r.eta)
        } else {
            m * (r.eta / (1.0 - r.beta_t.0))
        };
        (dx, [m, v, s[2]])
    }

    /// [`Adam`] with the maximum norm: `u = max(beta.1 * u, |g|)`; `p - eta / (1 - beta_t.0) * m / (u + epsilon)`.
    AdaMax {
        /// The learning rate.
        eta: f64 = 0.001,
        /// What the averages keep of themselves.
        beta: (f64, f64) = (0.9, 0.999),
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-8,
        /// `beta.0` to the power of the step; the second number is not used.
        beta_t: (f64, f64) = (0.9, 0.999),
    } keeps 2;
    |r, p, g, s| {
        let m = s[0] * r.beta.0 + g * (1.0 - r.beta.0);
        let u = (s[1] * r.beta.1).max(g.abs());
        (m * (r.eta / (1.0 - r.beta_t.0)) / (u + r.epsilon), [m, u, s[2]])
    }

    /// Optimistic [`Adam`]: `p - (2 * d - d_old)` where `d` is Adam's step and `d_old` that of the step before.
    OAdam {
        /// The learning rate.
        eta: f64 = 0.001,
        /// What the averages keep of themselves.
        beta: (f64, f64) = (0.5, 0.9),
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-8,
        /// `beta` to the power of the step.
        beta_t: (f64, f64) = (0.5, 0.9),
    } keeps 3;
    |r, p, g, s| {
        let (m, v) = moments(r.beta, s[0], s[1], g);
        let d = corrected(m, v, r.beta_t, r.epsilon) * r.eta;
        (d * 2.0 - s[2], [m, v, d])
    }

    /// `a = a + g^2`, from `epsilon`; `p - eta * g / (sqrt(a) + epsilon)`.
    AdaGrad {
        /// The learning rate.
        eta: f64 = 0.1,
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-8,
    } keeps 1 from |r| [r.epsilon, 0.0, 0.0];
    |r, p, g, s| {
        let a = s[0] + g * g;
        (g * r.eta / (a.sqrt() + r.epsilon), [a, s[1], s[2]])
    }

    /// `a = rho * a + (1 - rho) * g^2`; `dx = g * sqrt(d + epsilon) / sqrt(a + epsilon)`;
    /// `d = rho * d + (1 - rho) * dx^2`; `p - dx`.
    AdaDelta {
        /// What the averages keep of themselves.
        rho: f64 = 0.9,
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-8,
    } keeps 2;
    |r, p, g, s| {
        let a = s[0] * r.rho + g * g * (1.0 - r.rho);
        let dx = g * (s[1] + r.epsilon).sqrt() / (a + r.epsilon).sqrt();
        (dx, [a, s[1] * r.rho + dx * dx * (1.0 - r.rho), s[2]])
    }

    /// `m` and `v` as in [`Adam`] but from `epsilon`; `w = max(w, v)`; `p - eta * m / (sqrt(w) + epsilon)`.
    AmsGrad {
        /// The learning rate.
        eta: f64 = 0.001,
        /// What the averages keep of themselves.
        beta: (f64, f64) = (0.9, 0.999),
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-8,
    } keeps 3 from |r| [r.epsilon; 3];
    |r, p, g, s| {
        let (m, v) = moments(r.beta, s[0], s[1], g);
        let w = s[2].max(v);
        (m * r.eta / (w.sqrt() + r.epsilon), [m, v, w])
    }

    /// [`Adam`] with Nesterov's momentum:
    /// `p - eta * (beta.0 * m / (1 - beta.0 * beta_t.0) + (1 - beta.0) * g / (1 - beta_t.0)) / (sqrt(v * beta.1 / (1 - beta_t.1)) + epsilon)`.
    NAdam {
        /// The learning rate.
        eta: f64 = 0.001,
        /// What the averages keep of themselves.
        beta: (f64, f64) = (0.9, 0.999),
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-8,
        /// `beta` to the power of the step.
        beta_t: (f64, f64) = (0.9, 0.999),
    } keeps 2;
    |r, p, g, s| {
        let (m, v) = moments(r.beta, s[0], s[1], g);
        let ahead = m * (r.beta.0 / (1.0 - r.beta.0 * r.beta_t.0)) + g * ((1.0 - r.beta.0) / (1.0 - r.beta_t.0));
        let scale = (r.beta.1 / (1.0 - r.beta_t.1)).sqrt();
        (ahead * r.eta / (v.sqrt() * scale + r.epsilon), [m, v, s[2]])
    }

    /// [`Adam`] with the variance about `m`: `v = beta.1 * v + (1 - beta.1) * (g - m)^2 + epsilon`.
    AdaBelief {
        /// The learning rate.
        eta: f64 = 0.001,
        /// What the averages keep of themselves.
        beta: (f64, f64) = (0.9, 0.999),
        /// Keeps the denominator from zero.
        epsilon: f64 = 1e-16,
        /// `beta` to the power of the step.
        beta_t: (f64, f64) = (0.9, 0.999),
    } keeps 2;
    |r, p, g, s| {
        let m = s[0] * r.beta.0 + g * (1.0 - r.beta.0);
        let v = s[1] * r.beta.1 + (g - m) * (g - m) * (1.0 - r.beta.1) + r.epsilon;
        (corrected(m, v, r.beta_t, r.epsilon) * r.eta, [m, v, s[2]])
    }

    /// `m = beta.1 * g + (1 - beta.1) * m`; `p - eta * sign((beta.1 - beta.0) * g + beta.0 * m)`.
    Lion {
        /// The learning rate.
        eta: f64 = 0.001,
        /// The weights of the momentum.
        beta: (f64, f64) = (0.9, 0.999),
    } keeps 1;
    |r, p, g, s| {
        let m = g * r.beta.1 + s[0] * (1.0 - r.beta.1);
        ((g * (r.beta.1 - r.beta.0) + m * r.beta.0).sign() * r.eta, [m, s[1], s[2]])
    }

    /// `g + lambda * p`.
    WeightDecay {
        /// The weight decay.
        lambda: f64 = 5e-4,
    } keeps 0;
    |r, p, g, s| { (g + p * r.lambda, s) }

    /// `g + lambda * sign(p)`.
    SignDecay {
        /// The weight decay.
        lambda: f64 = 1e-3,
    } keeps 0;
    |r, p, g, s| { (g + p.sign() * r.lambda, s) }

    /// The mean of `n` gradients, of which this is number `t`: the part that is known.
    AccumGrad {
        /// How many gradients.
        n: f64 = 1.0,
        /// Which gradient this is, from 1.
        t: u64 = 1,
    } keeps 1;
    |r, p, g, s| {
        let part = g * (1.0 / r.n);
        let total = if r.t == 1 { part } else { s[0] + part };
        (total, [total, s[1], s[2]])
    }

    /// `min(max(g, -delta), delta)`.
    ClipGrad {
        /// The largest component.
        delta: f64 = 10.0,
    } keeps 0;
    |r, p, g, s| { (g.min(R::lit(r.delta)).max(R::lit(-r.delta)), s) }
}
