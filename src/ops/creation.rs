//! Tensors made of nothing: constants, ranges and the identity.

use crate::array::Array;
use crate::dtype::{DType, Element, Kind, each};
use crate::error::{Error, Result};
use crate::tape::Tensor;

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

/// `start, start + step, …` up to `stop`, which is not among them.
pub fn arange(start: f64, stop: f64, step: f64, dtype: DType) -> Result<Tensor> {
    let n = ((stop - start) / step).ceil();
    if step == 0.0 || !n.is_finite() {
        return Err(Error::Value(format!("arange: there are no steps of {step} from {start} to {stop}")));
    }
    if n > 0.0 {
        within("arange", &[start, start + (n - 1.0) * step], dtype)?;
    }
    let value = |i: usize| start + i as f64 * step;
    let out =
        each!(dtype, all: T => Array::from_fn("arange", &[n.max(0.0) as usize], |i| T::from_f64(value(i))));
    Ok(out?.into())
}

/// `n` numbers evenly spread from `start` to `stop`, which is the last unless `endpoint` is false.
pub fn linspace(start: f64, stop: f64, n: usize, endpoint: bool, dtype: DType) -> Result<Tensor> {
    within("linspace", &[start, stop][..n.min(2)], dtype)?;
    let parts = if endpoint { n.saturating_sub(1) } else { n }.max(1) as f64;
    let value = |i: usize| {
        let last = endpoint && i + 1 == n && n > 1;
        if last { stop } else { start + (stop - start) * (i as f64 / parts) }
    };
    Ok(each!(dtype, all: T => Array::from_fn("linspace", &[n], |i| T::from_f64(value(i))))?.into())
}

/// Ones on the `k`-th diagonal of a matrix of zeros.
pub fn eye(rows: usize, columns: usize, k: isize, dtype: DType) -> Result<Tensor> {
    let mut out = Array::filled("eye", &[rows, columns], 0.0, dtype)?;
    each!(dtype, all: T => {
        let values = out.make_mut::<T>()?;
        for i in 0..rows {
            if let Some(j) = i.checked_add_signed(k).filter(|&j| j < columns) {
                values[i * columns + j] = T::from_f64(1.0);
            }
        }
    });
    Ok(out.into())
}

/// For each label, a row of `n` with a one at the label's place.
pub fn one_hot(labels: &Tensor, n: usize, dtype: DType) -> Result<Tensor> {
    if labels.dtype().is_float() {
        return Err(Error::DType(format!("one_hot: labels are integers, not {}", labels.dtype())));
    }
    let mut dims = crate::shape::Dims::from_slice(labels.shape());
    dims.push(n);
    let mut out = Array::filled("one_hot", &dims, 0.0, dtype)?;
    let labels = labels.to_vec::<i64>()?;
    if let Some((i, label)) = labels.iter().enumerate().find(|&(_, &l)| l < 0 || l as usize >= n) {
        return Err(Error::Index(format!(
            "one_hot: label {label} at position {i} is out of range for {n} classes"
        )));
    }
    each!(dtype, all: T => {
        let values = out.make_mut::<T>()?;
        for (i, &label) in labels.iter().enumerate() {
            values[i * n + label as usize] = T::from_f64(1.0);
        }
    });
    Ok(out.into())
}

pub(super) const OPS: &[super::Op] = &[];
