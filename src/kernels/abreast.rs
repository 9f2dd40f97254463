//! Short rows side by side, one in each lane of a vector: nothing is folded across the lanes, and no vector is half empty.

use crate::memory::unwritten::{Unwritten, assume_written, fill_with};
use std::hint::black_box;
use std::ops::Range;

/// Rows that are side by side.
pub(super) const ROWS: usize = 16;
/// Rows that are turned are shorter than this.
pub(super) const SHORT: usize = 64;

/// Elements of rows that are side by side: of each place in the row a vector.
pub(super) type Columns<T> = [[T; ROWS]; SHORT];

/// Terms that are added one after another before they join the total: keeps the error of sums small.
pub(super) const BLOCK: usize = 8;

/// The places of a row from the first to the last. Vectors are made of the lanes, not of steps of a loop over them, whose
/// elements are far apart: so the compiler is kept from knowing these.
#[inline(always)]
pub(super) fn places(range: Range<usize>) -> impl Iterator<Item = usize> {
    range.map(black_box)
}

/// The sums, lane by lane, over the places of a row of `$n`, of arrays of vectors. No closure makes the terms: it would
/// have to be inlined.
macro_rules! lane_sums {
    ($T:ident, $n:expr, |$c:ident| $terms:expr) => {{
        let zeros = [[$T::ZERO; ROWS]; _];
        let (mut total, mut start) = (zeros, 0);
        while start < $n {
            let (mut block, end) = (zeros, $n.min(start + BLOCK));
            for $c in places(start..end) {
                let terms = $terms;
                for (sum, term) in block.iter_mut().zip(&terms) {
                    for l in 0..ROWS {
                        sum[l] = sum[l].plus(term[l]);
                    }
                }
            }
            for (sum, block) in total.iter_mut().zip(&block) {
                for l in 0..ROWS {
                    sum[l] = sum[l].plus(block[l]);
                }
            }
            start = end;
        }
        total
    }};
}
pub(super) use lane_sums;

/// The columns of the first [`ROWS`] rows of `n` elements; where there are fewer, the last one is there several times.
///
/// # Panics
/// Where rows are not shorter than [`SHORT`], or there is none.
#[inline(always)]
pub(super) fn turn<T: Copy>(x: &[T], n: usize, to: &mut Columns<T>) {
    assert!(0 < n && n < SHORT && x.len() >= n, "rows of {n} are not short");
    // Rows of less than four elements are read with the first ones of the next row.
    if x.len() < ROWS * n + 4_usize.saturating_sub(n) {
        let last = x.len() / n - 1;
        for c in places(0..n) {
            to[c] = std::array::from_fn(|r| x[r.min(last) * n + c]);
        }
        return;
    }
    if n < 4 {
        // SAFETY: there are as many rows as lanes, and behind the last as many elements as make it four.
        return unsafe { four_columns(x.as_ptr(), n, 0, to) };
    }
    // Four elements of each row at a time; the last four, of which some may be done.
    for i in places(0..n.div_ceil(4)) {
        // SAFETY: the rows have four elements from there on, and there are as many rows as lanes.
        unsafe { four_columns(x.as_ptr(), n, (4 * i).min(n - 4), to) };
    }
}

/// Columns `c` to `c + 3` of [`ROWS`] rows that are `n` apart.
///
/// # Safety
/// Each row must have that many elements.
#[inline(always)]
unsafe fn four_columns<T: Copy>(x: *const T, n: usize, c: usize, to: &mut Columns<T>) {
    for r in (0..ROWS).step_by(4) {
        // SAFETY: handed on from this function's caller.
        let columns = unsafe {
            let x = x.add(r * n + c);
            transposed([x, x.add(n), x.add(2 * n), x.add(3 * n)].map(|x| x.cast::<[T; 4]>()))
        };
        for (to, column) in to[c..c + 4].iter_mut().zip(columns) {
            to[r..r + 4].copy_from_slice(&column);
        }
    }
}

/// The rows of these columns, as many as there are places for: the way back of [`turn`].
#[inline(always)]
pub(super) fn turn_back<'a, T: Copy>(
    columns: &Columns<T>,
    n: usize,
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    assert!(0 < n && n < SHORT, "rows of {n} are not short");
    if out.len() < ROWS * n {
        let (mut r, mut c) = (0, 0);
        return fill_with(out, |_| {
            let x = columns[c][r];
            (r, c) = if c + 1 == n { (r + 1, 0) } else { (r, c + 1) };
            x
        });
    }
    let out = &mut out[..ROWS * n];
    for i in places(0..n.div_ceil(4)) {
        // SAFETY: there are as many rows as lanes, and columns to four from there on.
        unsafe { four_of_each(columns, n, (4 * i).min(n.saturating_sub(4)), out.as_mut_ptr().cast()) };
    }
    // SAFETY: each row is written, four elements at a time or as many as it has.
    unsafe { assume_written(out) }
}

/// Writes elements `c` to `c + 3` of [`ROWS`] rows that are `n` apart, one row after the other. What a row has too many is
/// written over by the next ones; those behind which there are not so many places have none.
///
/// # Safety
/// The rows must have places for their `n` elements, of which those that are written are the last.
#[inline(always)]
unsafe fn four_of_each<T: Copy>(columns: &Columns<T>, n: usize, c: usize, out: *mut T) {
    let columns: &[[T; ROWS]; 4] =
        columns[c..].first_chunk().expect("there are columns to the last of a row");
    for r in (0..ROWS).step_by(4) {
        // SAFETY: columns have four elements from `r` on; the rows have the places, as this function asks.
        unsafe {
            let rows = transposed(columns.each_ref().map(|column| column[r..].as_ptr().cast::<[T; 4]>()));
            for (i, row) in rows.into_iter().enumerate() {
                let to = out.add((r + i) * n + c);
                if n >= 4 || (r + i) * n + 4 <= ROWS * n {
                    to.cast::<[T; 4]>().write_unaligned(row);
                } else {
                    for (j, &x) in row[..n].iter().enumerate() {
                        *to.add(j) = x;
                    }
                }
            }
        }
    }
}

/// Four vectors of four, read and transposed.
///
/// # Safety
/// They must be readable.
#[inline(always)]
unsafe fn transposed<T: Copy>(x: [*const [T; 4]; 4]) -> [[T; 4]; 4] {
    #[cfg(target_arch = "x86_64")]
    if size_of::<T>() == 4 {
        use std::arch::x86_64::*;
        // SAFETY: the vectors are of four elements of four bytes, which are moved as they are; these instructions are
        // those of every processor of the kind.
        return unsafe {
            let [a, b, c, d] = x.map(|x| _mm_loadu_ps(x.cast()));
            let (ab, cd) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
            let (ef, gh) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
            let columns =
                [_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab), _mm_movelh_ps(ef, gh), _mm_movehl_ps(gh, ef)];
            std::mem::transmute_copy(&columns)
        };
    }
    // SAFETY: handed on from this function's caller.
    let x = unsafe { x.map(|x| x.read_unaligned()) };
    std::array::from_fn(|c| std::array::from_fn(|r| x[r][c]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::MaybeUninit;

    fn there_and_back<T: Copy + PartialEq + std::fmt::Debug>(of: impl Fn(usize) -> T) {
        for n in 1..SHORT {
            for rows in [1, 2, 15, ROWS] {
                let x: Vec<T> = (0..rows * n).map(&of).collect();
                let mut columns = [[of(0); ROWS]; SHORT];
                turn(&x, n, &mut columns);
                for (c, column) in columns[..n].iter().enumerate() {
                    for (r, &found) in column.iter().enumerate() {
                        assert_eq!(found, x[r.min(rows - 1) * n + c], "{rows} rows of {n}");
                    }
                }
                // What is behind the rows is not theirs.
                let mut out = vec![MaybeUninit::new(of(1)); rows * n + 4];
                let (own, others) = out.split_at_mut(rows * n);
                assert_eq!(turn_back(&columns, n, own), x, "{rows} rows of {n}");
                for other in others {
                    // SAFETY: they were made of a value.
                    assert_eq!(unsafe { other.assume_init() }, of(1), "behind {rows} rows of {n}");
                }
            }
        }
    }

    #[test]
    fn rows_of_every_length_are_turned_and_turned_back() {
        there_and_back(|i| i as f32);
        there_and_back(|i| i as f64);
        there_and_back(|i| i as u8);
    }
}
