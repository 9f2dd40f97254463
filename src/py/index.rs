//! Indexing keys as Python writes them.

use super::operand::Operand;
use super::tensor::PyTensor;
use crate::dtype::Kind;
use crate::ops::{self, Index};
use crate::tape::Tensor;
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyInt, PyList, PySlice, PyTuple};

fn at(number: &Bound<'_, PyAny>) -> PyResult<Index> {
    let far = |error: PyErr| {
        if !error.is_instance_of::<PyOverflowError>(number.py()) {
            return error;
        }
        PyIndexError::new_err(format!("index {number} is out of range: no tensor has so many elements"))
    };
    number.extract().map(Index::At).map_err(far)
}

/// The bound of a slice, which may lie anywhere beyond the ends.
fn bound_of(number: &Bound<'_, PyAny>) -> PyResult<isize> {
    match number.extract::<isize>() {
        Err(error) if error.is_instance_of::<PyOverflowError>(number.py()) => {
            Ok(if number.lt(0)? { -isize::MAX } else { isize::MAX })
        }
        found => found,
    }
}

fn part(ob: &Bound<'_, PyAny>) -> PyResult<Index> {
    if ob.is_exact_instance_of::<PyInt>() {
        return at(ob);
    }
    if ob.is_none() {
        return Ok(Index::NewAxis);
    }
    if ob.is_instance_of::<PyEllipsis>() {
        return Ok(Index::Ellipsis);
    }
    if let Ok(slice) = ob.cast::<PySlice>() {
        let bound = |name: &str| -> PyResult<Option<isize>> {
            let value = slice.getattr(name)?;
            if value.is_none() { Ok(None) } else { bound_of(&value).map(Some) }
        };
        return Ok(Index::Slice { start: bound("start")?, stop: bound("stop")?, step: bound("step")? });
    }
    if ob.is_instance_of::<PyList>() && ob.len()? == 0 {
        return Ok(Index::Array(crate::Array::empty("index", &[0], crate::DType::I64)?));
    }
    if !ob.is_instance_of::<PyBool>()
        && !ob.is_instance_of::<PyTensor>()
        && !ob.hasattr("__array__")?
        && ob.hasattr("__index__")?
    {
        return at(&ob.call_method0("__index__")?);
    }
    let wrong = |_| {
        let class = ob.get_type().name().map_or_else(|_| "?".into(), |n| n.to_string());
        PyIndexError::new_err(format!(
            "index: integers, slices, None, ..., and integer or bool arrays can index a tensor, not {class}"
        ))
    };
    let array = ob.extract::<Operand>().map_err(wrong)?.0.into_array();
    match array.dtype().kind() {
        Kind::Bool => Ok(Index::Mask(array)),
        Kind::Integer => Ok(Index::Array(array)),
        Kind::Float => Err(PyIndexError::new_err(format!(
            "index: arrays that index a tensor are integer or bool, not {}",
            array.dtype()
        ))),
    }
}

pub(super) fn parts(key: &Bound<'_, PyAny>) -> PyResult<Vec<Index>> {
    match key.cast::<PyTuple>() {
        Ok(key) => key.iter().map(|k| part(&k)).collect(),
        Err(_) => Ok(vec![part(key)?]),
    }
}

/// `x[key]`.
pub(super) fn get(x: &Tensor, key: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
    Ok(ops::index(x, &parts(key)?)?.into())
}

/// `x[key] = item`.
pub(super) fn set(x: &Bound<'_, PyTensor>, key: &Bound<'_, PyAny>, item: &Bound<'_, PyAny>) -> PyResult<()> {
    let (_, value) = super::pair(x, item)?;
    if crate::tape::is_recorded(&value) {
        return Err(PyTypeError::new_err(
            "a tensor that depends on a gradient's variables cannot be assigned into another, which is no function of it; \
             write x = x.at[i].set(v) for x[i] = v, or use where, concat or stack",
        ));
    }
    let value = super::fitted(value.array(), x.get().get().dtype())?;
    let key = parts(key)?;
    super::step::note(x);
    if crate::tape::is_captured() {
        // Through the door of operations, so that it is known what made it.
        x.get().set(ops::changed(&x.get().get().at(None), &key, &value.into(), ops::Change::Set)?);
        return Ok(());
    }
    Ok(x.get().change(|array| ops::assign(array, &key, &value))?)
}
