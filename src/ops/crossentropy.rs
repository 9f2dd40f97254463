//! Cross-entropy of logits against integer labels as one operation: softmax, logarithm and choice in one pass, and a
//! gradient that is written once.

use super::binary::{as_float, number};
use super::movement::{broadcast_to, reshape_to};
use super::numbers::{Numbers, given};
use super::{Case, astype, equal, exp, logsoftmax, multiply, subtract};
use crate::array::Array;
use crate::dtype::{Kind, each};
use crate::error::{Error, Result};
use crate::kernels::cross_entropy as kernel;
use crate::shape::{self, Axes};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, compute, in_single, made,
    parameters, readers,
};

/// `-log softmax(x)[label]` for each row of logits, or the mean over the rows.
///
/// Its inputs are the logits and the labels. Beside the losses it gives the largest logit and the sum of exponentials of
/// each row.
#[derive(Clone, Debug)]
struct CrossEntropy {
    mean: bool,
}

impl Operation for CrossEntropy {
    fn name(&self) -> &'static str {
        "logitcrossentropy"
    }
    parameters! { mean }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        classes(x).map(drop)
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(inputs)?.0)
    }
    fn forward_beside(&self, inputs: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let (x, labels) = (inputs[0], given(inputs[1]));
        let (op, n, shapes) = (self.name(), x.shape()[x.ndim() - 1], [inputs[1].shape(), &[labels.len(), 2]]);
        let [losses, found] = each!(x.dtype(), float: T => {
            let logits = x.values::<T>(op)?;
            Array::written_all(op, shapes, |out| kernel::cross_entropy(n, logits, labels, out))?
        }, else return Err(not_float(x)));
        match self.mean {
            true => Ok((super::mean(&losses.into(), Axes::All, false)?.into_array(), vec![found])),
            false => Ok((losses, vec![found])),
        }
    }
}

impl Differentiable for CrossEntropy {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let (x, labels) = (cx.input(0), cx.input(1));
        let mut column = shape::Dims::from_slice(labels.shape());
        column.push(1);
        let classes = Array::from_fn("logitcrossentropy", &[x.shape()[x.ndim() - 1]], |i| i as i64)?;
        let chosen = astype(&equal(&reshape_to(labels, &column)?, &made(classes).into())?, x.dtype())?;
        let g = reshape_to(&broadcast_to(&self.of_each(cx, g)?, labels.shape())?, &column)?;
        let dx = multiply(&g, &subtract(&exp(&logsoftmax(x, -1)?)?, &chosen)?)?;
        Ok(Grads::from_iter([Some(dx), None]))
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        let found = cx.beside()[0].clone().into();
        let dx = self
            .of_each(cx, g)
            .and_then(|g| compute(CrossEntropyGradient, &[cx.input(0), cx.input(1), &found, &g]));
        Some(dx.map(|dx| Grads::from_iter([Some(dx), None])))
    }
}

impl CrossEntropy {
    /// The gradient for the loss of a row.
    fn of_each(&self, cx: &Context<'_>, g: &Tensor) -> Result<Tensor> {
        let rows = cx.input(1).size() as f64;
        if self.mean { multiply(g, &number(1.0 / rows, g)?) } else { Ok(g.clone()) }
    }
}

/// The gradient of [`CrossEntropy`] in one pass, of its inputs, what it found of each row, and the gradient for the loss of
/// each row or of any.
#[derive(Clone, Debug)]
struct CrossEntropyGradient;

impl Operation for CrossEntropyGradient {
    fn name(&self) -> &'static str {
        "logitcrossentropy"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(4)?;
        let rows = classes(x)?;
        x.floats([0, 2, 3])?;
        x.shaped(2, &[rows, 2])?;
        x.row_major(2)?;
        let g = shape::size(x.shape(3));
        x.holds(g == rows || g == 1, || "the gradient is of other rows".into())
    }
    fn forward(&self, inputs: &[&Array]) -> Result<Array> {
        let (x, labels, found, g) = (inputs[0], given(inputs[1]), inputs[2], inputs[3].contiguous()?);
        let (op, n) = (self.name(), x.shape()[x.ndim() - 1]);
        each!(x.dtype(), float: T => {
            let (logits, found, g) = (x.values::<T>(op)?, found.values(op)?, g.values(op)?);
            Array::written(op, x.shape(), |out| kernel::cross_entropy_grad(n, logits, labels, found, g, out))
        }, else Err(not_float(x)))
    }
}

/// That the first input is of logits and the second of their labels; how many rows there are.
fn classes(x: &Known<'_>) -> Result<usize> {
    x.floats([0])?;
    x.least_axes(0, 1)?;
    x.row_major(0)?;
    let (logits, labels) = (x.shape(0), x.shape(1));
    let classes = logits[labels.len().min(logits.len() - 1)];
    x.shaped(0, &[labels, &[classes]].concat())?;
    x.there_is(&[shape::size(labels), 2])?;
    x.numbers(1, classes)?;
    Ok(shape::size(labels))
}

fn not_float(x: &Array) -> Error {
    Error::DType(format!("logitcrossentropy: not defined for {}", x.dtype()))
}

readers! { "crossentropy" => CrossEntropy, "crossentropy_gradient" => CrossEntropyGradient }

operations! {
    /// `-log softmax(x)[label]` for each row: logits of shape `(.., classes)`, integer labels of shape `(..)`.
    logitcrossentropy_labels(logits, labels) {
        cross_entropy(logits, labels, false)
    } cases [
        Case { f: |t| logitcrossentropy_labels(&t[0], &labels_for(&t[0])?), shapes: &[&[2, 3, 4]], domain: (-2.0, 2.0) },
    ];
    /// The mean of `logitcrossentropy_labels` over all rows.
    logitcrossentropy_mean(logits, labels) {
        cross_entropy(logits, labels, true)
    } cases [
        Case { f: |t| logitcrossentropy_mean(&t[0], &labels_for(&t[0])?), shapes: &[&[5, 3]], domain: (-2.0, 2.0) },
    ];
}

/// Labels for the checks: 0, 1, 2, … and around again.
fn labels_for(x: &Tensor) -> Result<Tensor> {
    let (n, shape) = (x.shape()[x.ndim() - 1], &x.shape()[..x.ndim() - 1]);
    let labels: Vec<i64> = (0..shape::size(shape)).map(|i| (i % n) as i64).collect();
    Ok(Array::from_slice(shape, &labels)?.into())
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
    let labels = checked(labels, x.shape()[x.ndim() - 1])?;
    apply(CrossEntropy { mean }, &[&x, labels.tensor()])
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
        None => Ok(labels.each_below(classes)),
    }
}
