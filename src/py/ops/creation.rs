//! Tensors that are made of numbers, for Python.

use crate::array::Array;
use crate::dtype::DType;
use crate::error::Error;
use crate::ops;
use crate::py::numpy::view;
use crate::py::{Device, Operand, PyTensor, fitted, floating, weak};
use crate::shape::Axes;
use crate::tape::{Tensor, is_captured, made};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
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
#[pyo3(signature = (shape, dtype = None, *, device = None))]
pub(super) fn zeros(shape: Axes, dtype: Option<DType>, device: Option<Device>) -> PyResult<PyTensor> {
    let _ = device;
    filled("zeros", &lengths(&shape)?, 0.0, dtype.unwrap_or(DType::F32))
}

/// A tensor of ones.
#[pyfunction]
#[pyo3(signature = (shape, dtype = None, *, device = None))]
pub(super) fn ones(shape: Axes, dtype: Option<DType>, device: Option<Device>) -> PyResult<PyTensor> {
    let _ = device;
    filled("ones", &lengths(&shape)?, 1.0, dtype.unwrap_or(DType::F32))
}

/// A tensor whose elements are unspecified.
#[pyfunction]
#[pyo3(signature = (shape, dtype = None, *, device = None))]
pub(super) fn empty(shape: Axes, dtype: Option<DType>, device: Option<Device>) -> PyResult<PyTensor> {
    let _ = device;
    filled("empty", &lengths(&shape)?, 0.0, dtype.unwrap_or(DType::F32))
}

/// A tensor of one value; its type is that of the value, unless given.
#[pyfunction]
#[pyo3(signature = (shape, fill_value, dtype = None, *, device = None))]
pub(super) fn full(
    shape: Axes,
    fill_value: &Bound<'_, PyAny>,
    dtype: Option<DType>,
    device: Option<Device>,
) -> PyResult<PyTensor> {
    let _ = device;
    repeated(fill_value, &lengths(&shape)?, dtype)
}

fn repeated(value: &Bound<'_, PyAny>, shape: &[usize], dtype: Option<DType>) -> PyResult<PyTensor> {
    if crate::tape::is_recording()
        && let Ok(x) = value.extract::<Operand>()
        && crate::tape::is_recorded(&x.0)
    {
        let x = floating(&x.0, dtype.unwrap_or(x.0.dtype()))?;
        return Ok(ops::broadcast_to(&x, shape)?.into()); // a gradient passes to the value
    }
    let is_number = value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>();
    let value = match dtype {
        Some(dtype) => fitted(weak(value, dtype)?.array(), dtype)?,
        None => value.extract::<Operand>()?.0.into_array(),
    };
    if is_captured() && !is_number {
        return Ok(ops::copy(&ops::broadcast_to(&value.into(), shape)?)?.into());
    }
    Ok(Tensor::from(made(value.broadcast_to(shape)?.copy()?)).into())
}

/// Numbers of an array of NumPy that follow from shapes and plain numbers alone, such as a table of indices: a program has
/// them among its own, as it has those of a list.
#[pyfunction]
#[pyo3(signature = (numbers, /))]
pub(super) fn table(numbers: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
    let array = view(numbers)?.ok_or_else(|| PyTypeError::new_err("table: expected an array of NumPy"))?;
    Ok(Tensor::from(made(array)).into())
}

/// Zeros of the shape and type of another tensor.
#[pyfunction]
#[pyo3(signature = (x, /, dtype = None, *, device = None))]
pub(super) fn zeros_like(x: Operand, dtype: Option<DType>, device: Option<Device>) -> PyResult<PyTensor> {
    let _ = device;
    filled("zeros_like", x.0.shape(), 0.0, dtype.unwrap_or(x.0.dtype()))
}

/// Ones of the shape and type of another tensor.
#[pyfunction]
#[pyo3(signature = (x, /, dtype = None, *, device = None))]
pub(super) fn ones_like(x: Operand, dtype: Option<DType>, device: Option<Device>) -> PyResult<PyTensor> {
    let _ = device;
    filled("ones_like", x.0.shape(), 1.0, dtype.unwrap_or(x.0.dtype()))
}

/// Unspecified elements in the shape and type of another tensor.
#[pyfunction]
#[pyo3(signature = (x, /, dtype = None, *, device = None))]
pub(super) fn empty_like(x: Operand, dtype: Option<DType>, device: Option<Device>) -> PyResult<PyTensor> {
    let _ = device;
    filled("empty_like", x.0.shape(), 0.0, dtype.unwrap_or(x.0.dtype()))
}

/// One value in the shape and type of another tensor.
#[pyfunction]
#[pyo3(signature = (x, /, fill_value, dtype = None, *, device = None))]
pub(super) fn full_like(
    x: Operand,
    fill_value: &Bound<'_, PyAny>,
    dtype: Option<DType>,
    device: Option<Device>,
) -> PyResult<PyTensor> {
    let _ = device;
    repeated(fill_value, x.0.shape(), Some(dtype.unwrap_or(x.0.dtype())))
}

/// The type of a range of numbers: float32 if one of them is a float, else int64.
fn natural(numbers: &[&Bound<'_, PyAny>]) -> DType {
    if numbers.iter().any(|x| x.is_instance_of::<PyFloat>()) { DType::F32 } else { DType::I64 }
}

/// `start, start + step, …` up to `stop`, which is not among them; from 0 if only `stop` is given.
#[pyfunction]
#[pyo3(signature = (start, /, stop = None, step = None, dtype = None, *, device = None))]
pub(super) fn arange(
    start: &Bound<'_, PyAny>,
    stop: Option<&Bound<'_, PyAny>>,
    step: Option<&Bound<'_, PyAny>>,
    dtype: Option<DType>,
    device: Option<Device>,
) -> PyResult<PyTensor> {
    let _ = device;
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
    Ok(ops::arange(first, last, step, dtype.unwrap_or_else(|| natural(&given)))?.into())
}

/// `num` numbers evenly spread from `start` to `stop`, which is the last unless `endpoint` is false.
#[pyfunction]
#[pyo3(signature = (start, stop, /, num, *, dtype = None, device = None, endpoint = true))]
pub(super) fn linspace(
    start: f64,
    stop: f64,
    num: usize,
    dtype: Option<DType>,
    device: Option<Device>,
    endpoint: bool,
) -> PyResult<PyTensor> {
    let _ = device;
    Ok(ops::linspace(start, stop, num, endpoint, dtype.unwrap_or(DType::F32))?.into())
}

/// The number of a diagonal. One beyond what a word counts is outside of every matrix, as is the last that a word does.
pub(super) struct Diagonal(isize);

impl<'py> FromPyObject<'_, 'py> for Diagonal {
    type Error = PyErr;
    fn extract(ob: Borrowed<'_, 'py, PyAny>) -> PyResult<Diagonal> {
        match ob.extract::<isize>() {
            Err(e) if e.is_instance_of::<PyOverflowError>(ob.py()) => {
                Ok(Diagonal(if ob.lt(0)? { isize::MIN } else { isize::MAX }))
            }
            k => k.map(Diagonal),
        }
    }
}

/// Ones on the `k`-th diagonal of a matrix of zeros.
#[pyfunction]
#[pyo3(signature = (n_rows, n_cols = None, /, *, k = Diagonal(0), dtype = None, device = None))]
#[pyo3(text_signature = "(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)")]
pub(super) fn eye(
    n_rows: usize,
    n_cols: Option<usize>,
    k: Diagonal,
    dtype: Option<DType>,
    device: Option<Device>,
) -> PyResult<PyTensor> {
    let _ = device;
    Ok(ops::eye(n_rows, n_cols.unwrap_or(n_rows), k.0, dtype.unwrap_or(DType::F32))?.into())
}

/// For each label, a row of `n` with a one at the label's place.
#[pyfunction]
#[pyo3(signature = (labels, n, /, dtype = DType::Bool), text_signature = "(labels, n, /, dtype='bool')")]
pub(super) fn one_hot(labels: Operand, n: usize, dtype: DType) -> PyResult<PyTensor> {
    Ok(ops::one_hot(&labels.0, n, dtype)?.into())
}

/// Repeated, without copying, to a shape that it broadcasts to.
#[pyfunction]
#[pyo3(signature = (x, /, shape))]
pub(super) fn broadcast_to(x: Operand, shape: Axes) -> PyResult<PyTensor> {
    Ok(ops::broadcast_to(&x.0, &lengths(&shape)?)?.into())
}
