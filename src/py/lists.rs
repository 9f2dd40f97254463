//! Nested lists of numbers.

use super::numpy::view;
use super::operand::holds_tensor;
use crate::array::Array;
use crate::dtype::DType;
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyRange, PyTuple};

/// Nested lists of numbers, floats as float64; `None` for what is no list, tuple or range, or holds tensors.
pub(super) fn sequence(ob: &Bound<'_, PyAny>) -> PyResult<Option<Array>> {
    if !(ob.is_instance_of::<PyList>() || ob.is_instance_of::<PyTuple>() || ob.is_instance_of::<PyRange>()) {
        return Ok(None);
    }
    if holds_tensor(ob, 0)? {
        return Ok(None);
    }
    let np = ob.py().import("numpy")?;
    if ob.is_instance_of::<PyRange>() {
        // By its rule: as a sequence it would be made a list first, which may be longer than memory.
        let [start, stop, step] = [ob.getattr("start")?, ob.getattr("stop")?, ob.getattr("step")?];
        return view(&np.call_method1("arange", (start, stop, step, "int64"))?);
    }
    let array = np.call_method1("asarray", (ob,)).map_err(|e| ragged(ob, e))?;
    if array.getattr("dtype")?.getattr("kind")?.eq("O")?
        && array.getattr("flat")?.try_iter()?.all(|x| x.is_ok_and(|x| x.is_instance_of::<PyInt>()))
    {
        return Err(PyOverflowError::new_err("tensor: an integer of the list does not fit 64 bits"));
    }
    match view(&array)? {
        Some(found) if is_too_large(&found)? => integers(ob, found),
        found => Ok(found),
    }
}

/// Whether some number of a float64 array is too large for int64.
fn is_too_large(found: &Array) -> PyResult<bool> {
    const FIRST: f64 = (1_u64 << 63) as f64;
    Ok(found.dtype() == DType::F64 && found.values::<f64>("tensor")?.iter().any(|x| x.abs() >= FIRST))
}

/// Lists in which NumPy finds integers for int64 and others for uint64: it makes floats of them, which lose digits.
fn integers(ob: &Bound<'_, PyAny>, floats: Array) -> PyResult<Option<Array>> {
    let np = ob.py().import("numpy")?;
    let objects = np.call_method1("asarray", (ob, "object"))?;
    if !objects.getattr("flat")?.try_iter()?.all(|x| x.is_ok_and(|x| x.is_instance_of::<PyInt>())) {
        return Ok(Some(floats));
    }
    match floats.values::<f64>("tensor")?.iter().all(|&x| x >= 0.0) {
        true => view(&np.call_method1("asarray", (ob, "uint64"))?),
        false => Err(PyOverflowError::new_err(
            "tensor: of the integers in the list some are negative and some fit uint64 alone; make them floats",
        )),
    }
}

/// NumPy's complaint about lists of unequal lengths, with the lengths.
fn ragged(ob: &Bound<'_, PyAny>, e: PyErr) -> PyErr {
    if !e.is_instance_of::<PyValueError>(ob.py()) {
        return e;
    }
    let lengths = ob.try_iter().map(|items| {
        items.flatten().map(|i| i.len().map_or("1".into(), |n| n.to_string())).take(8).collect::<Vec<_>>()
    });
    match lengths {
        Ok(lengths) => super::error::ShapeError::new_err(format!(
            "tensor: nested lists of unequal lengths: {}; fill them up to one length, or make a list of tensors",
            lengths.join(", ")
        )),
        Err(_) => e,
    }
}
