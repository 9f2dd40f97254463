//! Pooling over windows of channels-last images, and its gradients.
//!
//! All of it is one walk: every pixel of the target folds a box of pixels of the source, channel by channel. Forward
//! the box is the pixel's window; backward it is the results whose windows hold the pixel. So no two tasks write to one
//! place, and every sum has an order of its own whatever the threads.

mod source;
mod windows;

use super::cost::multiplying;
use super::dispatch::{Kernel, Shared, dispatch};
use super::lanes::{Lanes, across};
use super::number::Float;
use crate::memory::unwritten::{Unwritten, assume_written};
use crate::team;
use source::{Apart, Scattered, Source, Together};
use std::mem::MaybeUninit;
use windows::{Span, Walk};

pub use windows::{Windows, extent};

/// Multiplications' worth of work per task.
const CHUNK: usize = 1 << 14;
/// What a pixel costs beside its channels, in channels.
const PIXEL: usize = 16;

/// A place in a window as it is stored: `u8` where windows are small enough, `()` where nobody asks.
pub trait Offset: Copy + PartialEq + Send + Sync {
    /// The place of that number.
    fn of(place: u32) -> Self;
}

macro_rules! places {
    ($($t:ty = $f:expr),*) => {$(
        impl Offset for $t {
            #[inline(always)]
            fn of(place: u32) -> Self { ($f)(place) }
        }
    )*};
}
places!(() = |_| (), u8 = |p| p as u8, u32 = |p| p);

/// What is folded: `L` elements at a time, from element `target` of the target on, with those of the source that `from`
/// says.
///
/// # Safety
/// Each function may be called for elements that are in the arrays that the implementor holds, the target's for one thread
/// alone.
trait Pool: Sync {
    type Acc<const L: usize>;
    /// Before the first pixel of the source, whose places in the windows are these.
    unsafe fn start<const L: usize>(&self, target: usize, places: [u32; L]) -> Self::Acc<L>;
    /// With one pixel more.
    unsafe fn push<const L: usize>(&self, acc: &mut Self::Acc<L>, from: &impl Source<L>);
    /// Writes the result.
    unsafe fn finish<const L: usize>(&self, acc: Self::Acc<L>, target: usize);
}

/// Runs `op` over the whole target, each of whose elements it finishes once; the tasks' boundaries depend on the sizes
/// alone.
///
/// # Safety
/// The arrays that `op` holds must be those of the walk: the source's, and the target's, which nobody else uses.
unsafe fn run<K: Pool>(op: &K, walk: &Walk) {
    let pixels: usize = walk.batch * walk.spans.iter().map(Vec::len).product::<usize>();
    let reads: usize = walk
        .spans
        .iter()
        .map(|s| s.iter().map(|s| s.length).sum::<usize>().div_ceil(s.len().max(1)))
        .product();
    let work = (reads.max(1) * walk.channels + PIXEL).max(1);
    let group = (CHUNK / work).max(1);
    team::run(pixels.div_ceil(group), multiplying(pixels.saturating_mul(work)), |task| {
        let (first, last) = (task * group, pixels.min((task + 1) * group));
        // SAFETY: the pixels from `first` to `last` are this task's alone, and the arrays are those of the walk.
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
            let (op, walk) = (self.op, self.walk);
            // SAFETY: the pixels are this task's, as `run` says, and `across` asks for their channels alone.
            unsafe {
                if let Some(line) = &walk.line {
                    let (target, at) = (pixel * walk.channels, column * walk.channels);
                    let line = Line { op, walk, line, target, at, b, spans: [d, h] };
                    across(&line, (end - pixel) * walk.channels);
                } else {
                    for (i, w) in walk.spans[2][column..column + end - pixel].iter().enumerate() {
                        across(&Pixel { op, walk, target: pixel + i, b, spans: [d, h, *w] }, walk.channels);
                    }
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
    const WIDEST: usize = 64;
    #[inline(always)]
    unsafe fn lanes<const L: usize>(&self, c: usize) {
        let (Walk { channels, source: [planes, rows, columns], apart, steps, .. }, op) = (self.walk, self.op);
        let [d, h, w] = self.spans;
        let target = self.target * channels + c;
        // SAFETY: `Windows::sizes` has seen to it that the spans lie within the source; the channels lie within its pixels.
        unsafe {
            let mut acc = op.start::<L>(target, [(d.place + h.place + w.place) as u32; L]);
            for i in 0..d.length {
                for j in 0..h.length {
                    let plane = self.b * planes + d.start + i * apart[0];
                    let row = (plane * rows + h.start + j * apart[1]) * columns + w.start;
                    let (mut source, mut place) = (
                        row * channels + c,
                        d.place + i as isize * steps[0] + h.place + j as isize * steps[1] + w.place,
                    );
                    for _ in 0..w.length {
                        op.push(&mut acc, &Together { first: source, place });
                        source += apart[2] * channels;
                        place += steps[2];
                    }
                }
            }
            op.finish(acc, target);
        }
    }
}

/// Pixels of the target that are side by side, of few channels each, and what they read.
struct Line<'a, K> {
    op: &'a K,
    walk: &'a Walk,
    line: &'a Scattered,
    /// The first element of the target, and its place in the line.
    target: usize,
    at: usize,
    b: usize,
    spans: [Span; 2],
}

impl<K: Pool> Lanes for Line<'_, K> {
    const WIDEST: usize = 16;
    #[inline(always)]
    unsafe fn lanes<const L: usize>(&self, e: usize) {
        let (Walk { channels, source: [planes, rows, columns], apart, steps, .. }, op) = (self.walk, self.op);
        let [d, h] = self.spans;
        // SAFETY: as for `Pixel`; the line says nothing of elements that are not in a line of the source.
        unsafe {
            let first = (d.place + h.place) as u32;
            let starts = self.line.starts::<L>(self.at + e);
            let mut acc = op.start::<L>(self.target + e, starts.map(|place| place.wrapping_add(first)));
            for i in 0..d.length {
                for j in 0..h.length {
                    let plane = self.b * planes + d.start + i * apart[0];
                    let row = (plane * rows + h.start + j * apart[1]) * columns * channels;
                    let place = d.place + i as isize * steps[0] + h.place + j as isize * steps[1];
                    for step in 0..self.line.length {
                        let (offsets, places) = self.line.at::<L>(step, self.at + e);
                        op.push(&mut acc, &Apart { row, offsets, place: place as u32, places });
                    }
                }
            }
            op.finish(acc, self.target + e);
        }
    }
}

struct Max<T, P> {
    x: Shared<T>,
    out: Shared<T>,
    places: Shared<P>,
}

impl<T: Float, P: Offset> Pool for Max<T, P> {
    /// Places are as wide as `f32` until they are written, so that one comparison serves both.
    type Acc<const L: usize> = ([T; L], [u32; L]);
    #[inline(always)]
    unsafe fn start<const L: usize>(&self, _: usize, places: [u32; L]) -> Self::Acc<L> {
        ([T::LOWEST; L], places)
    }
    #[inline(always)]
    unsafe fn push<const L: usize>(&self, (best, places): &mut Self::Acc<L>, from: &impl Source<L>) {
        // SAFETY: as `Pool` asks, `x` has these elements.
        let x = unsafe { from.read(&self.x) };
        for l in 0..L {
            // The first NaN wins, and then nothing does.
            let wins = from.is_there(l) & ((x[l] > best[l]) | (x[l].is_nan() & !best[l].is_nan()));
            best[l] = if wins { x[l] } else { best[l] };
            places[l] = if wins { from.place(l) } else { places[l] };
        }
    }
    #[inline(always)]
    unsafe fn finish<const L: usize>(&self, (best, places): Self::Acc<L>, target: usize) {
        // SAFETY: as `Pool` asks, both have `L` elements there.
        unsafe {
            *self.out.at(target).cast::<[T; L]>() = best;
            *self.places.at(target).cast::<[P; L]>() = places.map(P::of);
        }
    }
}

/// `out` = the largest element of each window, the first NaN if there is one; `places` = which it is, the first of equals.
/// Gives both.
///
/// # Panics
/// Where the windows do not lie on the images, or `x`, `out` or `places` has not as many elements.
pub fn maxpool_places<'a, 'p, T: Float, P: Offset>(
    windows: &Windows,
    x: &[T],
    out: &'a mut Unwritten<T>,
    places: &'p mut Unwritten<P>,
) -> (&'a mut [T], &'p mut [P]) {
    check("maxpool", windows.sizes(), x, out);
    check("maxpool", windows.sizes(), x, places);
    let op = Max { x: shared(x), out: shared_mut(out), places: shared_mut(places) };
    // SAFETY: images and results are of the sizes of the windows, as was just checked, and are borrowed here alone. `run`
    // finishes each element, where `Max` writes the result and its place.
    unsafe {
        run(&op, &windows.forward());
        (assume_written(out), assume_written(places))
    }
}

/// [`maxpool_places`] without the places.
///
/// # Panics
/// As for [`maxpool_places`].
pub fn maxpool<'a, T: Float>(windows: &Windows, x: &[T], out: &'a mut Unwritten<T>) -> &'a mut [T] {
    let mut nothing = vec![MaybeUninit::<()>::uninit(); out.len()];
    maxpool_places(windows, x, out, &mut nothing).0
}

/// The lengths of arrays must be those of images and results.
fn check<T, U>(op: &str, [from, to]: [usize; 2], x: &[T], out: &[U]) {
    assert!(
        x.len() == from && out.len() == to,
        "{op}: windows over {from} elements with {to} results do not fit {} and {}",
        x.len(),
        out.len()
    );
}

fn shared<T>(x: &[T]) -> Shared<T> {
    Shared(x.as_ptr().cast_mut())
}

fn shared_mut<T>(x: &mut Unwritten<T>) -> Shared<T> {
    Shared(x.as_mut_ptr().cast())
}

/// [`meanpool`] or [`meanpool_back`].
pub type Mean<T> = for<'a> fn(&Windows, &[T], T, &'a mut Unwritten<T>) -> &'a mut [T];

struct Scaled<T> {
    x: Shared<T>,
    out: Shared<T>,
    scale: T,
}

impl<T: Float> Pool for Scaled<T> {
    type Acc<const L: usize> = [T; L];
    #[inline(always)]
    unsafe fn start<const L: usize>(&self, _: usize, _: [u32; L]) -> [T; L] {
        [T::ZERO; L]
    }
    #[inline(always)]
    unsafe fn push<const L: usize>(&self, acc: &mut [T; L], from: &impl Source<L>) {
        // SAFETY: as `Pool` asks, `x` has these elements.
        let x = unsafe { from.read(&self.x) };
        for l in 0..L {
            acc[l] = acc[l].plus(if from.is_there(l) { x[l] } else { T::ZERO });
        }
    }
    #[inline(always)]
    unsafe fn finish<const L: usize>(&self, mut acc: [T; L], target: usize) {
        for a in &mut acc {
            *a = a.times(self.scale);
        }
        // SAFETY: as `Pool` asks, `out` has `L` places there, which are this thread's.
        unsafe { *self.out.at(target).cast::<[T; L]>() = acc };
    }
}

/// `out` = `scale` times the sum of each window, in which padding counts as zeros. Gives it.
///
/// # Panics
/// Where the windows do not lie on the images, or `x` or `out` has not as many elements.
pub fn meanpool<'a, T: Float>(
    windows: &Windows,
    x: &[T],
    scale: T,
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    check("meanpool", windows.sizes(), x, out);
    let op = Scaled { x: shared(x), out: shared_mut(out), scale };
    // SAFETY: images and results are of the sizes of the windows, as was just checked, and are borrowed here alone. `run`
    // finishes each element, where `Scaled` writes the result.
    unsafe {
        run(&op, &windows.forward());
        assume_written(out)
    }
}

/// The transpose of [`meanpool`]: `out` = `scale` times the sum of `g` over the windows that hold each pixel. Gives it.
///
/// # Panics
/// As for [`meanpool`], with images and results exchanged.
pub fn meanpool_back<'a, T: Float>(
    windows: &Windows,
    g: &[T],
    scale: T,
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let [images, results] = windows.sizes();
    check("meanpool", [results, images], g, out);
    let op = Scaled { x: shared(g), out: shared_mut(out), scale };
    // SAFETY: as for `meanpool`, from results to images.
    unsafe {
        run(&op, &windows.backward());
        assume_written(out)
    }
}

struct Spread<T, P> {
    g: Shared<T>,
    places: Shared<P>,
    out: Shared<T>,
}

impl<T: Float, P: Offset> Pool for Spread<T, P> {
    type Acc<const L: usize> = [T; L];
    #[inline(always)]
    unsafe fn start<const L: usize>(&self, _: usize, _: [u32; L]) -> [T; L] {
        [T::ZERO; L]
    }
    #[inline(always)]
    unsafe fn push<const L: usize>(&self, acc: &mut [T; L], from: &impl Source<L>) {
        // SAFETY: as `Pool` asks, both have these elements.
        let (g, places) = unsafe { (from.read(&self.g), from.read(&self.places)) };
        for l in 0..L {
            let is_its = from.is_there(l) & (places[l] == P::of(from.place(l)));
            acc[l] = acc[l].plus(if is_its { g[l] } else { T::ZERO });
        }
    }
    #[inline(always)]
    unsafe fn finish<const L: usize>(&self, acc: [T; L], target: usize) {
        // SAFETY: as `Pool` asks, `out` has `L` places there, which are this thread's.
        unsafe { *self.out.at(target).cast::<[T; L]>() = acc };
    }
}

/// The gradient of [`maxpool`]: `out` = the sum of `g` over the windows in which each pixel is at its place. Gives it.
///
/// # Panics
/// As for [`maxpool_places`], with images and results exchanged.
pub fn maxpool_back<'a, T: Float, P: Offset>(
    windows: &Windows,
    g: &[T],
    places: &[P],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let [images, results] = windows.sizes();
    check("maxpool", [results, images], g, out);
    check("maxpool", [results, images], places, out);
    let op = Spread { g: shared(g), places: shared(places), out: shared_mut(out) };
    // SAFETY: results, their places and images are of the sizes of the windows, as was just checked, and are borrowed here
    // alone. `run` finishes each element of the images, where `Spread` writes the sum.
    unsafe {
        run(&op, &windows.backward());
        assume_written(out)
    }
}

struct Pick<T, P> {
    x: Shared<T>,
    places: Shared<P>,
    out: Shared<T>,
}

impl<T: Float, P: Offset> Pool for Pick<T, P> {
    type Acc<const L: usize> = ([T; L], [P; L]);
    #[inline(always)]
    unsafe fn start<const L: usize>(&self, target: usize, _: [u32; L]) -> Self::Acc<L> {
        // SAFETY: as `Pool` asks, `places` has `L` elements there.
        ([T::ZERO; L], unsafe { *self.places.at(target).cast::<[P; L]>() })
    }
    #[inline(always)]
    unsafe fn push<const L: usize>(&self, (found, places): &mut Self::Acc<L>, from: &impl Source<L>) {
        // SAFETY: as `Pool` asks, `x` has these elements.
        let x = unsafe { from.read(&self.x) };
        for l in 0..L {
            let is_its = from.is_there(l) & (places[l] == P::of(from.place(l)));
            found[l] = if is_its { x[l] } else { found[l] };
        }
    }
    #[inline(always)]
    unsafe fn finish<const L: usize>(&self, (found, _): Self::Acc<L>, target: usize) {
        // SAFETY: as `Pool` asks, `out` has `L` places there, which are this thread's.
        unsafe { *self.out.at(target).cast::<[T; L]>() = found };
    }
}

/// The transpose of [`maxpool_back`]: `out` = the element of each window of `x` that is at its place. Gives it.
///
/// # Panics
/// As for [`maxpool_places`].
pub fn pick<'a, T: Float, P: Offset>(
    windows: &Windows,
    x: &[T],
    places: &[P],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    check("maxpool", windows.sizes(), x, out);
    check("maxpool", windows.sizes(), x, places);
    let op = Pick { x: shared(x), places: shared(places), out: shared_mut(out) };
    // SAFETY: images, results and their places are of the sizes of the windows, as was just checked, and are borrowed here
    // alone. `run` finishes each element of the results, where `Pick` writes what it has found.
    unsafe {
        run(&op, &windows.forward());
        assume_written(out)
    }
}
