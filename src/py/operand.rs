//! Python values as tensors: what a function takes.

use super::tensor::PyTensor;
use super::{numpy, watch};
use crate::array::Array;
use crate::dtype::{DType, Kind, each};
use crate::ops;
use crate::tape::Tensor;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyList, PyTuple};

/// A tensor argument: a Tensor, a NumPy array, a number, or nested lists of numbers.
pub(crate) struct Operand(pub(crate) Tensor);

impl<'py> FromPyObject<'_, 'py> for Operand {
    type Error = PyErr;
    #[inline]
    fn extract(ob: Borrowed<'_, 'py, PyAny>) -> PyResult<Operand> {
        match ob.cast_exact::<PyTensor>() {
            Ok(t) => Ok(Operand(value(&t))),
            Err(_) => convert(&ob).map(Operand),
        }
    }
}

/// The tensor in a Python object, at its place on the tape if it is a variable of an open gradient.
#[inline]
pub(super) fn value(t: &Bound<'_, PyTensor>) -> Tensor {
    let x = t.get().get();
    match watch::place_of(t) {
        None => x,
        place => x.at(place),
    }
}

/// A value that is not a Tensor, in its own element type; Python floats become float32, integers int64.
fn convert(ob: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    if let Ok(b) = ob.cast_exact::<PyBool>() {
        return Ok(Array::scalar(b.is_true())?.into());
    }
    if let Ok(f) = ob.cast_exact::<PyFloat>() {
        return Ok(Array::scalar(f.value() as f32)?.into());
    }
    if ob.is_exact_instance_of::<PyInt>() {
        return Ok(Array::scalar(ob.extract::<i64>()?)?.into());
    }
    if let Some(array) = numpy::view(ob)? {
        return Ok(array.into());
    }
    if (ob.is_instance_of::<PyList>() || ob.is_instance_of::<PyTuple>())
        && let Ok(items) =
            ob.try_iter()?.map(|i| Ok(i?.cast_into_exact::<PyTensor>()?)).collect::<PyResult<Vec<_>>>()
        && !items.is_empty()
    {
        let items: Vec<Tensor> = items.iter().map(value).collect();
        return Ok(ops::stack(&items.iter().collect::<Vec<_>>(), 0)?);
    }
    if let Some(array) = numpy::sequence(ob)? {
        return Ok(if array.dtype() == DType::F64 { array.cast(DType::F32)? } else { array }.into());
    }
    numpy::from_protocols(ob).map(Tensor::from)
}

/// A value that meets a tensor of type `like`: numbers take its type where their kind allows, and so do floating arrays
/// and lists that meet a floating tensor.
#[inline]
pub(crate) fn weak(ob: &Bound<'_, PyAny>, like: DType) -> PyResult<Tensor> {
    if let Ok(f) = ob.cast_exact::<PyFloat>() {
        let dtype = if like.is_float() { like } else { DType::F32 };
        return Ok(Array::filled("number", &[], f.value(), dtype)?.into());
    }
    if ob.is_exact_instance_of::<PyInt>() {
        return integer(ob, like);
    }
    if let Ok(b) = ob.cast_exact::<PyBool>() {
        return Ok(Array::filled("number", &[], f64::from(u8::from(b.is_true())), like)?.into());
    }
    let x = match numpy::sequence(ob)? {
        Some(array) => array.into(), // in the precision it came in
        None => convert(ob)?,
    };
    Ok(if like.is_float() && x.dtype().is_float() { ops::astype(&x, like)? } else { x })
}

/// A Python integer in a type, which it must fit; in int64 where that is bool.
pub(super) fn integer(ob: &Bound<'_, PyAny>, like: DType) -> PyResult<Tensor> {
    if like.is_float() {
        return Ok(Array::filled("number", &[], ob.extract::<f64>()?, like)?.into());
    }
    let dtype = if like.kind() == Kind::Bool { DType::I64 } else { like };
    let overflow = |_| PyOverflowError::new_err(format!("{ob} is out of range for {dtype}"));
    if dtype == DType::U64 {
        return Ok(Array::scalar(ob.extract::<u64>().map_err(overflow)?)?.into());
    }
    let n = ob.extract::<i64>().map_err(overflow)?;
    each!(dtype, integer: T => match T::try_from(n) {
        Ok(n) => Ok(Array::scalar(n)?.into()),
        Err(_) => Err(PyOverflowError::new_err(format!("{n} is out of range for {dtype}"))),
    }, else Ok(Array::scalar(n)?.into()))
}

/// Two arguments that will meet in an operation.
#[inline]
pub(crate) fn pair(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<(Tensor, Tensor)> {
    match (a.cast_exact::<PyTensor>(), b.cast_exact::<PyTensor>()) {
        (Ok(a), Ok(b)) => Ok((value(a), value(b))),
        (Ok(a), _) => {
            let a = value(a);
            let b = weak(b, a.dtype())?;
            Ok((a, b))
        }
        (_, Ok(b)) => {
            let b = value(b);
            Ok((weak(a, b.dtype())?, b))
        }
        _ => Ok((convert(a)?, convert(b)?)),
    }
}

/// Arguments that will meet in an operation: the first Tensor's type is the one that the others meet.
#[inline]
pub(crate) fn meet<const N: usize>(obs: [&Bound<'_, PyAny>; N]) -> PyResult<[Tensor; N]> {
    let like = obs.iter().find_map(|ob| ob.cast_exact::<PyTensor>().ok()).map(|t| t.get().get().dtype());
    let mut found = Vec::with_capacity(N);
    for ob in obs {
        found.push(match (ob.cast_exact::<PyTensor>(), like) {
            (Ok(t), _) => value(t),
            (_, Some(like)) => weak(ob, like)?,
            _ => convert(ob)?,
        });
    }
    found.try_into().map_err(|_| PyTypeError::new_err("wrong number of arguments"))
}

/// An error of a conversion with the name of the function in front; what Python code has raised stays as it is.
#[cold]
pub(crate) fn named(function: &str, error: PyErr) -> PyErr {
    Python::attach(|py| {
        if error.traceback(py).is_some() {
            return error;
        }
        match error.get_type(py).call1((format!("{function}: {}", error.value(py)),)) {
            Ok(told) => PyErr::from_value(told),
            Err(_) => error,
        }
    })
}

/// The tensors of a sequence.
pub(crate) fn many(ob: &Bound<'_, PyAny>) -> PyResult<Vec<Tensor>> {
    if !(ob.is_instance_of::<PyList>() || ob.is_instance_of::<PyTuple>()) && ob.try_iter().is_err() {
        return Err(PyTypeError::new_err(format!(
            "expected a sequence of tensors, got {}",
            ob.get_type().name()?
        )));
    }
    ob.try_iter()?.map(|item| Ok(item?.extract::<Operand>()?.0)).collect()
}
