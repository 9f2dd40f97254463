//! The loss of connectionist temporal classification.

use super::binary::as_float;
use super::gradient::through;
use super::movement::reshape_to;
use super::numbers::given;
use super::scatter::checked;
use super::view::narrow;
use super::{Case, add, concat, logsoftmax, logsumexp, multiply, negative, stack, take};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::ctc::Sequences;
use crate::memory::collected;
use crate::shape;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, in_single, parameters, readers,
};

/// The losses of logits, labels, and how many times and labels of each sequence count. Their gradients are found in the
/// same walk over the alignments and given beside them.
#[derive(Clone, Debug)]
struct CtcLoss;

/// The loss of each of logits `(batch, times, classes)` and, if that is wanted, the gradients.
fn computed(x: &[&Array], wanted: bool) -> Result<(Array, Option<Array>)> {
    let log = logsoftmax(&x[0].clone().into(), -1)?.array().contiguous()?;
    let &[batch, times, classes] = x[0].shape() else { return Err(other_shapes(x[0].shape(), x[1].shape())) };
    check_lengths(given(x[2]), times, x[1].shape()[1])?;
    each!(log.dtype(), float: T => {
        let sequences = Sequences {
            shape: [batch, times, classes],
            log_probabilities: log.values::<T>("ctc_loss")?,
            labels: given(x[1]),
            lengths: given(x[2]),
        };
        if !wanted {
            return Ok((Array::written("ctc_loss", &[batch], |out| sequences.losses(out))?, None));
        }
        let [losses, gradients] = Array::written_all("ctc_loss", [&[batch], x[0].shape()], |[losses, gradients]| {
            sequences.with_gradients(losses, gradients).into()
        })?;
        Ok((losses, Some(gradients)))
    }, else Err(other_shapes(x[0].shape(), x[1].shape())))
}

impl Operation for CtcLoss {
    fn name(&self) -> &'static str {
        "ctc_loss"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        x.floats([0])?;
        x.axes(0, 3)?;
        let &[batch, times, classes] = x.shape(0) else { return Ok(()) };
        x.holds(batch * times * classes > 0, || "there are no logits".into())?;
        x.axes(1, 2)?;
        x.shaped(1, &[batch, x.shape(1)[1]])?;
        x.shaped(2, &[batch, 2])?;
        x.numbers(1, classes)?;
        x.numbers(2, times.max(x.shape(1)[1]) + 1)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(computed(x, false)?.0)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let (losses, gradients) = computed(x, true)?;
        Ok((losses, gradients.into_iter().collect()))
    }
}

impl Differentiable for CtcLoss {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        // Labels that the times are too few for have no alignment, and no gradient to compose.
        let losses = cx.output().array().cast(DType::F64)?.to_vec::<f64>()?;
        if !losses.iter().any(|loss| loss.is_finite()) {
            return self.scaled(cx, g);
        }
        let (labels, lengths) = (given(cx.input(1).array()), given(cx.input(2).array()));
        let each = labels.len() / losses.len();
        through(cx, g, |x| {
            let of = |(i, &loss): (usize, &f64)| {
                if loss == f64::INFINITY {
                    return Ok(Array::scalar(loss)?.cast(x[0].dtype())?.into());
                }
                let [times, labelled] = [lengths[2 * i] as usize, lengths[2 * i + 1] as usize];
                let row = narrow(&narrow(&x[0], 0, i, 1)?, 1, 0, times)?;
                let row = reshape_to(&row, &[times, x[0].shape()[2]])?;
                recursion(&row, &labels[i * each..][..labelled])
            };
            let each = losses.iter().enumerate().map(of).collect::<Result<Vec<Tensor>>>()?;
            stack(&each.iter().collect::<Vec<_>>(), 0)
        })
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        Some(self.scaled(cx, g))
    }
}

impl CtcLoss {
    fn scaled(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let g = reshape_to(g, &[g.shape()[0], 1, 1])?;
        Ok(Grads::from_iter([Some(multiply(&g, &cx.beside()[0].clone().into())?), None, None]))
    }
}

/// The loss in terms of other operations, for their gradients have gradients: the logarithm of the probability of all
/// ways to each state, blank, label, blank, …, time after time.
fn recursion(x: &Tensor, labels: &[i64]) -> Result<Tensor> {
    /// What stands for the logarithm of zero, for the difference of two infinities is none.
    const NEVER: f64 = -1e30;
    let blank = x.shape()[1] as i64 - 1;
    let states: Vec<i64> =
        collected(labels.iter().flat_map(|&label| [blank, label]).chain(std::iter::once(blank)));
    let n = states.len();
    let log = |is_open: &dyn Fn(usize) -> bool| -> Result<Tensor> {
        let values: Vec<f64> = collected((0..n).map(|s| if is_open(s) { 0.0 } else { NEVER }));
        Ok(Array::from_slice(&[n], &values)?.cast(x.dtype())?.into())
    };
    let start = log(&|s| s < 2)?;
    let skips = log(&|s| s >= 2 && states[s] != blank && states[s] != states[s - 2])?;
    let never = log(&|_| false)?;
    let back = |ways: &Tensor, by: usize| match n.checked_sub(by) {
        Some(rest) => concat(&[&narrow(&never, 0, 0, by)?, &narrow(ways, 0, 0, rest)?], 0),
        None => Ok(never.clone()),
    };
    let p = take(&logsoftmax(x, -1)?, &Array::from_slice(&[n], &states)?.into(), 1)?;
    let row = |t: usize| reshape_to(&narrow(&p, 0, t, 1)?, &[n]);
    let mut ways = add(&start, &row(0)?)?;
    for t in 1..x.shape()[0] {
        let from = [&ways, &back(&ways, 1)?, &add(&back(&ways, 2)?, &skips)?];
        ways = add(&logsumexp(&stack(&from, 0)?, 0.into(), false)?, &row(t)?)?;
    }
    let last = n.min(2);
    negative(&logsumexp(&narrow(&ways, 0, n - last, last)?, 0.into(), false)?)
}

fn some_labels() -> Result<Tensor> {
    Ok(Array::from_slice(&[3], &[1_i64, 1, 0])?.into())
}

fn two_of_them() -> Result<[Tensor; 2]> {
    let [labels, lengths] = [[1_i64, 1, 0, 0], [4, 2, 3, 1]];
    Ok([Array::from_slice(&[2, 2], &labels)?.into(), Array::from_slice(&[2, 2], &lengths)?.into()])
}

readers! { "ctc_loss" => CtcLoss }

operations! {
    /// The loss of connectionist temporal classification: minus the logarithm of the probability that logits of shape
    /// `(times, classes)` make the labels, over all alignments. The last class is the blank.
    ctc_loss(logits, labels) {
        if logits.ndim() != 2 || labels.ndim() != 1 || logits.size() == 0 {
            return Err(other_shapes(logits.shape(), labels.shape()));
        }
        let (times, n) = (logits.shape()[0], labels.shape()[0]);
        let lengths = Array::from_slice(&[1, 2], &[times as i64, n as i64])?.into();
        let logits = reshape_to(logits, &[1, times, logits.shape()[1]])?;
        reshape_to(&losses(&logits, &reshape_to(labels, &[1, n])?, &lengths)?, &[])
    } cases [
        Case { f: |t| ctc_loss(&t[0], &some_labels()?), shapes: &[&[6, 3]], domain: (-1.0, 1.0) },
    ];
    /// `ctc_loss` of each sequence of logits `(batch, times, classes)`, with labels `(batch, n)`. How many times and labels
    /// of each sequence count is in `lengths`, integers of shape `(batch, 2)`; labels that do not count are below the last
    /// class all the same.
    ctc_losses(logits, labels, lengths) {
        losses(logits, labels, lengths)
    } cases [
        Case {
            f: |t| {
                let [labels, lengths] = two_of_them()?;
                ctc_losses(&t[0], &labels, &lengths)
            },
            shapes: &[&[2, 4, 3]],
            domain: (-1.0, 1.0),
        },
    ];
}

fn losses(logits: &Tensor, labels: &Tensor, lengths: &Tensor) -> Result<Tensor> {
    if logits.dtype().is_half() {
        return in_single(&[logits], |x| losses(x[0], labels, lengths));
    }
    let x = as_float(logits)?;
    let (shape, of_labels) = (x.shape(), labels.shape());
    if x.ndim() != 3 || labels.ndim() != 2 || of_labels[0] != shape[0] || x.size() == 0 {
        return Err(other_shapes(shape, of_labels));
    }
    let most = shape[1].max(of_labels[1]);
    let counts = checked("ctc_loss", lengths, most.saturating_add(1))?;
    if counts.shape() != [shape[0], 2] {
        let (given, batch) = (shape::show(counts.shape()), shape[0]);
        return Err(Error::Shape(format!(
            "ctc_loss: expected lengths (batch, 2) for a batch of {batch}, got shape {given}"
        )));
    }
    counts.are_looked_at();
    check_lengths(&counts, shape[1], of_labels[1])?;
    let labels = checked("ctc_loss", labels, shape[2] - 1)?;
    apply(CtcLoss, &[&x, labels.tensor(), counts.tensor()])
}

/// That of each sequence some of its times count, and no more labels than it has.
fn check_lengths(counts: &[i64], times: usize, labels: usize) -> Result<()> {
    for pair in counts.chunks_exact(2) {
        let [counting, labelled] = [pair[0], pair[1]];
        if !(1..=times as i64).contains(&counting) || !(0..=labels as i64).contains(&labelled) {
            return Err(Error::Value(format!(
                "ctc_loss: {counting} times and {labelled} labels of a sequence count, of {times} and {labels}; at least \
                 one time does"
            )));
        }
    }
    Ok(())
}

fn other_shapes(logits: &[usize], labels: &[usize]) -> Error {
    let (a, b) = (shape::show(logits), shape::show(labels));
    Error::Shape(format!(
        "ctc_loss: expected logits (times, classes) and a vector of labels, or a batch of both, got shapes {a} and {b}"
    ))
}
