//! Variances and standard deviations along an axis, and the gradient of both.
//!
//! A piece of the axis that stays in cache is read twice: for its mean, and for the squared distances from it, less what
//! the rounding of the mean has added. Pieces are merged by the formula of Chan, Golub and LeVeque.

use super::cost::{centring, streaming};
use super::dispatch::{Compute, compute};
use super::lanes::Vectors;
use super::number::Float;
use super::reduce::{Axis, BLOCK, CHUNK, Sum, WIDTH, fold_across, fold_lanes, fold_row};
use crate::dtype::Element;
use crate::memory::room;
use crate::memory::unwritten::{Unwritten, assume_written, fill_with};
use crate::team::{self, Pieces};
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
    fn careful<T: Element>(self, x: &[T], n: usize, stride: usize) -> T {
        let at = |i: usize| x[i * stride];
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
    /// # Panics
    /// Where `x` or `out` has not as many elements as the axis says.
    pub fn along<'a, T: Float + Element>(
        self,
        axis: Axis,
        x: &[T],
        out: &'a mut Unwritten<T>,
    ) -> &'a mut [T] {
        let Axis { n, inner, .. } = axis;
        moments(axis, x, out, |place, m| {
            let from = place / inner * n * inner + place % inner;
            self.of::<T>(m).unwrap_or_else(|| self.careful(&x[from..], n, inner))
        })
    }
}

/// What `result` makes of the moments of the elements for each place of the result.
fn moments<'a, T: Float + Element, R: Copy + Send>(
    axis: Axis,
    x: &[T],
    out: &'a mut Unwritten<R>,
    result: impl Fn(usize, Moments) -> R + Sync,
) -> &'a mut [R] {
    let Axis { outer, n, inner } = axis;
    assert!(
        x.len() == axis.size() && out.len() == axis.places(),
        "variance: {axis:?} does not fit {} elements and {} results",
        x.len(),
        out.len()
    );
    let nanos = streaming::<T>(x.len());
    if n * inner <= CHUNK {
        let group = (CHUNK / (n * inner).max(1)).clamp(1, outer.max(1));
        return team::fill(Pieces::of(out, (group * inner).max(1)), nanos, |task, out| {
            for (i, out) in out.chunks_exact_mut(inner).enumerate() {
                let o = task * group + i;
                let (x, result) = (&x[o * n * inner..][..n * inner], |j, m| result(o * inner + j, m));
                compute(Piece { x, n, stride: inner, result, out });
            }
            // SAFETY: the piece is of whole rows of `inner`, and `Piece` has written each.
            unsafe { assume_written(out) }
        });
    }
    let (tile, tiles) = (inner.min(WIDTH), inner.div_ceil(WIDTH));
    let rows = (CHUNK / tile).max(BLOCK);
    let parts = n.div_ceil(rows);
    let size = outer * parts * inner;
    let mut partial = room(size);
    let share = Pieces::of_rows(&mut partial.spare_capacity_mut()[..size], inner, tile);
    let partial = &*team::fill(share, nanos, |task, out| {
        let (o, part, first) = (task / (parts * tiles), task / tiles % parts, task % tiles * tile);
        let (start, n) = ((o * n + part * rows) * inner, rows.min(n - part * rows));
        let x = &x[start + first..start + n * inner];
        compute(Piece { x, n, stride: inner, result: |_, m| m, out })
    });
    fill_with(out, |place| {
        let (o, j) = (place / inner, place % inner);
        let part = |i: usize| partial[(o * parts + i) * inner + j];
        result(place, (0..parts).map(part).fold(Moments::default(), Moments::and))
    })
}

/// As many columns as there are results, of `n` rows that are `stride` apart, in one piece: one column of consecutive
/// elements if `stride` is 1.
struct Piece<'x, 'a, T, R, F> {
    x: &'x [T],
    n: usize,
    stride: usize,
    result: F,
    out: &'a mut Unwritten<R>,
}

impl<'a, T: Float + Element, R: Copy, F: Fn(usize, Moments) -> R> Compute for Piece<'_, 'a, T, R, F> {
    type Out = &'a mut [R];
    const WIDE: bool = size_of::<T>() == 4;
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> &'a mut [R] {
        let Piece { x, n, stride, result, out } = self;
        let columns = out.len();
        if n == 0 {
            return fill_with(out, |j| result(j, Moments::default()));
        }
        if stride == 1 {
            // One column.
            let m = row(x);
            return fill_with(out, |j| result(j, m));
        }
        let wide = FEW * columns;
        if columns == stride && columns < LANES && n >= 2 * FEW && wide <= LANES * FEW {
            let kept = narrow(x, n, columns);
            return fill_with(out, |j| result(j, kept[j]));
        }
        each_column(x, n, stride, columns, |j, m| {
            out[j].write(result(j, m));
        });
        // SAFETY: `each_column` has come by each column.
        unsafe { assume_written(out) }
    }
}

/// The moments of a row.
#[inline(always)]
fn row<T: Float + Element>(x: &[T]) -> Moments {
    let n = x.len();
    let near = T::from_f64(fold_row::<Sum<T>>(x).to_f64() / n as f64);
    let (found, fine) = Moments::around(near, n, row_residuals(x, near));
    if fine {
        return found;
    }
    let near = T::from_f64(found.mean);
    Moments::around(near, n, row_residuals(x, near)).0
}

#[inline(always)]
fn row_residuals<T: Float>(x: &[T], near: T) -> [T; 2] {
    let (vectors, mut sums) = (x.len() / LANES, [T::ZERO; 2]);
    if vectors > 0 {
        let vectors = Vectors::new(x, vectors, LANES);
        sums = residuals::<T, LANES>(vectors, &[near; LANES]).map(fold_across::<Sum<T>, LANES>);
    }
    let rest = &x[vectors * LANES..];
    let few = rest.len() / FEW;
    if few > 0 {
        let vectors = Vectors::new(rest, few, FEW);
        let more = residuals::<T, FEW>(vectors, &[near; FEW]).map(fold_across::<Sum<T>, FEW>);
        sums = [sums[0].plus(more[0]), sums[1].plus(more[1])];
    }
    for &x in &rest[few * FEW..] {
        let d = minus(x, near);
        sums = [sums[0].plus(d), sums[1].plus(d.times(d))];
    }
    sums
}

#[inline(always)]
fn minus<T: Float>(a: T, b: T) -> T {
    T::of::<false>(a.lane::<false>() - b.lane::<false>())
}

/// Sums of the distances of vectors from `near`, lane by lane, and of their squares.
#[inline(always)]
fn residuals<T: Float, const L: usize>(x: Vectors<'_, T, L>, near: &[T; L]) -> [[T; L]; 2] {
    let (mut distances, mut squares) = ([T::ZERO; L], [T::ZERO; L]);
    let mut left = x;
    while left.len() > 0 {
        let (mut d, mut q) = ([T::ZERO; L], [T::ZERO; L]);
        let (block, rest) = left.split(BLOCK);
        for x in block {
            for l in 0..L {
                let apart = minus(x[l], near[l]);
                d[l] = d[l].plus(apart);
                q[l] = q[l].plus(apart.times(apart));
            }
        }
        for l in 0..L {
            distances[l] = distances[l].plus(d[l]);
            squares[l] = squares[l].plus(q[l]);
        }
        left = rest;
    }
    [distances, squares]
}

/// Gives `found` the moments of each column, which are computed several at a time.
#[inline(always)]
fn each_column<T: Float + Element>(
    x: &[T],
    n: usize,
    stride: usize,
    columns: usize,
    mut found: impl FnMut(usize, Moments),
) {
    let mut j = 0;
    macro_rules! strips {
        ($($lanes:expr),+) => {$(
            while columns - j >= $lanes {
                let moments = lanes::<T, { $lanes }>(&x[j..], n, stride);
                moments.iter().enumerate().for_each(|(l, &m)| found(j + l, m));
                j += $lanes;
            }
        )+};
    }
    strips!(LANES, FEW, 1);
}

#[inline(always)]
fn lanes<T: Float + Element, const L: usize>(x: &[T], n: usize, stride: usize) -> [Moments; L] {
    let rows = || Vectors::<T, L>::new(x, n, stride);
    let sums = fold_lanes::<Sum<T>, L>(rows());
    let mut near = sums.map(|sum| T::from_f64(sum.to_f64() / n as f64));
    let mut moments = [Moments::default(); L];
    for _ in 0..2 {
        let [d, q] = residuals(rows(), &near);
        let mut fine = true;
        for l in 0..L {
            let (m, enough) = Moments::around(near[l], n, [d[l], q[l]]);
            (moments[l], near[l], fine) = (m, T::from_f64(m.mean), fine & enough);
        }
        if fine {
            break;
        }
    }
    moments
}

/// Few columns: those of [`FEW`] rows in one, and then of the rows that are left.
#[inline(always)]
fn narrow<T: Float + Element>(x: &[T], n: usize, columns: usize) -> [Moments; LANES] {
    let (wide, rows) = (FEW * columns, n / FEW);
    let mut kept = [Moments::default(); LANES];
    let mut keep = |j: usize, m| kept[j % columns] = kept[j % columns].and(m);
    each_column(x, rows, wide, wide, &mut keep);
    if !n.is_multiple_of(FEW) {
        each_column(&x[rows * wide..], n % FEW, columns, columns, &mut keep);
    }
    kept
}

/// `out = (x - mean) / unit * scale`, with a unit and a scale for each place of the result: what the gradients of variance
/// and deviation are.
///
/// # Panics
/// Where `x` or `out` has not as many elements as the axis says, or `unit` or `scale` not as many as there are places.
pub fn centred<'a, T: Float + Element>(
    axis: Axis,
    x: &[T],
    unit: &[T],
    scale: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let (Axis { outer, n, inner }, places) = (axis, axis.places());
    assert!(
        out.len() == x.len() && unit.len() == places && scale.len() == places,
        "variance: {axis:?} does not fit {} results with {} units and {} scales",
        out.len(),
        unit.len(),
        scale.len()
    );
    // The mean, and what its rounding has left.
    let mut means = room(places);
    let means = &*moments(axis, x, &mut means.spare_capacity_mut()[..places], |_, m| {
        let mean = T::from_f64(m.mean);
        [mean, T::from_f64(m.mean - mean.to_f64())]
    });
    let group = (CHUNK / inner.max(1)).max(1);
    let nanos = centring::<T>(outer * n * inner);
    team::fill(Pieces::of(out, (group * inner).max(1)), nanos, |task, out| {
        compute(Centre {
            axis,
            first: task * group,
            x: &x[task * group * inner..][..out.len()],
            means,
            unit,
            scale,
            out,
        })
    })
}

/// Rows of [`centred`], from row `first` on.
struct Centre<'x, 'a, T> {
    axis: Axis,
    first: usize,
    x: &'x [T],
    means: &'x [[T; 2]],
    unit: &'x [T],
    scale: &'x [T],
    out: &'a mut Unwritten<T>,
}

impl<'a, T: Float> Compute for Centre<'_, 'a, T> {
    type Out = &'a mut [T];
    const WIDE: bool = size_of::<T>() == 4;
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> &'a mut [T] {
        let Centre { axis: Axis { n, inner, .. }, first, x, means, unit, scale, out } = self;
        let value = |x: T, [mean, rest]: [T; 2], unit: T, scale: T| {
            let d = minus(minus(x, mean), rest);
            T::of::<FMA>(d.lane::<FMA>() / unit.lane::<FMA>() * scale.lane::<FMA>())
        };
        let (mut at, mut row) = (0, first);
        while at < out.len() {
            let o = row / n;
            if inner == 1 {
                let end = out.len().min(at + (o + 1) * n - row);
                let (means, unit, scale) = (means[o], unit[o], scale[o]);
                for (&x, out) in x[at..end].iter().zip(&mut out[at..end]) {
                    out.write(value(x, means, unit, scale));
                }
                (at, row) = (end, (o + 1) * n);
            } else {
                let places = o * inner..(o + 1) * inner;
                let (means, unit, scale) = (&means[places.clone()], &unit[places.clone()], &scale[places]);
                let (x, out) = (&x[at..][..inner], &mut out[at..][..inner]);
                for j in 0..inner {
                    out[j].write(value(x[j], means[j], unit[j], scale[j]));
                }
                (at, row) = (at + inner, row + 1);
            }
        }
        // SAFETY: the places before `at` are written, and `at` has come to the last.
        unsafe { assume_written(out) }
    }
}
