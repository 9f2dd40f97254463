//! Spectra of windowed frames of sound, and what their gradients are made of.
//!
//! For sound `x`, a window `w` and spectra `g` there is the sum over all frames `m` and places `k` of
//! `x[m hop - lead + k] * w[k] * z[m, k]`, where `z[m]` are the reals with the spectrum `g[m]`. Its derivatives by `g`, `x` and `w`
//! are [`Frames::spectra`], [`Frames::sound`] and [`Frames::window`], of which each is a gradient of the two others.

use super::plan::Wave;
use super::real::RealPlan;
use super::rows::fill_rows;
use super::{group, nanos};
use crate::dtype::Element;
use crate::kernels::dispatch::{Compute, compute};
use crate::memory::unwritten::{Unwritten, copy_from, fill_with};
use crate::memory::{collected, filled};
use crate::team::{self, Pieces};
use rustfft::FftDirection;
use std::ops::Range;

/// How many times the length of a frame a piece of sound has that a task makes; at its ends a task has frames in common
/// with its neighbours.
const FRAMES_IN_PIECE: usize = 32;
/// The most tasks that a gradient of the window is the sum of.
const PARTS: usize = 64;

/// Overlapping frames of rows of sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frames {
    /// How many numbers a frame has.
    pub n: usize,
    /// How far apart frames are.
    pub hop: usize,
    /// How far before the sound the first frame begins.
    pub lead: usize,
    /// How many frames there are of each row.
    pub frames: usize,
    /// How many numbers each row of sound has.
    pub time: usize,
    /// Whether sound goes on by reflection before its beginning and after its end, by less than it is long; else it is zero there.
    pub reflects: bool,
    /// Whether a frequency counts for its mirror image, too.
    pub stands_for_mirror: bool,
    /// What all is multiplied by.
    pub scale: f64,
}

impl Frames {
    fn bins(&self) -> usize {
        self.n / 2 + 1
    }

    /// Where frame `m` begins.
    fn start(&self, m: usize) -> isize {
        (m * self.hop) as isize - self.lead as isize
    }

    /// The place of the sound that is at place `t`.
    fn place(&self, t: isize) -> Option<usize> {
        let last = self.time as isize - 1;
        let t = match t {
            _ if !self.reflects => t,
            ..0 => -t,
            _ if t > last => 2 * last - t,
            _ => t,
        };
        (0..=last).contains(&t).then_some(t as usize)
    }

    /// The numbers of frame `m` of a row of sound, if all of it lies within.
    fn within<'x, T>(&self, x: &'x [T], m: usize) -> Option<&'x [T]> {
        let start = usize::try_from(self.start(m)).ok()?;
        x.get(start..start + self.n)
    }

    fn check(&self, rows: usize, sound: usize, window: usize, spectra: usize) {
        assert!(
            self.n > 0
                && self.hop > 0
                && (!self.reflects || self.lead < self.time)
                && sound == rows * self.time
                && window == self.n
                && spectra == rows * self.frames * 2 * self.bins(),
            "{rows} rows of {self:?} do not fit {sound} numbers of sound, {window} of a window and {spectra} of spectra"
        );
    }

    fn nanos(&self, rows: usize) -> usize {
        nanos(rows * self.frames, self.n)
    }

    fn forward<T: Wave>(&self) -> (RealPlan<T>, T) {
        let inner = if self.stands_for_mirror { 2.0 } else { 1.0 };
        (RealPlan::new(self.n, FftDirection::Forward), T::lit(inner))
    }

    fn inverse<T: Wave>(&self) -> (RealPlan<T>, T) {
        let inner = if self.stands_for_mirror { 1.0 } else { 0.5 };
        (RealPlan::new(self.n, FftDirection::Inverse), T::lit(inner))
    }

    /// The window times [`Frames::scale`].
    fn scaled<T: Wave>(&self, window: &[T]) -> Vec<T> {
        let scale = T::lit(self.scale);
        collected(window.iter().map(|&w| w * scale))
    }

    /// The spectra `(rows, frames, n / 2 + 1)` of pairs of the windowed frames of sound `(rows, time)`.
    ///
    /// # Panics
    /// Where a slice has not as many elements.
    pub fn spectra<'a, T: Wave>(
        &self,
        rows: usize,
        sound: &[T],
        window: &[T],
        out: &'a mut Unwritten<T>,
    ) -> &'a mut [T] {
        self.check(rows, sound.len(), window.len(), out.len());
        let (plan, inner) = self.forward::<T>();
        let window = self.scaled(window);
        fill_rows(
            (2 * self.bins(), self.n),
            out,
            || plan.work(),
            |work, i, out| {
                let (row, m) = (i / self.frames, i % self.frames);
                let sound = &sound[row * self.time..][..self.time];
                match self.within(sound, m) {
                    Some(frame) => compute(Product { a: frame, b: &window, out: &mut work.reals }),
                    None => {
                        for (k, out) in work.reals.iter_mut().enumerate() {
                            let x = self.place(self.start(m) + k as isize).map_or(T::ZERO, |t| sound[t]);
                            *out = x * window[k];
                        }
                    }
                }
                plan.forward(work, inner, out)
            },
        )
    }

    /// The sound `(rows, time)` that the windowed frames with these spectra add up to.
    ///
    /// # Panics
    /// Where a slice has not as many elements.
    pub fn sound<'a, T: Wave>(
        &self,
        rows: usize,
        window: &[T],
        spectra: &[T],
        out: &'a mut Unwritten<T>,
    ) -> &'a mut [T] {
        self.check(rows, out.len(), window.len(), spectra.len());
        let (plan, inner) = self.inverse::<T>();
        let (window, each) = (self.scaled(window), self.frames * 2 * self.bins());
        let pieces = self.time.div_ceil(FRAMES_IN_PIECE.saturating_mul(self.n)).max(1);
        let length = self.time.div_ceil(pieces).max(1);
        team::fill(Pieces::of_rows(out, self.time, length), self.nanos(rows), |task, out| {
            let (row, first) = (task / pieces, task % pieces * length);
            let piece = first as isize..(first + out.len()) as isize;
            let spectra = &spectra[row * each..][..each];
            self.piece(&plan, inner, &window, spectra, piece, out)
        })
    }

    /// A piece of a row of sound.
    fn piece<'a, T: Wave>(
        &self,
        plan: &RealPlan<T>,
        inner: T,
        window: &[T],
        spectra: &[T],
        piece: Range<isize>,
        out: &'a mut Unwritten<T>,
    ) -> &'a mut [T] {
        let (whole, last) = (self.reached(&piece), self.time as isize - 1);
        let mut total = filled((whole.end - whole.start) as usize, T::ZERO);
        let mut work = plan.work();
        for (m, spectrum) in spectra.chunks_exact(2 * self.bins()).enumerate() {
            let start = self.start(m);
            let part = start.max(whole.start)..(start + self.n as isize).min(whole.end);
            if part.is_empty() {
                continue;
            }
            plan.inverse(&mut work, spectrum, T::lit(1.0), inner);
            let of_frame = (part.start - start) as usize..(part.end - start) as usize;
            let of_total = (part.start - whole.start) as usize..(part.end - whole.start) as usize;
            compute(Add {
                a: &work.reals[of_frame.clone()],
                b: &window[of_frame],
                total: &mut total[of_total],
            });
        }
        let at = |t: isize| whole.contains(&t).then(|| total[(t - whole.start) as usize]);
        let first = (piece.start - whole.start) as usize;
        let out = copy_from(out, &total[first..][..(piece.end - piece.start) as usize]);
        if self.reflects {
            for t in piece.start.max(1)..piece.end.min(1 - whole.start.min(0)) {
                let place = &mut out[(t - piece.start) as usize];
                *place = *place + at(-t).unwrap_or(T::ZERO);
            }
            for t in piece.start.max(2 * last + 1 - whole.end)..piece.end.min(last) {
                let place = &mut out[(t - piece.start) as usize];
                *place = *place + at(2 * last - t).unwrap_or(T::ZERO);
            }
        }
        out
    }

    /// All places at which there is something of a piece of sound: with its reflections, where there are some.
    fn reached(&self, piece: &Range<isize>) -> Range<isize> {
        let mut whole = piece.clone();
        if self.reflects && !piece.is_empty() {
            let (lead, last) = (self.lead as isize, self.time as isize - 1);
            if piece.start <= lead {
                whole.start = -lead.min(piece.end - 1);
            }
            let furthest = (self.start(self.frames) - self.hop as isize + self.n as isize - 1)
                .min(2 * last - piece.start);
            if furthest > last && 2 * last - furthest < piece.end {
                whole.end = furthest + 1;
            }
        }
        whole
    }

    /// For each place of the window the sum of what the sound has there in each frame times what the spectrum has there.
    ///
    /// # Panics
    /// Where a slice has not as many elements.
    pub fn window<'a, T: Wave>(
        &self,
        rows: usize,
        sound: &[T],
        spectra: &[T],
        out: &'a mut Unwritten<T>,
    ) -> &'a mut [T] {
        self.check(rows, sound.len(), out.len(), spectra.len());
        let (plan, inner) = self.inverse::<T>();
        let (all, bins) = (rows * self.frames, self.bins());
        let group = (2 * group(self.n)).max(all.div_ceil(PARTS));
        let mut parts = filled(all.div_ceil(group) * self.n, T::ZERO);
        team::each(Pieces::of(&mut parts, self.n), self.nanos(rows), |task, total| {
            let mut work = plan.work();
            for i in task * group..all.min((task + 1) * group) {
                let (row, m) = (i / self.frames, i % self.frames);
                let sound = &sound[row * self.time..][..self.time];
                plan.inverse(&mut work, &spectra[i * 2 * bins..][..2 * bins], T::lit(1.0), inner);
                match self.within(sound, m) {
                    Some(frame) => compute(Add { a: frame, b: &work.reals, total }),
                    None => {
                        for (k, total) in total.iter_mut().enumerate() {
                            let x = self.place(self.start(m) + k as isize).map_or(T::ZERO, |t| sound[t]);
                            *total = *total + x * work.reals[k];
                        }
                    }
                }
            }
        });
        fill_with(out, |k| {
            let sum: f64 = parts.iter().skip(k).step_by(self.n).map(|part| Element::to_f64(*part)).sum();
            T::lit(sum * self.scale)
        })
    }
}

/// `out = a * b`.
struct Product<'x, 'a, T> {
    a: &'x [T],
    b: &'x [T],
    out: &'a mut [T],
}

impl<T: Wave> Compute for Product<'_, '_, T> {
    type Out = ();
    #[inline(always)]
    fn compute<const FMA: bool>(self) {
        for ((&a, &b), out) in self.a.iter().zip(self.b).zip(self.out) {
            *out = a * b;
        }
    }
}

/// `total += a * b`.
struct Add<'x, 'a, T> {
    a: &'x [T],
    b: &'x [T],
    total: &'a mut [T],
}

impl<T: Wave> Compute for Add<'_, '_, T> {
    type Out = ();
    #[inline(always)]
    fn compute<const FMA: bool>(self) {
        for ((&a, &b), total) in self.a.iter().zip(self.b).zip(self.total) {
            *total = *total + a * b;
        }
    }
}
