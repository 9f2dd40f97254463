//! Running extremes with their places, and running logarithms of sums of exponentials.

use super::cost::rowwise;
use super::math::double;
use super::number::{Float, Number};
use super::reduce::Axis;
use crate::memory::unwritten::{Unwritten, Writer};
use crate::memory::{collected, filled};
use crate::team::{self, Pieces};

/// Elements that are compared, or whose exponentials are taken, side by side.
const BLOCK: usize = 32;

/// `out[o, i, j]` = the place of the last largest element in `x[o, ..=i, j]`, or of its last NaN; with `smallest`, of the
/// last smallest.
///
/// # Panics
/// Where `x` or `out` has not as many elements.
pub fn places<'a, T: Number>(
    axis: Axis,
    x: &[T],
    smallest: bool,
    out: &'a mut Unwritten<i64>,
) -> &'a mut [i64] {
    if smallest {
        extremes(axis, x, out, |x, best| x <= best)
    } else {
        extremes(axis, x, out, |x, best| x >= best)
    }
}

#[inline(always)]
fn extremes<'a, T: Number>(
    axis: Axis,
    x: &[T],
    out: &'a mut Unwritten<i64>,
    wins: impl Fn(T, T) -> bool + Sync,
) -> &'a mut [i64] {
    let Axis { n, inner, .. } = axis;
    assert!(
        x.len() == axis.size() && out.len() == axis.size(),
        "running extremes: {axis:?} does not fit {} elements and {} results",
        x.len(),
        out.len()
    );
    let matrix = n * inner;
    // Nothing wins over NaN, with which no comparison is true.
    let takes = |x: T, best: T| wins(x, best) | x.is_nan();
    team::fill(Pieces::of(out, matrix.max(1)), rowwise(axis.outer, matrix, 1.5), |task, out| {
        let x = &x[task * matrix..][..matrix];
        let mut places = Writer::new(out);
        if inner == 1 {
            let (mut best, mut place) = (x[0], 0);
            for (block, x) in x.chunks(BLOCK).enumerate() {
                // In most blocks of what is in no order nothing wins, which is found side by side.
                if !x.iter().fold(false, |any, &x| any | takes(x, best)) {
                    places.extend(x.iter().map(|_| place));
                    continue;
                }
                places.extend(x.iter().enumerate().map(|(i, &x)| {
                    if takes(x, best) {
                        (best, place) = (x, (block * BLOCK + i) as i64);
                    }
                    place
                }));
            }
            return places.finish();
        }
        let (mut best, mut place) = (collected(x[..inner].iter().copied()), filled(inner, 0i64));
        for (i, row) in x.chunks_exact(inner).enumerate() {
            for ((&x, best), place) in row.iter().zip(&mut best).zip(&mut place) {
                if takes(x, *best) {
                    (*best, *place) = (x, i as i64);
                }
            }
            places.write(&place);
        }
        places.finish()
    })
}

/// A number that [`logsumexp`] sums in float64.
pub trait Summed: Float {
    /// As float64.
    fn double(self) -> f64;
    /// Of float64.
    fn of_double(x: f64) -> Self;
}

macro_rules! summed {
    ($($t:ty)*) => {$(
        impl Summed for $t {
            #[inline(always)]
            fn double(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn of_double(x: f64) -> Self {
                x as $t
            }
        }
    )*};
}
summed!(f32 f64);

/// `out[o, i]` = `log(sum of exp(x[o, ..=i]))` for `x` of shape `(rows, n)`: the sums, of what is relative to the largest so
/// far, are float64.
///
/// # Panics
/// Where `x` or `out` has not as many elements.
pub fn logsumexp<'a, T: Summed>(rows: usize, n: usize, x: &[T], out: &'a mut Unwritten<T>) -> &'a mut [T] {
    assert!(
        x.len() == rows * n && out.len() == rows * n,
        "running logsumexp: {rows} rows of {n} are not {} elements and {} results",
        x.len(),
        out.len()
    );
    team::fill(Pieces::of(out, n.max(1)), rowwise(rows, n, 6.0), |task, out| {
        let mut sums = Writer::new(out);
        let (mut most, mut sum) = (f64::NEG_INFINITY, 0.0);
        for block in x[task * n..][..n].chunks(BLOCK) {
            let mut shift = [0.0; BLOCK];
            let (mut fade, mut term) = ([0.0; BLOCK], [0.0; BLOCK]);
            let mut values = [0.0; BLOCK];
            for (i, x) in block.iter().enumerate() {
                let x = x.double();
                let now = if x > most { x } else { most };
                // Of two equal infinities the distance is NaN.
                fade[i] = if most == now { 0.0 } else { most - now };
                term[i] = if x == now { 0.0 } else { x - now };
                (shift[i], most) = (now, now);
            }
            for i in 0..BLOCK {
                fade[i] = double::exp::<false>(fade[i]);
                term[i] = double::exp::<false>(term[i]);
            }
            for i in 0..block.len() {
                sum = sum * fade[i] + term[i];
                values[i] = sum;
            }
            for i in 0..BLOCK {
                values[i] = shift[i] + double::ln::<false>(values[i]);
            }
            sums.extend(values[..block.len()].iter().map(|&v| T::of_double(v)));
        }
        sums.finish()
    })
}
