//! Tensors made of nothing: constants, ranges and the identity.

use crate::array::Array;
use crate::dtype::{DType, Element, Kind, each};
use crate::error::{Error, Result};
use crate::shape::{self, Dims};
use crate::tape::{Known, Operation, Tensor, compute, parameters, readers};

/// An error unless the type holds the numbers; integers without their fractions.
pub(super) fn within(op: &str, numbers: &[f64], dtype: DType) -> Result<()> {
    if dtype.is_float() {
        for &x in numbers {
            if x.is_finite() && !Array::filled("number", &[], x, dtype)?.item()?.is_finite() {
                return Err(Error::Value(format!("{op}: {x:?} is out of range for {dtype}")));
            }
        }
        return Ok(());
    }
    let bits = 8 * dtype.size() as i32;
    let (least, end) = match (dtype.kind(), dtype.is_signed()) {
        (Kind::Integer, true) => (-(2f64.powi(bits - 1)), 2f64.powi(bits - 1)),
        (Kind::Integer, false) => (0.0, 2f64.powi(bits)),
        _ => return Ok(()),
    };
    match numbers.iter().find(|x| !(x.trunc() >= least && x.trunc() < end)) {
        Some(x) => Err(Error::Value(format!("{op}: {x} is out of range for {dtype}"))),
        None => Ok(()),
    }
}

/// `n` numbers, each a step after the one before.
#[derive(Clone, Debug)]
struct Arange {
    start: f64,
    step: f64,
    n: usize,
    dtype: DType,
}

impl Operation for Arange {
    fn name(&self) -> &'static str {
        "arange"
    }
    parameters! { start, step, n, dtype }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(0)?;
        x.there_is(&[self.n])
    }
    fn forward(&self, _: &[&Array]) -> Result<Array> {
        let value = |i: usize| self.start + i as f64 * self.step;
        each!(self.dtype, all: T => Array::from_fn("arange", &[self.n], |i| T::from_f64(value(i))))
    }
}

/// `start, start + step, …` up to `stop`, which is not among them.
pub fn arange(start: f64, stop: f64, step: f64, dtype: DType) -> Result<Tensor> {
    let n = ((stop - start) / step).ceil();
    if step == 0.0 || !n.is_finite() {
        return Err(Error::Value(format!("arange: there are no steps of {step} from {start} to {stop}")));
    }
    if n > 0.0 {
        within("arange", &[start, start + (n - 1.0) * step], dtype)?;
    }
    compute(Arange { start, step, n: n.max(0.0) as usize, dtype }, &[])
}

/// `n` numbers evenly spread.
#[derive(Clone, Debug)]
struct Linspace {
    start: f64,
    stop: f64,
    n: usize,
    endpoint: bool,
    dtype: DType,
}

impl Operation for Linspace {
    fn name(&self) -> &'static str {
        "linspace"
    }
    parameters! { start, stop, n, endpoint, dtype }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(0)?;
        x.there_is(&[self.n])
    }
    fn forward(&self, _: &[&Array]) -> Result<Array> {
        let Linspace { start, stop, n, endpoint, dtype } = *self;
        let parts = if endpoint { n.saturating_sub(1) } else { n }.max(1) as f64;
        let value = |i: usize| {
            let last = endpoint && i + 1 == n && n > 1;
            if last { stop } else { start + (stop - start) * (i as f64 / parts) }
        };
        each!(dtype, all: T => Array::from_fn("linspace", &[n], |i| T::from_f64(value(i))))
    }
}

/// `n` numbers evenly spread from `start` to `stop`, which is the last unless `endpoint` is false.
pub fn linspace(start: f64, stop: f64, n: usize, endpoint: bool, dtype: DType) -> Result<Tensor> {
    within("linspace", &[start, stop][..n.min(2)], dtype)?;
    compute(Linspace { start, stop, n, endpoint, dtype }, &[])
}

/// Ones on a diagonal.
#[derive(Clone, Debug)]
struct Eye {
    shape: [usize; 2],
    diagonal: isize,
    dtype: DType,
}

impl Operation for Eye {
    fn name(&self) -> &'static str {
        "eye"
    }
    parameters! { shape, diagonal, dtype }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(0)?;
        x.there_is(&self.shape)
    }
    fn forward(&self, _: &[&Array]) -> Result<Array> {
        let [rows, columns] = self.shape;
        let mut out = Array::filled("eye", &self.shape, 0.0, self.dtype)?;
        each!(self.dtype, all: T => {
            let values = out.make_mut::<T>()?;
            for i in 0..rows {
                if let Some(j) = i.checked_add_signed(self.diagonal).filter(|&j| j < columns) {
                    values[i * columns + j] = T::from_f64(1.0);
                }
            }
        });
        Ok(out)
    }
}

/// Ones on the `k`-th diagonal of a matrix of zeros.
pub fn eye(rows: usize, columns: usize, k: isize, dtype: DType) -> Result<Tensor> {
    compute(Eye { shape: [rows, columns], diagonal: k, dtype }, &[])
}

/// A row of zeros with a one at its label's place, for each label.
#[derive(Clone, Debug)]
struct OneHot {
    n: usize,
    dtype: DType,
}

impl Operation for OneHot {
    fn name(&self) -> &'static str {
        "one_hot"
    }
    parameters! { n, dtype }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.there_is(&[shape::size(x.shape(0)), self.n])
    }
    fn forward(&self, labels: &[&Array]) -> Result<Array> {
        let mut dims = Dims::from_slice(labels[0].shape());
        dims.push(self.n);
        let mut out = Array::filled("one_hot", &dims, 0.0, self.dtype)?;
        let labels = labels[0].to_vec::<i64>()?;
        let n = self.n;
        if let Some((i, label)) = labels.iter().enumerate().find(|&(_, &l)| l < 0 || l as usize >= n) {
            return Err(Error::Index(format!(
                "one_hot: label {label} at position {i} is out of range for {n} classes"
            )));
        }
        each!(self.dtype, all: T => {
            let values = out.make_mut::<T>()?;
            for (i, &label) in labels.iter().enumerate() {
                values[i * n + label as usize] = T::from_f64(1.0);
            }
        });
        Ok(out)
    }
}

/// For each label, a row of `n` with a one at the label's place.
pub fn one_hot(labels: &Tensor, n: usize, dtype: DType) -> Result<Tensor> {
    if labels.dtype().is_float() {
        return Err(Error::DType(format!("one_hot: labels are integers, not {}", labels.dtype())));
    }
    compute(OneHot { n, dtype }, &[labels])
}

readers! { "arange" => Arange, "linspace" => Linspace, "eye" => Eye, "one_hot" => OneHot }

pub(super) const OPS: &[super::Op] = &[];
