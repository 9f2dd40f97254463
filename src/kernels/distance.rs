//! Euclidean distances between the rows of two matrices, each from its differences: squares of the points themselves would
//! lose the digits of what is near.

use super::cost::multiplying;
use super::dispatch::{Compute, compute};
use super::lanes::Vectors;
use super::number::Float;
use super::real::Real;
use crate::memory::unwritten::{Unwritten, assume_written, copy_from};
use crate::team::{self, Pieces};

/// Columns whose distances are computed side by side.
const LANES: usize = 64;
/// Columns likewise, where fewer are left.
const FEW: usize = 8;
/// Differences per task.
const CHUNK: usize = 1 << 16;

/// `out[o, i, j]` = the distance of `a[o, i, ..]` from `b[o, .., j]`, for `a` of shape `(batch, n, width)` and `b` of shape
/// `(batch, width, m)`, the points of the latter in columns.
///
/// # Panics
/// Where `a`, `b` or `out` has not as many elements, or there are none.
pub fn euclidean<'a, T: Float>(
    [batch, n, m, width]: [usize; 4],
    a: &[T],
    b: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    assert!(
        a.len() == batch * n * width && b.len() == batch * width * m && out.len() == batch * n * m,
        "distances: {batch} times {n} and {m} points of {width} are not {}, {} and {} elements",
        a.len(),
        b.len(),
        out.len()
    );
    assert!(width > 0 && !out.is_empty(), "distances: there are no points");
    let group = (CHUNK / (m * width)).max(1);
    let groups = n.div_ceil(group);
    let nanos = multiplying(2 * batch * n * m * width);
    team::fill(Pieces::of_rows(out, n * m, group * m), nanos, |task, out| {
        let (o, first) = (task / groups, task % groups * group);
        let rows = out.len() / m;
        let a = &a[(o * n + first) * width..][..rows * width];
        compute(Rows { a, b: &b[o * width * m..][..width * m], m, width, out })
    })
}

struct Rows<'x, 'a, T> {
    a: &'x [T],
    b: &'x [T],
    m: usize,
    width: usize,
    out: &'a mut Unwritten<T>,
}

impl<'a, T: Float> Compute for Rows<'_, 'a, T> {
    type Out = &'a mut [T];
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> &'a mut [T] {
        let Rows { a, b, m, width, out } = self;
        for (a, out) in a.chunks_exact(width).zip(out.chunks_exact_mut(m)) {
            let mut j = 0;
            macro_rules! strips {
                ($($lanes:expr),+) => {$(
                    while m - j >= $lanes {
                        copy_from(&mut out[j..][..$lanes], &tile::<T, FMA, { $lanes }>(a, &b[j..], m));
                        j += $lanes;
                    }
                )+};
            }
            strips!(LANES, FEW, 1);
        }
        // SAFETY: there are as many rows as `a` has, and of each columns are taken until none is left; all are written.
        unsafe { assume_written(out) }
    }
}

/// The distances of a point from `L` columns, which are `stride` apart from one row of `b` to the next.
#[inline(always)]
fn tile<T: Float, const FMA: bool, const L: usize>(a: &[T], b: &[T], stride: usize) -> [T; L] {
    let mut sums = [T::ZERO; L];
    for (x, b) in a.iter().zip(Vectors::<T, L>::new(b, a.len(), stride)) {
        let x = x.lane::<FMA>();
        for l in 0..L {
            let away = x - b[l].lane::<FMA>();
            sums[l] = T::of::<FMA>(away.mul_add(away, sums[l].lane::<FMA>()));
        }
    }
    let mut roots = [T::ZERO; L];
    for l in 0..L {
        roots[l] = T::of::<FMA>(sums[l].lane::<FMA>().sqrt());
    }
    roots
}
