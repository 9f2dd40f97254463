//! The loss of connectionist temporal classification.

use super::binary::as_float;
use super::gradient::through;
use super::movement::reshape_to;
use super::numbers::given;
use super::scatter::checked;
use super::view::narrow;
use super::{Case, add, concat, logsoftmax, logsumexp, multiply, negative, stack, take};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::kernels::ctc::Alignments;
use crate::memory::{collected, filled};
use crate::shape;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, in_single, parameters, readers,
};

/// The loss of logits and labels. Its gradient is found in the same walk over the alignments and given beside it.
#[derive(Clone, Debug)]
struct CtcLoss;

/// The loss of logits `(times, classes)` and, if that is wanted, its gradient.
fn computed(x: &Array, labels: &[i64], wanted: bool) -> Result<(Array, Array)> {
    let log_probabilities = logsoftmax(&x.clone().into(), -1)?.to_vec::<f64>()?;
    let alignments = Alignments { log_probabilities: &log_probabilities, classes: x.shape()[1], labels };
    let mut gradient = filled(if wanted { x.size() } else { 0 }, 0.0);
    let loss = Array::scalar(alignments.loss(wanted.then_some(&mut gradient)))?.cast(x.dtype())?;
    let shape = if wanted { x.shape() } else { &[0] };
    Ok((loss, Array::from_slice(shape, &gradient)?.cast(x.dtype())?))
}

impl Operation for CtcLoss {
    fn name(&self) -> &'static str {
        "ctc_loss"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        x.floats([0])?;
        x.axes(0, 2)?;
        x.holds(x.shape(0)[1] > 0, || "there are no classes".into())?;
        x.axes(1, 1)?;
        x.numbers(1, x.shape(0)[1])
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(computed(x[0], given(x[1]), false)?.0)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let (loss, gradient) = computed(x[0], given(x[1]), true)?;
        Ok((loss, vec![gradient]))
    }
}

impl Differentiable for CtcLoss {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        // Labels that the times are too few for have no alignment, and no gradient to compose.
        if !cx.output().item()?.is_finite() {
            return self.scaled(cx, g);
        }
        through(cx, g, |x| recursion(&x[0], given(x[1].array())))
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        Some(self.scaled(cx, g))
    }
}

impl CtcLoss {
    fn scaled(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        Ok(Grads::from_iter([Some(multiply(g, &cx.beside()[0].clone().into())?), None]))
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

readers! { "ctc_loss" => CtcLoss }

operations! {
    /// The loss of connectionist temporal classification: minus the logarithm of the probability that logits of shape
    /// `(times, classes)` make the labels, over all alignments. The last class is the blank.
    ctc_loss(logits, labels) {
        loss(logits, labels)
    } cases [
        Case { f: |t| ctc_loss(&t[0], &some_labels()?), shapes: &[&[6, 3]], domain: (-1.0, 1.0) },
    ];
}

fn loss(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    if logits.dtype().is_half() {
        return in_single(&[logits], |x| loss(x[0], labels));
    }
    let x = as_float(logits)?;
    if x.ndim() != 2 || labels.ndim() != 1 || x.size() == 0 {
        let (a, b) = (shape::show(x.shape()), shape::show(labels.shape()));
        return Err(Error::Shape(format!(
            "ctc_loss: expected logits (times, classes) and a vector of labels, got shapes {a} and {b}"
        )));
    }
    let labels = checked("ctc_loss", labels, x.shape()[1] - 1)?;
    apply(CtcLoss, &[&x, labels.tensor()])
}
