//! What one unit of each kind of recurrent cell does in one step, and its derivatives.

use crate::kernels::real::{Real, select_gt, sigmoid, tanh};

/// The most gates that a cell has.
pub(super) const GATES: usize = 4;

/// A kind of cell.
///
/// Each unit has `GATES` gates, to which the inputs and the state before contribute by products, and perhaps one more
/// number. That is the `MEMORY` of an LSTM, which goes from step to step beside the state; or, where the product of the
/// state for the last gate is `APART` from that of the input because another gate comes between, that product.
pub trait Cell: Copy + Sync {
    /// How many gates a unit has.
    const GATES: usize;
    /// Whether there is a memory.
    const MEMORY: bool = false;
    /// Whether the last gate has its product of the state apart.
    const APART: bool = false;
    /// Nanoseconds per unit and step, in both directions together.
    const NANOS: usize;

    /// Given the sums of products for the gates, the memory before or the product apart, and the state before: the gates,
    /// the new memory and the new state.
    fn forward<R: Real>(self, gates: [R; GATES], more: R, h: R) -> ([R; GATES], R, R);

    /// The gradients, given what `forward` was given and gave, and the gradients of the new state and memory.
    fn backward<R: Real>(self, seen: Seen<R>, dh: R, dmemory: R) -> Slopes<R>;
}

/// What the gradient of a step looks at.
#[derive(Clone, Copy)]
pub struct Seen<R> {
    /// The gates.
    pub gates: [R; GATES],
    /// The memory before, or the product apart.
    pub more: R,
    /// The new memory.
    pub memory: R,
    /// The state before.
    pub h: R,
}

/// The gradients of a step.
pub struct Slopes<R> {
    /// Of the sums of products for the gates.
    pub gates: [R; GATES],
    /// Of the memory before, or of the product apart.
    pub more: R,
    /// Of the state before, without what comes through the products.
    pub h: R,
}

#[inline(always)]
fn zero<R: Real>() -> R {
    R::lit(0.0)
}

#[inline(always)]
fn one<R: Real>() -> R {
    R::lit(1.0)
}

/// `g` times the derivative of sigmoid where its value is `y`.
#[inline(always)]
fn through_sigmoid<R: Real>(g: R, y: R) -> R {
    g * y * (one::<R>() - y)
}

/// `g` times the derivative of tanh where its value is `y`.
#[inline(always)]
fn through_tanh<R: Real>(g: R, y: R) -> R {
    g * (one::<R>() - y * y)
}

/// `h' = tanh(sum)`.
#[derive(Clone, Copy)]
pub struct Tanh;

impl Cell for Tanh {
    const GATES: usize = 1;
    const NANOS: usize = 1;

    #[inline(always)]
    fn forward<R: Real>(self, gates: [R; GATES], _: R, _: R) -> ([R; GATES], R, R) {
        let y = tanh(gates[0]);
        ([y; GATES], zero(), y)
    }

    #[inline(always)]
    fn backward<R: Real>(self, seen: Seen<R>, dh: R, _: R) -> Slopes<R> {
        Slopes { gates: [through_tanh(dh, seen.gates[0]); GATES], more: zero(), h: zero() }
    }
}

/// `h' = max(sum, 0)`.
#[derive(Clone, Copy)]
pub struct Relu;

impl Cell for Relu {
    const GATES: usize = 1;
    const NANOS: usize = 1;

    #[inline(always)]
    fn forward<R: Real>(self, gates: [R; GATES], _: R, _: R) -> ([R; GATES], R, R) {
        let y = gates[0].max(zero());
        ([y; GATES], zero(), y)
    }

    #[inline(always)]
    fn backward<R: Real>(self, seen: Seen<R>, dh: R, _: R) -> Slopes<R> {
        Slopes { gates: [select_gt(seen.gates[0], zero(), dh, zero()); GATES], more: zero(), h: zero() }
    }
}

/// Gates input, forget, candidate, output: `c' = forget c + input candidate`, `h' = output tanh(c')`.
#[derive(Clone, Copy)]
pub struct Lstm;

impl Cell for Lstm {
    const GATES: usize = 4;
    const MEMORY: bool = true;
    const NANOS: usize = 6;

    #[inline(always)]
    fn forward<R: Real>(self, gates: [R; GATES], c: R, _: R) -> ([R; GATES], R, R) {
        let [i, f, g, o] = [sigmoid(gates[0]), sigmoid(gates[1]), tanh(gates[2]), sigmoid(gates[3])];
        let c = f * c + i * g;
        ([i, f, g, o], c, o * tanh(c))
    }

    #[inline(always)]
    fn backward<R: Real>(self, seen: Seen<R>, dh: R, dc: R) -> Slopes<R> {
        let [i, f, g, o] = seen.gates;
        let t = tanh(seen.memory);
        let dc = dc + through_tanh(dh * o, t);
        let gates = [
            through_sigmoid(dc * g, i),
            through_sigmoid(dc * seen.more, f),
            through_tanh(dc * i, g),
            through_sigmoid(dh * t, o),
        ];
        Slopes { gates, more: dc * f, h: zero() }
    }
}

/// Gates reset, update, candidate: `h' = (1 - update) candidate + update h`, where reset multiplies the product of the
/// state for the candidate.
#[derive(Clone, Copy)]
pub struct Gru;

impl Cell for Gru {
    const GATES: usize = 3;
    const APART: bool = true;
    const NANOS: usize = 4;

    #[inline(always)]
    fn forward<R: Real>(self, gates: [R; GATES], apart: R, h: R) -> ([R; GATES], R, R) {
        let [r, z] = [sigmoid(gates[0]), sigmoid(gates[1])];
        let n = tanh(gates[2] + r * apart);
        ([r, z, n, zero()], zero(), (one::<R>() - z) * n + z * h)
    }

    #[inline(always)]
    fn backward<R: Real>(self, seen: Seen<R>, dh: R, _: R) -> Slopes<R> {
        let [r, z, n, _] = seen.gates;
        let dn = through_tanh(dh * (one::<R>() - z), n);
        let gates = [through_sigmoid(dn * seen.more, r), through_sigmoid(dh * (seen.h - n), z), dn, zero()];
        Slopes { gates, more: dn * r, h: dh * z }
    }
}
