//! Random numbers from a counter: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
//!
//! Element `i` depends on the key, the counter and `i` only, so the numbers are the same for any number of threads.
//! Blocks are computed sixteen at a time, lane by lane: word `w` of block `16 a + l` is word `64 a + 16 w + l` of the
//! stream. Each function returns the place that follows the blocks it used.

use super::dispatch::{Kernel, Shared, dispatch};
use super::lanes::store;
use super::number::Float;
use super::real::{Lane, Real};
use crate::memory::filled;
use crate::team;

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
pub struct Place {
    /// Which stream: the seed.
    pub key: u64,
    /// The number of the next block.
    pub counter: u64,
}

impl Place {
    /// The place that follows groups of [`LANES`] blocks.
    pub(super) fn after(self, groups: usize) -> Place {
        Place { counter: self.counter.wrapping_add((groups * LANES) as u64), ..self }
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
    type Out: Copy + Default;
    /// Nanoseconds per group of blocks.
    const NANOS: usize;
    /// The elements of a block.
    fn draw<const FMA: bool>(&self, words: [u32; 4]) -> [Self::Out; V];
}

unsafe fn fill<K: Draw<V>, const V: usize>(draw: &K, place: Place, n: usize, out: *mut K::Out) -> Place {
    let groups = n.div_ceil(V * LANES);
    let out = Shared(out);
    team::run(groups.div_ceil(CHUNK), groups * K::NANOS, |task| {
        let (first, last) = (task * CHUNK, groups.min((task + 1) * CHUNK));
        // SAFETY: the task's elements of the caller's array.
        unsafe { dispatch(Fill { draw, place, first, last, n, out: out.at(0) }) };
    });
    place.after(groups)
}

struct Fill<'a, K: Draw<V>, const V: usize> {
    draw: &'a K,
    place: Place,
    first: usize,
    last: usize,
    n: usize,
    out: *mut K::Out,
}

impl<K: Draw<V>, const V: usize> Kernel for Fill<'_, K, V> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        for group in self.first..self.last {
            let first = group * V * LANES;
            let place = self.place.after(group);
            let mut drawn = [[K::Out::default(); LANES]; V];
            for l in 0..LANES {
                let elements = self.draw.draw::<FMA>(place.words(l));
                for (lanes, element) in drawn.iter_mut().zip(elements) {
                    lanes[l] = element;
                }
            }
            for (v, lanes) in drawn.iter().enumerate() {
                let at = first + v * LANES;
                if at < self.n {
                    // SAFETY: no element from `n` on is written.
                    unsafe { store(self.out.add(at), self.n - at, lanes) };
                }
            }
        }
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

/// Fills `out` with 64 random bits each.
///
/// # Safety
/// `out` must be writable for `n` elements.
pub unsafe fn bits(place: Place, n: usize, out: *mut u64) -> Place {
    // SAFETY: the caller's promise.
    unsafe { fill(&Bits, place, n, out) }
}

/// Fills `out` with integers in `low..high`, each equally likely. `low` must be below `high`.
///
/// # Safety
/// `out` must be writable for `n` elements.
pub unsafe fn integers(place: Place, low: i64, high: i64, n: usize, out: *mut i64) -> Place {
    const ELEMENTS: usize = CHUNK * 2 * LANES;
    let range = high.wrapping_sub(low) as u64;
    // SAFETY: the caller's promise; both types have 64 bits.
    let next = unsafe { bits(place, n, out.cast()) };
    let out = Shared(out);
    team::run(n.div_ceil(ELEMENTS), n, |task| {
        for i in task * ELEMENTS..n.min((task + 1) * ELEMENTS) {
            // SAFETY: `i < n`, and no other task has it.
            let element = unsafe { &mut *out.at(i) };
            *element = low.wrapping_add(place.below(range, i, *element as u64) as i64);
        }
    });
    next
}

/// Fills `out` with the numbers below `n` in random order (Fisher and Yates).
///
/// # Safety
/// `out` must be writable for `n` elements.
pub unsafe fn permutation(place: Place, n: usize, out: *mut i64) -> Place {
    let mut drawn = filled(n, 0);
    // SAFETY: `drawn` has room for `n` elements, and the caller's `out` too.
    let (next, out) = unsafe { (bits(place, n, drawn.as_mut_ptr()), std::slice::from_raw_parts_mut(out, n)) };
    for (i, place) in out.iter_mut().enumerate() {
        *place = i as i64;
    }
    for i in (1..n).rev() {
        out.swap(i, place.below(i as u64 + 1, i, drawn[i]) as usize);
    }
    next
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
    ///
    /// # Safety
    /// As for [`uniform`].
    unsafe fn uniform(place: Place, n: usize, out: *mut Self) -> Place;
    /// [`normal`] for this type.
    ///
    /// # Safety
    /// As for [`normal`].
    unsafe fn normal(place: Place, n: usize, out: *mut Self) -> Place;
}

macro_rules! random {
    ($($t:ident)*) => {$(
        impl Random for $t {
            unsafe fn uniform(place: Place, n: usize, out: *mut $t) -> Place {
                // SAFETY: the caller's promise.
                unsafe { fill(&(Uniform, 0.0 as $t), place, n, out) }
            }
            unsafe fn normal(place: Place, n: usize, out: *mut $t) -> Place {
                // SAFETY: the caller's promise.
                unsafe { fill(&(Normal, 0.0 as $t), place, n, out) }
            }
        }
    )*};
}
random!(f32 f64);

/// Fills `out` with multiples of 2^-24 (`f32`) or 2^-53 (`f64`) in `[0, 1)`, each equally likely.
///
/// # Safety
/// `out` must be writable for `n` elements.
pub unsafe fn uniform<T: Random>(place: Place, n: usize, out: *mut T) -> Place {
    // SAFETY: the caller's promise.
    unsafe { T::uniform(place, n, out) }
}

/// Fills `out` with normal numbers of mean 0 and variance 1.
///
/// # Safety
/// `out` must be writable for `n` elements.
pub unsafe fn normal<T: Random>(place: Place, n: usize, out: *mut T) -> Place {
    // SAFETY: the caller's promise.
    unsafe { T::normal(place, n, out) }
}
