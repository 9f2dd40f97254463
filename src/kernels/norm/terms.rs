//! Formulas that are summed or written element by element, in vectors of lanes.

use super::super::lanes::store;
use super::super::number::Float;
use super::super::reduce::{Sum, fold_across};

/// Lanes computed side by side: so many that the loops over them are turned into vectors before they are unrolled.
const LANES: usize = 64;
/// Lanes for what is left of a multiple of [`LANES`].
const FEW: usize = 8;
/// Vectors added one after another before they join the total; keeps the error of long sums small.
const BLOCK: usize = 32;
/// The most columns that are summed at a time.
pub(super) const TILE: usize = 128;

/// `N` numbers computed from one element.
pub(super) trait Terms<T: Float, const N: usize> {
    /// The numbers of the element at place `i` of the array, which is in column `j`.
    ///
    /// # Safety
    /// The place and the column must be within the arrays that the terms look at.
    unsafe fn at<const FMA: bool>(&self, i: usize, j: usize) -> [T::Lane<FMA>; N];
}

/// The element itself.
pub(super) struct Element<T>(pub(super) *const T);

impl<T: Float> Terms<T, 1> for Element<T> {
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 1] {
        // SAFETY: the caller's element.
        [unsafe { *self.0.add(i) }.lane::<FMA>()]
    }
}

/// The sums over `rows` vectors of `L` elements that are `stride` apart, lane by lane, but for the first `skip` lanes.
#[inline(always)]
unsafe fn lane_sums<T: Float, K: Terms<T, N>, const FMA: bool, const N: usize, const L: usize>(
    k: &K,
    (i, j): (usize, usize),
    rows: usize,
    stride: usize,
    skip: usize,
) -> [[T; L]; N] {
    let mut sums = [[T::ZERO; L]; N];
    for r in 0..rows {
        // A loop for each term: one loop for all would be turned into vectors only in part.
        for s in 0..N {
            for l in 0..L {
                // SAFETY: the caller's elements and columns.
                let terms = unsafe { k.at::<FMA>(i + r * stride + l, j + l) };
                let term = if l < skip { T::ZERO } else { T::of::<FMA>(terms[s]) };
                sums[s][l] = sums[s][l].plus(term);
            }
        }
    }
    sums
}

/// The sums over the first `n` elements; the terms do not look at the column.
#[inline(always)]
pub(super) unsafe fn row_sums<T: Float, K: Terms<T, N>, const FMA: bool, const N: usize>(
    k: &K,
    n: usize,
) -> [T; N] {
    let mut total = [T::ZERO; N];
    let mut add = |sums: [T; N]| total = std::array::from_fn(|s| total[s].plus(sums[s]));
    let mut i = 0;
    // SAFETY: only the first `n` elements are looked at.
    unsafe {
        while n - i >= LANES {
            let vectors = ((n - i) / LANES).min(BLOCK);
            let sums = lane_sums::<T, K, FMA, N, LANES>(k, (i, 0), vectors, LANES, 0);
            add(sums.map(fold_across::<Sum<T>, LANES>));
            i += vectors * LANES;
        }
        if n >= LANES {
            if i < n {
                // What is left is the end of a last vector, of which the lanes that are done are skipped.
                let skip = LANES - (n - i);
                let sums = lane_sums::<T, K, FMA, N, LANES>(k, (n - LANES, 0), 1, LANES, skip);
                add(sums.map(fold_across::<Sum<T>, LANES>));
            }
            return total;
        }
        let vectors = n / FEW;
        let sums = lane_sums::<T, K, FMA, N, FEW>(k, (0, 0), vectors, FEW, 0);
        add(sums.map(fold_across::<Sum<T>, FEW>));
        add(lane_sums::<T, K, FMA, N, 1>(k, (vectors * FEW, 0), n - vectors * FEW, 1, 0).map(|[sum]| sum));
    }
    total
}

/// The sums over `rows` rows that are `stride` apart, of each of `columns` columns, at most [`TILE`].
#[inline(always)]
pub(super) unsafe fn column_sums<T: Float, K: Terms<T, N>, const FMA: bool, const N: usize>(
    k: &K,
    first: usize,
    rows: usize,
    stride: usize,
    columns: usize,
) -> [[T; TILE]; N] {
    let mut sums = [[T::ZERO; TILE]; N];
    let mut j = 0;
    macro_rules! strips {
        ($($lanes:expr),+) => {$(
            while columns - j >= $lanes {
                // SAFETY: the caller's rows and columns.
                let strip = unsafe { lane_sums::<T, K, FMA, N, { $lanes }>(k, (first + j, j), rows, stride, 0) };
                for s in 0..N {
                    sums[s][j..j + $lanes].copy_from_slice(&strip[s]);
                }
                j += $lanes;
            }
        )+};
    }
    strips!(LANES, FEW, 1);
    sums
}

/// Writes the terms of `n` elements from place `first` on, which are in columns `0..n`, or adds them if `ADD`.
#[inline(always)]
pub(super) unsafe fn write<T: Float, K: Terms<T, N>, const FMA: bool, const ADD: bool, const N: usize>(
    k: &K,
    first: usize,
    n: usize,
    out: [*mut T; N],
) {
    let mut j = 0;
    // SAFETY: the caller's elements and columns, and its room for `n` elements in each output.
    unsafe {
        while n - j >= LANES {
            write_lanes::<T, K, FMA, ADD, N, LANES>(k, first, j, 0, out);
            j += LANES;
        }
        if n >= LANES {
            if j < n {
                // The end of a last vector: what was written before is written again, or has nothing added.
                write_lanes::<T, K, FMA, ADD, N, LANES>(k, first, n - LANES, LANES - (n - j), out);
            }
            return;
        }
        while n - j >= FEW {
            write_lanes::<T, K, FMA, ADD, N, FEW>(k, first, j, 0, out);
            j += FEW;
        }
        while j < n {
            write_lanes::<T, K, FMA, ADD, N, 1>(k, first, j, 0, out);
            j += 1;
        }
    }
}

/// Writes the terms of `L` elements from column `j` on, or adds those from lane `skip` on.
#[inline(always)]
unsafe fn write_lanes<
    T: Float,
    K: Terms<T, N>,
    const FMA: bool,
    const ADD: bool,
    const N: usize,
    const L: usize,
>(
    k: &K,
    first: usize,
    j: usize,
    skip: usize,
    out: [*mut T; N],
) {
    let mut values = [[T::ZERO; L]; N];
    // SAFETY: the caller's elements, columns and outputs.
    unsafe {
        for s in 0..N {
            for l in 0..L {
                let term = T::of::<FMA>(k.at::<FMA>(first + j + l, j + l)[s]);
                let before = if ADD { *out[s].add(j + l) } else { T::ZERO };
                values[s][l] = match ADD {
                    true if l < skip => before,
                    true => before.plus(term),
                    false => term,
                };
            }
        }
        for s in 0..N {
            store(out[s].add(j), L, &values[s]);
        }
    }
}
