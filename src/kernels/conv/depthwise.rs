//! Convolutions whose channels do not meet: no products of matrices, but sums over the window channel by channel.

use super::axis::Axis;
use super::band::{Band, Cut, Images, Unit};
use super::correlate::{Filters, Target};
use super::weight::{Rows, sum_units};
use crate::kernels::dispatch::{Kernel, dispatch};
use crate::kernels::gemm::{Activation, Scalar};
use crate::kernels::lanes::{load, store};
use crate::kernels::number::Float;
use crate::kernels::real::Real;
use crate::team;
use smallvec::SmallVec;

/// Channels that are computed side by side.
const LANES: usize = 16;

/// Sums of so many channels that are kept in registers: of pixels, or of elements of the window.
const ABREAST: usize = 6;

/// Pixels that are computed at a time, at most.
const PIXELS: usize = 1024;

/// What one element of the window costs for one number, in nanoseconds.
const NANOS: f64 = 0.05;

type Lanes<T> = [T; LANES];

/// `sum + a * b`, lane by lane.
#[inline(always)]
fn multiply_add<T: Float, const FMA: bool>(a: &Lanes<T>, b: &Lanes<T>, sum: &mut Lanes<T>) {
    for i in 0..LANES {
        let lane = a[i].lane::<FMA>().mul_add(b[i].lane::<FMA>(), sum[i].lane::<FMA>());
        sum[i] = T::of::<FMA>(lane);
    }
}

fn nanos(images: usize, axes: &[Axis; 3], channels: usize) -> usize {
    let work: usize = axes.iter().map(|a| a.count * a.taps.len()).product();
    (work.saturating_mul(images).saturating_mul(channels.next_multiple_of(LANES)) as f64 * NANOS) as usize
}

/// Writes the target, where each channel of the source is correlated with its own column of the filters.
///
/// # Safety
/// As for [`super::correlate::correlate`].
pub(super) unsafe fn correlate<T: Scalar + Float>(
    images: usize,
    source: Images<T>,
    filters: Filters<T>,
    target: &Target<'_, T>,
) {
    let (axes, channels) = (target.axes, target.columns);
    let cut = Cut::new(axes, images, channels, PIXELS);
    let filters: SmallVec<[Filter<T>; 32]> = filters.taps(axes).into_iter().map(Filter).collect();
    team::run(cut.len(), nanos(images, axes, channels), |i| {
        let unit = cut.unit(i);
        // SAFETY: all is where axes and channels say, as `correlate` asks; the units are disjoint.
        unsafe {
            Band::with(axes, &source, channels, &unit, |band| {
                dispatch(Correlate { unit: &unit, band, runs: &band.runs(1), filters: &filters, target });
            });
            target.map(&unit, 0..channels);
        }
    });
}

/// The column of one element of the window.
struct Filter<T>(*const T);

// SAFETY: it is only read.
unsafe impl<T: Sync> Sync for Filter<T> {}

struct Correlate<'a, T> {
    unit: &'a Unit,
    band: &'a Band<'a, T>,
    runs: &'a [isize],
    filters: &'a [Filter<T>],
    target: &'a Target<'a, T>,
}

impl<T: Scalar + Float> Kernel for Correlate<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let across = self.unit.across.len();
        for (image, line) in self.unit.each_line() {
            // SAFETY: the pixels are inside of the unit, which is this task's, and what they read inside of the band.
            unsafe {
                let mut i = 0;
                while i + ABREAST <= across {
                    self.pixels::<ABREAST, FMA>(image, line, i);
                    i += ABREAST;
                }
                while i < across {
                    self.pixels::<1, FMA>(image, line, i);
                    i += 1;
                }
            }
        }
    }
}

impl<T: Scalar + Float> Correlate<'_, T> {
    /// `N` pixels side by side.
    ///
    /// # Safety
    /// They must be inside of the unit, which nobody else may use, and what they read inside of the band.
    #[inline(always)]
    unsafe fn pixels<const N: usize, const FMA: bool>(&self, image: usize, line: usize, across: usize) {
        let (source, pixel) = (self.band.at(image, line, across), self.band.pixel());
        let (result, step) = (self.target.pixel(self.unit, image, line, across), self.target.step());
        let epilogue = self.target.epilogue;
        let zero = <T as Scalar>::ZERO;
        for c in (0..self.target.columns).step_by(LANES) {
            let len = self.target.columns - c;
            // SAFETY: source and filters have this pixel's channels to read, and the target has them to write; no
            // channel beyond the last is touched.
            unsafe {
                let bias = if epilogue.bias.is_null() {
                    [zero; LANES]
                } else {
                    load(epilogue.bias.add(c), len, zero)
                };
                let mut sums: [Lanes<T>; N] = [bias; N];
                for (&run, filter) in self.runs.iter().zip(self.filters) {
                    let filter = load(filter.0.add(c), len, zero);
                    let seen = source.wrapping_offset(run).wrapping_add(c);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        multiply_add::<T, FMA>(&load(seen.add(i * pixel), len, zero), &filter, sum);
                    }
                }
                for (i, sum) in sums.iter_mut().enumerate() {
                    if matches!(epilogue.activation, Activation::Relu) {
                        *sum = sum.map(|x| if x < zero { zero } else { x });
                    }
                    store(result.add(i * step + c), len, sum);
                }
            }
        }
    }
}

/// Writes the gradient for the weight, a column for each channel.
///
/// # Safety
/// As for [`super::weight::weight_gradient`].
pub(super) unsafe fn weight_gradient<T: Scalar + Float>(
    axes: &[Axis; 3],
    images: usize,
    source: Images<T>,
    (dy, channels): (Images<T>, usize),
    dweight: Rows<T>,
) {
    let rows = axes.iter().map(|a| a.taps.len()).product();
    let cut = Cut::new(axes, images, channels, PIXELS);
    let nanos = nanos(images, axes, channels);
    // SAFETY: images, gradient and weight are where axes and channels say, as this function asks; the sums of a unit
    // are given to one task.
    unsafe {
        sum_units(cut.len(), [rows, channels], 1, nanos, dweight, |units, _, to| {
            for i in units.clone() {
                let (unit, accumulate) = (&cut.unit(i), i > units.start);
                Band::with(axes, &source, channels, unit, |band| {
                    dispatch(Weight { unit, band, runs: &band.runs(1), dy: &dy, channels, to, accumulate });
                });
            }
        });
    }
}

struct Weight<'a, T> {
    unit: &'a Unit,
    band: &'a Band<'a, T>,
    runs: &'a [isize],
    dy: &'a Images<T>,
    channels: usize,
    to: Rows<T>,
    accumulate: bool,
}

impl<T: Scalar + Float> Kernel for Weight<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        for c in (0..self.channels).step_by(LANES) {
            // SAFETY: the taps are those of the window and the channels those of the unit, which is in the band; the
            // sums are this task's.
            unsafe {
                let mut tap = 0;
                while tap + ABREAST <= self.runs.len() {
                    self.taps::<ABREAST, FMA>(tap, c);
                    tap += ABREAST;
                }
                while tap < self.runs.len() {
                    self.taps::<1, FMA>(tap, c);
                    tap += 1;
                }
            }
        }
    }
}

impl<T: Scalar + Float> Weight<'_, T> {
    /// `N` elements of the window.
    ///
    /// # Safety
    /// They must be of the window and the channel of the images, and nobody else use the sums meanwhile.
    #[inline(always)]
    unsafe fn taps<const N: usize, const FMA: bool>(&self, tap: usize, c: usize) {
        let len = self.channels - c;
        let zero = <T as Scalar>::ZERO;
        let runs: [isize; N] = std::array::from_fn(|i| self.runs[tap + i]);
        let mut sums = [[zero; LANES]; N];
        let first = [self.unit.plane, self.unit.lines.start, self.unit.across.start];
        let mut dy = self.dy.at(self.unit.images.start, first).cast_const().wrapping_add(c);
        // SAFETY: the band and `dy` have the channels of the unit's pixels to read, which follow each other, and the
        // sums are ours; no channel beyond the last is touched.
        unsafe {
            for (image, line) in self.unit.each_line() {
                let mut seen = self.band.at(image, line, 0).wrapping_add(c);
                for _ in 0..self.unit.across.len() {
                    let g = load(dy, len, zero);
                    for (sum, run) in sums.iter_mut().zip(runs) {
                        multiply_add::<T, FMA>(&load(seen.wrapping_offset(run), len, zero), &g, sum);
                    }
                    seen = seen.wrapping_add(self.band.pixel());
                    dy = dy.wrapping_add(self.dy.pitch);
                }
            }
            for (i, sum) in sums.iter_mut().enumerate() {
                let to = self.to.0.add((tap + i) * self.to.1 + c);
                if self.accumulate {
                    let old: Lanes<T> = load(to, len, zero);
                    for (x, old) in sum.iter_mut().zip(old) {
                        *x = *x + old;
                    }
                }
                store(to, len, sum);
            }
        }
    }
}
