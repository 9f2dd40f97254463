//! Normalisation of rows of memory: a row is read from cache after its first pass.

use super::super::abreast::SHORT;
use super::super::cost::rowwise;
use super::super::dispatch::{Compute, compute};
use super::super::number::Float;
use super::super::real::Real;
use super::super::reduce::{self, Axis, Sum};
use super::super::softmax::{self, RowOp};
use super::terms::{Itself, Terms, add, row_sums, write};
use super::{Moments, Parameters, count, inverse, short, zeros};
use crate::dtype::Element;

use crate::memory::room;
use crate::memory::unwritten::{Unwritten, assume_written};
use crate::team::{self, Pieces};
use std::mem::MaybeUninit;

/// Elements per task of the gradient, which sums over the rows of a task first.
const CHUNK: usize = 1 << 15;
/// Rows that such a task has at least, so that its sums are few beside what they are sums of.
const ROWS: usize = 8;

pub(super) struct Normalise<'x, T> {
    pub(super) x: &'x [T],
    pub(super) p: Parameters<'x, T>,
    pub(super) n: usize,
}

/// The distance from a number, and its square.
struct Spread<'x, T> {
    x: &'x [T],
    from: T,
}

impl<T: Float> Terms<T, 2> for Spread<'_, T> {
    #[inline(always)]
    fn holds(&self, places: usize, _: usize) -> bool {
        places <= self.x.len()
    }
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 2] {
        // SAFETY: place `i` is one that `holds` is true for.
        let d = unsafe { *self.x.get_unchecked(i) }.lane::<FMA>() - self.from.lane::<FMA>();
        [d, d * d]
    }
}

/// So many elements have a mean that is near that of their row, as a rule.
const SOME: usize = 16;

/// The mean of a row and its variance, from the distances to a number near the mean; where it turns out to be so far from
/// it that digits cancel, from the distances to the mean.
#[inline(always)]
fn moments<T: Float, const FMA: bool>(x: &[T]) -> (T, T) {
    let (n, length, some) = (x.len(), count::<T, FMA>(x.len()), x.len().min(SOME));
    let [sum] = row_sums::<T, _, FMA, 1>(&Itself(x), some);
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

/// The mean of the squares of a row.
#[inline(always)]
fn mean_square<T: Float, const FMA: bool>(x: &[T]) -> T {
    let [_, squares] = row_sums::<T, _, FMA, 2>(&Spread { x, from: T::ZERO }, x.len());
    T::of::<FMA>(squares.lane::<FMA>() / count::<T, FMA>(x.len()))
}

struct Normalised<'x, T> {
    x: &'x [T],
    scale: &'x [T],
    bias: &'x [T],
    mean: T,
    inverse: T,
}

impl<T: Float> Terms<T, 1> for Normalised<'_, T> {
    #[inline(always)]
    fn holds(&self, places: usize, _: usize) -> bool {
        places <= self.x.len() && places <= self.scale.len() && places <= self.bias.len()
    }
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 1] {
        // SAFETY: place `i` is one that `holds` is true for.
        let [x, scale, bias] = unsafe { [self.x, self.scale, self.bias].map(|a| *a.get_unchecked(i)) };
        let normal = (x.lane::<FMA>() - self.mean.lane::<FMA>()) * self.inverse.lane::<FMA>();
        [normal.mul_add(scale.lane::<FMA>(), bias.lane::<FMA>())]
    }
}

/// The results of rows, and the mean and the variance of each.
type Results<'a, T> = (Pieces<'a, MaybeUninit<T>>, Pieces<'a, MaybeUninit<T>>, Pieces<'a, MaybeUninit<T>>);

impl<'a, T: Float + Element> RowOp<Results<'a, T>> for Normalise<'_, T> {
    const NANOS: f64 = 0.3;
    #[inline(always)]
    fn rows<const FMA: bool>(
        &self,
        first: usize,
        (out, means, vars): (&'a mut Unwritten<T>, &'a mut Unwritten<T>, &'a mut Unwritten<T>),
    ) -> (&'a mut [T], &'a mut [T], &'a mut [T]) {
        let (Normalise { x, p, n }, rows) = (self, means.len());
        assert!(vars.len() == rows && out.len() == rows * n, "a task has {rows} rows of {n}");
        let Parameters { scale, bias, about_zero, .. } = *p;
        if *n < SHORT {
            short::normalise::<T, FMA>(self, first, out, [&mut *means, &mut *vars]);
            // SAFETY: each of the rows is written, and so are its mean and its variance.
            return unsafe { (assume_written(out), assume_written(means), assume_written(vars)) };
        }
        for (i, out) in out.chunks_exact_mut(*n).enumerate() {
            let x = &x[(first + i) * n..][..*n];
            let found = if about_zero { (T::ZERO, mean_square::<T, FMA>(x)) } else { moments::<T, FMA>(x) };
            let (mean, var, inverse) = inverse::<T, FMA, _>(found, &self.p, || x.iter().copied());
            means[i].write(mean);
            vars[i].write(var);
            write::<T, _, FMA>(&Normalised { x, scale, bias, mean, inverse }, 0, out);
        }
        // SAFETY: the loop has gone over all rows, as many as there are means and variances, and has written all of each.
        unsafe { (assume_written(out), assume_written(means), assume_written(vars)) }
    }
}

/// [`super::normalise`] for rows of `n` elements.
pub(super) fn normalise<'a, T: Float + Element>(
    rows: usize,
    n: usize,
    x: &[T],
    p: Parameters<'_, T>,
    [out, mean, var]: [&'a mut Unwritten<T>; 3],
) -> [&'a mut [T]; 3] {
    <[_; 3]>::from(softmax::run(&Normalise { x, p, n }, rows, n, |group| {
        (Pieces::of(out, group * n), Pieces::of(mean, group), Pieces::of(var, group))
    }))
}

/// What the gradient of a row depends on.
struct RowTerms<'x, T> {
    x: &'x [T],
    g: &'x [T],
    scale: &'x [T],
    mean: T,
    inverse: T,
}

impl<T: Float> RowTerms<'_, T> {
    /// Whether there are so many elements.
    #[inline(always)]
    fn holds(&self, places: usize) -> bool {
        places <= self.x.len() && places <= self.g.len() && places <= self.scale.len()
    }
    /// The normalised element, and the incoming gradient of it with and without the scale.
    ///
    /// # Safety
    /// [`RowTerms::holds`] must be true for more than `i` places.
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize) -> [T::Lane<FMA>; 3] {
        // SAFETY: place `i` is one that `holds` is true for.
        let [x, g, scale] = unsafe { [self.x, self.g, self.scale].map(|a| *a.get_unchecked(i)) };
        let normal = (x.lane::<FMA>() - self.mean.lane::<FMA>()) * self.inverse.lane::<FMA>();
        [normal, g.lane::<FMA>() * scale.lane::<FMA>(), g.lane::<FMA>()]
    }
}

/// The scaled gradient, and its product with the normalised element.
struct Products<'a, T>(&'a RowTerms<'a, T>);

impl<T: Float> Terms<T, 2> for Products<'_, T> {
    #[inline(always)]
    fn holds(&self, places: usize, _: usize) -> bool {
        self.0.holds(places)
    }
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 2] {
        // SAFETY: place `i` is one that `holds` is true for, which is the row's.
        let [normal, scaled, _] = unsafe { self.0.at::<FMA>(i) };
        [scaled, scaled * normal]
    }
}

/// The gradient of the input, given the means of [`Products`].
struct Input<'a, T> {
    row: &'a RowTerms<'a, T>,
    means: [T; 2],
}

impl<T: Float> Terms<T, 1> for Input<'_, T> {
    #[inline(always)]
    fn holds(&self, places: usize, _: usize) -> bool {
        self.row.holds(places)
    }
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 1] {
        // SAFETY: place `i` is one that `holds` is true for, which is the row's.
        let [normal, scaled, _] = unsafe { self.row.at::<FMA>(i) };
        let [a, b] = self.means.map(|mean| mean.lane::<FMA>());
        [(scaled - a - normal * b) * self.row.inverse.lane::<FMA>()]
    }
}

/// The gradients of scale and bias.
struct Affine<'a, T>(&'a RowTerms<'a, T>);

impl<T: Float> Terms<T, 2> for Affine<'_, T> {
    #[inline(always)]
    fn holds(&self, places: usize, _: usize) -> bool {
        self.0.holds(places)
    }
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, _: usize) -> [T::Lane<FMA>; 2] {
        // SAFETY: place `i` is one that `holds` is true for, which is the row's.
        let [normal, _, g] = unsafe { self.0.at::<FMA>(i) };
        [g * normal, g]
    }
}

/// What the gradient of some rows from row `first` on depends on.
pub(super) struct Part<'x, T> {
    pub(super) n: usize,
    pub(super) first: usize,
    pub(super) x: &'x [T],
    pub(super) g: &'x [T],
    pub(super) p: Parameters<'x, T>,
    pub(super) moments: Moments<'x, T>,
}

/// The gradient of a part, and the sums of its rows for scale and for bias.
struct Gradient<'x, 'a, 's, T> {
    part: Part<'x, T>,
    dx: &'a mut Unwritten<T>,
    affine: [&'s mut Unwritten<T>; 2],
}

impl<'a, 's, T: Float + Element> Compute for Gradient<'_, 'a, 's, T> {
    type Out = (&'a mut [T], &'s mut [T], &'s mut [T]);
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> Self::Out {
        let Gradient { part, dx, affine } = self;
        let [scales, biases] = affine.map(zeros);
        if part.n < SHORT {
            short::gradient::<T, FMA>(&part, dx, [&mut *scales, &mut *biases]);
            // SAFETY: tasks get whole rows, each of which is written.
            return (unsafe { assume_written(dx) }, scales, biases);
        }
        let Part { n, first, x, g, p, moments } = part;
        for (i, dx) in dx.chunks_exact_mut(n).enumerate() {
            let r = first + i;
            let elements = || x[r * n..][..n].iter().copied();
            let (mean, _, inverse) = inverse::<T, FMA, _>((moments.mean[r], moments.var[r]), &p, elements);
            let row = RowTerms { x: &x[r * n..][..n], g: &g[r * n..][..n], scale: p.scale, mean, inverse };
            let sums = row_sums::<T, _, FMA, 2>(&Products(&row), n);
            let [mean, along] = sums.map(|sum| T::of::<FMA>(sum.lane::<FMA>() / count::<T, FMA>(n)));
            let means = [if p.about_zero { T::ZERO } else { mean }, along];
            write::<T, _, FMA>(&Input { row: &row, means }, 0, dx);
            add::<T, _, FMA, 2>(&Affine(&row), n, [&mut *scales, &mut *biases]);
        }
        // SAFETY: tasks get whole rows, and `write` fills each.
        (unsafe { assume_written(dx) }, scales, biases)
    }
}

/// [`super::gradient`] for rows of `n` elements.
pub(super) fn gradient<'a, T: Float + Element>(
    rows: usize,
    n: usize,
    [x, g]: [&[T]; 2],
    p: Parameters<'_, T>,
    moments: Moments<'_, T>,
    [dx, dscale, dbias]: [&'a mut Unwritten<T>; 3],
) -> [&'a mut [T]; 3] {
    let group = (CHUNK / n).max(ROWS);
    let parts = rows.div_ceil(group);
    let mut sums = room::<T>(2 * parts * n);
    let (scales, biases) = sums.spare_capacity_mut()[..2 * parts * n].split_at_mut(parts * n);
    let share = (Pieces::of(dx, group * n), Pieces::of(scales, n), Pieces::of(biases, n));
    let (dx, scales, biases) = team::fill(share, rowwise(rows, n, 0.5), |task, (dx, scales, biases)| {
        let part = Part { n, first: task * group, x, g, p, moments };
        compute(Gradient { part, dx, affine: [scales, biases] })
    });
    let axis = Axis { outer: 1, n: parts, inner: n };
    let dscale = reduce::reduce::<Sum<T>>(axis, scales, dscale);
    let dbias = reduce::reduce::<Sum<T>>(axis, biases, dbias);
    [dx, dscale, dbias]
}
