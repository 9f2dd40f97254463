//! Formulas that are summed or written element by element, in vectors of lanes.

use super::super::lanes::{END, after};
use super::super::number::Float;
use super::super::reduce::{Sum, fold_across, fold_quarters};
use crate::memory::unwritten::{Unwritten, assume_written, copy_from};

/// Lanes computed side by side: so many that the loops over them are turned into vectors before they are unrolled.
const LANES: usize = 64;
/// Lanes for what is left of a multiple of [`LANES`], the last of them with some that are done.
const FEW: usize = END;
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

/// The sums over `rows` vectors of `L` elements that are `stride` apart, lane by lane.
///
/// # Safety
/// `k` must hold all places of these vectors from `i` on, and `L` columns from `j` on.
#[inline(always)]
unsafe fn lane_sums<T: Float, K: Terms<T, N>, const FMA: bool, const N: usize, const L: usize>(
    k: &K,
    (i, j): (usize, usize),
    rows: usize,
    stride: usize,
) -> [[T; L]; N] {
    let mut sums = [[T::ZERO; L]; N];
    for r in 0..rows {
        // A loop for each term: one loop for all would be turned into vectors only in part.
        for s in 0..N {
            for l in 0..L {
                // SAFETY: lane `l` of vector `r`, which the caller says that `k` holds.
                let terms = unsafe { k.at::<FMA>(i + r * stride + l, j + l) };
                sums[s][l] = sums[s][l].plus(T::of::<FMA>(terms[s]));
            }
        }
    }
    sums
}

/// The sums over the first `n` elements; the terms do not look at the column.
#[inline(always)]
pub(super) fn row_sums<T: Float, K: Terms<T, N>, const FMA: bool, const N: usize>(k: &K, n: usize) -> [T; N] {
    assert!(k.holds(n, n.min(LANES)), "a row of {n} elements is not held");
    let mut total = [[T::ZERO; FEW]; N];
    let mut i = 0;
    // SAFETY: the vectors lie within the first `n` places, and have no more lanes than `n`: all of that is held.
    unsafe {
        while n - i >= LANES {
            let vectors = ((n - i) / LANES).min(BLOCK);
            let sums = lane_sums::<T, K, FMA, N, LANES>(k, (i, 0), vectors, LANES);
            for s in 0..N {
                join(&mut total[s], &fold_quarters::<Sum<T>>(&sums[s]));
            }
            i += vectors * LANES;
        }
        while i < n && n >= FEW {
            // The last vector ends where the row does; of its lanes those that are done are skipped.
            let at = i.min(n - FEW);
            let (terms, is_new) = (lanes_of::<T, K, FMA, N, FEW>(k, at, 0), after(i - at));
            for s in 0..N {
                join(&mut total[s], &chosen(&terms[s], is_new));
            }
            i = at + FEW;
        }
        let mut sums = lane_sums::<T, K, FMA, N, 1>(k, (i, 0), n - i, 1);
        for s in 0..N {
            sums[s][0] = sums[s][0].plus(fold_across::<Sum<T>, FEW>(total[s]));
        }
        sums.map(|[sum]| sum)
    }
}

/// Adds to sums, lane by lane.
#[inline(always)]
fn join<T: Float>(sums: &mut [T; FEW], more: &[T; FEW]) {
    for l in 0..FEW {
        sums[l] = sums[l].plus(more[l]);
    }
}

/// The lanes that are chosen; zero for the others.
#[inline(always)]
fn chosen<T: Float>(lanes: &[T; FEW], which: &[u32; FEW]) -> [T; FEW] {
    let mut chosen = [T::ZERO; FEW];
    for l in 0..FEW {
        chosen[l] = if which[l] != 0 { lanes[l] } else { T::ZERO };
    }
    chosen
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
    macro_rules! strip {
        ($lanes:expr, $j:expr) => {{
            // SAFETY: these columns are among those of the rows, which are held.
            let strip = unsafe { lane_sums::<T, K, FMA, N, { $lanes }>(k, (first + $j, $j), rows, stride) };
            for s in 0..N {
                sums[s][$j..$j + $lanes].copy_from_slice(&strip[s]);
            }
        }};
    }
    while columns - j >= LANES {
        strip!(LANES, j);
        j += LANES;
    }
    while columns - j >= FEW {
        strip!(FEW, j);
        j += FEW;
    }
    if columns >= FEW {
        if j < columns {
            // The end of a last vector: columns that are done get their sums again.
            strip!(FEW, columns - FEW);
        }
        return sums;
    }
    for j in 0..columns {
        strip!(1, j);
    }
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
    while n - j >= FEW {
        strip!(FEW, j);
        j += FEW;
    }
    if j < n && n >= FEW {
        // The end of a last vector: what was written before is written again.
        strip!(FEW, n - FEW);
        j = n;
    }
    while j < n {
        strip!(1, j);
        j += 1;
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
        ($lanes:expr, $j:expr, |$terms:ident| $new:expr) => {{
            // SAFETY: these places and columns are among the `n` that are held.
            let terms = unsafe { lanes_of::<T, K, FMA, N, { $lanes }>(k, $j, $j) };
            for s in 0..N {
                let ($terms, sums) = (&terms[s], &mut sums[s][$j..][..$lanes]);
                let new = $new;
                for l in 0..$lanes {
                    sums[l] = sums[l].plus(new[l]);
                }
            }
        }};
    }
    while n - j >= LANES {
        strip!(LANES, j, |terms| terms);
        j += LANES;
    }
    while j < n && n >= FEW {
        // The last vector ends where the row does: the lanes that are done have nothing added.
        let at = j.min(n - FEW);
        strip!(FEW, at, |terms| chosen(terms, after(j - at)));
        j = at + FEW;
    }
    while j < n {
        strip!(1, j, |terms| terms);
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
