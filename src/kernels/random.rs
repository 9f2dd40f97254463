//! Random numbers from a counter: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
//!
//! Element `i` depends on the key, the counter and `i` only, so the numbers are the same for any number of threads.
//! Blocks are computed sixteen at a time, lane by lane: word `w` of block `16 a + l` is word `64 a + 16 w + l` of the
//! stream. Each function moves the place that it is given past the blocks it used.

use super::dispatch::{Compute, compute};
use super::lanes::write;
use super::number::Float;
use super::real::{Lane, Real};
use crate::memory::room;
use crate::memory::unwritten::{Unwritten, assume_written, fill_with};
use crate::team::{self, Pieces};

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The block of four random words for a counter and a key.
#[inline(always)]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut c0, mut c1, mut c2, mut c3], [mut k0, mut k1]) = (counter, key);
    for _ in 0..ROUNDS {
        let a = u64::from(MULTIPLIERS[0]) * u64::from(c0);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(c2);
        (c0, c1) = ((b >> 32) as u32 ^ c1 ^ k0, b as u32);
        (c2, c3) = ((a >> 32) as u32 ^ c3 ^ k1, a as u32);
        (k0, k1) = (k0.wrapping_add(WEYL[0]), k1.wrapping_add(WEYL[1]));
    }
    [c0, c1, c2, c3]
}

/// Blocks computed side by side.
pub(super) const LANES: usize = 16;
/// Groups of blocks per task.
const CHUNK: usize = 256;

/// A place in the stream of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which stream: the seed.
    pub key: u64,
    /// The number of the next block.
    pub counter: u64,
}

impl Position {
    /// The place that follows groups of [`LANES`] blocks.
    pub(super) fn after(self, groups: usize) -> Position {
        Position { counter: self.counter.wrapping_add((groups * LANES) as u64), ..self }
    }

    /// The four random words of block `l` from here.
    #[inline(always)]
    pub(super) fn words(self, l: usize) -> [u32; 4] {
        let [low, high] = halves(self.counter.wrapping_add(l as u64));
        philox([low, high, 0, 0], halves(self.key))
    }

    /// The 64 bits that take the place of element `i` of [`bits`] when those were rejected `attempt` times.
    #[cold]
    fn again(self, i: usize, attempt: u32) -> u64 {
        let [low, high] = halves(self.after(i / (2 * LANES)).counter.wrapping_add((i % LANES) as u64));
        let pair = (i / LANES % 2) as u32;
        let [a, b, ..] = philox([low, high, pair, attempt], halves(self.key));
        whole(a, b)
    }

    /// An integer below `range` from element `i` of [`bits`], each equally likely (Lemire's multiplication).
    #[inline(always)]
    fn below(self, range: u64, i: usize, mut bits: u64) -> u64 {
        let mut product = u128::from(bits) * u128::from(range);
        if (product as u64) < range {
            let biased = range.wrapping_neg() % range;
            let mut attempt = 0;
            while (product as u64) < biased {
                attempt += 1;
                bits = self.again(i, attempt);
                product = u128::from(bits) * u128::from(range);
            }
        }
        (product >> 64) as u64
    }
}

#[inline(always)]
fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

#[inline(always)]
fn whole(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// How a block of words becomes `V` elements.
trait Draw<const V: usize>: Sync {
    type Out: Copy + Default + Send;
    /// Nanoseconds per group of blocks.
    const NANOS: usize;
    /// The elements of a block.
    fn draw<const FMA: bool>(&self, words: [u32; 4]) -> [Self::Out; V];
}

/// Fills `out` with what is drawn from the place on, which moves to the place that follows.
fn fill<'a, K: Draw<V>, const V: usize>(
    draw: &K,
    place: &mut Position,
    out: &'a mut Unwritten<K::Out>,
) -> &'a mut [K::Out] {
    let (start, groups) = (*place, out.len().div_ceil(V * LANES));
    *place = start.after(groups);
    team::fill(Pieces::of(out, CHUNK * V * LANES), groups * K::NANOS, |task, out| {
        compute(Fill { draw, place: start.after(task * CHUNK), out })
    })
}

struct Fill<'d, 'a, K: Draw<V>, const V: usize> {
    draw: &'d K,
    place: Position,
    out: &'a mut Unwritten<K::Out>,
}

impl<'a, K: Draw<V>, const V: usize> Compute for Fill<'_, 'a, K, V> {
    type Out = &'a mut [K::Out];
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> &'a mut [K::Out] {
        for (group, out) in self.out.chunks_mut(V * LANES).enumerate() {
            let place = self.place.after(group);
            let mut drawn = [[K::Out::default(); LANES]; V];
            for l in 0..LANES {
                let elements = self.draw.draw::<FMA>(place.words(l));
                for (lanes, element) in drawn.iter_mut().zip(elements) {
                    lanes[l] = element;
                }
            }
            for (lanes, out) in drawn.iter().zip(out.chunks_mut(LANES)) {
                write(out, lanes);
            }
        }
        // SAFETY: a chunk has `V` vectors of `LANES` places at most, as many as are drawn, and the chunks are all of `out`.
        unsafe { assume_written(self.out) }
    }
}

struct Bits;

impl Draw<2> for Bits {
    type Out = u64;
    const NANOS: usize = 40;
    #[inline(always)]
    fn draw<const FMA: bool>(&self, [a, b, c, d]: [u32; 4]) -> [u64; 2] {
        [whole(a, b), whole(c, d)]
    }
}

/// [`Bits`] as signed numbers.
struct Signed;

impl Draw<2> for Signed {
    type Out = i64;
    const NANOS: usize = Bits::NANOS;
    #[inline(always)]
    fn draw<const FMA: bool>(&self, words: [u32; 4]) -> [i64; 2] {
        Bits.draw::<FMA>(words).map(|bits| bits as i64)
    }
}

/// Fills `out` with 64 random bits each.
pub fn bits<'a>(place: &mut Position, out: &'a mut Unwritten<u64>) -> &'a mut [u64] {
    fill(&Bits, place, out)
}

/// Fills `out` with integers in `low..high`, each equally likely.
///
/// # Panics
/// Where `low` is not below `high`.
pub fn integers<'a>(place: &mut Position, low: i64, high: i64, out: &'a mut Unwritten<i64>) -> &'a mut [i64] {
    const ELEMENTS: usize = CHUNK * 2 * LANES;
    assert!(low < high, "there is no integer from {low} to below {high}");
    let (start, range) = (*place, high.wrapping_sub(low) as u64);
    let values = fill(&Signed, place, out);
    let n = values.len();
    team::each(Pieces::of(values, ELEMENTS), n, |task, values| {
        for (i, value) in values.iter_mut().enumerate() {
            *value = low.wrapping_add(start.below(range, task * ELEMENTS + i, *value as u64) as i64);
        }
    });
    values
}

/// Fills `out` with the numbers below its length in random order (Fisher and Yates).
pub fn permutation<'a>(place: &mut Position, out: &'a mut Unwritten<i64>) -> &'a mut [i64] {
    let (start, n) = (*place, out.len());
    let mut drawn = room(n);
    let drawn = bits(place, &mut drawn.spare_capacity_mut()[..n]);
    let numbers = fill_with(out, |i| i as i64);
    for i in (1..n).rev() {
        numbers.swap(i, start.below(i as u64 + 1, i, drawn[i]) as usize);
    }
    numbers
}

struct Uniform;

impl Draw<4> for (Uniform, f32) {
    type Out = f32;
    const NANOS: usize = 40;
    #[inline(always)]
    fn draw<const FMA: bool>(&self, words: [u32; 4]) -> [f32; 4] {
        // As `i32`, which has a vector instruction everywhere.
        let mut out = [0.0; 4];
        for (out, w) in out.iter_mut().zip(words) {
            *out = (w >> 8) as i32 as f32 * (1.0 / (1 << 24) as f32);
        }
        out
    }
}

impl Draw<2> for (Uniform, f64) {
    type Out = f64;
    const NANOS: usize = 50;
    #[inline(always)]
    fn draw<const FMA: bool>(&self, [a, b, c, d]: [u32; 4]) -> [f64; 2] {
        const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
        [(whole(a, b) >> 11) as i64 as f64 * UNIT, (whole(c, d) >> 11) as i64 as f64 * UNIT]
    }
}

/// `sqrt(-2 ln u) * (cos angle, sin angle)`: two normal numbers (Box and Muller).
#[inline(always)]
fn box_muller<R: Real>(u: R, angle: R) -> (R, R) {
    let radius = (u.ln() * -2.0).sqrt();
    (radius * angle.cos(), radius * angle.sin())
}

struct Normal;

impl Draw<4> for (Normal, f32) {
    type Out = f32;
    const NANOS: usize = 120;
    #[inline(always)]
    fn draw<const FMA: bool>(&self, [a, b, c, d]: [u32; 4]) -> [f32; 4] {
        let ((p, q), (r, s)) = (normal_pair::<FMA>(a, b), normal_pair::<FMA>(c, d));
        [p, q, r, s]
    }
}

#[inline(always)]
fn normal_pair<const FMA: bool>(a: u32, b: u32) -> (f32, f32) {
    const HALF_TURN: f32 = std::f32::consts::PI / (1_u64 << 31) as f32;
    // All 32 bits, for the tails; the half keeps the logarithm finite.
    let u = (a as f32 + 0.5) * (1.0 / (1_u64 << 32) as f32);
    let (p, q) = box_muller(Lane::<f32, FMA>(u), Lane(b as i32 as f32 * HALF_TURN));
    (p.0, q.0)
}

impl Draw<2> for (Normal, f64) {
    type Out = f64;
    const NANOS: usize = 150;
    #[inline(always)]
    fn draw<const FMA: bool>(&self, [a, b, c, d]: [u32; 4]) -> [f64; 2] {
        const HALF_TURN: f64 = std::f64::consts::PI / (1_u64 << 52) as f64;
        let u = ((whole(a, b) >> 11) as i64 as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64);
        let angle = (whole(c, d) as i64 >> 11) as f64 * HALF_TURN;
        let (p, q) = box_muller(Lane::<f64, FMA>(u), Lane(angle));
        [p.0, q.0]
    }
}

/// A floating type that random numbers are drawn in.
pub trait Random: Float {
    /// [`uniform`] for this type.
    fn uniform<'a>(place: &mut Position, out: &'a mut Unwritten<Self>) -> &'a mut [Self];
    /// [`normal`] for this type.
    fn normal<'a>(place: &mut Position, out: &'a mut Unwritten<Self>) -> &'a mut [Self];
}

macro_rules! random {
    ($($t:ident)*) => {$(
        impl Random for $t {
            fn uniform<'a>(place: &mut Position, out: &'a mut Unwritten<$t>) -> &'a mut [$t] {
                fill(&(Uniform, 0.0 as $t), place, out)
            }
            fn normal<'a>(place: &mut Position, out: &'a mut Unwritten<$t>) -> &'a mut [$t] {
                fill(&(Normal, 0.0 as $t), place, out)
            }
        }
    )*};
}
random!(f32 f64);

/// Fills `out` with multiples of 2^-24 (`f32`) or 2^-53 (`f64`) in `[0, 1)`, each equally likely.
pub fn uniform<'a, T: Random>(place: &mut Position, out: &'a mut Unwritten<T>) -> &'a mut [T] {
    T::uniform(place, out)
}

/// Fills `out` with normal numbers of mean 0 and variance 1.
pub fn normal<'a, T: Random>(place: &mut Position, out: &'a mut Unwritten<T>) -> &'a mut [T] {
    T::normal(place, out)
}
