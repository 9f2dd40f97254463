//! Formulas that are summed or written element by element, in vectors of lanes.

use super::super::number::Float;
use super::super::reduce::{Sum, fold_across};
use crate::memory::unwritten::{Unwritten, assume_written, copy_from};

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
    /// Whether the arrays that the terms look at have so many places, and columns.
    fn holds(&self, places: usize, columns: usize) -> bool;
    /// The numbers of the element at place `i` of the array, which is in column `j`.
    ///
    /// # Safety
    /// [`Terms::holds`] must be true for more than `i` places and `j` columns.
    unsafe fn at<const FMA: bool>(&self, i: usize, j: usize) -> [T::Lane<FMA>; N];
}

/// The element itself.
pub(super) struct Itself<'a, T>(pub(super) &'a [T]);

impl<T: Float> Terms<T, 1> for Itself<'_, T> {
    #[inline(always)]
    fn holds(&self, places: usize, _: usize) -> bool {
        places <= self.0.len()
    }
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 1] {
        // SAFETY: place `i` is one that `holds` is true for.
        [unsafe { *self.0.get_unchecked(i) }.lane::<FMA>()]
    }
}

/// The sums over `rows` vectors of `L` elements that are `stride` apart, lane by lane, but for the first `skip` lanes.
///
/// # Safety
/// `k` must hold all places of these vectors from `i` on, and `L` columns from `j` on.
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
                // SAFETY: lane `l` of vector `r`, which the caller says that `k` holds.
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
pub(super) fn row_sums<T: Float, K: Terms<T, N>, const FMA: bool, const N: usize>(k: &K, n: usize) -> [T; N] {
    assert!(k.holds(n, n.min(LANES)), "a row of {n} elements is not held");
    let mut total = [T::ZERO; N];
    let mut add = |sums: [T; N]| total = std::array::from_fn(|s| total[s].plus(sums[s]));
    let mut i = 0;
    // SAFETY: the vectors lie within the first `n` places, and have no more lanes than `n`: all of that is held.
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
pub(super) fn column_sums<T: Float, K: Terms<T, N>, const FMA: bool, const N: usize>(
    k: &K,
    first: usize,
    rows: usize,
    stride: usize,
    columns: usize,
) -> [[T; TILE]; N] {
    let reach = rows.checked_sub(1).map_or(0, |further| first + further * stride + columns);
    assert!(
        k.holds(reach, columns),
        "{rows} rows of {columns} from {first} on, {stride} apart, are not held"
    );
    let mut sums = [[T::ZERO; TILE]; N];
    let mut j = 0;
    macro_rules! strips {
        ($($lanes:expr),+) => {$(
            while columns - j >= $lanes {
                // SAFETY: these columns are among those of the rows, which are held.
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

/// Writes the terms of as many elements as there are places, from place `first` of the array on; they are in columns from 0
/// on.
#[inline(always)]
pub(super) fn write<'a, T: Float, K: Terms<T, 1>, const FMA: bool>(
    k: &K,
    first: usize,
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let (n, mut j) = (out.len(), 0);
    assert!(k.holds(first + n, n), "a row of {n} elements from {first} on is not held");
    macro_rules! strip {
        ($lanes:expr, $j:expr) => {{
            // SAFETY: these places and columns are among the `n` that are held.
            let [v] = unsafe { lanes_of::<T, K, FMA, 1, { $lanes }>(k, first + $j, $j) };
            copy_from(&mut out[$j..][..$lanes], &v);
        }};
    }
    while n - j >= LANES {
        strip!(LANES, j);
        j += LANES;
    }
    if n >= LANES {
        if j < n {
            // The end of a last vector: what was written before is written again.
            strip!(LANES, n - LANES);
        }
    } else {
        while n - j >= FEW {
            strip!(FEW, j);
            j += FEW;
        }
        while j < n {
            strip!(1, j);
            j += 1;
        }
    }
    // SAFETY: strips are written until there is no place further on.
    unsafe { assume_written(out) }
}

/// Adds the terms of `n` elements, which are in columns from 0 on, to as many sums.
#[inline(always)]
pub(super) fn add<T: Float, K: Terms<T, N>, const FMA: bool, const N: usize>(
    k: &K,
    n: usize,
    sums: [&mut [T]; N],
) {
    assert!(k.holds(n, n) && sums.iter().all(|sums| sums.len() == n), "a row of {n} elements is not held");
    let mut j = 0;
    macro_rules! strip {
        ($lanes:expr, $j:expr, $skip:expr) => {{
            // SAFETY: these places and columns are among the `n` that are held.
            let (terms, skip) = (unsafe { lanes_of::<T, K, FMA, N, { $lanes }>(k, $j, $j) }, $skip);
            for s in 0..N {
                let sums = &mut sums[s][$j..][..$lanes];
                for l in 0..$lanes {
                    sums[l] = if l < skip { sums[l] } else { sums[l].plus(terms[s][l]) };
                }
            }
        }};
    }
    while n - j >= LANES {
        strip!(LANES, j, 0);
        j += LANES;
    }
    if n >= LANES {
        if j < n {
            // The end of a last vector: the lanes that are done have nothing added.
            strip!(LANES, n - LANES, LANES - (n - j));
        }
        return;
    }
    while n - j >= FEW {
        strip!(FEW, j, 0);
        j += FEW;
    }
    while j < n {
        strip!(1, j, 0);
        j += 1;
    }
}

/// The terms of `L` elements from place `i` and column `j` on.
///
/// # Safety
/// `k` must hold as many.
#[inline(always)]
unsafe fn lanes_of<T: Float, K: Terms<T, N>, const FMA: bool, const N: usize, const L: usize>(
    k: &K,
    i: usize,
    j: usize,
) -> [[T; L]; N] {
    let mut values = [[T::ZERO; L]; N];
    for s in 0..N {
        for l in 0..L {
            // SAFETY: the caller says that `k` holds `L` places and columns from there on.
            values[s][l] = T::of::<FMA>(unsafe { k.at::<FMA>(i + l, j + l) }[s]);
        }
    }
    values
}
