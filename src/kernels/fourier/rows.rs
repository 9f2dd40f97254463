//! Transforms of the rows of a matrix. A row is cut off or continued with zeros where it has not the length of the transform,
//! and so is what comes out of it.

use super::plan::{Wave, paired, plan};
use super::real::RealPlan;
use super::{group, nanos};
use crate::kernels::dispatch::{Compute, compute};
use crate::memory::unwritten::{Unwritten, Writer, assume_written, rewritten};
use crate::memory::{filled, room};
use crate::team::{self, Pieces, Tiles};
use rustfft::FftDirection;
use rustfft::num_complex::Complex;
use std::mem::MaybeUninit;

/// Columns that are transformed together: those of a line of the cache, of float32.
const COLUMNS: usize = 8;

/// The sign of the exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Minus: from time to frequency.
    Forward,
    /// Plus.
    Inverse,
}

impl Direction {
    /// The other one.
    pub fn reversed(self) -> Direction {
        match self {
            Direction::Forward => Direction::Inverse,
            Direction::Inverse => Direction::Forward,
        }
    }

    pub(super) fn of_plan(self) -> FftDirection {
        match self {
            Direction::Forward => FftDirection::Forward,
            Direction::Inverse => FftDirection::Inverse,
        }
    }
}

/// Rows and what becomes of each.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// How many there are.
    pub rows: usize,
    /// The length of a row.
    pub from: usize,
    /// That of the transform.
    pub n: usize,
    /// That of a row of the result.
    pub to: usize,
    /// How many numbers lie between one of a row and the next, each of a row of its own.
    pub inner: usize,
    /// What all is multiplied by.
    pub scale: f64,
}

impl Rows {
    fn check(&self, n: usize, of_from: usize, out: usize, of_to: usize) {
        let all = self.rows * self.inner;
        let (from, to) = (all * self.from * of_from, all * self.to * of_to);
        assert!(self.n > 0 && n == from && out == to, "{self:?} does not fit {n} numbers and {out} results");
    }
}

/// Fills rows of `length` places, by transforms of `n` numbers: `write` fills the row of that number, with what `begin`
/// has made for its task.
pub(super) fn fill_rows<T: Wave, S>(
    (length, n): (usize, usize),
    out: &mut Unwritten<T>,
    begin: impl Fn() -> S + Sync,
    write: impl for<'p> Fn(&mut S, usize, &'p mut Unwritten<T>) -> &'p mut [T] + Sync,
) -> &mut [T] {
    let (length, group) = (length.max(1), group(n));
    let nanos = nanos(out.len() / length, n);
    team::fill(Pieces::of(out, group * length), nanos, |task, out| {
        assert!(out.len().is_multiple_of(length), "{} places in rows of {length}", out.len());
        let mut state = begin();
        for (i, row) in out.chunks_exact_mut(length).enumerate() {
            let start = row.as_ptr().cast();
            let written = write(&mut state, task * group + i, row);
            assert!(written.len() == length && std::ptr::eq(written.as_ptr(), start), "a row is not written");
        }
        // SAFETY: the piece is of whole rows, each of which `write` has given back as values, in its own places.
        unsafe { assume_written(out) }
    })
}

/// Puts as much of a row as there is room for into places, times `scale`, and zeros into the rest.
fn copy_row<'a, T: Wave>(row: &[T], scale: T, into: &'a mut Unwritten<T>) -> &'a mut [T] {
    let row = &row[..row.len().min(into.len())];
    let mut out = Writer::new(into);
    match scale == T::ONE {
        true => out.write(row),
        false => compute(Scaled { row, scale, out: &mut out }),
    }
    out.extend((0..out.left()).map(|_| T::ZERO));
    out.finish()
}

/// A row times `scale`.
struct Scaled<'x, 'o, 'a, T> {
    row: &'x [T],
    scale: T,
    out: &'o mut Writer<'a, T>,
}

impl<T: Wave> Compute for Scaled<'_, '_, '_, T> {
    type Out = ();
    #[inline(always)]
    fn compute<const FMA: bool>(self) {
        let Scaled { row, scale, out } = self;
        out.extend(row.iter().map(|&x| x * scale));
    }
}

/// The transforms of rows of pairs: `out[k] = scale * (sum over j of x[j] exp(-+2 pi i j k / n))`.
///
/// # Panics
/// Where `x` or `out` has not as many elements.
pub fn of_pairs<'a, T: Wave>(
    rows: Rows,
    direction: Direction,
    x: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    rows.check(x.len(), 2, out.len(), 2);
    if rows.inner != 1 {
        return of_columns(rows, direction, x, out);
    }
    let Rows { from, n, to, .. } = rows;
    let (fft, scale) = (plan::<T>(n, direction.of_plan()), T::lit(rows.scale));
    let begin = || {
        let zero = Complex { re: T::ZERO, im: T::ZERO };
        (room(if n == to { 0 } else { 2 * n }), filled(fft.get_inplace_scratch_len(), zero))
    };
    fill_rows((2 * to, n), out, begin, |(work, scratch), row, out| {
        let x = &x[row * 2 * from..][..2 * from];
        if n == to {
            let out = copy_row(x, scale, out);
            fft.process_with_scratch(paired(out), scratch);
            return out;
        }
        let work = copy_row(x, scale, &mut work.spare_capacity_mut()[..2 * n]);
        fft.process_with_scratch(paired(work), scratch);
        copy_row(work, T::ONE, out)
    })
}

/// [`of_pairs`] for rows that lie as columns do: so many at a time are brought together.
fn of_columns<'a, T: Wave>(
    rows: Rows,
    direction: Direction,
    x: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let Rows { rows, from, n, to, inner, scale } = rows;
    if !out.is_empty() {
        let (fft, scale, across) =
            (plan::<T>(n, direction.of_plan()), T::lit(scale), inner.div_ceil(COLUMNS));
        team::each(Tiles::of(out, to, 2 * inner, 2 * COLUMNS), nanos(rows * inner, n), |task, mut tile| {
            let (o, first, columns) = (task / across, task % across * COLUMNS, tile.columns() / 2);
            let mut work = filled(2 * n * columns, T::ZERO);
            let zero = Complex { re: T::ZERO, im: T::ZERO };
            let mut scratch = filled(fft.get_inplace_scratch_len(), zero);
            for j in 0..from.min(n) {
                let x = &x[((o * from + j) * inner + first) * 2..][..2 * columns];
                for (x, column) in x.chunks_exact(2).zip(work.chunks_exact_mut(2 * n)) {
                    (column[2 * j], column[2 * j + 1]) = (x[0] * scale, x[1] * scale);
                }
            }
            fft.process_with_scratch(paired(&mut work), &mut scratch);
            for k in 0..to {
                for (out, column) in tile.row(k).chunks_exact_mut(2).zip(work.chunks_exact(2 * n)) {
                    let y = if k < n { [column[2 * k], column[2 * k + 1]] } else { [T::ZERO; 2] };
                    (out[0], out[1]) = (MaybeUninit::new(y[0]), MaybeUninit::new(y[1]));
                }
            }
        });
    }
    // SAFETY: the tiles have all columns among them, and each task has written every row of its own, a pair for each column.
    unsafe { assume_written(out) }
}

/// The transforms of rows of reals: the frequencies from 0 to `n / 2`, each twice if it `stands_for_mirror` and has a mirror
/// image.
///
/// # Panics
/// Where `x` or `out` has not as many elements.
pub fn of_reals<'a, T: Wave>(
    rows: Rows,
    stands_for_mirror: bool,
    x: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    rows.check(x.len(), 1, out.len(), 2);
    let Rows { from, n, to, .. } = rows;
    let (plan, scale) = (RealPlan::new(n, FftDirection::Forward), T::lit(rows.scale));
    let (inner, whole) = (T::lit(if stands_for_mirror { 2.0 } else { 1.0 }), 2 * plan.bins());
    let begin = || (plan.work(), room(if whole == 2 * to { 0 } else { whole }));
    fill_rows((2 * to, n), out, begin, |(work, spectrum), row, out| {
        // SAFETY: `copy_row` leaves a value in each place.
        copy_row(&x[row * from..][..from], scale, unsafe { rewritten(&mut work.reals) });
        if whole == 2 * to {
            return plan.forward(work, inner, out);
        }
        copy_row(plan.forward(work, inner, &mut spectrum.spare_capacity_mut()[..whole]), T::ONE, out)
    })
}

/// The opposite: rows of the frequencies from 0 to `n / 2` to reals. A frequency counts for its mirror image, too, if it
/// `stands_for_mirror` and has one; else for itself alone, of which there is only the real part.
///
/// # Panics
/// Where `x` or `out` has not as many elements.
pub fn to_reals<'a, T: Wave>(
    rows: Rows,
    stands_for_mirror: bool,
    x: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    rows.check(x.len(), 2, out.len(), 1);
    let Rows { from, n, to, .. } = rows;
    let (plan, scale) = (RealPlan::new(n, FftDirection::Inverse), T::lit(rows.scale));
    let (inner, whole) = (T::lit(if stands_for_mirror { 1.0 } else { 0.5 }), 2 * plan.bins());
    let begin = || (plan.work(), room(if whole <= 2 * from { 0 } else { whole }));
    fill_rows((to, n), out, begin, |(work, padded), row, out| {
        let spectrum = &x[row * 2 * from..][..2 * from];
        if whole <= 2 * from {
            plan.inverse(work, &spectrum[..whole], scale, inner);
        } else {
            let padded = copy_row(spectrum, T::ONE, &mut padded.spare_capacity_mut()[..whole]);
            plan.inverse(work, padded, scale, inner);
        }
        copy_row(&work.reals, T::ONE, out)
    })
}
