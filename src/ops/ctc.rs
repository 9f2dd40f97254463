//! The loss of connectionist temporal classification.

use super::binary::as_float;
use super::scatter::checked;
use super::{logsoftmax, multiply};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::kernels::ctc::Alignments;
use crate::shape;
use crate::tape::{Context, Grads, Operation, Tensor, in_single, is_recording, record};

/// The loss, which is found with its gradient: both come from one walk over the alignments.
#[derive(Debug)]
struct CtcLoss {
    labels: Array,
    gradient: Array,
}

/// The loss of logits `(times, classes)` and, if that is wanted, its gradient.
fn computed(x: &Array, labels: &Array, wanted: bool) -> Result<(Array, Array)> {
    let log_probabilities = logsoftmax(&x.clone().into(), -1)?.to_vec::<f64>()?;
    let labels = labels.as_slice::<i64>().unwrap_or_default();
    let alignments = Alignments { log_probabilities: &log_probabilities, classes: x.shape()[1], labels };
    let mut gradient = vec![0.0; if wanted { x.size() } else { 0 }];
    let loss = Array::scalar(alignments.loss(wanted.then_some(&mut gradient)))?.cast(x.dtype())?;
    let shape = if wanted { x.shape() } else { &[0] };
    Ok((loss, Array::from_slice(shape, &gradient)?.cast(x.dtype())?))
}

impl Operation for CtcLoss {
    fn name(&self) -> &'static str {
        "ctc_loss"
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(computed(x[0], &self.labels, false)?.0)
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        if is_recording() {
            return Err(Error::Unsupported("ctc_loss: there is no gradient of its gradient".into()));
        }
        cx.each(|_| multiply(g, &self.gradient.clone().into()))
    }
}

operations! {
    /// The loss of connectionist temporal classification: minus the logarithm of the probability that logits of shape
    /// `(times, classes)` make the labels, over all alignments. The last class is the blank. It has a first gradient.
    ctc_loss(logits, labels) = loss, cases [];
}

fn loss(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    if logits.dtype().is_half() {
        return in_single(&[logits], |x| loss(x[0], labels));
    }
    let x = as_float(logits)?;
    if x.ndim() != 2 || labels.ndim() != 1 || x.size() == 0 {
        let (a, b) = (shape::show(x.shape()), shape::show(labels.shape()));
        return Err(Error::Shape(format!("ctc_loss: expected logits (times, classes) and a vector of labels, got shapes {a} and {b}")));
    }
    let labels = checked("ctc_loss", labels, x.shape()[1] - 1)?;
    let (value, gradient) = computed(&x, &labels, is_recording() && x.place().is_some())?;
    Ok(record(CtcLoss { labels, gradient }, &[&x], value))
}
