//! Variances and standard deviations along an axis, and the gradient of both.
//!
//! A piece of the axis that stays in cache is read twice: for its mean, and for the squared distances from it, less what
//! the rounding of the mean has added. Pieces are merged by the formula of Chan, Golub and LeVeque.

use super::dispatch::{Kernel, Shared, dispatch};
use super::number::Float;
use super::reduce::{Axis, BLOCK, CHUNK, Sum, WIDTH, fold_across, fold_lanes, fold_row};
use crate::dtype::Element;
use crate::memory::room;
use crate::team;
use std::cmp::Ordering;

/// Lanes side by side: the sums of distances and of squares are kept in registers.
const LANES: usize = 32;
/// Lanes for what is left of a multiple of [`LANES`].
const FEW: usize = 8;
/// Where less is left of a sum of squares, the mean was too coarse, and is refined.
const COARSE: f64 = 1.0 / 1024.0;

/// What is known of some numbers: how many they are, their mean and the sum of squared distances from it.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Those of the numbers of both.
    fn and(self, other: Moments) -> Moments {
        if self.n == 0.0 {
            return other;
        }
        let n = self.n + other.n;
        let (apart, part) = (other.mean - self.mean, other.n / n);
        let squares = self.squares + other.squares + apart * apart * self.n * part;
        Moments { n, mean: self.mean + apart * part, squares }
    }

    /// From sums of distances and of their squares from what is nearly the mean; and whether that was near enough.
    #[inline(always)]
    fn around<T: Element>(near: T, n: usize, [distances, squares]: [T; 2]) -> (Moments, bool) {
        let (n, s, q) = (n as f64, distances.to_f64(), squares.to_f64());
        let left = q - s * s / n;
        let squares = if left < 0.0 { 0.0 } else { left };
        // NaN counts as near: there is no better mean.
        let is_near = left.partial_cmp(&(q * COARSE)) != Some(Ordering::Less);
        (Moments { n, mean: near.to_f64() + s / n, squares }, is_near)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Variance {
    /// What is taken from the number of elements.
    pub correction: f64,
    /// Whether the result is the square root.
    pub root: bool,
}

impl Variance {
    /// The result; `None` if the squares may have been too large or too small for the type.
    #[inline(always)]
    fn of<T: Element>(self, m: Moments) -> Option<T> {
        let v = m.squares / (m.n - self.correction);
        let least = if size_of::<T>() == 4 { 1e-30 } else { 1e-280 };
        if m.n == 0.0 || m.n - self.correction <= 0.0 {
            return Some(T::from_f64(f64::NAN));
        }
        let held = v.is_finite() && (!self.root || v > least);
        held.then(|| T::from_f64(if self.root { v.sqrt() } else { v }))
    }

    /// The result for `n` elements that are `stride` apart, in units of the largest.
    #[cold]
    unsafe fn careful<T: Element>(self, x: *const T, n: usize, stride: usize) -> T {
        // SAFETY: the caller's elements.
        let at = |i: usize| unsafe { *x.add(i * stride) };
        if (1..n).all(|i| at(i) == at(0)) && at(0).to_f64().is_finite() {
            return T::default();
        }
        let most = (0..n)
            .fold(0.0, |most: f64, i| if at(i).to_f64().abs() <= most { most } else { at(i).to_f64().abs() });
        if !most.is_finite() {
            return T::from_f64(f64::NAN);
        }
        // A power of two, so that nothing is rounded; in two steps, as its inverse may not be a number.
        let half = (most.log2() / 2.0).floor() as i32;
        let unit = 2f64.powi(half);
        let scaled = |i: usize| at(i).to_f64() / unit / unit;
        let near = (0..n).map(scaled).sum::<f64>() / n as f64;
        let mean = near + (0..n).map(|i| scaled(i) - near).sum::<f64>() / n as f64;
        let squares: f64 = (0..n).map(|i| (scaled(i) - mean) * (scaled(i) - mean)).sum();
        let v = squares / (n as f64 - self.correction);
        T::from_f64(if self.root { v.sqrt() * unit * unit } else { v * unit * unit * unit * unit })
    }

    /// That of the elements along the axis, or NaN where `correction` leaves none of them.
    ///
    /// # Safety
    /// `x` must be readable for `outer * n * inner` elements and `out` writable for `outer * inner`.
    pub unsafe fn along<T: Float + Element>(self, axis: Axis, x: *const T, out: *mut T) {
        let (from, to) = (Shared(x.cast_mut()), Shared(out));
        // SAFETY: the caller's arrays; each place of the output is written once.
        unsafe {
            moments(axis, x, |place, m| {
                let (o, j) = (place / axis.inner, place % axis.inner);
                let y = self.of::<T>(m);
                *to.at(place) = y.unwrap_or_else(|| {
                    self.careful(from.at(o * axis.n * axis.inner + j), axis.n, axis.inner)
                });
            });
        }
    }
}

/// Gives `found` the moments of the elements for each place of the result.
///
/// # Safety
/// `x` must be readable for `outer * n * inner` elements.
unsafe fn moments<T: Float + Element>(axis: Axis, x: *const T, found: impl Fn(usize, Moments) + Sync) {
    let Axis { outer, n, inner } = axis;
    if outer * inner == 0 {
        return;
    }
    let from = Shared(x.cast_mut());
    let nanos = outer * n * inner * size_of::<T>() / 16;
    if n * inner <= CHUNK {
        let group = (CHUNK / (n * inner).max(1)).clamp(1, outer);
        return team::run(outer.div_ceil(group), nanos, |task| {
            for o in task * group..outer.min((task + 1) * group) {
                // SAFETY: row `o` of the caller's array.
                unsafe {
                    dispatch(Piece {
                        x: from.at(o * n * inner),
                        n,
                        stride: inner,
                        columns: inner,
                        found: |j, m| found(o * inner + j, m),
                    })
                }
            }
        });
    }
    let (tile, tiles) = (inner.min(WIDTH), inner.div_ceil(WIDTH));
    let rows = (CHUNK / tile).max(BLOCK);
    let parts = n.div_ceil(rows);
    let mut partial: Vec<Moments> = room(outer * parts * inner);
    let to = Shared(partial.as_mut_ptr());
    team::run(outer * parts * tiles, nanos, |task| {
        let (o, part, first) = (task / (parts * tiles), task / tiles % parts, task % tiles * tile);
        let (start, columns) = ((o * n + part * rows) * inner + first, tile.min(inner - first));
        let n = rows.min(n - part * rows);
        // SAFETY: the task's part of the caller's array; its places of `partial` are its own.
        unsafe {
            let x = from.at(start);
            dispatch(Piece {
                x,
                n,
                stride: inner,
                columns,
                found: |j, m| *to.at((o * parts + part) * inner + first + j) = m,
            });
        }
    });
    for place in 0..outer * inner {
        let (o, j) = (place / inner, place % inner);
        // SAFETY: the tasks have written all of `partial`.
        let part = |i: usize| unsafe { *to.at((o * parts + i) * inner + j) };
        found(place, (0..parts).map(part).fold(Moments::default(), Moments::and));
    }
}

/// Columns of rows that are `stride` apart, in one piece: one column of consecutive elements if `stride` is 1.
struct Piece<T, F> {
    x: *const T,
    n: usize,
    stride: usize,
    columns: usize,
    found: F,
}

impl<T: Float + Element, F: Fn(usize, Moments)> Kernel for Piece<T, F> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let Piece { x, n, stride, columns, found } = self;
        // SAFETY: the caller's elements.
        unsafe {
            if n == 0 {
                return (0..columns).for_each(|j| found(j, Moments::default()));
            }
            if stride == 1 {
                return found(0, row(x, n));
            }
            let wide = FEW * columns;
            if columns == stride && columns < LANES && n >= 2 * FEW && wide <= LANES * FEW {
                return narrow(x, n, columns, found);
            }
            each_column(x, n, stride, columns, &found);
        }
    }
}

/// The moments of `n` consecutive elements.
#[inline(always)]
unsafe fn row<T: Float + Element>(x: *const T, n: usize) -> Moments {
    // SAFETY: the caller's elements.
    unsafe {
        let near = T::from_f64(fold_row::<Sum<T>>(x, n).to_f64() / n as f64);
        let (found, fine) = Moments::around(near, n, row_residuals(x, n, near));
        if fine {
            return found;
        }
        let near = T::from_f64(found.mean);
        Moments::around(near, n, row_residuals(x, n, near)).0
    }
}

#[inline(always)]
unsafe fn row_residuals<T: Float>(x: *const T, n: usize, near: T) -> [T; 2] {
    let (vectors, mut sums) = (n / LANES, [T::ZERO; 2]);
    // SAFETY: the caller's elements.
    unsafe {
        if vectors > 0 {
            sums = residuals::<T, LANES>(x, vectors, LANES, &[near; LANES]).map(fold_across::<Sum<T>, LANES>);
        }
        let (done, few) = (vectors * LANES, n % LANES / FEW);
        if few > 0 {
            let more =
                residuals::<T, FEW>(x.add(done), few, FEW, &[near; FEW]).map(fold_across::<Sum<T>, FEW>);
            sums = [sums[0].plus(more[0]), sums[1].plus(more[1])];
        }
        for i in done + few * FEW..n {
            let d = minus(*x.add(i), near);
            sums = [sums[0].plus(d), sums[1].plus(d.times(d))];
        }
    }
    sums
}

#[inline(always)]
fn minus<T: Float>(a: T, b: T) -> T {
    T::of::<false>(a.lane::<false>() - b.lane::<false>())
}

/// Sums of the distances of `n` vectors from `near`, lane by lane, and of their squares.
#[inline(always)]
unsafe fn residuals<T: Float, const L: usize>(
    x: *const T,
    n: usize,
    stride: usize,
    near: &[T; L],
) -> [[T; L]; 2] {
    let (mut distances, mut squares) = ([T::ZERO; L], [T::ZERO; L]);
    let mut i = 0;
    while i < n {
        let (mut d, mut q) = ([T::ZERO; L], [T::ZERO; L]);
        for i in i..n.min(i + BLOCK) {
            for l in 0..L {
                // SAFETY: element `l` of vector `i`.
                let apart = minus(unsafe { *x.add(i * stride + l) }, near[l]);
                d[l] = d[l].plus(apart);
                q[l] = q[l].plus(apart.times(apart));
            }
        }
        for l in 0..L {
            distances[l] = distances[l].plus(d[l]);
            squares[l] = squares[l].plus(q[l]);
        }
        i += BLOCK;
    }
    [distances, squares]
}

/// The moments of columns, several at a time.
#[inline(always)]
unsafe fn each_column<T: Float + Element>(
    x: *const T,
    n: usize,
    stride: usize,
    columns: usize,
    found: &impl Fn(usize, Moments),
) {
    let mut j = 0;
    // SAFETY: columns `j..j + L` are among the caller's.
    unsafe {
        while j + LANES <= columns {
            lanes::<T, LANES>(x.add(j), n, stride, |l, m| found(j + l, m));
            j += LANES;
        }
        while j + FEW <= columns {
            lanes::<T, FEW>(x.add(j), n, stride, |l, m| found(j + l, m));
            j += FEW;
        }
        while j < columns {
            lanes::<T, 1>(x.add(j), n, stride, |_, m| found(j, m));
            j += 1;
        }
    }
}

#[inline(always)]
unsafe fn lanes<T: Float + Element, const L: usize>(
    x: *const T,
    n: usize,
    stride: usize,
    found: impl Fn(usize, Moments),
) {
    // SAFETY: the caller's elements.
    unsafe {
        let sums = fold_lanes::<Sum<T>, L>(x, n, stride);
        let mut near = sums.map(|sum| T::from_f64(sum.to_f64() / n as f64));
        let mut moments = [Moments::default(); L];
        for _ in 0..2 {
            let [d, q] = residuals::<T, L>(x, n, stride, &near);
            let mut fine = true;
            for l in 0..L {
                let (m, enough) = Moments::around(near[l], n, [d[l], q[l]]);
                (moments[l], near[l], fine) = (m, T::from_f64(m.mean), fine & enough);
            }
            if fine {
                break;
            }
        }
        moments.iter().enumerate().for_each(|(l, &m)| found(l, m));
    }
}

/// Few columns: those of [`FEW`] rows in one, and then of the rows that are left.
#[inline(always)]
unsafe fn narrow<T: Float + Element>(x: *const T, n: usize, columns: usize, found: impl Fn(usize, Moments)) {
    let wide = FEW * columns;
    let kept = std::cell::RefCell::new([Moments::default(); LANES * FEW]);
    let keep = |j: usize, m| {
        let mut kept = kept.borrow_mut();
        kept[j % columns] = kept[j % columns].and(m);
    };
    // SAFETY: the rows of `wide` elements are those of the caller, as are the ones left.
    unsafe {
        each_column(x, n / FEW, wide, wide, &keep);
        if !n.is_multiple_of(FEW) {
            each_column(x.add(n / FEW * wide), n % FEW, columns, columns, &keep);
        }
    }
    kept.borrow().iter().take(columns).enumerate().for_each(|(j, &m)| found(j, m));
}

/// `out = (x - mean) / unit * scale`, with a unit and a scale for each place of the result: what the gradients of variance
/// and deviation are.
///
/// # Safety
/// `x` must be readable and `out` writable for `outer * n * inner` elements, `unit` and `scale` readable for
/// `outer * inner`.
pub unsafe fn centred<T: Float + Element>(
    axis: Axis,
    x: *const T,
    unit: *const T,
    scale: *const T,
    out: *mut T,
) {
    let Axis { outer, n, inner } = axis;
    // The mean, and what its rounding has left.
    let mut means: Vec<[T; 2]> = room(outer * inner);
    let to = Shared(means.as_mut_ptr());
    // SAFETY: the caller's arrays; each place is written once, before it is read.
    unsafe {
        moments(axis, x, |place, m| {
            let mean = T::from_f64(m.mean);
            *to.at(place) = [mean, T::from_f64(m.mean - mean.to_f64())];
        });
    }
    let group = (CHUNK / inner.max(1)).max(1);
    let [x, unit, scale] = [x, unit, scale].map(|p| Shared(p.cast_mut()));
    let out = Shared(out);
    let rows = outer * n;
    team::run(rows.div_ceil(group), rows * inner * size_of::<T>() / 8, |task| {
        let (first, last) = (task * group, rows.min((task + 1) * group));
        // SAFETY: the task's rows.
        unsafe {
            dispatch(Centre {
                axis,
                first,
                last,
                x: x.at(0),
                means: to.at(0),
                unit: unit.at(0),
                scale: scale.at(0),
                out: out.at(0),
            })
        };
    });
}

/// Rows `first..last` of [`centred`].
struct Centre<T> {
    axis: Axis,
    first: usize,
    last: usize,
    x: *const T,
    means: *const [T; 2],
    unit: *const T,
    scale: *const T,
    out: *mut T,
}

impl<T: Float> Kernel for Centre<T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let Axis { n, inner, .. } = self.axis;
        let value = |x: T, [mean, rest]: [T; 2], unit: T, scale: T| {
            let d = minus(minus(x, mean), rest);
            T::of::<FMA>(d.lane::<FMA>() / unit.lane::<FMA>() * scale.lane::<FMA>())
        };
        let mut row = self.first;
        while row < self.last {
            let o = row / n;
            let end = self.last.min((o + 1) * n);
            // SAFETY: the caller's rows and the places of their results.
            unsafe {
                if inner == 1 {
                    let (means, unit, scale) = (*self.means.add(o), *self.unit.add(o), *self.scale.add(o));
                    for i in row..end {
                        *self.out.add(i) = value(*self.x.add(i), means, unit, scale);
                    }
                } else {
                    let at = o * inner;
                    for i in row..end {
                        for j in 0..inner {
                            let (x, out) = (self.x.add(i * inner + j), self.out.add(i * inner + j));
                            *out = value(
                                *x,
                                *self.means.add(at + j),
                                *self.unit.add(at + j),
                                *self.scale.add(at + j),
                            );
                        }
                    }
                }
            }
            row = end;
        }
    }
}
