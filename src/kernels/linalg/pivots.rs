//! What the pivots of factored matrices come to: determinants, their logarithms and their signs.

use super::lu::is_odd;
use super::{Entry, together};
use crate::memory::unwritten::{Unwritten, fill_with};
use crate::team::{Pieces, fill};

/// Factored matrices, and what they were.
#[derive(Clone, Copy, Debug)]
pub struct Factored<'a, T> {
    /// The matrices.
    pub a: &'a [T],
    /// Their factors.
    pub lu: &'a [T],
    /// The orders of their rows.
    pub rows: &'a [i64],
    /// The length of a matrix.
    pub n: usize,
}

impl<T: Entry> Factored<'_, T> {
    /// For each matrix what `end` makes of what `step` has made of one pivot after the other, from what `start` makes of
    /// whether its rows are in an odd order. What follows a pivot that is zero is no number; then it is the only one.
    pub fn folded<'a, S>(
        &self,
        start: impl Fn(bool) -> S + Sync,
        step: impl Fn(S, T) -> S + Sync,
        end: impl Fn(S) -> T + Sync,
        out: &'a mut Unwritten<T>,
    ) -> &'a mut [T] {
        let n = self.n;
        let nanos = 10 + 3 * n;
        let (total, per) = (out.len().saturating_mul(nanos), together(nanos));
        fill(Pieces::of(out, per), total, |task, part| {
            fill_with(part, |i| {
                let at = task * per + i;
                let matrix = at * n * n..(at + 1) * n * n;
                let pivots = || self.lu[matrix.clone()].iter().step_by(n + 1).copied();
                if pivots().any(|x| x == T::ZERO) && self.a[matrix.clone()].iter().all(|x| x.is_number()) {
                    return end(step(start(false), T::ZERO));
                }
                end(pivots().fold(start(is_odd(&self.rows[at * n..][..n])), &step))
            })
        })
    }
}
