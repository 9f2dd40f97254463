//! Convolutions whose channels do not meet: no products of matrices, but sums over the window channel by channel.
//!
//! A channel of the source may be that of several of the result, which follow each other.
//!
//! A few pixels that are side by side are computed as one, whose channels are those of each in turn: so vectors are full
//! whatever the number of channels.

use super::axis::Axis;
use super::band::{Band, Cut, Images, Unit};
use super::correlate::{Filters, Target};
use super::weight::{Rows, sum_units};
use crate::kernels::dispatch::{Kernel, Shared, dispatch};
use crate::kernels::gemm::scratch::{self, Slot};
use crate::kernels::gemm::{Activation, Scalar};
use crate::kernels::lanes::{Lanes, across};
use crate::kernels::number::Float;
use crate::kernels::real::Real;
use crate::kernels::then;
use crate::memory::collected;
use crate::team;
use smallvec::SmallVec;

/// Channels that are computed side by side, at most.
const LANES: usize = 16;

/// Sums of so many vectors that are kept in registers: of pixels, or of elements of the window.
const ABREAST: usize = 6;

/// Pixels that are computed at a time, at most.
const PIXELS: usize = 1024;

/// Pixels that are computed as one, at most, and the channels that they have then, as a rule: the filters for them stay in
/// the first cache.
const TOGETHER: usize = 16;
const WIDE: usize = 256;

/// What one element of the window costs for one number, in nanoseconds.
const NANOS: f64 = 0.05;

/// `sum + a * b`, lane by lane.
#[inline(always)]
fn multiply_add<T: Float, const FMA: bool, const L: usize>(a: &[T; L], b: &[T; L], sum: &mut [T; L]) {
    for i in 0..L {
        let lane = a[i].lane::<FMA>().mul_add(b[i].lane::<FMA>(), sum[i].lane::<FMA>());
        sum[i] = T::of::<FMA>(lane);
    }
}

fn nanos(images: usize, axes: &[Axis; 3], channels: usize) -> usize {
    let work: usize = axes.iter().map(|a| a.count * a.taps.len()).product();
    (work.saturating_mul(images).saturating_mul(channels.max(LANES)) as f64 * NANOS) as usize
}

/// How many pixels of a line of `pixels` are computed as one: so many that it takes the fewest vectors.
fn together(pixels: usize, channels: usize) -> usize {
    let vectors = |numbers: usize| match numbers {
        0 => 0,
        LANES.. => numbers.div_ceil(LANES),
        _ => numbers.div_ceil(1 << numbers.ilog2()),
    };
    // Vectors that are abreast share what they are multiplied with, which takes as long to read as one of them.
    let abreast = |n: usize| n / ABREAST * (ABREAST + 1) + n % ABREAST / HALF * (HALF + 1) + n % HALF * 2;
    let cost = |k: usize| vectors(k * channels) * abreast(pixels / k) + 2 * vectors(pixels % k * channels);
    let most = (WIDE / channels).clamp(1, TOGETHER.min(pixels));
    (1..=most).min_by_key(|&k| cost(k)).unwrap_or(1)
}

/// What is left of pixels by [`ABREAST`] is computed so many at a time.
const HALF: usize = ABREAST / 2;

/// Writes the target, where each channel of the source is correlated with so many columns of the filters of its own.
///
/// # Safety
/// As for [`super::correlate::correlate`].
pub(super) unsafe fn correlate<T: Scalar + Float>(
    images: usize,
    (source, times): (Images<T>, usize),
    filters: Filters<T>,
    target: &Target<'_, T>,
) {
    let (axes, channels) = (target.axes, target.columns);
    let cut = Cut::new(axes, images, channels, PIXELS);
    if cut.len() * channels == 0 {
        return;
    }
    // Pixels are neighbours in memory where there is nothing between them.
    let is_dense = axes[2].stride == 1 && target.step() == channels;
    let together = if is_dense { together(cut.across(), channels) } else { 1 };
    let mut columns: SmallVec<[Column<T>; 32]> = filters.taps(axes).into_iter().map(Column).collect();
    columns.extend((!target.epilogue.bias.is_null()).then_some(Column(target.epilogue.bias)));
    let repeated: Vec<T> = if together == 1 {
        Vec::new()
    } else {
        // SAFETY: filters and bias have as many numbers as there are channels, as `correlate` asks.
        let of = |column: &Column<T>, i: usize| unsafe { *column.0.add(i % channels) };
        collected(columns.iter().flat_map(|column| (0..together * channels).map(move |i| of(column, i))))
    };
    for (column, repeated) in columns.iter_mut().zip(repeated.chunks(together * channels)) {
        *column = Column(repeated.as_ptr());
    }
    let positions = images * axes.iter().map(|a| a.count).product::<usize>();
    let nanos = nanos(images, axes, channels) + then::nanos(target.epilogue.then, positions * channels);
    team::run(cut.len(), nanos, |i| {
        let unit = cut.unit(i);
        // SAFETY: all is where axes and channels say, as `correlate` asks; the units are disjoint.
        unsafe {
            Band::with(axes, &source, (channels / times, times), &unit, |band| {
                let runs = &band.runs(1);
                dispatch(Correlate { unit: &unit, band, runs, columns: &columns, together, target });
            });
            target.end(&unit, 0..channels);
        }
    });
}

/// A number for each channel: the filters of one element of the window, or the bias.
struct Column<T>(*const T);

// SAFETY: it is only read.
unsafe impl<T: Sync> Sync for Column<T> {}

struct Correlate<'a, T> {
    unit: &'a Unit,
    band: &'a Band<'a, T>,
    runs: &'a [isize],
    /// One for each run, and maybe the bias.
    columns: &'a [Column<T>],
    together: usize,
    target: &'a Target<'a, T>,
}

impl<T: Scalar + Float> Kernel for Correlate<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let (together, pixels) = (self.together, self.unit.across.len());
        let (groups, rest) = (pixels / together, pixels % together);
        for (image, line) in self.unit.each_line() {
            // SAFETY: the pixels are inside of the unit, which is this task's, and what they read inside of the band.
            unsafe {
                let mut i = 0;
                while i + ABREAST <= groups {
                    self.groups::<ABREAST, FMA>(image, line, i * together, together);
                    i += ABREAST;
                }
                while i + HALF <= groups {
                    self.groups::<HALF, FMA>(image, line, i * together, together);
                    i += HALF;
                }
                while i < groups {
                    self.groups::<1, FMA>(image, line, i * together, together);
                    i += 1;
                }
                if rest > 0 {
                    self.groups::<1, FMA>(image, line, groups * together, rest);
                }
            }
        }
    }
}

impl<T: Scalar + Float> Correlate<'_, T> {
    /// `N` groups of pixels side by side.
    ///
    /// # Safety
    /// They must be inside of the unit, which nobody else may use, and what they read inside of the band.
    #[inline(always)]
    unsafe fn groups<const N: usize, const FMA: bool>(
        &self,
        image: usize,
        line: usize,
        at: usize,
        pixels: usize,
    ) {
        let (columns, bias) = self.columns.split_at(self.runs.len());
        let groups = Groups::<T, N, FMA> {
            runs: self.runs,
            columns,
            bias: bias.first(),
            is_relu: matches!(self.target.epilogue.activation, Activation::Relu),
            source: self.band.at(image, line, at),
            apart: pixels * self.band.pixel(),
            result: Shared(self.target.pixel(self.unit, image, line, at)),
            step: pixels * self.target.step(),
        };
        // SAFETY: source and filters have the channels of these pixels to read, and the target has them to write, as this
        // function asks.
        unsafe { across(&groups, pixels * self.target.columns) };
    }
}

/// `N` results and what they are sums of, all as far apart.
struct Groups<'a, T, const N: usize, const FMA: bool> {
    runs: &'a [isize],
    columns: &'a [Column<T>],
    bias: Option<&'a Column<T>>,
    is_relu: bool,
    source: *const T,
    apart: usize,
    result: Shared<T>,
    step: usize,
}

impl<T: Scalar + Float, const N: usize, const FMA: bool> Lanes for Groups<'_, T, N, FMA> {
    const WIDEST: usize = LANES;

    #[inline(always)]
    unsafe fn lanes<const L: usize>(&self, c: usize) {
        let zero = <T as Scalar>::ZERO;
        // SAFETY: source and filters have `L` channels there to read, and the target has them to write.
        unsafe {
            let mut sums = [self.bias.map_or([zero; L], |bias| read(bias.0, c)); N];
            for (&run, column) in self.runs.iter().zip(self.columns) {
                let filter: [T; L] = read(column.0, c);
                let seen = self.source.wrapping_offset(run);
                for (i, sum) in sums.iter_mut().enumerate() {
                    multiply_add::<T, FMA, L>(&read(seen, i * self.apart + c), &filter, sum);
                }
            }
            for (i, sum) in sums.iter_mut().enumerate() {
                if self.is_relu {
                    *sum = sum.map(|x| if x < zero { zero } else { x });
                }
                *self.result.at(i * self.step + c).cast::<[T; L]>() = *sum;
            }
        }
    }
}

/// `L` elements from element `i` on.
///
/// # Safety
/// They must be readable.
#[inline(always)]
unsafe fn read<T: Copy, const L: usize>(x: *const T, i: usize) -> [T; L] {
    // SAFETY: the caller says that so many elements can be read.
    unsafe { *x.wrapping_add(i).cast::<[T; L]>() }
}

/// Writes the gradient for the weight, a column for each channel of `dy`, of which so many belong to each of the source.
///
/// # Safety
/// As for [`super::weight::weight_gradient`].
pub(super) unsafe fn weight_gradient<T: Scalar + Float>(
    axes: &[Axis; 3],
    images: usize,
    (source, times): (Images<T>, usize),
    (dy, channels): (Images<T>, usize),
    dweight: Rows<T>,
) {
    let rows = axes.iter().map(|a| a.taps.len()).product();
    let cut = Cut::new(axes, images, channels, PIXELS);
    let nanos = nanos(images, axes, channels);
    let is_dense = axes[2].stride == 1 && dy.pitch == channels;
    let together = if is_dense && channels > 0 { together(cut.across(), channels) } else { 1 };
    let width = together * channels;
    // SAFETY: images, gradient and weight are where axes and channels say, as this function asks; the sums of a unit
    // are given to one task, and are all written before they are read.
    unsafe {
        sum_units(cut.len(), [rows, channels], 1, nanos, dweight, |units, _, to| {
            scratch::with(Slot::Caller, rows * width, |sums: *mut T| {
                sums.write_bytes(0, rows * width);
                for i in units {
                    let unit = &cut.unit(i);
                    Band::with(axes, &source, (channels / times, times), unit, |band| {
                        let (runs, sums) = (&band.runs(1), Shared(sums));
                        dispatch(Weight { unit, band, runs, dy: &dy, channels, together, sums });
                    });
                }
                for row in 0..rows {
                    for c in 0..channels {
                        let of = |i: usize| *sums.add(row * width + i * channels + c);
                        *to.0.add(row * to.1 + c) = (1..together).fold(of(0), |sum, i| sum + of(i));
                    }
                }
            });
        });
    }
}

struct Weight<'a, T> {
    unit: &'a Unit,
    band: &'a Band<'a, T>,
    runs: &'a [isize],
    dy: &'a Images<T>,
    channels: usize,
    together: usize,
    /// For each run a row of sums, one for each channel of the pixels that are together.
    sums: Shared<T>,
}

impl<T: Scalar + Float> Kernel for Weight<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let (together, pixels) = (self.together, self.unit.across.len());
        let (groups, rest) = (pixels / together, pixels % together);
        // SAFETY: the pixels are all those of the unit, which is in the band; the sums are this task's.
        unsafe {
            across(&Pixels::<T, FMA> { of: &self, first: 0, groups }, together * self.channels);
            let first = groups * together;
            across(
                &Pixels::<T, FMA> { of: &self, first, groups: usize::from(rest > 0) },
                rest * self.channels,
            );
        }
    }
}

/// Groups of pixels that are in each line, from the same one on.
struct Pixels<'a, T, const FMA: bool> {
    of: &'a Weight<'a, T>,
    first: usize,
    groups: usize,
}

impl<T: Scalar + Float, const FMA: bool> Lanes for Pixels<'_, T, FMA> {
    const WIDEST: usize = LANES;

    #[inline(always)]
    unsafe fn lanes<const L: usize>(&self, c: usize) {
        // SAFETY: handed on from `across`, which is asked for the channels of the pixels alone.
        unsafe {
            let (mut tap, taps) = (0, self.of.runs.len());
            while tap + ABREAST <= taps {
                self.taps::<ABREAST, L>(tap, c);
                tap += ABREAST;
            }
            while tap + HALF <= taps {
                self.taps::<HALF, L>(tap, c);
                tap += HALF;
            }
            while tap < taps {
                self.taps::<1, L>(tap, c);
                tap += 1;
            }
        }
    }
}

impl<T: Scalar + Float, const FMA: bool> Pixels<'_, T, FMA> {
    /// `N` elements of the window.
    ///
    /// # Safety
    /// They must be of the window and the channels of the pixels, and nobody else use the sums meanwhile.
    #[inline(always)]
    unsafe fn taps<const N: usize, const L: usize>(&self, tap: usize, c: usize) {
        let Weight { unit, band, runs, dy, channels, together, sums } = self.of;
        let runs: [isize; N] = std::array::from_fn(|i| runs[tap + i]);
        let mut found = [[<T as Scalar>::ZERO; L]; N];
        let [apart, step] = [band.pixel(), dy.pitch].map(|pixel| together * pixel);
        // SAFETY: the band and `dy` have the channels of the unit's pixels to read, whose lines follow each other, and the
        // sums are ours.
        unsafe {
            let start = [unit.plane, unit.lines.start, unit.across.start + self.first];
            let mut line_of_dy = dy.at(unit.images.start, start).cast_const();
            for (image, line) in unit.each_line() {
                let (mut seen, mut g) = (band.at(image, line, self.first), line_of_dy);
                for _ in 0..self.groups {
                    let of_dy: [T; L] = read(g, c);
                    for (sum, run) in found.iter_mut().zip(runs) {
                        multiply_add::<T, FMA, L>(&read(seen.wrapping_offset(run), c), &of_dy, sum);
                    }
                    seen = seen.wrapping_add(apart);
                    g = g.wrapping_add(step);
                }
                line_of_dy = line_of_dy.wrapping_add(unit.across.len() * dy.pitch);
            }
            let done = c.next_multiple_of(L) - c;
            for (i, found) in found.iter().enumerate() {
                let to = sums.at((tap + i) * together * channels + c).cast::<[T; L]>();
                let old = *to;
                *to = std::array::from_fn(|l| if l < done { old[l] } else { old[l] + found[l] });
            }
        }
    }
}
