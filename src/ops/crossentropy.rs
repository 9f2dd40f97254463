//! Cross-entropy of logits against integer labels as one operation: softmax, logarithm and choice in one pass, and a
//! gradient that is written once.

use super::binary::{as_float, number};
use super::movement::{broadcast_to, reshape_to};
use super::numbers::Numbers;
use super::{Case, astype, equal, exp, logsoftmax, multiply, subtract};
use crate::array::Array;
use crate::dtype::{Float, Kind, each};
use crate::error::{Error, Result};
use crate::kernels::cross_entropy as kernel;
use crate::kernels::softmax::Logit;
use crate::shape::{self, Axes};
use crate::tape::{Context, Grads, Keeps, Operation, Tensor, in_single, is_recording, record};

/// `-log softmax(x)[label]` for each row of logits, or the mean over the rows.
///
/// Its inputs are the logits and what the forward pass found of each row (largest logit, sum of exponentials), which
/// is kept but has no gradient of its own.
#[derive(Debug)]
struct CrossEntropy {
    labels: Numbers,
    mean: bool,
}

impl CrossEntropy {
    fn rows(&self) -> usize {
        self.labels.len()
    }
}

/// The losses of the rows, and what is kept of each row.
fn losses<T: Float + Logit>(x: &Array, labels: &Numbers) -> Result<(Array, Array)> {
    let rows = labels.len();
    let mut loss = Array::empty("logitcrossentropy", labels.shape(), x.dtype())?;
    let mut kept = Array::empty("logitcrossentropy", &[rows, 2], x.dtype())?;
    let n = x.shape()[x.ndim() - 1];
    // SAFETY: logits and labels are row-major, the labels in range; the outputs are fresh.
    unsafe {
        kernel::cross_entropy::<T>(
            rows,
            n,
            x.ptr(),
            labels.ptr(),
            loss.fresh_ptr(),
            kept.fresh_ptr::<T>().cast(),
        )
    };
    Ok((loss, kept))
}

impl Operation for CrossEntropy {
    fn name(&self) -> &'static str {
        "logitcrossentropy"
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(self.compute(x[0])?.0)
    }
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let (x, kept) = (cx.input(0), cx.input(1));
        let n = x.shape()[x.ndim() - 1];
        let g = if self.mean { multiply(g, &number(1.0 / self.rows() as f64, g)?)? } else { g.clone() };
        if is_recording() {
            let probabilities = exp(&logsoftmax(x, -1)?)?;
            let mut column = shape::Dims::from_slice(self.labels.shape());
            column.push(1);
            let labels = self.labels.array().reshape(&column)?.into();
            let chosen = astype(
                &equal(&labels, &Array::from_fn("logitcrossentropy", &[n], |i| i as i64)?.into())?,
                x.dtype(),
            )?;
            let g = reshape_to(&broadcast_to(&g, self.labels.shape())?, &column)?;
            let dx = multiply(&g, &subtract(&probabilities, &chosen)?)?;
            return Ok(Grads::from_iter([Some(dx), None]));
        }
        let g = if g.array().is_row_major() || g.size() == 1 {
            g.into_array()
        } else {
            g.array().contiguous()?
        };
        let stride = usize::from(g.ndim() > 0 && g.size() > 1);
        let mut out = Array::empty("logitcrossentropy", x.shape(), x.dtype())?;
        each!(x.dtype(), float: T => {
            // SAFETY: as in the forward pass, which wrote what is kept.
            unsafe {
                kernel::cross_entropy_grad::<T>(self.rows(), n, x.array().ptr(), self.labels.ptr(), kept.array().ptr::<T>().cast(), g.ptr(), stride, out.fresh_ptr());
            }
        }, else return Err(not_float(x.array())));
        Ok(Grads::from_iter([Some(out.into()), None]))
    }
}

fn not_float(x: &Array) -> Error {
    Error::DType(format!("logitcrossentropy: not defined for {}", x.dtype()))
}

impl CrossEntropy {
    fn compute(&self, x: &Array) -> Result<(Array, Array)> {
        let (loss, kept) =
            each!(x.dtype(), float: T => losses::<T>(x, &self.labels)?, else return Err(not_float(x)));
        if !self.mean {
            return Ok((loss, kept));
        }
        Ok((super::mean(&loss.into(), Axes::All, false)?.into_array(), kept))
    }
}

operations! {
    /// `-log softmax(x)[label]` for each row: logits of shape `(.., classes)`, integer labels of shape `(..)`.
    logitcrossentropy_labels(logits, labels) = each_row, cases [
        Case { f: |t| logitcrossentropy_labels(&t[0], &labels_for(&t[0])?), shapes: &[&[2, 3, 4]], domain: (-2.0, 2.0) },
    ];
    /// The mean of `logitcrossentropy_labels` over all rows.
    logitcrossentropy_mean(logits, labels) = mean_of_rows, cases [
        Case { f: |t| logitcrossentropy_mean(&t[0], &labels_for(&t[0])?), shapes: &[&[5, 3]], domain: (-2.0, 2.0) },
    ];
}

/// Labels for the checks: 0, 1, 2, … and around again.
fn labels_for(x: &Tensor) -> Result<Tensor> {
    let (n, shape) = (x.shape()[x.ndim() - 1], &x.shape()[..x.ndim() - 1]);
    let labels: Vec<i64> = (0..shape::size(shape)).map(|i| (i % n) as i64).collect();
    Ok(Array::from_slice(shape, &labels)?.into())
}

fn each_row(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    cross_entropy(logits, labels, false)
}

fn mean_of_rows(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    cross_entropy(logits, labels, true)
}

fn cross_entropy(logits: &Tensor, labels: &Tensor, mean: bool) -> Result<Tensor> {
    if logits.dtype().is_half() {
        return in_single(&[logits], |x| cross_entropy(x[0], labels, mean));
    }
    let x = as_float(logits)?;
    if x.ndim() == 0 || x.shape()[..x.ndim() - 1] != *labels.shape() {
        let (a, b) = (shape::show(x.shape()), shape::show(labels.shape()));
        return Err(Error::Shape(format!(
            "logitcrossentropy: logits {a} need one label a row, got labels {b}: classes are on the last axis"
        )));
    }
    if mean && labels.size() == 0 {
        let shape = shape::show(x.shape());
        return Err(Error::Value(format!(
            "logitcrossentropy: the batch is empty: logits have shape {shape}"
        )));
    }
    let x = if x.array().is_row_major() {
        x.into_owned()
    } else {
        reshape_to(&super::add(&x, &number(0.0, &x)?)?, x.shape())?
    };
    let op = CrossEntropy { labels: checked(labels, x.shape()[x.ndim() - 1])?, mean };
    let (value, kept) = op.compute(x.array())?;
    record(op, &[&x, &kept.into()], value)
}

/// The labels, each a class.
fn checked(labels: &Tensor, classes: usize) -> Result<Numbers> {
    if labels.dtype().kind() == Kind::Float {
        let values = labels.to_vec::<f64>()?;
        if let Some((i, v)) = values.iter().enumerate().find(|(_, v)| v.fract() != 0.0 || !v.is_finite()) {
            return Err(Error::Value(format!(
                "logitcrossentropy: label {v} at position {i} is not a class index"
            )));
        }
    }
    let labels = Numbers::of(labels.array().clone())?;
    match labels.iter().enumerate().find(|&(_, &l)| l < 0 || l as usize >= classes) {
        Some((i, l)) => Err(Error::Index(format!(
            "logitcrossentropy: label {l} at position {i} is out of range for {classes} {}",
            shape::plural(classes, "class").replace("classs", "classes")
        ))),
        None => Ok(labels),
    }
}
