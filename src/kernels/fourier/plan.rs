//! Plans of transforms, which each thread keeps for the lengths that it has used last.

use crate::dtype::Element;
use crate::isa::{Isa, isa};
use crate::kernels::number::Float;
use crate::memory::{collected, room};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftDirection, FftNum, FftPlanner, FftPlannerScalar};
use std::cell::RefCell;
use std::f64::consts::PI;
use std::sync::Arc;

/// How many numbers all the plans that are kept may be for.
const KEPT: usize = 1 << 21;
/// From this length on, it is looked first whether there is memory for a plan: the planner cannot say that there is none.
const LARGE: usize = 1 << 14;

/// A number that waves are made of.
pub trait Wave: FftNum + Float + Element {
    /// The number nearest to a constant.
    fn lit(value: f64) -> Self;
    /// What `f` makes of this thread's plans.
    #[doc(hidden)]
    fn with_plans<R>(f: impl FnOnce(&mut Plans<Self>) -> R) -> R;
}

macro_rules! waves {
    ($($t:ident)*) => {$(
        impl Wave for $t {
            fn lit(value: f64) -> $t {
                value as $t
            }
            fn with_plans<R>(f: impl FnOnce(&mut Plans<$t>) -> R) -> R {
                thread_local! {
                    static PLANS: RefCell<Plans<$t>> = const { RefCell::new(Plans { ffts: Vec::new(), turns: Vec::new() }) };
                }
                PLANS.with_borrow_mut(f)
            }
        }
    )*};
}
waves!(f32 f64);

/// What was planned, the latest first.
#[doc(hidden)]
pub struct Plans<T> {
    ffts: Vec<Arc<dyn Fft<T>>>,
    turns: Vec<Arc<Turns<T>>>,
}

/// `-i exp(-i pi k / n)` for `k` from 0 up to `n`: the real and the imaginary parts.
pub(super) struct Turns<T> {
    pub(super) re: Vec<T>,
    pub(super) im: Vec<T>,
}

impl<T: Wave> Turns<T> {
    fn new(n: usize) -> Turns<T> {
        let angle = |k: usize| PI * k as f64 / n as f64;
        Turns {
            re: collected((0..n).map(|k| T::lit(-angle(k).sin()))),
            im: collected((0..n).map(|k| T::lit(-angle(k).cos()))),
        }
    }
}

/// The first of the things that are kept which is as wanted, else a new one; it comes first from now on.
fn kept<P: ?Sized>(
    plans: &mut Vec<Arc<P>>,
    is_wanted: impl Fn(&P) -> bool,
    length: impl Fn(&P) -> usize,
    make: impl FnOnce() -> Arc<P>,
) -> Arc<P> {
    match plans.iter().position(|plan| is_wanted(plan)) {
        Some(at) => plans[..=at].rotate_right(1),
        None => plans.insert(0, make()),
    }
    let plan = Arc::clone(&plans[0]);
    while plans.iter().map(|plan| length(plan)).sum::<usize>() > KEPT {
        plans.pop();
    }
    plan
}

/// The transform of `n` pairs.
pub(super) fn plan<T: Wave>(n: usize, direction: FftDirection) -> Arc<dyn Fft<T>> {
    T::with_plans(|plans| {
        kept(
            &mut plans.ffts,
            |fft| fft.len() == n && fft.fft_direction() == direction,
            |fft| fft.len(),
            || {
                if n >= LARGE {
                    // A length that is prime is done by transforms of more than twice that, with factors of their own.
                    drop(room::<Complex<T>>(n.saturating_mul(16)));
                }
                // What `rustfft` takes of itself is what the processor has, not what was asked for.
                match isa() {
                    Isa::Portable if cfg!(target_arch = "x86_64") => {
                        FftPlannerScalar::new().plan_fft(n, direction)
                    }
                    _ => FftPlanner::new().plan_fft(n, direction),
                }
            },
        )
    })
}

/// The turns by which the transform of `n` pairs becomes that of twice as many reals.
pub(super) fn turns<T: Wave>(n: usize) -> Arc<Turns<T>> {
    T::with_plans(|plans| {
        kept(
            &mut plans.turns,
            |turns| turns.re.len() == n,
            |turns| turns.re.len(),
            || Arc::new(Turns::new(n)),
        )
    })
}

/// Numbers of which each two are a pair, as such.
pub(super) fn paired<T: Wave>(values: &mut [T]) -> &mut [Complex<T>] {
    let (pairs, _) = values.as_chunks_mut::<2>();
    let (start, n) = (pairs.as_mut_ptr(), pairs.len());
    // SAFETY: a `Complex<T>` is laid out as C does two numbers of type `T`, which is how two of them lie in an array; so
    // there are `n` of them, and their borrow is handed on.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), n) }
}
