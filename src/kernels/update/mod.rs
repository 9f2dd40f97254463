//! The optimisers' rules, and the fused pass that applies chains of them to all parameters.

mod finite;
mod norm;
mod rules;

pub use finite::is_finite;
pub use norm::norm;
pub use rules::*;

use super::cost::streaming;
use super::dispatch::{Kernel, Shared, dispatch};
use super::lanes::{load, store};
use super::number::Float;
use super::real::{Lane, Real};
use crate::team;
use smallvec::SmallVec;
use std::mem::MaybeUninit;

/// A rule that makes a step of a gradient, and changes up to three numbers of state.
pub trait Rule: Copy + Sync {
    /// How many numbers of state a parameter has.
    const STATES: usize;

    /// The state before the first step.
    fn init(&self) -> [f64; 3] {
        [0.0; 3]
    }

    /// What to subtract from the parameter `p`, and the new state.
    fn step<R: Real>(&self, p: R, g: R, s: [R; 3]) -> (R, [R; 3]);
}

/// An element type that rules are applied to.
pub trait Updated: Float + std::ops::Sub<Output = Self> {
    /// [`Rule::step`] on plain numbers.
    fn step<K: Rule, const FMA: bool>(rule: &K, p: Self, g: Self, s: [Self; 3]) -> (Self, [Self; 3]);

    /// [`Link::single`] or [`Link::double`].
    ///
    /// # Safety
    /// Theirs.
    unsafe fn apply(link: &dyn Link, piece: Piece<Self>);
}

macro_rules! elements {
    ($($t:ident by $method:ident)*) => {$(
        impl Updated for $t {
            #[inline(always)]
            fn step<K: Rule, const FMA: bool>(rule: &K, p: $t, g: $t, s: [$t; 3]) -> ($t, [$t; 3]) {
                let s = [Lane::<$t, FMA>(s[0]), Lane(s[1]), Lane(s[2])];
                let (dx, [a, b, c]) = rule.step(Lane(p), Lane(g), s);
                (dx.0, [a.0, b.0, c.0])
            }
            unsafe fn apply(link: &dyn Link, piece: Piece<$t>) {
                // SAFETY: the piece is valid for the link, as `Link::single` asks.
                unsafe { link.$method(piece) }
            }
        }
    )*};
}
elements!(f32 by single f64 by double);

/// A rule in a chain, whichever it is. To add one, write a [`Rule`].
///
/// # Safety
/// [`Link::states`] must always give the same number, at most 3, and no more of the state may be touched.
pub unsafe trait Link: Send + Sync {
    /// How many numbers of state a parameter has.
    fn states(&self) -> usize;

    /// Applies the rule.
    ///
    /// # Safety
    /// In `piece`, `p` and `g` must be readable, `out` writable, and the first `states` of `s` both, for `n` elements;
    /// of those written none may overlap another, but `out` may be `p` or `g`.
    unsafe fn single(&self, piece: Piece<f32>);

    /// [`Link::single`] for numbers of 64 bits.
    ///
    /// # Safety
    /// The same.
    unsafe fn double(&self, piece: Piece<f64>);
}

// SAFETY: the number is a constant, and `step` touches as many.
unsafe impl<K: Rule + Send> Link for K {
    fn states(&self) -> usize {
        const { assert!(K::STATES <= 3, "a rule has at most three numbers of state") };
        K::STATES
    }
    unsafe fn single(&self, piece: Piece<f32>) {
        // SAFETY: the piece is valid for so many states, as `Link::single` asks.
        unsafe { pass(self, piece) }
    }
    unsafe fn double(&self, piece: Piece<f64>) {
        // SAFETY: the piece is valid for so many states, as `Link::double` asks.
        unsafe { pass(self, piece) }
    }
}

/// What stands for links of a chain that wait for more gradients: no step, and states that stay.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// How many numbers of state a parameter has.
    pub states: usize,
}

impl Waiting {
    /// # Safety
    /// As for [`Link::single`].
    unsafe fn pass<T: Updated>(&self, piece: Piece<T>) {
        // SAFETY: `p` has `n` elements to read and `out` as many to write, as `Link` asks; the step off the parameter
        // may be in place.
        unsafe {
            match piece.subtract {
                true => piece.out.copy_from(piece.p, piece.n),
                false => (0..piece.n).for_each(|i| *piece.out.add(i) = T::ZERO),
            }
        }
    }
}

// SAFETY: the number is what it was made with, and no state is touched.
unsafe impl Link for Waiting {
    fn states(&self) -> usize {
        self.states
    }
    unsafe fn single(&self, piece: Piece<f32>) {
        // SAFETY: the piece is valid, as `Link::single` asks.
        unsafe { self.pass(piece) }
    }
    unsafe fn double(&self, piece: Piece<f64>) {
        // SAFETY: the piece is valid, as `Link::double` asks.
        unsafe { self.pass(piece) }
    }
}

/// What one link of a chain works on: `n` elements.
#[derive(Clone, Copy, Debug)]
pub struct Piece<T> {
    /// The parameter.
    pub p: *const T,
    /// The gradient.
    pub g: *const T,
    /// What the gradient is multiplied by.
    pub scale: T,
    /// The state; those beyond [`Link::states`] are not used.
    pub s: [*mut T; 3],
    /// Where the result goes.
    pub out: *mut T,
    /// Whether the result is `p` less the step, or else the step.
    pub subtract: bool,
    /// How many elements.
    pub n: usize,
}

/// One parameter tensor: its values, its gradient and its state, `n` of each, and the chain to apply.
pub struct Slot<'a, T> {
    /// The rules, each applied to what the one before made of the gradient; at least one.
    pub links: &'a [Box<dyn Link>],
    /// The values.
    pub p: *mut T,
    /// The gradient.
    pub g: *const T,
    /// What the gradient is multiplied by.
    pub scale: T,
    /// The states of all links, which are updated in place.
    pub s: SmallVec<[*mut T; 3]>,
    /// Where the step is written; without it, it is subtracted from the values.
    pub step: Option<*mut T>,
    /// How many numbers.
    pub n: usize,
}

/// Elements per task, at most and at least: so many that there are a few tasks for each of some threads.
const CHUNK: usize = 1 << 14;
const LEAST: usize = 1 << 12;
const TASKS: usize = 16;
/// Elements that go through all links of a chain before the next do, so that they stay in the fastest cache.
const BLOCK: usize = 1 << 10;
/// Elements updated side by side; so many that the loop over them is vectorised rather than unrolled.
const LANES: usize = 64;

/// Applies the chains of all slots, in one pass over each and one fork and join for all.
///
/// # Safety
/// In each slot `p` and `g` must be readable and the states of all its links readable and writable, for `n` elements;
/// so must `step`, or else `p`, be writable. Of those written none may overlap another, within a slot or across.
pub unsafe fn update<T: Updated>(slots: &[Slot<'_, T>]) {
    let mut ends = Vec::with_capacity(slots.len());
    let (mut total, mut moved) = (0, 0);
    for slot in slots {
        total += slot.n;
        moved += slot.n * (3 + 2 * slot.s.len());
        ends.push(total);
    }
    let slots = Shared(slots.as_ptr().cast_mut());
    // A chunk is a range of the slots laid end to end, so that many small slots are as few tasks as one large one.
    let chunk = (total / TASKS).next_multiple_of(LANES).clamp(LEAST, CHUNK);
    team::run(total.div_ceil(chunk), streaming::<T>(moved), |task| {
        let (mut first, last) = (task * chunk, total.min((task + 1) * chunk));
        let mut i = ends.partition_point(|&end| end <= first);
        while first < last {
            // SAFETY: `first` is within the slots laid end to end, so `i` is one of them.
            let slot = unsafe { &*slots.at(i) };
            let start = ends[i] - slot.n;
            let end = last.min(ends[i]);
            // SAFETY: a part of the slot that is the task's own.
            unsafe { part(slot, first - start, end - start) };
            first = end;
            i = ends[i..].partition_point(|&e| e <= first) + i;
        }
    });
}

/// Applies the chain of a slot to the elements `first..last`.
unsafe fn part<T: Updated>(slot: &Slot<'_, T>, first: usize, last: usize) {
    let Some((end, before)) = slot.links.split_last() else { return };
    let mut between = [const { MaybeUninit::<T>::uninit() }; BLOCK];
    let between = between.as_mut_ptr().cast::<T>();
    let block = if before.is_empty() { last - first } else { BLOCK };
    for at in (first..last).step_by(block.max(1)) {
        // SAFETY: the block is within the slot, whose states are those of its links.
        unsafe {
            let (mut g, mut scale, mut states) = (slot.g.add(at), slot.scale, slot.s.iter());
            let mut piece = |link: &dyn Link, out, subtract| {
                let mut s = [std::ptr::null_mut(); 3];
                s.iter_mut().zip(states.by_ref().take(link.states())).for_each(|(s, from)| *s = from.add(at));
                let n = block.min(last - at);
                T::apply(link, Piece { p: slot.p.add(at), g, scale, s, out, subtract, n });
                (g, scale) = (between, T::ONE);
            };
            before.iter().for_each(|link| piece(&**link, between, false));
            piece(&**end, slot.step.unwrap_or(slot.p).add(at), slot.step.is_none());
        }
    }
}

/// A rule, and a piece of a multiple of [`LANES`].
struct Work<'a, K, T> {
    rule: &'a K,
    piece: Piece<T>,
}

impl<K: Rule, T: Updated> Kernel for Work<'_, K, T> {
    type Out = ();
    /// Numbers of 64 bits come from memory no faster, nor are they divided any faster.
    const WIDE: bool = size_of::<T>() == 4;
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let rule = *self.rule;
        for i in (0..self.piece.n).step_by(LANES) {
            // SAFETY: the piece has so many elements, a multiple of the lanes.
            unsafe { step::<K, T, FMA>(&rule, &self.piece, i) };
        }
    }
}

/// Applies a rule to a piece. What is left of a multiple of the lanes is copied to memory for as many, so that there is one
/// loop, for all lanes.
///
/// # Safety
/// As for [`Link::single`].
unsafe fn pass<K: Rule, T: Updated>(rule: &K, piece: Piece<T>) {
    let rest = piece.n % LANES;
    let whole = piece.n - rest;
    // SAFETY: `whole` and `rest` are as many elements as the piece has; those of the padded one are its own.
    unsafe {
        if whole > 0 {
            dispatch(Work { rule, piece: Piece { n: whole, ..piece } });
        }
        if rest > 0 {
            let mut padded = [[T::ZERO; LANES]; 6];
            dispatch(Work { rule, piece: pad(&piece, K::STATES, whole, &mut padded) });
            unpad(&piece, K::STATES, whole, &padded);
        }
    }
}

/// The piece's elements from `first` on, fewer than [`LANES`], in memory for as many: the parameter, the gradient, the
/// result, and the state.
///
/// # Safety
/// The piece must be valid for so many states.
unsafe fn pad<T: Updated>(
    piece: &Piece<T>,
    states: usize,
    first: usize,
    padded: &mut [[T; LANES]; 6],
) -> Piece<T> {
    let from = [piece.p, piece.g, std::ptr::null(), piece.s[0], piece.s[1], piece.s[2]];
    for (i, (to, from)) in padded.iter_mut().zip(from).enumerate().take(3 + states) {
        if i != 2 {
            // SAFETY: the piece has elements from `first` to its end, fewer than the lanes.
            unsafe { to.as_mut_ptr().copy_from_nonoverlapping(from.add(first), piece.n - first) };
        }
    }
    let [p, g, out, s0, s1, s2] = padded.each_mut().map(|x| x.as_mut_ptr());
    Piece { p, g, s: [s0, s1, s2], out, n: LANES, ..*piece }
}

/// Copies the result and the state from where [`pad`] has them to the piece.
///
/// # Safety
/// As for that.
unsafe fn unpad<T: Updated>(piece: &Piece<T>, states: usize, first: usize, padded: &[[T; LANES]; 6]) {
    let to = [piece.out, piece.s[0], piece.s[1], piece.s[2]];
    for (from, to) in padded[2..].iter().zip(to).take(1 + states) {
        // SAFETY: the piece has elements from `first` to its end, fewer than the lanes.
        unsafe { to.add(first).copy_from_nonoverlapping(from.as_ptr(), piece.n - first) };
    }
}

#[inline(always)]
unsafe fn step<K: Rule, T: Updated, const FMA: bool>(rule: &K, piece: &Piece<T>, i: usize) {
    // SAFETY: the piece has `LANES` elements from `i` on.
    unsafe {
        let p = load::<T, LANES>(piece.p.add(i), LANES, T::ZERO);
        let g = load::<T, LANES>(piece.g.add(i), LANES, T::ZERO);
        let mut s = [[T::ZERO; LANES]; 3];
        for (s, from) in s.iter_mut().zip(piece.s).take(K::STATES) {
            *s = load::<T, LANES>(from.add(i), LANES, T::ZERO);
        }
        let mut out = [T::ZERO; LANES];
        for l in 0..LANES {
            let mut state = [T::ZERO; 3];
            for k in 0..K::STATES {
                state[k] = s[k][l];
            }
            let (dx, state) = T::step::<K, FMA>(rule, p[l], g[l].times(piece.scale), state);
            out[l] = if piece.subtract { p[l] - dx } else { dx };
            for k in 0..K::STATES {
                s[k][l] = state[k];
            }
        }
        store(piece.out.add(i), LANES, &out);
        for (s, to) in s.iter().zip(piece.s).take(K::STATES) {
            store(to.add(i), LANES, s);
        }
    }
}
