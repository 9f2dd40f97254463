//! Small matrices, by plain loops: beside these, what the library does before it begins takes longer than the work.

use super::{Entry, Failure};

/// The longest of them.
pub(super) const SMALL: usize = 16;

/// Columns of right-hand sides up to which loops are the quicker.
pub(super) const FEW: usize = 64;

/// `P A = L U` in the place of a row-major A, L without its diagonal of ones; row `i` of `P A` is row `rows[i]` of A.
pub(super) fn lu<T: Entry>(a: &mut [T], n: usize, rows: &mut [i64]) {
    // A length that the compiler knows is worth a copy of the loops where it is most common.
    match n {
        2 => lu_of(a, 2, rows),
        3 => lu_of(a, 3, rows),
        4 => lu_of(a, 4, rows),
        _ => lu_of(a, n, rows),
    }
}

#[inline(always)]
fn lu_of<T: Entry>(a: &mut [T], n: usize, rows: &mut [i64]) {
    let (a, rows) = (&mut a[..n * n], &mut rows[..n]);
    for (i, row) in rows.iter_mut().enumerate() {
        *row = i as i64;
    }
    for k in 0..n {
        let (mut pivot, mut largest) = (k, T::ZERO);
        for i in k..n {
            let size = a[i * n + k].size();
            if size > largest {
                (pivot, largest) = (i, size);
            }
        }
        let (upper, lower) = a.split_at_mut((k + 1) * n);
        let top = &mut upper[k * n..];
        if pivot != k {
            rows.swap(k, pivot);
            top.swap_with_slice(&mut lower[(pivot - k - 1) * n..][..n]);
        }
        for row in lower.chunks_exact_mut(n) {
            let factor = row[k] / top[k];
            row[k] = factor;
            for j in k + 1..n {
                row[j] -= factor * top[j];
            }
        }
    }
}

/// L of `A = L Lᵀ` in the place of a row-major A, of which the lower triangle is read; zeros are above it.
pub(super) fn cholesky<T: Entry>(a: &mut [T], n: usize) -> Result<(), Failure> {
    match n {
        2 => cholesky_of(a, 2),
        3 => cholesky_of(a, 3),
        4 => cholesky_of(a, 4),
        _ => cholesky_of(a, n),
    }
}

#[inline(always)]
fn cholesky_of<T: Entry>(a: &mut [T], n: usize) -> Result<(), Failure> {
    let a = &mut a[..n * n];
    for i in 0..n {
        let (above, row) = a.split_at_mut(i * n);
        for j in 0..i {
            let other = &above[j * n..][..n];
            let rest = (0..j).fold(row[j], |rest, k| rest - row[k] * other[k]);
            row[j] = rest / other[j];
        }
        let rest = (0..i).fold(row[i], |rest, k| rest - row[k] * row[k]);
        // It is NaN where an element is.
        if !(rest > T::ZERO && rest.is_number()) {
            return Err(Failure::NotPositive);
        }
        row[i] = rest.root();
        row[i + 1..n].fill(T::ZERO);
    }
    Ok(())
}

/// A triangular matrix in a slice: the distance of its rows and of its columns, and what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Triangular<'a, T> {
    pub(super) values: &'a [T],
    pub(super) strides: [usize; 2],
    pub(super) lower: bool,
    pub(super) unit: bool,
}

/// Solves `T X = B` in the place of a row-major B of so many columns, for T of `n` rows.
pub(super) fn solve<T: Entry>(t: Triangular<'_, T>, n: usize, columns: usize, b: &mut [T]) {
    match (n, columns) {
        (_, 0) => {}
        (_, 1) => substitute(t, n, 1, b),
        _ => substitute(t, n, columns, b),
    }
}

/// Solves `A X = B` in the place of a row-major B of so many columns, or with the transpose of A, by its factors. `moved`
/// has as many places as B.
pub(super) fn solve_factored<T: Entry>(
    (lu, rows): (&[T], &[i64]),
    transposed: bool,
    n: usize,
    columns: usize,
    (b, moved): (&mut [T], &mut [T]),
) {
    match (n, columns) {
        (_, 0) => {}
        (2, 2) => solve_factored_of((lu, rows), transposed, 2, 2, (b, moved)),
        (3, 3) => solve_factored_of((lu, rows), transposed, 3, 3, (b, moved)),
        (4, 4) => solve_factored_of((lu, rows), transposed, 4, 4, (b, moved)),
        (4, 1) => solve_factored_of((lu, rows), transposed, 4, 1, (b, moved)),
        (_, 1) => solve_factored_of((lu, rows), transposed, n, 1, (b, moved)),
        _ => solve_factored_of((lu, rows), transposed, n, columns, (b, moved)),
    }
}

#[inline(always)]
fn solve_factored_of<T: Entry>(
    (lu, rows): (&[T], &[i64]),
    transposed: bool,
    n: usize,
    columns: usize,
    (b, moved): (&mut [T], &mut [T]),
) {
    let (b, moved, rows) = (&mut b[..n * columns], &mut moved[..n * columns], &rows[..n]);
    let part = |lower, unit| Triangular {
        values: lu,
        strides: if transposed { [1, n] } else { [n, 1] },
        lower,
        unit,
    };
    // Element by element: the rows are too short for calls that copy them.
    if transposed {
        substitute(part(true, false), n, columns, b);
        substitute(part(false, true), n, columns, b);
        for (from, &to) in b.chunks_exact(columns).zip(rows) {
            let to = &mut moved[to as usize * columns..][..columns];
            (0..columns).for_each(|j| to[j] = from[j]);
        }
        (0..n * columns).for_each(|i| b[i] = moved[i]);
    } else {
        for (to, &from) in moved.chunks_exact_mut(columns).zip(rows) {
            let from = &b[from as usize * columns..][..columns];
            (0..columns).for_each(|j| to[j] = from[j]);
        }
        (0..n * columns).for_each(|i| b[i] = moved[i]);
        substitute(part(true, true), n, columns, b);
        substitute(part(false, false), n, columns, b);
    }
}

#[inline(always)]
fn substitute<T: Entry>(t: Triangular<'_, T>, n: usize, columns: usize, b: &mut [T]) {
    let b = &mut b[..n * columns];
    let [down, across] = t.strides;
    for step in 0..n {
        let i = if t.lower { step } else { n - 1 - step };
        let (above, from) = b.split_at_mut(i * columns);
        let (row, below) = from.split_at_mut(columns);
        let (known, first) = if t.lower { (&*above, 0) } else { (&*below, i + 1) };
        for (j, solved) in known.chunks_exact(columns).enumerate() {
            let factor = t.values[i * down + (first + j) * across];
            for (x, &y) in row.iter_mut().zip(solved) {
                *x -= factor * y;
            }
        }
        if !t.unit {
            let pivot = t.values[i * (down + across)];
            for x in row {
                *x /= pivot;
            }
        }
    }
}
