//! Normalisation to mean 0 and variance 1, with a scale and a bias, and its gradient.
//!
//! Variances are sums of squared distances from a mean that is known, corrected for its rounding, and parts are merged
//! by Chan's formula; nothing cancels however far from zero the numbers are.

mod blocks;
mod columns;
mod rows;
mod short;
mod terms;

use super::number::Float;
use super::real::Real;
use crate::dtype::Element;
use crate::memory::unwritten::{Unwritten, fill_with};

/// An array seen as row-major `(outer, n, groups, width)`. A mean and a variance belong to each `(outer, group)`; scale
/// and bias to each `(group, width)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// How often there are statistics of the same group.
    pub outer: usize,
    /// How many rows the statistics are taken over.
    pub n: usize,
    /// How many groups of columns there are.
    pub groups: usize,
    /// How many neighbouring columns are in a group.
    pub width: usize,
}

impl Grouping {
    /// The number of columns: those of all groups.
    pub fn columns(&self) -> usize {
        self.groups * self.width
    }
    /// The number of elements.
    pub fn size(&self) -> usize {
        self.outer * self.n * self.columns()
    }
    /// Whether each mean is that of a row of memory.
    fn is_rows(&self) -> bool {
        self.n == 1 && self.groups == 1
    }
}

/// What a normalisation reads beside the elements.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a, T> {
    /// The factor of each column.
    pub scale: &'a [T],
    /// What is added to each column.
    pub bias: &'a [T],
    /// What is added to each variance.
    pub eps: f64,
    /// Whether rows are taken to have the mean 0, so that their variance is the mean of their squares.
    pub about_zero: bool,
}

/// The mean of each group and its variance.
#[derive(Clone, Copy, Debug)]
pub struct Moments<'a, T> {
    /// The means.
    pub mean: &'a [T],
    /// The mean squared distances from them.
    pub var: &'a [T],
}

/// The arrays must be of the layout's elements, columns and groups.
fn check<T, U>(layout: Grouping, x: &[T], out: &[U], p: Parameters<'_, T>, moments: [usize; 2]) {
    let (columns, groups) = (layout.columns(), layout.outer * layout.groups);
    let fits = x.len() == layout.size() && out.len() == layout.size();
    assert!(
        fits && p.scale.len() == columns && p.bias.len() == columns && moments == [groups; 2],
        "norm: {layout:?} does not fit {} elements, {} columns and {} groups",
        x.len(),
        p.scale.len(),
        moments[0]
    );
}

/// Places for zeros.
fn zeros<T: Float>(out: &mut Unwritten<T>) -> &mut [T] {
    fill_with(out, |_| T::ZERO)
}

/// `out = (x - mean) / sqrt(var + eps) * scale + bias`, with the moments of each group. Gives the result, the means and the
/// variances.
///
/// # Panics
/// Where the arrays have not as many elements as the layout.
pub fn normalise<'a, T: Float + Element>(
    layout: Grouping,
    x: &[T],
    p: Parameters<'_, T>,
    [out, mean, var]: [&'a mut Unwritten<T>; 3],
) -> [&'a mut [T]; 3] {
    check(layout, x, out, p, [mean.len(), var.len()]);
    if layout.size() == 0 {
        return [out, mean, var].map(zeros);
    }
    if layout.is_rows() {
        return rows::normalise(layout.outer, layout.width, x, p, [out, mean, var]);
    }
    assert!(!p.about_zero, "norm: only rows are taken to have the mean 0");
    let [mean, var] = columns::moments(layout, x, [mean, var]);
    let out = columns::shift_and_scale(layout, false, x, p, Moments { mean, var }, out);
    [out, mean, var]
}

/// [`normalise`] with moments that are given.
///
/// # Panics
/// As for [`normalise`].
pub fn normalise_with<'a, T: Float + Element>(
    layout: Grouping,
    x: &[T],
    p: Parameters<'_, T>,
    moments: Moments<'_, T>,
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    check(layout, x, out, p, [moments.mean.len(), moments.var.len()]);
    if layout.size() == 0 { zeros(out) } else { columns::shift_and_scale(layout, true, x, p, moments, out) }
}

/// The gradients of [`normalise`] for an incoming gradient `g`, or with `is_given` those of [`normalise_with`]: of the
/// elements, the scale and the bias.
///
/// # Panics
/// As for [`normalise`].
pub fn gradient<'a, T: Float + Element>(
    layout: Grouping,
    is_given: bool,
    [x, g]: [&[T]; 2],
    p: Parameters<'_, T>,
    moments: Moments<'_, T>,
    out: [&'a mut Unwritten<T>; 3],
) -> [&'a mut [T]; 3] {
    check(layout, x, g, p, [moments.mean.len(), moments.var.len()]);
    check(layout, x, out[0], p, [moments.mean.len(), moments.var.len()]);
    let columns = [out[1].len(), out[2].len()];
    assert!(columns == [layout.columns(); 2], "norm: gradients of {columns:?} columns for {layout:?}");
    if layout.size() == 0 {
        return out.map(zeros);
    }
    if layout.is_rows() && !is_given {
        return rows::gradient(layout.outer, layout.width, [x, g], p, moments, out);
    }
    columns::gradient(layout, is_given, [x, g], p, moments, out)
}

/// `1 / sqrt(var + eps)`.
#[inline(always)]
fn inverse_deviation<R: Real>(var: R, eps: f64) -> R {
    R::lit(1.0) / (var + eps).sqrt()
}

/// The mean and the variance of a group as they were found, and `1 / sqrt(var + eps)`. Where the squares are too large or
/// too small to be summed up, all three are found anew from the elements.
#[inline(always)]
fn inverse<T: Float + Element, const FMA: bool, I: Iterator<Item = T>>(
    (mean, var): (T, T),
    p: &Parameters<'_, T>,
    elements: impl Fn() -> I,
) -> (T, T, T) {
    let padded = T::of::<FMA>(var.lane::<FMA>() + p.eps);
    if T::SMALLEST <= padded && padded < T::HIGHEST {
        return (mean, var, T::of::<FMA>(inverse_deviation(var.lane::<FMA>(), p.eps)));
    }
    let elements = || elements().map(Element::to_f64);
    match extreme(elements, p) {
        Some([mean, var, inverse]) => (T::from_f64(mean), T::from_f64(var), T::from_f64(inverse)),
        None => (mean, var, T::of::<FMA>(inverse_deviation(var.lane::<FMA>(), p.eps))),
    }
}

/// The mean, the variance and the inverse of the padded deviation of elements of whatever size; `None` where one is not
/// finite, or all are zero.
#[cold]
fn extreme<T, I: Iterator<Item = f64>>(elements: impl Fn() -> I, p: &Parameters<'_, T>) -> Option<[f64; 3]> {
    let largest = elements().fold(0.0, |most: f64, x| if x.abs() <= most { most } else { x.abs() });
    if !(0.0 < largest && largest < f64::INFINITY) {
        return None;
    }
    let n = elements().count() as f64;
    let mean = if p.about_zero { 0.0 } else { elements().map(|x| x / largest).sum::<f64>() / n };
    let var = elements().map(|x| (x / largest - mean).powi(2)).sum::<f64>() / n;
    let deviation = largest * var.sqrt();
    Some([mean * largest, deviation * deviation, 1.0 / deviation.hypot(p.eps.sqrt())])
}

/// A count as a number to compute with.
#[inline(always)]
fn count<T: Float, const FMA: bool>(n: usize) -> T::Lane<FMA> {
    T::Lane::<FMA>::lit(n as f64)
}
