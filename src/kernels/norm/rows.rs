//! Normalisation of rows of memory: a row is read from cache after its first pass.

use super::super::dispatch::{Kernel, dispatch};
use super::super::number::Float;
use super::super::real::Real;
use super::super::reduce::{self, Axis, Sum};
use super::super::softmax::{self, RowOp};
use super::terms::{Element, Terms, row_sums, write};
use super::{Gradients, Moments, Parameters, count, inverse_deviation};
use crate::memory::room;
use crate::team;

/// Elements per task of the gradient, which sums over the rows of a task first.
const CHUNK: usize = 1 << 15;
/// Rows that such a task has at least, so that its sums are few beside what they are sums of.
const ROWS: usize = 8;

struct Normalise<T> {
    x: *const T,
    p: Parameters<T>,
    moments: Moments<T>,
    out: *mut T,
}

// SAFETY: each task writes the results of its own rows.
unsafe impl<T> Sync for Normalise<T> {}

/// The distance from a number, and its square.
struct Spread<T> {
    x: *const T,
    from: T,
}

impl<T: Float> Terms<T, 2> for Spread<T> {
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 2] {
        // SAFETY: the caller's element.
        let d = unsafe { *self.x.add(i) }.lane::<FMA>() - self.from.lane::<FMA>();
        [d, d * d]
    }
}

/// So many elements have a mean that is near that of their row, as a rule.
const SOME: usize = 8;

/// The mean of a row and its variance, from the distances to a number near the mean; where it turns out to be so far from
/// it that digits cancel, from the distances to the mean.
#[inline(always)]
unsafe fn moments<T: Float, const FMA: bool>(x: *const T, n: usize) -> (T, T) {
    let (length, some) = (count::<T, FMA>(n), n.min(SOME));
    // SAFETY: the caller's row.
    unsafe {
        let [sum] = row_sums::<T, _, FMA, 1>(&Element(x), some);
        let mut from = sum.lane::<FMA>() / count::<T, FMA>(some);
        let mut again = true;
        loop {
            let sums = row_sums::<T, _, FMA, 2>(&Spread { x, from: T::of::<FMA>(from) }, n);
            let [d, squares] = sums.map(|sum| sum.lane::<FMA>() / length);
            let var = (squares - d * d).max(T::Lane::<FMA>::lit(0.0));
            from = from + d;
            if !again || T::of::<FMA>(d * d) <= T::of::<FMA>(var * 4.0) {
                return (T::of::<FMA>(from), T::of::<FMA>(var));
            }
            again = false;
        }
    }
}

struct Normalised<T> {
    x: *const T,
    scale: *const T,
    bias: *const T,
    mean: T,
    inverse: T,
}

impl<T: Float> Terms<T, 1> for Normalised<T> {
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 1] {
        // SAFETY: the caller's element.
        let [x, scale, bias] = unsafe { [*self.x.add(i), *self.scale.add(i), *self.bias.add(i)] };
        let normal = (x.lane::<FMA>() - self.mean.lane::<FMA>()) * self.inverse.lane::<FMA>();
        [normal.mul_add(scale.lane::<FMA>(), bias.lane::<FMA>())]
    }
}

impl<T: Float> RowOp for Normalise<T> {
    const NANOS: f64 = 0.3;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, _: usize) {
        // SAFETY: the caller's row, and its results.
        unsafe {
            let x = self.x.add(row * n);
            let (mean, var) = moments::<T, FMA>(x, n);
            (*self.moments.mean.add(row), *self.moments.var.add(row)) = (mean, var);
            let Parameters { scale, bias, eps } = self.p;
            let inverse = T::of::<FMA>(inverse_deviation(var.lane::<FMA>(), eps));
            let normalised = Normalised { x, scale, bias, mean, inverse };
            write::<T, _, FMA, false, 1>(&normalised, 0, n, [self.out.add(row * n)]);
        }
    }
}

/// [`super::normalise`] for rows of `n` elements.
pub(super) unsafe fn normalise<T: Float>(
    rows: usize,
    n: usize,
    x: *const T,
    p: Parameters<T>,
    moments: Moments<T>,
    out: *mut T,
) {
    // SAFETY: the caller's promise.
    unsafe { softmax::run(&Normalise { x, p, moments, out }, rows, n) }
}

/// What the gradient of a row depends on.
struct Row<T> {
    x: *const T,
    g: *const T,
    scale: *const T,
    mean: T,
    inverse: T,
}

impl<T: Float> Row<T> {
    /// The normalised element, and the incoming gradient of it with and without the scale.
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize) -> [T::Lane<FMA>; 3] {
        // SAFETY: the caller's element.
        let [x, g, scale] = unsafe { [*self.x.add(i), *self.g.add(i), *self.scale.add(i)] };
        let normal = (x.lane::<FMA>() - self.mean.lane::<FMA>()) * self.inverse.lane::<FMA>();
        [normal, g.lane::<FMA>() * scale.lane::<FMA>(), g.lane::<FMA>()]
    }
}

/// The scaled gradient, and its product with the normalised element.
struct Products<'a, T>(&'a Row<T>);

impl<T: Float> Terms<T, 2> for Products<'_, T> {
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 2] {
        // SAFETY: the caller's element.
        let [normal, scaled, _] = unsafe { self.0.at::<FMA>(i) };
        [scaled, scaled * normal]
    }
}

/// The gradient of the input, given the means of [`Products`].
struct Input<'a, T> {
    row: &'a Row<T>,
    means: [T; 2],
}

impl<T: Float> Terms<T, 1> for Input<'_, T> {
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 1] {
        // SAFETY: the caller's element.
        let [normal, scaled, _] = unsafe { self.row.at::<FMA>(i) };
        let [a, b] = self.means.map(|mean| mean.lane::<FMA>());
        [(scaled - a - normal * b) * self.row.inverse.lane::<FMA>()]
    }
}

/// The gradients of scale and bias.
struct Affine<'a, T>(&'a Row<T>);

impl<T: Float> Terms<T, 2> for Affine<'_, T> {
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 2] {
        // SAFETY: the caller's element.
        let [normal, _, g] = unsafe { self.0.at::<FMA>(i) };
        [g * normal, g]
    }
}

/// The gradient of `rows` rows in parts of `group`, each with its sums over the rows for scale and for bias.
struct Gradient<T> {
    rows: usize,
    n: usize,
    group: usize,
    x: *const T,
    g: *const T,
    p: Parameters<T>,
    moments: Moments<T>,
    dx: *mut T,
    affine: [*mut T; 2],
}

// SAFETY: each task writes the gradient of its own rows, and its own sums.
unsafe impl<T> Sync for Gradient<T> {}

struct Part<'a, T> {
    of: &'a Gradient<T>,
    index: usize,
}

impl<T: Float> Kernel for Part<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let Gradient { rows, n, group, x, g, p, moments, dx, affine } = *self.of;
        let first = self.index * group;
        // SAFETY: the caller's rows, and sums of the task's own.
        unsafe {
            let affine = affine.map(|sums| sums.add(self.index * n));
            for sums in affine {
                sums.write_bytes(0, n);
            }
            for r in first..rows.min(first + group) {
                let inverse = inverse_deviation((*moments.var.add(r)).lane::<FMA>(), p.eps);
                let (mean, inverse) = (*moments.mean.add(r), T::of::<FMA>(inverse));
                let row = Row { x: x.add(r * n), g: g.add(r * n), scale: p.scale, mean, inverse };
                let sums = row_sums::<T, _, FMA, 2>(&Products(&row), n);
                let means = sums.map(|sum| T::of::<FMA>(sum.lane::<FMA>() / count::<T, FMA>(n)));
                write::<T, _, FMA, false, 1>(&Input { row: &row, means }, 0, n, [dx.add(r * n)]);
                write::<T, _, FMA, true, 2>(&Affine(&row), 0, n, affine);
            }
        }
    }
}

/// [`super::gradient`] for rows of `n` elements.
pub(super) unsafe fn gradient<T: Float>(
    rows: usize,
    n: usize,
    [x, g]: [*const T; 2],
    p: Parameters<T>,
    moments: Moments<T>,
    out: Gradients<T>,
) {
    let group = (CHUNK / n).max(ROWS);
    let parts = rows.div_ceil(group);
    let mut sums = room::<T>(2 * parts * n);
    let scale = sums.as_mut_ptr();
    let bias = scale.wrapping_add(parts * n);
    let of = &Gradient { rows, n, group, x, g, p, moments, dx: out.x, affine: [scale, bias] };
    // SAFETY: the caller's arrays; the sums are written by the tasks before they are read.
    unsafe {
        team::run(parts, rows * n / 2, |index| dispatch(Part { of, index }));
        let axis = Axis { outer: 1, n: parts, inner: n };
        reduce::reduce::<Sum<T>>(axis, scale, out.scale);
        reduce::reduce::<Sum<T>>(axis, bias, out.bias);
    }
}
