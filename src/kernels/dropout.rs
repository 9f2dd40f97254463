//! Dropout: each random word is used as soon as it is drawn, so that no mask is ever in memory.

use super::dispatch::{Kernel, Shared, dispatch};
use super::lanes::{load, store};
use super::number::Float;
use super::random::{LANES, Place};
use super::real::Real;
use crate::team;

/// Words in a block, and so elements.
const WORDS: usize = 4;
/// Groups of [`LANES`] blocks per task.
const CHUNK: usize = 256;
/// Nanoseconds per group.
const NANOS: usize = 45;

/// What becomes of an element: `x * scale + shift` if the random word is at most `limit`, else `dropped`.
#[derive(Clone, Copy, Debug)]
pub struct Rule<T> {
    /// The largest word with which an element is kept.
    pub limit: u32,
    /// The factor of an element that is kept.
    pub scale: T,
    /// What is added to an element that is kept.
    pub shift: T,
    /// What stands for an element that is not.
    pub dropped: T,
}

/// The place in the stream that follows the words for `n` elements.
pub fn after(place: Place, n: usize) -> Place {
    place.after(n.div_ceil(WORDS * LANES))
}

struct Drop<T> {
    rule: Rule<T>,
    place: Place,
    first: usize,
    last: usize,
    n: usize,
    x: *const T,
    out: *mut T,
}

impl<T: Float> Kernel for Drop<T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let Rule { limit, scale, shift, dropped } = self.rule;
        for group in self.first..self.last {
            let mut words = [[0_u32; LANES]; WORDS];
            let place = self.place.after(group);
            for l in 0..LANES {
                for (words, word) in words.iter_mut().zip(place.words(l)) {
                    words[l] = word;
                }
            }
            for (w, words) in words.iter().enumerate() {
                let i = (group * WORDS + w) * LANES;
                if i >= self.n {
                    return;
                }
                // SAFETY: no element from `n` on is read or written.
                unsafe {
                    let mut x = load::<T, LANES>(self.x.add(i), self.n - i, T::ZERO);
                    for l in 0..LANES {
                        let kept = x[l].lane::<FMA>().mul_add(scale.lane::<FMA>(), shift.lane::<FMA>());
                        x[l] = if words[l] <= limit { T::of::<FMA>(kept) } else { dropped };
                    }
                    store(self.out.add(i), self.n - i, &x);
                }
            }
        }
    }
}

/// Applies a rule to each of `n` elements, with the words that follow a place.
///
/// # Safety
/// `x` must be readable and `out` writable for `n` elements; they must not overlap.
pub unsafe fn dropout<T: Float>(place: Place, rule: Rule<T>, n: usize, x: *const T, out: *mut T) {
    let groups = n.div_ceil(WORDS * LANES);
    let (x, out) = (Shared(x.cast_mut()), Shared(out));
    team::run(groups.div_ceil(CHUNK), groups * NANOS, |task| {
        let (first, last) = (task * CHUNK, groups.min((task + 1) * CHUNK));
        // SAFETY: the task's elements of the caller's arrays.
        unsafe { dispatch(Drop { rule, place, first, last, n, x: x.at(0), out: out.at(0) }) };
    });
}
