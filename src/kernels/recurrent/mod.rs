//! Recurrent cells over whole sequences, and their gradients.
//!
//! The products of the inputs are made beforehand, for all steps at once; here a step is the product of the state before,
//! then the gates. Sequences of a batch do not meet, so each task takes some of them through all steps without waiting for
//! the others; where there are too few of them, the products are shared instead. Which way, depends on the sizes alone.

mod cells;

use super::dispatch::{Kernel, dispatch};
use super::gemm::product::part;
use super::gemm::{self, Epilogue, Operand, Packed};
use super::lanes::{load, store};
use super::number::Float;
use crate::team;
use cells::GATES;
pub use cells::{Cell, Gru, Lstm, Relu, Seen, Slopes, Tanh};
use std::ops::Range;

/// Units computed side by side.
const LANES: usize = 16;

/// Sequences that a task takes at least.
const FEW: usize = 8;

/// The most tasks.
const MOST: usize = 64;

/// Bytes of weights from which threads do better with a part of them each than with all of them for a part of the batch:
/// they no longer stay in the second cache.
const LARGE: usize = 1 << 20;

/// The lengths of a problem.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Sequences.
    pub batch: usize,
    /// Steps of each sequence.
    pub time: usize,
    /// Units of the state.
    pub hidden: usize,
}

/// What a pass over the sequences works on. All is row-major; `more` is the memory after each step, or the product apart
/// (see [`Cell`]), and unused for cells that have neither.
#[derive(Debug)]
pub struct Pass<T> {
    /// The lengths.
    pub sizes: Sizes,
    /// Weights of the state, `(hidden, gates * hidden)`.
    pub weight: Operand<T>,
    /// The state before the first step, `(batch, hidden)` with the units side by side.
    pub h: Operand<T>,
    /// The memory before the first step, likewise.
    pub memory: Operand<T>,
    /// `(batch, time, gates * hidden)`; for a cell with one gate, the same as `y`.
    pub gates: *mut T,
    /// `(batch, time, hidden)`.
    pub more: *mut T,
    /// The state after each step, `(batch, time, hidden)`.
    pub y: *mut T,
}

/// What the gradients are computed from and written to, beside a [`Pass`].
#[derive(Debug)]
pub struct Gradients<T> {
    /// Gradient of the states, `(batch, time, hidden)`.
    pub dy: *const T,
    /// For the gradient of the sums of products for the gates, `(batch, time, gates * hidden)`.
    pub gates: *mut T,
    /// For the gradient of the product apart, `(batch, time, hidden)`; or the gradient of the last memory, `(batch, hidden)`,
    /// which becomes that of the first.
    pub more: *mut T,
    /// Zeros, `(batch, hidden)`, which become the gradient of the first state.
    pub dh: *mut T,
}

// SAFETY: the tasks of a pass read what they share, and write elements of their own sequences.
unsafe impl<T: Sync> Sync for Pass<T> {}
// SAFETY: the tasks of a pass write the gradients of their own sequences alone.
unsafe impl<T: Sync> Sync for Gradients<T> {}

impl<T> Pass<T> {
    /// Where sequence `b` is at step `t`, for each unit with `width` elements.
    #[inline(always)]
    fn at(&self, b: usize, t: usize, width: usize) -> usize {
        (b * self.sizes.time + t) * self.sizes.hidden * width
    }

    /// Rows of `(batch, time, hidden * width)` at step `t`, from sequence `b` on.
    #[inline(always)]
    fn rows(&self, x: *const T, b: usize, t: usize, width: usize) -> Operand<T> {
        Operand { ptr: x.wrapping_add(self.at(b, t, width)), rows: self.at(1, 0, width) as isize, cols: 1 }
    }

    /// The states or memories of sequences from `b` on before step `t`.
    #[inline(always)]
    fn before(&self, start: Operand<T>, all: *const T, b: usize, t: usize) -> Operand<T> {
        match t {
            0 => Operand { ptr: start.ptr.wrapping_offset(b as isize * start.rows), ..start },
            _ => self.rows(all, b, t - 1, 1),
        }
    }
}

/// Columns of the weights that belong to gates whose products are summed.
fn summed<K: Cell>(hidden: usize) -> usize {
    (K::GATES - usize::from(K::APART)) * hidden
}

impl<T: Float + gemm::Scalar> Pass<T> {
    /// Calls `f` with the weights of the gates whose products are summed, and those of the gate that is apart.
    unsafe fn packed<K: Cell>(&self, transposed: bool, f: impl FnOnce(&Packed<T>, &Packed<T>)) {
        let hidden = self.sizes.hidden;
        let columns = |range: Range<usize>| {
            let Operand { ptr, rows, cols } = self.weight;
            let ptr = ptr.wrapping_offset(range.start as isize * cols);
            match transposed {
                false => (hidden, range.len(), Operand { ptr, rows, cols }),
                true => (range.len(), hidden, Operand { ptr, rows: cols, cols: rows }),
            }
        };
        let (k, n, b) = columns(0..summed::<K>(hidden));
        // SAFETY: the columns lie in the weights, which the caller vouches for.
        unsafe {
            Packed::with(k, n, b, |weight| {
                let (k, n, b) = columns(summed::<K>(hidden)..K::GATES * hidden);
                Packed::with(k, n, b, |apart| f(weight, apart));
            });
        }
    }

    /// Calls `sequences` for all of them, in tasks.
    fn run<K: Cell>(&self, sequences: impl Fn(usize, usize) + Sync) {
        let Sizes { batch, time, hidden } = self.sizes;
        let weights = K::GATES * hidden * hidden;
        let tasks = if weights * size_of::<T>() > LARGE { 1 } else { (batch / FEW).clamp(1, MOST) };
        let nanos = batch * time * (weights / 64 + hidden * K::NANOS);
        team::run(tasks, nanos, |i| {
            let range = part(batch, tasks, i);
            sequences(range.start, range.len());
        });
    }
}

/// Takes the sequences through all steps: `gates` holds the products of the inputs, and then the gates; `y` and `more` are
/// written. `bias` is added to the products of the state, one for each column of the weights, unless it is null.
///
/// # Safety
/// The pointers must be valid for what is said of them, and what they point to not overlap but where that is said.
pub unsafe fn forward<T: Float + gemm::Scalar, K: Cell>(cell: K, pass: &Pass<T>, bias: *const T) {
    let Sizes { time, hidden, .. } = pass.sizes;
    let apart_bias = if bias.is_null() { bias } else { bias.wrapping_add(summed::<K>(hidden)) };
    let sum = Epilogue { accumulate: true, bias, ..Epilogue::NONE };
    let alone = Epilogue { bias: apart_bias, ..Epilogue::NONE };
    // SAFETY: what `pass` and `bias` point to is as large as `forward` asks and apart; the tasks have sequences of
    // their own.
    unsafe {
        pass.packed::<K>(false, |weight, apart| {
            pass.run::<K>(|b, count| {
                for t in 0..time {
                    team::look();
                    let h = pass.before(pass.h, pass.y, b, t);
                    let gates = pass.gates.wrapping_add(pass.at(b, t, K::GATES));
                    weight.gemm(count, h, gates, pass.at(1, 0, K::GATES), &sum);
                    if K::APART {
                        let more = pass.more.wrapping_add(pass.at(b, t, 1));
                        apart.gemm(count, h, more, pass.at(1, 0, 1), &alone);
                    }
                    team::run(count, count * hidden * K::NANOS / 2, |i| {
                        dispatch(Step { cell, pass, b: b + i, t })
                    });
                }
            });
        });
    }
}

/// Takes the gradients back through all steps.
///
/// # Safety
/// As for [`forward`], which must have filled `pass`.
pub unsafe fn backward<T: Float + gemm::Scalar, K: Cell>(cell: K, pass: &Pass<T>, grads: &Gradients<T>) {
    let Sizes { time, hidden, .. } = pass.sizes;
    let sum = Epilogue { accumulate: true, ..Epilogue::NONE };
    // SAFETY: what `pass` and `grads` point to is as large as `backward` asks and apart; the tasks have sequences of
    // their own.
    unsafe {
        pass.packed::<K>(true, |weight, apart| {
            pass.run::<K>(|b, count| {
                let dh = grads.dh.wrapping_add(b * hidden);
                for t in (0..time).rev() {
                    team::look();
                    team::run(count, count * hidden * K::NANOS / 2, |i| {
                        dispatch(StepBack { cell, pass, grads, b: b + i, t });
                    });
                    weight.gemm(count, pass.rows(grads.gates, b, t, K::GATES), dh, hidden, &sum);
                    if K::APART {
                        apart.gemm(count, pass.rows(grads.more, b, t, 1), dh, hidden, &sum);
                    }
                }
            });
        });
    }
}

/// The gates of one sequence in one step.
struct Step<'a, T, K> {
    cell: K,
    pass: &'a Pass<T>,
    b: usize,
    t: usize,
}

/// The gradients of one sequence in one step.
struct StepBack<'a, T, K> {
    cell: K,
    pass: &'a Pass<T>,
    grads: &'a Gradients<T>,
    b: usize,
    t: usize,
}

/// [`LANES`] elements of a row from element `j` on, or zeros if they do not matter.
///
/// # Safety
/// The row must have `n` elements to read, if they matter, and `j` be below `n`.
#[inline(always)]
unsafe fn read<T: Float>(matters: bool, row: *const T, j: usize, n: usize) -> [T; LANES] {
    // SAFETY: the row has `n` elements to read, as this function asks, of which none from `n` on is read.
    if matters { unsafe { load(row.add(j), n - j, T::ZERO) } } else { [T::ZERO; LANES] }
}

/// The opposite of [`read`].
///
/// # Safety
/// The row must have `n` places that nobody else uses, if they matter, and `j` be below `n`.
#[inline(always)]
unsafe fn write<T: Float>(matters: bool, row: *mut T, j: usize, n: usize, values: &[T; LANES]) {
    if matters {
        // SAFETY: the row has `n` places that are ours, as this function asks, of which none from `n` on is written.
        unsafe { store(row.add(j), n - j, values) };
    }
}

impl<T: Float, K: Cell> Kernel for Step<'_, T, K> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let Step { cell, pass, b, t } = self;
        let n = pass.sizes.hidden;
        let (gates, y) =
            (pass.gates.wrapping_add(pass.at(b, t, K::GATES)), pass.y.wrapping_add(pass.at(b, t, 1)));
        let h = pass.before(pass.h, pass.y, b, t).ptr;
        let after = pass.more.wrapping_add(pass.at(b, t, 1));
        let before = if K::MEMORY { pass.before(pass.memory, pass.more, b, t).ptr } else { after };
        for j in (0..n).step_by(LANES) {
            // SAFETY: rows of `n` elements, which the caller vouches for; what a cell does not have is not touched.
            unsafe {
                let mut g = [[T::ZERO; LANES]; GATES];
                for k in 0..K::GATES {
                    g[k] = read(true, gates.add(k * n), j, n);
                }
                let (mut more, mut state) =
                    (read(K::MEMORY || K::APART, before, j, n), read(K::APART, h, j, n));
                for l in 0..LANES {
                    let sums = std::array::from_fn(|k| g[k][l].lane::<FMA>());
                    let (found, memory, y) =
                        cell.forward(sums, more[l].lane::<FMA>(), state[l].lane::<FMA>());
                    for k in 0..GATES {
                        g[k][l] = T::of::<FMA>(found[k]);
                    }
                    (more[l], state[l]) = (T::of::<FMA>(memory), T::of::<FMA>(y));
                }
                for k in 0..K::GATES {
                    write(true, gates.add(k * n), j, n, &g[k]);
                }
                write(K::MEMORY, after, j, n, &more);
                write(true, y, j, n, &state);
            }
        }
    }
}

impl<T: Float, K: Cell> Kernel for StepBack<'_, T, K> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let StepBack { cell, pass, grads, b, t } = self;
        let n = pass.sizes.hidden;
        let (place, gates_place) = (pass.at(b, t, 1), pass.at(b, t, K::GATES));
        let (gates, dgates) = (pass.gates.wrapping_add(gates_place), grads.gates.wrapping_add(gates_place));
        let h = pass.before(pass.h, pass.y, b, t).ptr;
        let after = pass.more.wrapping_add(place);
        let before = if K::MEMORY { pass.before(pass.memory, pass.more, b, t).ptr } else { after };
        let dmore = grads.more.wrapping_add(if K::MEMORY { b * n } else { place });
        let (dy, dh) = (grads.dy.wrapping_add(place), grads.dh.wrapping_add(b * n));
        for j in (0..n).step_by(LANES) {
            // SAFETY: rows of `n` elements, which the caller vouches for; what a cell does not have is not touched.
            unsafe {
                let mut g = [[T::ZERO; LANES]; GATES];
                for k in 0..K::GATES {
                    g[k] = read(true, gates.add(k * n), j, n);
                }
                let (more, memory) =
                    (read(K::MEMORY || K::APART, before, j, n), read(K::MEMORY, after, j, n));
                let (state, dy) = (read(K::APART, h, j, n), read(true, dy, j, n));
                let (mut dstate, mut dmemory) =
                    (read(true, dh.cast_const(), j, n), read(K::MEMORY, dmore, j, n));
                for l in 0..LANES {
                    let seen = Seen {
                        gates: std::array::from_fn(|k| g[k][l].lane::<FMA>()),
                        more: more[l].lane::<FMA>(),
                        memory: memory[l].lane::<FMA>(),
                        h: state[l].lane::<FMA>(),
                    };
                    let d = dy[l].lane::<FMA>() + dstate[l].lane::<FMA>();
                    let slopes = cell.backward(seen, d, dmemory[l].lane::<FMA>());
                    for k in 0..GATES {
                        g[k][l] = T::of::<FMA>(slopes.gates[k]);
                    }
                    (dmemory[l], dstate[l]) = (T::of::<FMA>(slopes.more), T::of::<FMA>(slopes.h));
                }
                for k in 0..K::GATES {
                    write(true, dgates.add(k * n), j, n, &g[k]);
                }
                write(K::MEMORY || K::APART, dmore, j, n, &dmemory);
                write(true, dh, j, n, &dstate);
            }
        }
    }
}
