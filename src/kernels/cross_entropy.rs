//! Cross-entropy of logits with integer labels, and its gradient.

use super::real::Real;
use super::softmax::{
    Logit, RowOp, ScaledExp, each, each_normaliser, infinite, is_infinite, is_rows, run, share,
};
use crate::memory::unwritten::{Unwritten, Writer, assume_written};
use crate::team::Pieces;
use std::mem::MaybeUninit;

struct CrossEntropy<'x, T> {
    x: &'x [T],
    labels: &'x [i64],
    n: usize,
}

/// The losses of rows, and what is kept of them: two numbers each.
type Losses<'a, T> = (Pieces<'a, MaybeUninit<T>>, Pieces<'a, MaybeUninit<T>>);

impl<'a, T: Logit> RowOp<Losses<'a, T>> for CrossEntropy<'_, T> {
    const NANOS: f64 = 0.3;
    #[inline(always)]
    fn rows<const FMA: bool>(
        &self,
        first: usize,
        (loss, kept): (&'a mut Unwritten<T>, &'a mut Unwritten<T>),
    ) -> (&'a mut [T], &'a mut [T]) {
        let (n, all) = (self.n, &self.x[first * self.n..][..loss.len() * self.n]);
        let mut kept = Writer::new(kept);
        each_normaliser::<T, FMA>(all, loss.len(), n, |i, max, sum| {
            let (x, loss) = (&all[i * n..], &mut loss[i]);
            let wanted = x[..n][self.labels[first + i] as usize];
            if is_infinite(max, &x[..n]) {
                let count = infinite(&x[..n]);
                kept.write(&[max, count]);
                loss.write(if wanted == max { T::of::<FMA>(count.lane::<FMA>().ln()) } else { T::HIGHEST });
            } else {
                kept.write(&[max, sum]);
                let rest = max.lane::<FMA>() - wanted.lane::<FMA>();
                loss.write(T::of::<FMA>(sum.lane::<FMA>().ln() + rest));
            }
        });
        // SAFETY: each row has been found, and its loss is written then.
        (unsafe { assume_written(loss) }, kept.finish())
    }
}

/// `loss[row] = logsumexp(x[row]) - x[row, labels[row]]` for rows of `n` logits, as many as labels. Gives the losses, and
/// what was kept.
///
/// `kept[row]` is what [`cross_entropy_grad`] needs: the maximum `m` of the row and the sum of `exp(x - m)`, or, if `m` is
/// infinite, how many elements are, which share the probability. Their
/// logarithm in one number, `m + log(sum)`, would lose the digits of the logits that matter when those are large.
///
/// # Panics
/// Where the lengths do not fit each other, or a label is not below `n`.
pub fn cross_entropy<'a, T: Logit>(
    n: usize,
    x: &[T],
    labels: &[i64],
    [loss, kept]: [&'a mut Unwritten<T>; 2],
) -> [&'a mut [T]; 2] {
    let rows = labels.len();
    let fits = is_rows(x, rows, n) && loss.len() == rows && kept.len() == 2 * rows;
    assert!(fits, "cross-entropy: {rows} labels and {} logits, {n} for each", x.len());
    let op = CrossEntropy { x, labels, n };
    <[_; 2]>::from(run(&op, rows, n, |group| (Pieces::of(loss, group), Pieces::of(kept, 2 * group))))
}

struct CrossEntropyGrad<'x, T> {
    x: &'x [T],
    labels: &'x [i64],
    kept: &'x [T],
    g: &'x [T],
    n: usize,
}

impl<'a, T: Logit> RowOp<Pieces<'a, MaybeUninit<T>>> for CrossEntropyGrad<'_, T> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    fn rows<const FMA: bool>(&self, first: usize, out: &'a mut Unwritten<T>) -> &'a mut [T] {
        let (n, all) = (self.n, &self.x[first * self.n..][..out.len()]);
        for (i, out) in out.chunks_exact_mut(n).enumerate() {
            let (x, row) = (&all[i * n..], first + i);
            let (max, sum, g) =
                (self.kept[2 * row], self.kept[2 * row + 1], self.g[row.min(self.g.len() - 1)]);
            let scale = T::of::<FMA>(g.lane::<FMA>() / sum.lane::<FMA>());
            let out = if max == T::HIGHEST && !sum.is_nan() {
                share(&x[..n], out, scale, T::ZERO)
            } else {
                each::<T, _, FMA, false>(&ScaledExp { max, scale }, [x, x], out).0
            };
            let wanted = &mut out[self.labels[row] as usize];
            *wanted = T::of::<FMA>(wanted.lane::<FMA>() - g.lane::<FMA>());
        }
        // SAFETY: tasks get whole rows, and both branches write all of one.
        unsafe { assume_written(out) }
    }
}

/// The gradient of [`cross_entropy`], which has written `kept`: `out = (softmax(x) - onehot(label)) * g[row]`, with a
/// `g` for each row or one for all. Gives it.
///
/// # Panics
/// As for [`cross_entropy`].
pub fn cross_entropy_grad<'a, T: Logit>(
    n: usize,
    x: &[T],
    labels: &[i64],
    kept: &[T],
    g: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let rows = labels.len();
    let fits = is_rows(x, rows, n) && out.len() == x.len() && kept.len() == 2 * rows;
    let fits = fits && (g.len() == rows || g.len() == 1);
    assert!(
        fits,
        "cross-entropy: {rows} labels and {} logits, {n} for each, and {} gradients",
        x.len(),
        g.len()
    );
    run(&CrossEntropyGrad { x, labels, kept, g, n }, rows, n, |group| Pieces::of(out, (group * n).max(1)))
}
