//! Normalisation to mean 0 and variance 1, with a scale and a bias, and its gradient.
//!
//! Variances are sums of squared distances from a mean that is known, corrected for its rounding, and parts are merged
//! by Chan's formula; nothing cancels however far from zero the numbers are.

mod blocks;
mod columns;
mod rows;
mod terms;

use super::number::Float;
use super::real::Real;

/// An array seen as row-major `(outer, n, groups, width)`. A mean and a variance belong to each `(outer, group)`; scale
/// and bias to each `(group, width)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How often there are statistics of the same group.
    pub outer: usize,
    /// How many rows the statistics are taken over.
    pub n: usize,
    /// How many groups of columns there are.
    pub groups: usize,
    /// How many neighbouring columns are in a group.
    pub width: usize,
}

impl Layout {
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

/// What the forward pass of a normalisation reads and writes beside the result.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<T> {
    /// The factor of each column.
    pub scale: *const T,
    /// What is added to each column.
    pub bias: *const T,
    /// What is added to each variance.
    pub eps: f64,
}

/// The mean of each group and its variance.
#[derive(Clone, Copy, Debug)]
pub struct Moments<T> {
    /// The means.
    pub mean: *mut T,
    /// The mean squared distances from them.
    pub var: *mut T,
}

/// `out = (x - mean) / sqrt(var + eps) * scale + bias`, with the moments of each group, which it writes.
///
/// # Safety
/// `x` must be readable and `out` writable for all elements of the layout, the parameters readable for its columns, and
/// the moments writable for its groups; what is written must not overlap anything.
pub unsafe fn normalise<T: Float>(
    layout: Layout,
    x: *const T,
    p: Parameters<T>,
    moments: Moments<T>,
    out: *mut T,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if layout.size() == 0 {
            for i in 0..layout.outer * layout.groups {
                (*moments.mean.add(i), *moments.var.add(i)) = (T::ZERO, T::ZERO);
            }
        } else if layout.is_rows() {
            rows::normalise(layout.outer, layout.width, x, p, moments, out);
        } else {
            columns::moments(layout, x, moments);
            columns::shift_and_scale(layout, x, p, moments, out);
        }
    }
}

/// [`normalise`] with moments that are given.
///
/// # Safety
/// As for [`normalise`], but that the moments are read.
pub unsafe fn normalise_with<T: Float>(
    layout: Layout,
    x: *const T,
    p: Parameters<T>,
    moments: Moments<T>,
    out: *mut T,
) {
    if layout.size() > 0 {
        // SAFETY: the caller's promise.
        unsafe { columns::shift_and_scale(layout, x, p, moments, out) }
    }
}

/// Where the gradient of a normalisation goes.
#[derive(Clone, Copy, Debug)]
pub struct Gradients<T> {
    /// That of the input.
    pub x: *mut T,
    /// That of the scale.
    pub scale: *mut T,
    /// That of the bias.
    pub bias: *mut T,
}

/// The gradient of [`normalise`] for an incoming gradient `g`, or with `is_given` that of [`normalise_with`].
///
/// # Safety
/// As for [`normalise`]; `g` must be readable for all elements, and the moments be those of the forward pass. The
/// gradients must be writable for all elements and for the columns.
pub unsafe fn gradient<T: Float>(
    layout: Layout,
    is_given: bool,
    [x, g]: [*const T; 2],
    p: Parameters<T>,
    moments: Moments<T>,
    out: Gradients<T>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if layout.size() == 0 {
            for j in 0..layout.columns() {
                (*out.scale.add(j), *out.bias.add(j)) = (T::ZERO, T::ZERO);
            }
        } else if layout.is_rows() && !is_given {
            rows::gradient(layout.outer, layout.width, [x, g], p, moments, out);
        } else {
            columns::gradient(layout, is_given, [x, g], p, moments, out);
        }
    }
}

/// `1 / sqrt(var + eps)`.
#[inline(always)]
fn inverse_deviation<R: Real>(var: R, eps: f64) -> R {
    R::lit(1.0) / (var + eps).sqrt()
}

/// A count as a number to compute with.
#[inline(always)]
fn count<T: Float, const FMA: bool>(n: usize) -> T::Lane<FMA> {
    T::Lane::<FMA>::lit(n as f64)
}
