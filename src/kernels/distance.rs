//! Euclidean distances between the rows of two matrices, each from its differences: squares of the points themselves would
//! lose the digits of what is near.

use super::cost::multiplying;
use super::dispatch::{Compute, compute};
use super::lanes::Vectors;
use super::number::Float;
use super::real::Real;
use crate::memory::unwritten::{Unwritten, assume_written, copy_from};
use crate::team::{self, Pieces};

/// Rows whose distances are computed side by side, so that what is read of the other matrix serves all of them.
const ROWS: usize = 4;
/// Columns likewise.
const LANES: usize = 32;
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
    let group = (CHUNK / (m * width)).max(1).next_multiple_of(ROWS);
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
        let (rows, mut i) = (out.len() / m, 0);
        macro_rules! strips {
            ($rows:expr; $($lanes:expr),+) => {
                while rows - i >= $rows {
                    let (mut j, a) = (0, &a[i * width..][..$rows * width]);
                    $(
                        while m - j >= $lanes {
                            let found = tile::<T, FMA, { $rows }, { $lanes }>(a, &b[j..], m, width);
                            for (row, found) in found.iter().enumerate() {
                                copy_from(&mut out[(i + row) * m + j..][..$lanes], found);
                            }
                            j += $lanes;
                        }
                    )+
                    i += $rows;
                }
            };
        }
        strips!(ROWS; LANES, FEW, 1);
        strips!(1; LANES, FEW, 1);
        // SAFETY: rows are taken until none is left, and of each row columns until none is left; all are written.
        unsafe { assume_written(out) }
    }
}

/// The distances of `R` rows of `width` from `L` columns, which are `stride` apart from one row of `b` to the next.
#[inline(always)]
fn tile<T: Float, const FMA: bool, const R: usize, const L: usize>(
    a: &[T],
    b: &[T],
    stride: usize,
    width: usize,
) -> [[T; L]; R] {
    let mut sums = [[T::ZERO; L]; R];
    for (k, b) in Vectors::<T, L>::new(b, width, stride).enumerate() {
        for (r, sums) in sums.iter_mut().enumerate() {
            let x = a[r * width + k].lane::<FMA>();
            for l in 0..L {
                let away = x - b[l].lane::<FMA>();
                sums[l] = T::of::<FMA>(away.mul_add(away, sums[l].lane::<FMA>()));
            }
        }
    }
    // Loops become vectors, which `map` of an array does not.
    for sums in &mut sums {
        for sum in sums {
            *sum = T::of::<FMA>(sum.lane::<FMA>().sqrt());
        }
    }
    sums
}
