//! Slices that the tasks of a region share out among them: each task gets a part that is its own.

use super::run;
use crate::memory::unwritten::{Unwritten, assume_written};
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Something that has a part for each task.
///
/// # Safety
/// Parts of different numbers must have nothing in common, so that threads may have them side by side.
pub(crate) unsafe trait Share: Sync {
    /// What a task gets.
    type Part;

    /// How many parts there are.
    fn count(&self) -> usize;

    /// The part of that number, which must be below [`Share::count`].
    ///
    /// # Safety
    /// Each part may be asked for once at most.
    unsafe fn part(&self, i: usize) -> Self::Part;
}

/// Parts that are places to write to, which a task hands back as values.
///
/// # Safety
/// [`Fill::is_filled`] must be true for nothing but the part's own places, as values; all of them are in some part.
pub(crate) unsafe trait Fill: Share {
    /// What tells a part from all others.
    type Mark: Copy;
    /// A part that is written.
    type Filled;
    /// Everything, once each part is written.
    type Whole;

    /// What tells this part from all others.
    fn mark(part: &Self::Part) -> Self::Mark;

    /// Whether these values are in the places of that part, and in all of them.
    fn is_filled(mark: Self::Mark, filled: &Self::Filled) -> bool;

    /// Everything as values.
    ///
    /// # Safety
    /// Each part must be written.
    unsafe fn whole(self) -> Self::Whole;
}

/// A slice in pieces: rows of equal length, each cut into pieces of equal length but for its last.
pub(crate) struct Pieces<'a, T> {
    start: *mut T,
    rows: usize,
    row: usize,
    piece: usize,
    /// Pieces in a row.
    across: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: from another thread there is nothing to be had of it but parts, which are mutable slices of `T`, as `part` gives
// them: each to one caller.
unsafe impl<T: Send> Sync for Pieces<'_, T> {}

impl<T> fmt::Debug for Pieces<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pieces of {} in {} rows of {}", self.piece, self.rows, self.row)
    }
}

impl<'a, T> Pieces<'a, T> {
    /// Pieces of `length` elements one after the other; the last may be shorter.
    #[inline]
    pub(crate) fn of(slice: &'a mut [T], length: usize) -> Self {
        let row = slice.len();
        Pieces::of_rows(slice, row, length)
    }

    /// The pieces of each row of `row` elements; no piece has elements of two rows.
    ///
    /// # Panics
    /// Where the slice is not made of whole rows, or a piece has no elements.
    #[inline]
    pub(crate) fn of_rows(slice: &'a mut [T], row: usize, length: usize) -> Self {
        let rows =
            if row == slice.len() { usize::from(row > 0) } else { slice.len().checked_div(row).unwrap_or(0) };
        assert!(
            rows * row == slice.len() && length > 0,
            "{} elements in rows of {row}, {length} at a time",
            slice.len()
        );
        let across = if length >= row { 1 } else { row.div_ceil(length) };
        Pieces { start: slice.as_mut_ptr(), rows, row, piece: length, across, slice: PhantomData }
    }
}

// SAFETY: pieces of a row begin `piece` elements apart and end before the next begins or the row ends, and rows follow on
// each other; so no element is in two of them.
unsafe impl<'a, T: Send> Share for Pieces<'a, T> {
    type Part = &'a mut [T];

    #[inline]
    fn count(&self) -> usize {
        self.rows * self.across
    }

    #[inline]
    unsafe fn part(&self, i: usize) -> &'a mut [T] {
        debug_assert!(i < self.count());
        let (row, at) =
            if self.across == 1 { (i, 0) } else { (i / self.across, i % self.across * self.piece) };
        let n = self.piece.min(self.row - at);
        // SAFETY: the row is one of the slice's and the piece lies in it; the slice is borrowed for `'a` by this value
        // alone, of which the caller asks for no part twice.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.row + at), n) }
    }
}

// SAFETY: the mark of a part is its place and its length, so that values with this mark are those of its places; `of_rows`
// leaves no element out.
unsafe impl<'a, T: Send> Fill for Pieces<'a, MaybeUninit<T>> {
    type Mark = (*const T, usize);
    type Filled = &'a mut [T];
    type Whole = &'a mut [T];

    #[inline]
    fn mark(part: &&'a mut Unwritten<T>) -> Self::Mark {
        (part.as_ptr().cast(), part.len())
    }

    #[inline]
    fn is_filled(mark: Self::Mark, filled: &&'a mut [T]) -> bool {
        mark == (filled.as_ptr(), filled.len())
    }

    #[inline]
    unsafe fn whole(self) -> &'a mut [T] {
        // SAFETY: the slice that was given to `of_rows`, whose parts, by the caller's word all written, make up all of it.
        unsafe { assume_written(std::slice::from_raw_parts_mut(self.start, self.rows * self.row)) }
    }
}

/// Some columns of a row-major matrix, to be changed.
pub(crate) struct Tile<'a, T> {
    start: *mut T,
    rows: usize,
    stride: usize,
    columns: usize,
    matrix: PhantomData<&'a mut [T]>,
}

impl<'a, T> Tile<'a, T> {
    /// All columns of a matrix of so many.
    #[inline(always)]
    pub(crate) fn whole(matrix: &'a mut [T], columns: usize) -> Self {
        assert!(
            columns > 0 && matrix.len().is_multiple_of(columns),
            "{} elements in rows of {columns}",
            matrix.len()
        );
        let rows = matrix.len() / columns;
        Tile { start: matrix.as_mut_ptr(), rows, stride: columns, columns, matrix: PhantomData }
    }

    /// How many rows there are.
    #[inline(always)]
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns there are.
    #[inline(always)]
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The columns of row `i`.
    #[inline(always)]
    pub(crate) fn row(&mut self, i: usize) -> &mut [T] {
        assert!(i < self.rows, "there is no row {i} of {}", self.rows);
        // SAFETY: the tile has that row, as was just found, and the columns are its own; it is borrowed for as long.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(i * self.stride), self.columns) }
    }

    /// `L` columns from column `j` on, row by row.
    #[inline(always)]
    pub(crate) fn strip<const L: usize>(&mut self, j: usize) -> Strip<'_, T, L> {
        assert!(j + L <= self.columns, "columns {j} to {} of {}", j + L, self.columns);
        Strip { next: self.start.wrapping_add(j), left: self.rows, stride: self.stride, tile: PhantomData }
    }
}

/// The rows of some columns of a [`Tile`].
pub(crate) struct Strip<'a, T, const L: usize> {
    next: *mut T,
    left: usize,
    stride: usize,
    tile: PhantomData<&'a mut [T]>,
}

impl<'a, T, const L: usize> Iterator for Strip<'a, T, L> {
    type Item = &'a mut [T; L];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a mut [T; L]> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: the tile, which is borrowed for `'a`, has that row, and `strip` has found the columns to be among its
        // own. The next row is a stride on, which no row is longer than.
        let columns = unsafe { &mut *self.next.cast::<[T; L]>() };
        self.next = self.next.wrapping_add(self.stride);
        Some(columns)
    }

    #[inline(always)]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// The columns of matrices of equal size, so many at a time.
pub(crate) struct Tiles<'a, T> {
    start: *mut T,
    matrices: usize,
    rows: usize,
    columns: usize,
    width: usize,
    matrix: PhantomData<&'a mut [T]>,
}

impl<'a, T> Tiles<'a, T> {
    /// The tiles of matrices of `rows` times `columns` elements, each `width` columns but for the last of a matrix.
    pub(crate) fn of(matrices: &'a mut [T], rows: usize, columns: usize, width: usize) -> Self {
        let each = rows * columns;
        assert!(
            each > 0 && width > 0 && matrices.len().is_multiple_of(each),
            "{} elements in {rows} rows of {columns}",
            matrices.len()
        );
        let start = matrices.as_mut_ptr();
        Tiles { start, matrices: matrices.len() / each, rows, columns, width, matrix: PhantomData }
    }
}

// SAFETY: as for `Pieces`: another thread has nothing of it but parts, which are as good as mutable slices.
unsafe impl<T: Send> Sync for Tiles<'_, T> {}

// SAFETY: tiles of a matrix have columns of their own, and matrices follow on each other.
unsafe impl<'a, T: Send> Share for Tiles<'a, T> {
    type Part = Tile<'a, T>;

    #[inline]
    fn count(&self) -> usize {
        self.matrices * self.columns.div_ceil(self.width)
    }

    #[inline]
    unsafe fn part(&self, i: usize) -> Tile<'a, T> {
        debug_assert!(i < self.count());
        let across = self.columns.div_ceil(self.width);
        let (matrix, first) = (i / across, i % across * self.width);
        let start = self.start.wrapping_add(matrix * self.rows * self.columns + first);
        let columns = self.width.min(self.columns - first);
        Tile { start, rows: self.rows, stride: self.columns, columns, matrix: PhantomData }
    }
}

macro_rules! together {
    ($($name:ident $i:tt),+) => {
        // SAFETY: the parts of one number come from each of several things, of which each keeps its own apart.
        unsafe impl<$($name: Share),+> Share for ($($name,)+) {
            type Part = ($($name::Part,)+);

            #[inline]
            fn count(&self) -> usize {
                let n = self.0.count();
                assert!($(self.$i.count() == n)&&+, "tasks that share several things need a part of each");
                n
            }

            #[inline]
            unsafe fn part(&self, i: usize) -> Self::Part {
                // SAFETY: `i` is below all counts, which are equal, and the caller asks for it once.
                unsafe { ($(self.$i.part(i),)+) }
            }
        }

        // SAFETY: all are filled if each is.
        unsafe impl<$($name: Fill),+> Fill for ($($name,)+) {
            type Mark = ($($name::Mark,)+);
            type Filled = ($($name::Filled,)+);
            type Whole = ($($name::Whole,)+);

            #[inline]
            fn mark(part: &Self::Part) -> Self::Mark {
                ($($name::mark(&part.$i),)+)
            }

            #[inline]
            fn is_filled(mark: Self::Mark, filled: &Self::Filled) -> bool {
                $($name::is_filled(mark.$i, &filled.$i))&&+
            }

            #[inline]
            unsafe fn whole(self) -> Self::Whole {
                // SAFETY: a part of several is written where each of them is.
                unsafe { ($(self.$i.whole(),)+) }
            }
        }
    };
}
together!(A 0, B 1);
together!(A 0, B 1, C 2);

/// Runs `task` once for each part, as [`run`] does.
#[inline]
pub(crate) fn each<S: Share>(share: S, nanos: usize, task: impl Fn(usize, S::Part) + Sync) {
    run(share.count(), nanos, |i| {
        // SAFETY: `run` calls the task once for each number, and nobody else has `share`.
        let part = unsafe { share.part(i) };
        task(i, part);
    });
}

/// Runs `task` once for each part, as [`run`] does; it hands back its part written. Gives the whole.
///
/// # Panics
/// Where a task hands back something else.
#[inline]
pub(crate) fn fill<S: Fill>(
    share: S,
    nanos: usize,
    task: impl Fn(usize, S::Part) -> S::Filled + Sync,
) -> S::Whole {
    run(share.count(), nanos, |i| {
        // SAFETY: `run` calls the task once for each number, and nobody else has `share`.
        let part = unsafe { share.part(i) };
        let mark = S::mark(&part);
        assert!(S::is_filled(mark, &task(i, part)), "a task has not written its part");
    });
    // SAFETY: `run` comes back, and does not unwind, once there was a task for each part; each gave back its part as values.
    unsafe { share.whole() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::unwritten::fill_with;

    #[test]
    fn each_element_is_in_one_part() {
        for (rows, row, length) in
            [(0, 3, 2), (1, 10, 3), (1, 10, 10), (4, 7, 7), (5, 6, 100), (3, 8, 3), (3, 0, 1)]
        {
            let mut places = vec![MaybeUninit::uninit(); rows * row];
            let mut seen = vec![0; rows * row];
            let values = fill(Pieces::of_rows(&mut places, row, length), 1 << 30, |i, part| {
                assert!(part.len() <= length.min(row));
                fill_with(part, |j| (i, j))
            });
            each(Pieces::of_rows(&mut seen, row, length), 1 << 30, |_, part| {
                part.iter_mut().for_each(|n| *n += 1)
            });
            assert!(seen.iter().all(|&n| n == 1));
            let across = row.div_ceil(length).max(1);
            for (at, &value) in values.iter().enumerate() {
                let (r, c) = (at / row, at % row);
                assert_eq!(value, (r * across + c / length, c % length));
            }
        }
    }

    #[test]
    fn tiles_have_all_columns_of_each_matrix_once() {
        let mut values = vec![0; 3 * 4 * 7];
        each(Tiles::of(&mut values, 4, 7, 3), 1 << 30, |task, mut tile| {
            for j in 0..tile.columns() {
                for (row, [value]) in tile.strip::<1>(j).enumerate() {
                    *value += 1 + task / 3 * 28 + row * 7 + task % 3 * 3 + j;
                }
            }
        });
        assert!(values.iter().enumerate().all(|(i, &value)| value == i + 1));
        let rows: Vec<_> = Tile::whole(&mut values[..28], 7).strip::<2>(5).map(|row| *row).collect();
        assert_eq!(rows, [[6, 7], [13, 14], [20, 21], [27, 28]]);
    }

    #[test]
    fn several_are_shared_out_side_by_side() {
        let (mut long, mut short) = ([MaybeUninit::uninit(); 10], [MaybeUninit::uninit(); 4]);
        let share = (Pieces::of(&mut long, 3), Pieces::of(&mut short, 1));
        let (long, short) =
            fill(share, 1 << 30, |i, (long, short)| (fill_with(long, |_| i), fill_with(short, |_| -1)));
        assert_eq!((long[9], &*short), (3, &[-1; 4][..]));
    }

    #[test]
    #[should_panic(expected = "a task has not written its part")]
    fn what_is_not_the_part_does_not_pass_for_it() {
        let mut places = [MaybeUninit::uninit(); 4];
        fill(Pieces::of(&mut places, 2), 0, |_, _| Box::leak(Box::new([1, 2])).as_mut_slice());
    }

    #[test]
    #[should_panic(expected = "need a part of each")]
    fn parts_that_do_not_pair_are_refused() {
        let (mut a, mut b) = ([0; 4], [0; 4]);
        each((Pieces::of(&mut a, 2), Pieces::of(&mut b, 1)), 0, |_, _| ());
    }
}
