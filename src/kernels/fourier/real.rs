//! The transform of reals: half of the spectrum, as the other half is its mirror image.

use super::plan::{Turns, Wave, paired, plan, turns};
use crate::kernels::dispatch::{Compute, compute};
use crate::memory::filled;
use crate::memory::unwritten::{Unwritten, assume_written, rewritten};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftDirection};
use std::sync::Arc;

/// The transform of `n` reals to `n / 2 + 1` pairs, or back.
pub(super) struct RealPlan<T> {
    n: usize,
    fft: Arc<dyn Fft<T>>,
    /// Of an even number.
    turns: Option<Arc<Turns<T>>>,
}

/// The memory that a task computes a transform in.
pub(super) struct Work<T> {
    /// The reals that go in or come out.
    pub(super) reals: Vec<T>,
    /// As many pairs, where that number is odd.
    pairs: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
}

impl<T: Wave> RealPlan<T> {
    pub(super) fn new(n: usize, direction: FftDirection) -> RealPlan<T> {
        match n.is_multiple_of(2) {
            true => RealPlan { n, fft: plan(n / 2, direction), turns: Some(turns(n / 2)) },
            false => RealPlan { n, fft: plan(n, direction), turns: None },
        }
    }

    /// How many frequencies there are.
    pub(super) fn bins(&self) -> usize {
        self.n / 2 + 1
    }

    pub(super) fn work(&self) -> Work<T> {
        let zero = Complex { re: T::ZERO, im: T::ZERO };
        Work {
            reals: filled(self.n, T::ZERO),
            pairs: filled(if self.turns.is_some() { 0 } else { self.n }, zero),
            scratch: filled(self.fft.get_inplace_scratch_len(), zero),
        }
    }

    /// The spectrum of the reals, which are overwritten. Those frequencies that have a mirror image are multiplied by `inner`.
    pub(super) fn forward<'a>(&self, work: &mut Work<T>, inner: T, out: &'a mut Unwritten<T>) -> &'a mut [T] {
        let Work { reals, pairs, scratch } = work;
        assert!(out.len() == 2 * self.bins(), "{} numbers for {} frequencies", out.len(), self.bins());
        if let Some(turns) = &self.turns {
            self.fft.process_with_scratch(paired(reals), scratch);
            let half = T::lit(0.5) * inner;
            let [re, im] = [reals[0], reals[1]];
            for (place, value) in [(0, re + im), (1, T::ZERO), (self.n, re - im), (self.n + 1, T::ZERO)] {
                out[place].write(value);
            }
            compute(Mix::<_, false> { x: reals, turns, scale: half, out: &mut out[2..self.n] });
        } else {
            reals.iter().zip(&mut *pairs).for_each(|(&re, z)| *z = Complex { re, im: T::ZERO });
            self.fft.process_with_scratch(pairs, scratch);
            out[0].write(pairs[0].re);
            out[1].write(T::ZERO);
            for (z, out) in pairs[1..].iter().zip(out[2..].chunks_exact_mut(2)) {
                out[0].write(z.re * inner);
                out[1].write(z.im * inner);
            }
        }
        // SAFETY: the first and the last two places of an even number are written one by one, and `Mix` writes those
        // between; of an odd number the first two are, and the others two at a time.
        unsafe { assume_written(out) }
    }

    /// The reals, times `scale`, with this spectrum, `inner` times of those frequencies that have a mirror image. They are
    /// left in `work`.
    pub(super) fn inverse(&self, work: &mut Work<T>, spectrum: &[T], scale: T, inner: T) {
        let Work { reals, pairs, scratch } = work;
        assert!(
            spectrum.len() == 2 * self.bins(),
            "{} numbers of {} frequencies",
            spectrum.len(),
            self.bins()
        );
        let inner = inner * scale;
        if let Some(turns) = &self.turns {
            // The first and the last frequency are real.
            let [first, last] = [spectrum[0] * scale, spectrum[self.n] * scale];
            (reals[0], reals[1]) = (first + last, first - last);
            // SAFETY: `Mix` leaves a value in each place.
            let out = unsafe { rewritten(&mut reals[2..]) };
            compute(Mix::<_, true> { x: spectrum, turns, scale: inner, out });
            self.fft.process_with_scratch(paired(reals), scratch);
        } else {
            pairs[0] = Complex { re: spectrum[0] * scale, im: T::ZERO };
            for k in 1..self.bins() {
                let z = Complex { re: spectrum[2 * k] * inner, im: spectrum[2 * k + 1] * inner };
                (pairs[k], pairs[self.n - k]) = (z, z.conj());
            }
            self.fft.process_with_scratch(pairs, scratch);
            reals.iter_mut().zip(pairs).for_each(|(x, z)| *x = z.re);
        }
    }
}

/// For `k` from 1 up to the number `h` of pairs, `scale` times `x[k] + conj(x[h - k]) + t (x[k] - conj(x[h - k]))`, where `t` is
/// the turn of `k`, or `BACK` its conjugate: from the transform of `h` pairs that of `2 h` reals, and back.
struct Mix<'x, 'a, T, const BACK: bool> {
    x: &'x [T],
    turns: &'x Turns<T>,
    scale: T,
    /// From the second pair on.
    out: &'a mut Unwritten<T>,
}

impl<T: Wave, const BACK: bool> Compute for Mix<'_, '_, T, BACK> {
    type Out = ();
    #[inline(always)]
    fn compute<const FMA: bool>(self) {
        let Mix { x, turns: Turns { re, im }, scale, out } = self;
        let h = re.len();
        assert!(x.len() >= 2 * h && im.len() == h && out.len() == 2 * h - 2);
        let x = &x[2..2 * h];
        // One iterator over all, which becomes a loop of vectors.
        let turns = re[1..].iter().zip(&im[1..]);
        let mirrored = x.chunks_exact(2).zip(x.rchunks_exact(2));
        for (((z, mirror), (&re, &im)), out) in mirrored.zip(turns).zip(out.chunks_exact_mut(2)) {
            let im = if BACK { -im } else { im };
            let (sum_re, sum_im) = (z[0] + mirror[0], z[1] - mirror[1]);
            let (less_re, less_im) = (z[0] - mirror[0], z[1] + mirror[1]);
            out[0].write(scale * (sum_re + (re * less_re - im * less_im)));
            out[1].write(scale * (sum_im + (re * less_im + im * less_re)));
        }
    }
}
