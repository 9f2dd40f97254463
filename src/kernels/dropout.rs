//! Dropout: each random word is used as soon as it is drawn, so that no mask is ever in memory.

use super::dispatch::{Compute, compute};
use super::lanes::{read, write};
use super::number::Float;
use super::random::{LANES, Position};
use super::real::Real;
use crate::memory::unwritten::{Unwritten, assume_written};
use crate::team::{self, Pieces};

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
pub fn after(place: Position, n: usize) -> Position {
    place.after(n.div_ceil(WORDS * LANES))
}

/// The elements of a task, with the words from a place on.
struct Drop<'x, 'a, T> {
    rule: Rule<T>,
    place: Position,
    x: &'x [T],
    out: &'a mut Unwritten<T>,
}

impl<'a, T: Float> Compute for Drop<'_, 'a, T> {
    type Out = &'a mut [T];
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> &'a mut [T] {
        let Drop { rule: Rule { limit, scale, shift, dropped }, place, x, out } = self;
        let groups = x.chunks(WORDS * LANES).zip(out.chunks_mut(WORDS * LANES));
        for (group, (x, out)) in groups.enumerate() {
            let mut words = [[0_u32; LANES]; WORDS];
            let place = place.after(group);
            for l in 0..LANES {
                for (words, word) in words.iter_mut().zip(place.words(l)) {
                    words[l] = word;
                }
            }
            for ((words, x), out) in words.iter().zip(x.chunks(LANES)).zip(out.chunks_mut(LANES)) {
                let mut x = read::<T, LANES>(x, T::ZERO);
                for l in 0..LANES {
                    let kept = x[l].lane::<FMA>().mul_add(scale.lane::<FMA>(), shift.lane::<FMA>());
                    x[l] = if words[l] <= limit { T::of::<FMA>(kept) } else { dropped };
                }
                write(out, &x);
            }
        }
        // SAFETY: a group has `WORDS` vectors of `LANES` places at most, and the groups are all of `out`, which is as long
        // as `x`.
        unsafe { assume_written(out) }
    }
}

/// Applies a rule to each element, with the words that follow a place. Gives the results.
///
/// # Panics
/// Where there are not as many results as elements.
pub fn dropout<'a, T: Float>(
    place: Position,
    rule: Rule<T>,
    x: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    assert!(x.len() == out.len(), "dropout: {} elements have {} results", x.len(), out.len());
    let groups = x.len().div_ceil(WORDS * LANES);
    let most = CHUNK * WORDS * LANES;
    team::fill(Pieces::of(out, most), groups * NANOS, |task, out| {
        let x = &x[task * most..][..out.len()];
        compute(Drop { rule, place: place.after(task * CHUNK), x, out })
    })
}
