//! Tensors made of nothing: constants, ranges and the identity.

use crate::array::Array;
use crate::dtype::{DType, Kind, each};
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
    let mut out = Array::empty("arange", &[n.max(0.0) as usize], dtype)?;
    each!(dtype, all: T => {
        for (i, v) in out.fresh_mut::<T>().iter_mut().enumerate() {
            *v = <T as crate::dtype::Element>::from_f64(start + i as f64 * step);
        }
    });
    Ok(out.into())
}

/// `n` numbers evenly spread from `start` to `stop`, which is the last unless `endpoint` is false.
pub fn linspace(start: f64, stop: f64, n: usize, endpoint: bool, dtype: DType) -> Result<Tensor> {
    within("linspace", &[start, stop][..n.min(2)], dtype)?;
    let mut out = Array::empty("linspace", &[n], dtype)?;
    let parts = if endpoint { n.saturating_sub(1) } else { n }.max(1) as f64;
    each!(dtype, all: T => {
        for (i, v) in out.fresh_mut::<T>().iter_mut().enumerate() {
            let last = endpoint && i + 1 == n && n > 1;
            *v = <T as crate::dtype::Element>::from_f64(if last { stop } else { start + (stop - start) * (i as f64 / parts) });
        }
    });
    Ok(out.into())
}

/// Ones on the `k`-th diagonal of a matrix of zeros.
pub fn eye(rows: usize, columns: usize, k: isize, dtype: DType) -> Result<Tensor> {
    let mut out = Array::filled("eye", &[rows, columns], 0.0, dtype)?;
    each!(dtype, all: T => {
        let values = out.make_mut::<T>()?;
        for i in 0..rows {
            if let Some(j) = i.checked_add_signed(k).filter(|&j| j < columns) {
                values[i * columns + j] = <T as crate::dtype::Element>::from_f64(1.0);
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
            values[i * n + label as usize] = <T as crate::dtype::Element>::from_f64(1.0);
        }
    });
    Ok(out.into())
}

pub(super) const OPS: &[super::Op] = &[];

#[cfg(feature = "python")]
mod python {
    use crate::array::Array;
    use crate::dtype::DType;
    use crate::error::Error;
    use crate::py::{Operand, PyTensor};
    use crate::shape::Axes;
    use crate::tape::Tensor;
    use pyo3::exceptions::PyTypeError;
    use pyo3::prelude::*;
    use pyo3::types::{PyBool, PyFloat, PyInt};

    fn lengths(shape: &Axes) -> PyResult<Vec<usize>> {
        let Axes::These(shape) = shape else {
            return Err(PyTypeError::new_err("a shape is an integer or a tuple of integers, not None"));
        };
        let negative = |n| PyErr::from(Error::Shape(format!("a shape has no negative length, got {n}")));
        shape.iter().map(|&n| usize::try_from(n).map_err(|_| negative(n))).collect()
    }

    fn filled(op: &'static str, shape: &[usize], value: f64, dtype: DType) -> PyResult<PyTensor> {
        Ok(Tensor::from(Array::filled(op, shape, value, dtype)?).into())
    }

    /// A tensor of zeros.
    #[pyfunction]
    #[pyo3(signature = (shape, dtype = DType::F32))]
    pub(super) fn zeros(shape: Axes, dtype: DType) -> PyResult<PyTensor> {
        filled("zeros", &lengths(&shape)?, 0.0, dtype)
    }

    /// A tensor of ones.
    #[pyfunction]
    #[pyo3(signature = (shape, dtype = DType::F32))]
    pub(super) fn ones(shape: Axes, dtype: DType) -> PyResult<PyTensor> {
        filled("ones", &lengths(&shape)?, 1.0, dtype)
    }

    /// A tensor whose elements are unspecified.
    #[pyfunction]
    #[pyo3(signature = (shape, dtype = DType::F32))]
    pub(super) fn empty(shape: Axes, dtype: DType) -> PyResult<PyTensor> {
        filled("empty", &lengths(&shape)?, 0.0, dtype)
    }

    /// A tensor of one value; its type is that of the value, unless given.
    #[pyfunction]
    #[pyo3(signature = (shape, fill_value, dtype = None))]
    pub(super) fn full(
        shape: Axes,
        fill_value: &Bound<'_, PyAny>,
        dtype: Option<DType>,
    ) -> PyResult<PyTensor> {
        repeated(fill_value, &lengths(&shape)?, dtype)
    }

    fn repeated(value: &Bound<'_, PyAny>, shape: &[usize], dtype: Option<DType>) -> PyResult<PyTensor> {
        if crate::tape::is_recording()
            && let Ok(x) = value.extract::<Operand>()
            && crate::tape::is_recorded(&x.0)
        {
            let x = crate::py::floating(&x.0, dtype.unwrap_or(x.0.dtype()))?;
            return Ok(crate::ops::broadcast_to(&x, shape)?.into()); // a gradient passes to the value
        }
        let value = match dtype {
            Some(dtype) => crate::py::fitted(crate::py::weak(value, dtype)?.array(), dtype)?,
            None => value.extract::<Operand>()?.0.into_array(),
        };
        Ok(Tensor::from(value.broadcast_to(shape)?.copy()?).into())
    }

    /// Zeros of the shape and type of another tensor.
    #[pyfunction]
    #[pyo3(signature = (x, /, dtype = None))]
    pub(super) fn zeros_like(x: Operand, dtype: Option<DType>) -> PyResult<PyTensor> {
        filled("zeros_like", x.0.shape(), 0.0, dtype.unwrap_or(x.0.dtype()))
    }

    /// Ones of the shape and type of another tensor.
    #[pyfunction]
    #[pyo3(signature = (x, /, dtype = None))]
    pub(super) fn ones_like(x: Operand, dtype: Option<DType>) -> PyResult<PyTensor> {
        filled("ones_like", x.0.shape(), 1.0, dtype.unwrap_or(x.0.dtype()))
    }

    /// Unspecified elements in the shape and type of another tensor.
    #[pyfunction]
    #[pyo3(signature = (x, /, dtype = None))]
    pub(super) fn empty_like(x: Operand, dtype: Option<DType>) -> PyResult<PyTensor> {
        filled("empty_like", x.0.shape(), 0.0, dtype.unwrap_or(x.0.dtype()))
    }

    /// One value in the shape and type of another tensor.
    #[pyfunction]
    #[pyo3(signature = (x, /, fill_value, dtype = None))]
    pub(super) fn full_like(
        x: Operand,
        fill_value: &Bound<'_, PyAny>,
        dtype: Option<DType>,
    ) -> PyResult<PyTensor> {
        repeated(fill_value, x.0.shape(), Some(dtype.unwrap_or(x.0.dtype())))
    }

    /// The type of a range of numbers: float32 if one of them is a float, else int64.
    fn natural(numbers: &[&Bound<'_, PyAny>]) -> DType {
        if numbers.iter().any(|x| x.is_instance_of::<PyFloat>()) { DType::F32 } else { DType::I64 }
    }

    /// `start, start + step, …` up to `stop`, which is not among them; from 0 if only `stop` is given.
    #[pyfunction]
    #[pyo3(signature = (start, /, stop = None, step = None, dtype = None))]
    pub(super) fn arange(
        start: &Bound<'_, PyAny>,
        stop: Option<&Bound<'_, PyAny>>,
        step: Option<&Bound<'_, PyAny>>,
        dtype: Option<DType>,
    ) -> PyResult<PyTensor> {
        let given: Vec<_> = [Some(start), stop, step].into_iter().flatten().collect();
        if given.iter().any(|x| {
            x.is_instance_of::<PyBool>() || !(x.is_instance_of::<PyInt>() || x.is_instance_of::<PyFloat>())
        }) {
            return Err(PyTypeError::new_err("arange: expected numbers"));
        }
        let (first, last) = match stop {
            Some(stop) => (start.extract()?, stop.extract()?),
            None => (0.0, start.extract()?),
        };
        let step = step.map_or(Ok(1.0), |s| s.extract())?;
        Ok(super::arange(first, last, step, dtype.unwrap_or_else(|| natural(&given)))?.into())
    }

    /// `num` numbers evenly spread from `start` to `stop`, which is the last unless `endpoint` is false.
    #[pyfunction]
    #[pyo3(signature = (start, stop, /, num, *, dtype = DType::F32, endpoint = true))]
    pub(super) fn linspace(
        start: f64,
        stop: f64,
        num: usize,
        dtype: DType,
        endpoint: bool,
    ) -> PyResult<PyTensor> {
        Ok(super::linspace(start, stop, num, endpoint, dtype)?.into())
    }

    /// Ones on the `k`-th diagonal of a matrix of zeros.
    #[pyfunction]
    #[pyo3(signature = (n_rows, n_cols = None, /, *, k = 0, dtype = DType::F32))]
    pub(super) fn eye(n_rows: usize, n_cols: Option<usize>, k: isize, dtype: DType) -> PyResult<PyTensor> {
        Ok(super::eye(n_rows, n_cols.unwrap_or(n_rows), k, dtype)?.into())
    }

    /// For each label, a row of `n` with a one at the label's place.
    #[pyfunction]
    #[pyo3(signature = (labels, n, /, dtype = DType::Bool))]
    pub(super) fn one_hot(labels: Operand, n: usize, dtype: DType) -> PyResult<PyTensor> {
        Ok(super::one_hot(&labels.0, n, dtype)?.into())
    }

    /// Repeated, without copying, to a shape that it broadcasts to.
    #[pyfunction]
    #[pyo3(signature = (x, /, shape))]
    pub(super) fn broadcast_to(x: Operand, shape: Axes) -> PyResult<PyTensor> {
        Ok(super::super::broadcast_to(&x.0, &lengths(&shape)?)?.into())
    }
}

#[cfg(feature = "python")]
pub(super) fn register(m: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
    macro_rules! add {
        ($($f:ident),+) => { $(crate::py::hints::add_function!(m, python::$f)?;)+ };
    }
    add!(
        zeros,
        ones,
        empty,
        full,
        zeros_like,
        ones_like,
        empty_like,
        full_like,
        arange,
        linspace,
        eye,
        one_hot,
        broadcast_to
    );
    Ok(())
}
