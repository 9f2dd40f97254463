//! Pooling over windows of channels-last images, and its gradients.
//!
//! All of it is one walk: every pixel of the target folds a box of pixels of the source, channel by channel. Forward
//! the box is the pixel's window; backward it is the results whose windows hold the pixel. So no two tasks write to one
//! place, and every sum has an order of its own whatever the threads.

use super::dispatch::{Kernel, Shared, dispatch};
use super::lanes::{Lanes, across};
use super::number::Float;
use crate::team;

/// Multiplications' worth of work per task.
const CHUNK: usize = 1 << 14;
/// What a pixel costs beside its channels, in channels.
const PIXEL: usize = 16;

/// Windows over a batch of images of three axes; images with fewer have leading axes of length 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The number of images.
    pub batch: usize,
    /// The numbers at each pixel.
    pub channels: usize,
    /// The lengths of an image.
    pub input: [usize; 3],
    /// The number of windows along each axis.
    pub output: [usize; 3],
    /// The lengths of a window.
    pub size: [usize; 3],
    /// How far apart windows start.
    pub stride: [usize; 3],
    /// How far before the image the first one starts.
    pub before: [usize; 3],
}

/// What a pixel of the target reads along one axis: `length` pixels of the source from `start`. `place` is the axis'
/// part of the place in the window of the first of them.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    length: usize,
    place: isize,
}

/// Which pixels of the source each pixel of the target reads.
struct Walk {
    batch: usize,
    channels: usize,
    source: [usize; 3],
    spans: [Vec<Span>; 3],
    /// By how much the place in the window grows from one pixel of the source to the next.
    steps: [isize; 3],
}

impl Windows {
    /// The number of pixels in a window.
    pub fn area(&self) -> usize {
        self.size.iter().product()
    }

    /// The parts of a place that one step along each axis of a window is worth.
    fn units(&self) -> [isize; 3] {
        [(self.size[1] * self.size[2]) as isize, self.size[2] as isize, 1]
    }

    /// From images to results.
    fn forward(&self) -> Walk {
        let spans = |i: usize| {
            (0..self.output[i]).map(move |t| {
                let (from, before) = (t * self.stride[i], self.before[i]);
                let (start, end) =
                    (from.saturating_sub(before), (from + self.size[i] - before).min(self.input[i]));
                let place = (start + before - from) as isize * self.units()[i];
                Span { start, length: end - start, place }
            })
        };
        self.walk(self.input, [0, 1, 2].map(|i| spans(i).collect()), self.units())
    }

    /// From results to images.
    fn backward(&self) -> Walk {
        let spans = |i: usize| {
            (0..self.input[i]).map(move |t| {
                let at = t + self.before[i];
                let start = (at + 1).saturating_sub(self.size[i]).div_ceil(self.stride[i]);
                let end = (at / self.stride[i] + 1).min(self.output[i]);
                let place = (at as isize - (start * self.stride[i]) as isize) * self.units()[i];
                Span { start, length: end.saturating_sub(start), place }
            })
        };
        let steps = [0, 1, 2].map(|i| -self.units()[i] * self.stride[i] as isize);
        self.walk(self.output, [0, 1, 2].map(|i| spans(i).collect()), steps)
    }

    fn walk(&self, source: [usize; 3], spans: [Vec<Span>; 3], steps: [isize; 3]) -> Walk {
        Walk { batch: self.batch, channels: self.channels, source, spans, steps }
    }
}

/// A place in a window as it is stored: `u8` where windows are small enough, `()` where nobody asks.
pub trait Place: Copy + PartialEq + Send + Sync {
    /// The place of that number.
    fn of(place: isize) -> Self;
}

macro_rules! places {
    ($($t:ty = $f:expr),*) => {$(
        impl Place for $t {
            #[inline(always)]
            fn of(place: isize) -> Self { ($f)(place) }
        }
    )*};
}
places!(() = |_| (), u8 = |p| p as u8, u32 = |p| p as u32);

/// What is folded: `L` channels at a time, at element `target` of the target and `source` of the source.
trait Pool: Sync {
    type Acc<const L: usize>;
    /// Before the first pixel of the source, whose place in the window is `place`.
    unsafe fn start<const L: usize>(&self, target: usize, place: isize) -> Self::Acc<L>;
    /// With one pixel more.
    unsafe fn push<const L: usize>(&self, acc: &mut Self::Acc<L>, source: usize, place: isize);
    /// Writes the result.
    unsafe fn finish<const L: usize>(&self, acc: Self::Acc<L>, target: usize);
}

/// Runs `op` over the whole target; the tasks' boundaries depend on the sizes alone.
unsafe fn run<K: Pool>(op: &K, walk: &Walk) {
    let pixels: usize = walk.batch * walk.spans.iter().map(Vec::len).product::<usize>();
    let reads: usize = walk
        .spans
        .iter()
        .map(|s| s.iter().map(|s| s.length).sum::<usize>().div_ceil(s.len().max(1)))
        .product();
    let work = (reads.max(1) * walk.channels + PIXEL).max(1);
    let group = (CHUNK / work).max(1);
    team::run(pixels.div_ceil(group), pixels.saturating_mul(work) / 4, |task| {
        let (first, last) = (task * group, pixels.min((task + 1) * group));
        // SAFETY: the caller's promise, for pixels of the task's own.
        unsafe { dispatch(Part { op, walk, first, last }) };
    });
}

struct Part<'a, K> {
    op: &'a K,
    walk: &'a Walk,
    first: usize,
    last: usize,
}

impl<K: Pool> Kernel for Part<'_, K> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let [planes, rows, columns] = self.walk.spans.each_ref().map(Vec::len);
        let mut pixel = self.first;
        while pixel < self.last {
            let (row, column) = (pixel / columns, pixel % columns);
            let end = self.last.min(pixel - column + columns);
            let (plane, b) = (row / rows % planes, row / rows / planes);
            let (d, h) = (self.walk.spans[0][plane], self.walk.spans[1][row % rows]);
            for (i, w) in self.walk.spans[2][column..column + end - pixel].iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe {
                    let (op, walk, target) = (self.op, self.walk, pixel + i);
                    across(&Pixel { op, walk, target, b, spans: [d, h, *w] }, walk.channels);
                }
            }
            pixel = end;
        }
    }
}

/// One pixel of the target, and what it reads.
struct Pixel<'a, K> {
    op: &'a K,
    walk: &'a Walk,
    target: usize,
    b: usize,
    spans: [Span; 3],
}

impl<K: Pool> Lanes for Pixel<'_, K> {
    #[inline(always)]
    unsafe fn lanes<const L: usize>(&self, c: usize) {
        let (Walk { channels, source: [planes, rows, columns], steps, .. }, op) = (self.walk, self.op);
        let [d, h, w] = self.spans;
        let target = self.target * channels + c;
        // SAFETY: the spans lie within the source, the channels within its pixels.
        unsafe {
            let mut acc = op.start::<L>(target, d.place + h.place + w.place);
            for i in 0..d.length {
                for j in 0..h.length {
                    let row = ((self.b * planes + d.start + i) * rows + h.start + j) * columns + w.start;
                    let (mut source, mut place) = (
                        row * channels + c,
                        d.place + i as isize * steps[0] + h.place + j as isize * steps[1] + w.place,
                    );
                    for _ in 0..w.length {
                        op.push(&mut acc, source, place);
                        source += channels;
                        place += steps[2];
                    }
                }
            }
            op.finish(acc, target);
        }
    }
}

struct Max<T, P> {
    x: Shared<T>,
    out: Shared<T>,
    places: Shared<P>,
}

impl<T: Float, P: Place> Pool for Max<T, P> {
    /// Places are as wide as `f32` until they are written, so that one comparison serves both.
    type Acc<const L: usize> = ([T; L], [u32; L]);
    #[inline(always)]
    unsafe fn start<const L: usize>(&self, _: usize, place: isize) -> Self::Acc<L> {
        ([T::LOWEST; L], [place as u32; L])
    }
    #[inline(always)]
    unsafe fn push<const L: usize>(&self, (best, places): &mut Self::Acc<L>, source: usize, place: isize) {
        // SAFETY: the channels of a pixel of `x`.
        let x = unsafe { *self.x.at(source).cast::<[T; L]>() };
        for l in 0..L {
            // The first NaN wins, and then nothing does.
            let wins = (x[l] > best[l]) | (x[l].is_nan() & !best[l].is_nan());
            best[l] = if wins { x[l] } else { best[l] };
            places[l] = if wins { place as u32 } else { places[l] };
        }
    }
    #[inline(always)]
    unsafe fn finish<const L: usize>(&self, (best, places): Self::Acc<L>, target: usize) {
        // SAFETY: the channels of a pixel of both.
        unsafe {
            *self.out.at(target).cast::<[T; L]>() = best;
            *self.places.at(target).cast::<[P; L]>() = places.map(|p| P::of(p as isize));
        }
    }
}

/// `out` = the largest element of each window, the first NaN if there is one; `places` = which it is, the first of equals.
///
/// # Safety
/// Windows must not be empty: each pixel of the output has one of the input. `x` must be readable for the input's
/// elements; `out` and `places` (if `P` has a size) writable for the output's. They must not overlap.
pub unsafe fn maxpool<T: Float, P: Place>(windows: &Windows, x: *const T, out: *mut T, places: *mut P) {
    let op = Max { x: Shared(x.cast_mut()), out: Shared(out), places: Shared(places) };
    // SAFETY: the caller's promise.
    unsafe { run(&op, &windows.forward()) }
}

struct Mean<T> {
    x: Shared<T>,
    out: Shared<T>,
    scale: T,
}

impl<T: Float> Pool for Mean<T> {
    type Acc<const L: usize> = [T; L];
    #[inline(always)]
    unsafe fn start<const L: usize>(&self, _: usize, _: isize) -> [T; L] {
        [T::ZERO; L]
    }
    #[inline(always)]
    unsafe fn push<const L: usize>(&self, acc: &mut [T; L], source: usize, _: isize) {
        // SAFETY: the channels of a pixel of `x`.
        let x = unsafe { *self.x.at(source).cast::<[T; L]>() };
        for l in 0..L {
            acc[l] = acc[l].plus(x[l]);
        }
    }
    #[inline(always)]
    unsafe fn finish<const L: usize>(&self, mut acc: [T; L], target: usize) {
        for a in &mut acc {
            *a = a.times(self.scale);
        }
        // SAFETY: the channels of a pixel of `out`.
        unsafe { *self.out.at(target).cast::<[T; L]>() = acc };
    }
}

/// `out` = `scale` times the sum of each window, in which padding counts as zeros.
///
/// # Safety
/// `x` must be readable for the input's elements and `out` writable for the output's; they must not overlap.
pub unsafe fn meanpool<T: Float>(windows: &Windows, x: *const T, scale: T, out: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { run(&Mean { x: Shared(x.cast_mut()), out: Shared(out), scale }, &windows.forward()) }
}

/// The transpose of [`meanpool`]: `out` = `scale` times the sum of `g` over the windows that hold each pixel.
///
/// # Safety
/// `g` must be readable for the output's elements and `out` writable for the input's; they must not overlap.
pub unsafe fn meanpool_back<T: Float>(windows: &Windows, g: *const T, scale: T, out: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { run(&Mean { x: Shared(g.cast_mut()), out: Shared(out), scale }, &windows.backward()) }
}

struct Spread<T, P> {
    g: Shared<T>,
    places: Shared<P>,
    out: Shared<T>,
}

impl<T: Float, P: Place> Pool for Spread<T, P> {
    type Acc<const L: usize> = [T; L];
    #[inline(always)]
    unsafe fn start<const L: usize>(&self, _: usize, _: isize) -> [T; L] {
        [T::ZERO; L]
    }
    #[inline(always)]
    unsafe fn push<const L: usize>(&self, acc: &mut [T; L], source: usize, place: isize) {
        // SAFETY: the channels of a pixel of both.
        let (g, places) =
            unsafe { (*self.g.at(source).cast::<[T; L]>(), *self.places.at(source).cast::<[P; L]>()) };
        let place = P::of(place);
        for l in 0..L {
            acc[l] = acc[l].plus(if places[l] == place { g[l] } else { T::ZERO });
        }
    }
    #[inline(always)]
    unsafe fn finish<const L: usize>(&self, acc: [T; L], target: usize) {
        // SAFETY: the channels of a pixel of `out`.
        unsafe { *self.out.at(target).cast::<[T; L]>() = acc };
    }
}

/// The gradient of [`maxpool`]: `out` = the sum of `g` over the windows in which each pixel is at its place.
///
/// # Safety
/// `g` and `places` must be readable for the output's elements and `out` writable for the input's; none may overlap.
pub unsafe fn maxpool_back<T: Float, P: Place>(
    windows: &Windows,
    g: *const T,
    places: *const P,
    out: *mut T,
) {
    let op = Spread { g: Shared(g.cast_mut()), places: Shared(places.cast_mut()), out: Shared(out) };
    // SAFETY: the caller's promise.
    unsafe { run(&op, &windows.backward()) }
}

struct Pick<T, P> {
    x: Shared<T>,
    places: Shared<P>,
    out: Shared<T>,
}

impl<T: Float, P: Place> Pool for Pick<T, P> {
    type Acc<const L: usize> = ([T; L], [P; L]);
    #[inline(always)]
    unsafe fn start<const L: usize>(&self, target: usize, _: isize) -> Self::Acc<L> {
        // SAFETY: the channels of a pixel of `places`.
        ([T::ZERO; L], unsafe { *self.places.at(target).cast::<[P; L]>() })
    }
    #[inline(always)]
    unsafe fn push<const L: usize>(&self, (found, places): &mut Self::Acc<L>, source: usize, place: isize) {
        // SAFETY: the channels of a pixel of `x`.
        let x = unsafe { *self.x.at(source).cast::<[T; L]>() };
        let place = P::of(place);
        for l in 0..L {
            found[l] = if places[l] == place { x[l] } else { found[l] };
        }
    }
    #[inline(always)]
    unsafe fn finish<const L: usize>(&self, (found, _): Self::Acc<L>, target: usize) {
        // SAFETY: the channels of a pixel of `out`.
        unsafe { *self.out.at(target).cast::<[T; L]>() = found };
    }
}

/// The transpose of [`maxpool_back`]: `out` = the element of each window of `x` that is at its place.
///
/// # Safety
/// `x` must be readable for the input's elements, `places` readable and `out` writable for the output's; none may overlap.
pub unsafe fn pick<T: Float, P: Place>(windows: &Windows, x: *const T, places: *const P, out: *mut T) {
    let op = Pick { x: Shared(x.cast_mut()), places: Shared(places.cast_mut()), out: Shared(out) };
    // SAFETY: the caller's promise.
    unsafe { run(&op, &windows.forward()) }
}
