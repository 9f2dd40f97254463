//! Connectionist temporal classification: the likelihood of a sequence of labels under all of its alignments.
//!
//! A path takes a state for each time: blank, label, blank, label, …, blank. It stays, goes on by one, or goes on by two
//! from a label to a different one. All is in logarithms, so that nothing underflows in long sequences.
//! Ref: Graves et al. 2006, Connectionist temporal classification.

use super::dispatch::{Compute, compute};
use super::number::Float;
use super::real::{Lane, Real};
use crate::dtype::Element;
use crate::memory::unwritten::{Unwritten, fill_with};
use crate::memory::{collected, filled};
use crate::team::{self, Pieces};

/// What a state takes at one time, in nanoseconds: on the way there, and on the way back.
const NANOS: usize = 8;

/// Sequences of the same length, of each of which a part counts.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<'a, T> {
    /// How many there are, the times of each, and the classes, the last of which is the blank.
    pub shape: [usize; 3],
    /// The logarithms of the probabilities, of that shape.
    pub log_probabilities: &'a [T],
    /// As many for each sequence, each below the last class.
    pub labels: &'a [i64],
    /// How many times and how many labels of each sequence count.
    pub lengths: &'a [i64],
}

impl<T: Float + Element> Sequences<'_, T> {
    /// # Panics
    /// Where there are not as many numbers as the shape says, or lengths are longer than that.
    fn check(&self) {
        let ([batch, times, classes], labels) = (self.shape, self.labels.len());
        let fits = self.log_probabilities.len() == batch * times * classes
            && self.lengths.len() == 2 * batch
            && labels.is_multiple_of(batch.max(1))
            && self
                .lengths
                .chunks_exact(2)
                .all(|n| (0..=times as i64).contains(&n[0]) && (0..=(labels / batch) as i64).contains(&n[1]));
        assert!(fits, "ctc: {labels} labels and these lengths do not fit {:?}", self.shape);
    }

    /// The loss of a sequence, and with `wanted` the gradient for its logits as far as its times count.
    fn of(&self, i: usize, wanted: bool) -> (f64, Vec<f64>) {
        let ([batch, times, classes], all) = (self.shape, self.labels.len() / self.shape[0]);
        debug_assert!(i < batch);
        let [counted, labels] = [self.lengths[2 * i] as usize, self.lengths[2 * i + 1] as usize];
        let row = &self.log_probabilities[i * times * classes..][..counted * classes];
        let log_probabilities: Vec<f64> = collected(row.iter().map(|x| x.to_f64()));
        let mut gradient = filled(if wanted { row.len() } else { 0 }, 0.0);
        let labels = &self.labels[i * all..][..labels];
        let alignments = Alignments { log_probabilities: &log_probabilities, classes, labels };
        (alignments.loss(wanted.then_some(&mut gradient)), gradient)
    }

    fn nanos(&self) -> usize {
        let states = 2 * self.labels.len() + self.shape[0];
        states.saturating_mul(self.shape[1]).saturating_mul(NANOS)
    }

    /// The loss of each sequence.
    ///
    /// # Panics
    /// Where the arrays have not as many elements as the shape says.
    pub fn losses<'o>(&self, out: &'o mut Unwritten<T>) -> &'o mut [T] {
        self.check();
        assert!(out.len() == self.shape[0], "ctc: {} losses of {} sequences", out.len(), self.shape[0]);
        team::fill(Pieces::of(out, 1), self.nanos(), |i, out| {
            fill_with(out, |_| T::from_f64(self.of(i, false).0))
        })
    }

    /// The loss of each sequence, and the gradients of the losses for the logits, zero where they do not count.
    ///
    /// # Panics
    /// As for [`Sequences::losses`].
    pub fn with_gradients<'o, 'g>(
        &self,
        out: &'o mut Unwritten<T>,
        gradients: &'g mut Unwritten<T>,
    ) -> (&'o mut [T], &'g mut [T]) {
        self.check();
        let [batch, times, classes] = self.shape;
        let fits = out.len() == batch && gradients.len() == self.log_probabilities.len();
        assert!(fits, "ctc: {} losses of {batch} sequences", out.len());
        let share = (Pieces::of(out, 1), Pieces::of(gradients, times * classes));
        team::fill(share, 2 * self.nanos(), |i, (out, gradients)| {
            let (loss, gradient) = self.of(i, true);
            let gradients = fill_with(gradients, |at| gradient.get(at).map_or(T::ZERO, |&g| T::from_f64(g)));
            (fill_with(out, |_| T::from_f64(loss)), gradients)
        })
    }
}

/// The logarithm of the probabilities of `classes` at each time, the last of which is the blank, and the labels sought.
#[derive(Clone, Copy, Debug)]
pub struct Alignments<'a> {
    /// Row-major `(times, classes)`.
    pub log_probabilities: &'a [f64],
    /// How many classes there are, the blank among them.
    pub classes: usize,
    /// Each below `classes - 1`.
    pub labels: &'a [i64],
}

impl Alignments<'_> {
    fn states(&self) -> usize {
        2 * self.labels.len() + 1
    }

    /// The class of a state.
    fn class(&self, state: usize) -> usize {
        if state.is_multiple_of(2) { self.classes - 1 } else { self.labels[state / 2] as usize }
    }

    /// What is added where a path goes on by two to a state: 0, or minus infinity where it must not. Two more follow.
    fn skips(&self) -> Vec<f64> {
        let goes = |s: usize| s >= 2 && !s.is_multiple_of(2) && self.class(s) != self.class(s - 2);
        let n = self.states();
        collected((0..n + 2).map(|s| if s < n && goes(s) { 0.0 } else { f64::NEG_INFINITY }))
    }

    fn rows(&self) -> impl DoubleEndedIterator<Item = &[f64]> + ExactSizeIterator {
        self.log_probabilities.chunks_exact(self.classes)
    }

    /// For each time, the logarithm of the probability of all ways from the start to each state, after two that are none.
    fn forward(&self, skips: &[f64]) -> Vec<f64> {
        let n = self.states();
        let mut all = filled((n + 2) * self.rows().len(), f64::NEG_INFINITY);
        let mut before: Option<&[f64]> = None;
        for (row, now) in self.rows().zip(all.chunks_exact_mut(n + 2)) {
            let ways = &mut now[2..];
            match before {
                None => ways[..n.min(2)].fill(0.0),
                Some(from) => log_sums([&from[2..], &from[1..], from], skips, ways),
            }
            for (state, way) in ways.iter_mut().enumerate() {
                *way += row[self.class(state)];
            }
            before = Some(now);
        }
        all
    }

    /// The negative logarithm of the likelihood; infinite where there are more labels than times. Into `grad`, if it is
    /// given, goes the gradient for the logits of which the probabilities are the softmax.
    pub fn loss(&self, grad: Option<&mut [f64]>) -> f64 {
        let skips = self.skips();
        let forward = self.forward(&skips);
        // The last two of a row: without labels, one state and what is none.
        let Some(&[.., a, b]) = forward.rchunks_exact(self.states() + 2).next() else { return 0.0 };
        let mut total = [0.0];
        log_sums([&[a], &[b], &[f64::NEG_INFINITY]], &[0.0], &mut total);
        let loss = -total[0];
        if let Some(grad) = grad {
            self.gradient(&forward, &skips, loss, grad);
        }
        loss
    }

    /// The probability of each class, less that of the paths that take it given that they make the labels.
    fn gradient(&self, forward: &[f64], skips: &[f64], loss: f64, grad: &mut [f64]) {
        let n = self.states();
        if loss == f64::INFINITY {
            return grad.fill(0.0);
        }
        // The logarithm of the probability of all ways from each state at this time to the end; from the next time on.
        let mut onward = filled(n, f64::NEG_INFINITY);
        onward[n.saturating_sub(2)..].fill(0.0);
        let (mut next, mut share) = (filled(n + 2, f64::NEG_INFINITY), filled(n, 0.0));
        let times = self.rows().zip(forward.chunks_exact(n + 2)).zip(grad.chunks_exact_mut(self.classes));
        for ((row, forward), grad) in times.rev() {
            grad.copy_from_slice(row);
            exponentials(grad);
            for (share, (before, after)) in share.iter_mut().zip(forward[2..].iter().zip(&onward)) {
                *share = before + after + loss;
            }
            exponentials(&mut share);
            for state in 0..n {
                grad[self.class(state)] -= share[state];
                next[state] = onward[state] + row[self.class(state)];
            }
            log_sums([&next, &next[1..], &next[2..]], &skips[2..], &mut onward);
        }
    }
}

/// `out = log(exp(a) + exp(b) + exp(c + skips))`, element by element.
fn log_sums([a, b, c]: [&[f64]; 3], skips: &[f64], out: &mut [f64]) {
    compute(LogSums { a, b, c, skips, out });
}

struct LogSums<'a> {
    a: &'a [f64],
    b: &'a [f64],
    c: &'a [f64],
    skips: &'a [f64],
    out: &'a mut [f64],
}

impl Compute for LogSums<'_> {
    type Out = ();
    #[inline(always)]
    fn compute<const FMA: bool>(self) {
        let lowest = Lane::<f64, FMA>(f64::NEG_INFINITY);
        let terms = self.a.iter().zip(self.b).zip(self.c).zip(self.skips);
        for (out, (((&a, &b), &c), &skip)) in self.out.iter_mut().zip(terms) {
            let (a, b, c) = (Lane::<f64, FMA>(a), Lane(b), Lane(c + skip));
            let max = a.max(b).max(c);
            // Of nothing but impossible ways, none is subtracted from itself.
            let max = Real::select_gt(max, lowest, max, Lane(0.0));
            *out = (max + ((a - max).exp() + (b - max).exp() + (c - max).exp()).ln()).0;
        }
    }
}

/// `exp(x)` in the place of `x`.
fn exponentials(x: &mut [f64]) {
    compute(Exponentials(x));
}

struct Exponentials<'a>(&'a mut [f64]);

impl Compute for Exponentials<'_> {
    type Out = ();
    #[inline(always)]
    fn compute<const FMA: bool>(self) {
        for x in self.0 {
            *x = Lane::<f64, FMA>(*x).exp().0;
        }
    }
}
