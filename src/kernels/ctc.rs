//! Connectionist temporal classification: the likelihood of a sequence of labels under all of its alignments.
//!
//! A path takes a state for each time: blank, label, blank, label, …, blank. It stays, goes on by one, or goes on by two
//! from a label to a different one. All is in logarithms, so that nothing underflows in long sequences.
//! Ref: Graves et al. 2006, Connectionist temporal classification.

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

    /// Whether a path may go from the state before the one before to this one.
    fn skips(&self, state: usize) -> bool {
        state >= 2 && !state.is_multiple_of(2) && self.class(state) != self.class(state - 2)
    }

    fn rows(&self) -> impl DoubleEndedIterator<Item = &[f64]> + ExactSizeIterator {
        self.log_probabilities.chunks_exact(self.classes)
    }

    /// For each time, the logarithm of the probability of all ways from the start to each state.
    fn forward(&self) -> Vec<f64> {
        let n = self.states();
        let mut all = Vec::with_capacity(n * self.rows().len());
        for (time, row) in self.rows().enumerate() {
            for state in 0..n {
                let from = |back: usize| all[(time - 1) * n + state - back];
                let ways = match time {
                    0 if state < 2 => 0.0,
                    0 => f64::NEG_INFINITY,
                    _ => log_sum([
                        from(0),
                        if state >= 1 { from(1) } else { f64::NEG_INFINITY },
                        if self.skips(state) { from(2) } else { f64::NEG_INFINITY },
                    ]),
                };
                all.push(ways + row[self.class(state)]);
            }
        }
        all
    }

    /// The negative logarithm of the likelihood; infinite where there are more labels than times. Into `grad`, if it is
    /// given, goes the gradient for the logits of which the probabilities are the softmax.
    pub fn loss(&self, grad: Option<&mut [f64]>) -> f64 {
        let (n, forward) = (self.states(), self.forward());
        let Some(last) = forward.rchunks_exact(n).next() else { return 0.0 };
        let before = if n >= 2 { last[n - 2] } else { f64::NEG_INFINITY };
        let loss = -log_sum([last[n - 1], before, f64::NEG_INFINITY]);
        if let Some(grad) = grad {
            self.gradient(&forward, loss, grad);
        }
        loss
    }

    /// The probability of each class, less that of the paths that take it given that they make the labels.
    fn gradient(&self, forward: &[f64], loss: f64, grad: &mut [f64]) {
        let n = self.states();
        if loss == f64::INFINITY {
            return grad.fill(0.0);
        }
        // The logarithm of the probability of all ways from each state at this time to the end.
        let mut onward = vec![f64::NEG_INFINITY; n];
        onward[n.saturating_sub(2)..].fill(0.0);
        let mut next = vec![0.0; n];
        let times = self.rows().zip(forward.chunks_exact(n)).zip(grad.chunks_exact_mut(self.classes));
        for ((row, forward), grad) in times.rev() {
            for (g, p) in grad.iter_mut().zip(row) {
                *g = p.exp();
            }
            for state in 0..n {
                grad[self.class(state)] -= (forward[state] + onward[state] + loss).exp();
                next[state] = onward[state] + row[self.class(state)];
            }
            for state in 0..n {
                let to = |on: usize| next.get(state + on).copied().unwrap_or(f64::NEG_INFINITY);
                let skip = state + 2 < n && self.skips(state + 2);
                onward[state] = log_sum([to(0), to(1), if skip { to(2) } else { f64::NEG_INFINITY }]);
            }
        }
    }
}

/// `log(sum(exp(x)))`.
fn log_sum(x: [f64; 3]) -> f64 {
    let max = x.into_iter().fold(f64::NEG_INFINITY, |a, b| if b > a || b.is_nan() { b } else { a });
    if max.is_infinite() || max.is_nan() {
        return max;
    }
    max + x.into_iter().map(|v| (v - max).exp()).sum::<f64>().ln()
}
