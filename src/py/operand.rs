//! Python values as tensors: what a function takes.

use super::lists::sequence;
use super::tensor::PyTensor;
use super::{numpy, variables};
use crate::array::Array;
use crate::dtype::{DType, Kind, each};
use crate::error::Error;
use crate::shape::{self, Axes, MOST_AXES};
use crate::tape::{self, Tensor};
use crate::{ops, optim};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyList, PyTuple};
use std::ops::RangeInclusive;

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
    match variables::place_of(t) {
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
        return number(f.value(), DType::F32);
    }
    if ob.is_exact_instance_of::<PyInt>() {
        return Ok(Array::scalar(ob.extract::<i64>()?)?.into());
    }
    if let Some(array) = numpy::view(ob)? {
        return kept(array);
    }
    if holds_tensor(ob, 0)? {
        return stacked(ob, 0);
    }
    if let Some(array) = sequence(ob)? {
        let array = tape::made(array);
        return Ok(if array.dtype() == DType::F64 { fitted(&array, DType::F32)? } else { array }.into());
    }
    kept(numpy::from_protocols(ob)?)
}

/// An array of another library as an operand. A gradient may keep it, and its owner may fill it anew meanwhile.
fn kept(array: Array) -> PyResult<Tensor> {
    let may_change = tape::is_recording() && array.dtype().is_float() && array.is_foreign();
    match may_change {
        true => Ok(ops::copy(&array.into())?),
        false => Ok(array.into()),
    }
}

/// Whether there is a tensor in nested lists.
pub(super) fn holds_tensor(ob: &Bound<'_, PyAny>, depth: usize) -> PyResult<bool> {
    let is_list = ob.is_instance_of::<PyList>() || ob.is_instance_of::<PyTuple>();
    if !is_list || depth == MOST_AXES {
        return Ok(false);
    }
    for item in ob.try_iter()? {
        let item = item?;
        if item.is_exact_instance_of::<PyTensor>() || holds_tensor(&item, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Nested lists of tensors, arrays and numbers as one tensor, through which a gradient passes.
fn stacked(ob: &Bound<'_, PyAny>, depth: usize) -> PyResult<Tensor> {
    if depth == MOST_AXES {
        return Err(
            Error::Shape(format!("tensor: the lists are nested more than {MOST_AXES} levels deep")).into()
        );
    }
    let mut items: Vec<Bound<'_, PyAny>> = ob.try_iter()?.collect::<PyResult<_>>()?;
    for item in &mut items {
        if holds_tensor(item, 1)? {
            *item = Bound::new(ob.py(), PyTensor::from(stacked(item, depth + 1)?))?.into_any();
        }
    }
    let items = met(&items.iter().collect::<Vec<_>>())?;
    if let Some(other) = items.iter().find(|t| t.shape() != items[0].shape()) {
        let (a, b) = (shape::show(items[0].shape()), shape::show(other.shape()));
        return Err(Error::Shape(format!("tensor: a list has items of shapes {a} and {b}")).into());
    }
    Ok(ops::stack(&items.iter().collect::<Vec<_>>(), 0)?)
}

/// A value that meets a tensor of type `like`: numbers take its type where their kind allows, and so do floating arrays
/// and lists that meet a floating tensor.
#[inline]
pub(crate) fn weak(ob: &Bound<'_, PyAny>, like: DType) -> PyResult<Tensor> {
    if let Ok(f) = ob.cast_exact::<PyFloat>() {
        let dtype = if like.is_float() { like } else { DType::F32 };
        return number(f.value(), dtype);
    }
    if ob.is_exact_instance_of::<PyInt>() {
        return integer(ob, like);
    }
    if let Ok(b) = ob.cast_exact::<PyBool>() {
        return Ok(Array::filled("number", &[], f64::from(u8::from(b.is_true())), like)?.into());
    }
    let x = match sequence(ob)? {
        Some(array) => tape::made(array).into(), // in the precision it came in
        None => convert(ob)?,
    };
    if like.is_float() && x.dtype().is_float() { floating(&x, like) } else { Ok(x) }
}

/// A number as a 0-d tensor of a floating type, which must hold it.
#[inline]
fn number(value: f64, dtype: DType) -> PyResult<Tensor> {
    let x = Array::filled("number", &[], value, dtype)?;
    // Every floating type holds what is no larger.
    if value.abs() > 65504.0 && value.is_finite() && !x.item()?.is_finite() {
        return Err(too_large(value, dtype));
    }
    Ok(x.into())
}

#[cold]
fn too_large(value: f64, dtype: DType) -> PyErr {
    let largest = match dtype {
        DType::F16 => "65504",
        DType::BF16 => "3.3895e38",
        _ => "3.4028e38",
    };
    let end = format!("whose largest number is {largest}; `astype` converts it to infinity");
    PyOverflowError::new_err(format!("{value:?} is out of range for {dtype}, {end}"))
}

/// Numbers that were none too large are looked at again where a program does this again.
fn fits_each_time(y: &Tensor) {
    if tape::is_captured() {
        tape::derive("fits", Vec::new(), &[y.array()], &[], optim::finite("is out of range"));
    }
}

/// The tensor in a floating type, which must hold its numbers; recorded. `astype` makes what is too large infinite.
pub(crate) fn floating(x: &Tensor, dtype: DType) -> PyResult<Tensor> {
    let y = ops::astype(x, dtype)?;
    if dtype.is_narrower(x.dtype()) {
        fits_each_time(&y);
    }
    if dtype.is_narrower(x.dtype()) && !crate::optim::is_finite(y.array())? {
        let (before, after) = (x.to_vec::<f64>()?, y.to_vec::<f64>()?);
        if let Some((x, _)) = before.iter().zip(&after).find(|(x, y)| x.is_finite() && y.is_infinite()) {
            return Err(too_large(*x, dtype));
        }
    }
    Ok(y)
}

/// Two arguments of a comparison, whose result is exact for numbers that the type of the other cannot hold.
pub(crate) fn compared(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<(Tensor, Tensor)> {
    match pair(a, b) {
        Err(e) if e.is_instance_of::<PyOverflowError>(a.py()) => Ok((exact(a)?, exact(b)?)),
        met => met,
    }
}

/// A value in a type that holds it, or is nearest to.
#[cold]
fn exact(ob: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    if let Ok(t) = ob.cast_exact::<PyTensor>() {
        return Ok(value(t));
    }
    if ob.is_instance_of::<PyFloat>() || ob.is_instance_of::<PyInt>() {
        return match ob.extract::<i64>() {
            Ok(n) if ob.is_instance_of::<PyInt>() => Ok(Array::scalar(n)?.into()),
            _ => Ok(Array::scalar(ob.extract::<f64>()?)?.into()),
        };
    }
    match sequence(ob)? {
        Some(array) => Ok(array.into()),
        None => convert(ob),
    }
}

/// A Python integer in a type, which it must fit; in int64 where that is bool.
pub(super) fn integer(ob: &Bound<'_, PyAny>, like: DType) -> PyResult<Tensor> {
    if like.is_float() {
        return number(ob.extract::<f64>()?, like);
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
        _ => Ok(meet([a, b])?.into()),
    }
}

/// Arguments that will meet in an operation: the type that the Tensors among them have in common is the one that the
/// others meet; without Tensors, numbers and lists meet that of floating arrays. The one place that decides what a mix of Tensors, arrays, numbers and lists becomes; [`pair`] is its
/// short form.
#[inline]
pub(crate) fn meet<const N: usize>(obs: [&Bound<'_, PyAny>; N]) -> PyResult<[Tensor; N]> {
    met(&obs)?.try_into().map_err(|_| PyTypeError::new_err("wrong number of arguments"))
}

#[inline]
fn met(obs: &[&Bound<'_, PyAny>]) -> PyResult<Vec<Tensor>> {
    let tensors = obs.iter().filter_map(|ob| ob.cast_exact::<PyTensor>().ok());
    let Some(like) = tensors.map(|t| t.get().get().dtype()).reduce(DType::promote) else {
        return without_tensors(obs);
    };
    let one = |ob: &&Bound<'_, PyAny>| match ob.cast_exact::<PyTensor>() {
        Ok(t) => Ok(value(t)),
        _ => weak(ob, like),
    };
    obs.iter().map(one).collect()
}

/// [`met`] for arguments of which none is a Tensor.
#[cold]
fn without_tensors(obs: &[&Bound<'_, PyAny>]) -> PyResult<Vec<Tensor>> {
    let arrays = obs.iter().map(|ob| numpy::array_like(ob)).collect::<PyResult<Vec<_>>>()?;
    let floats = arrays.iter().flatten().map(Array::dtype).filter(|dtype| dtype.is_float());
    let like = floats.reduce(DType::promote);
    let one = |(ob, array): (&&Bound<'_, PyAny>, &Option<Array>)| match like {
        Some(like) if array.is_none() => weak(ob, like),
        _ => convert(ob),
    };
    obs.iter().zip(&arrays).map(one).collect()
}

/// The tensors of a sequence, which will meet in an operation.
pub(crate) fn meeting(ob: &Bound<'_, PyAny>) -> PyResult<Vec<Tensor>> {
    if ob.is_instance_of::<PyTensor>() {
        return many(ob);
    }
    let obs = items(ob)?;
    met(&obs.iter().collect::<Vec<_>>())
}

/// A whole number within bounds, for `what` of the error's message. Truth values are none.
pub(super) fn whole(what: &str, ob: &Bound<'_, PyAny>, bounds: RangeInclusive<u64>) -> PyResult<u64> {
    let (least, most) = (bounds.start(), bounds.end());
    let index = if ob.is_instance_of::<PyBool>() { None } else { ob.call_method0("__index__").ok() };
    let Some(index) = index else {
        return Err(PyTypeError::new_err(format!("{what} must be a whole number, got {}", ob.repr()?)));
    };
    match index.extract::<u64>() {
        Ok(n) if bounds.contains(&n) => Ok(n),
        _ => Err(PyValueError::new_err(format!("{what} must be from {least} to {most}, got {index}"))),
    }
}

/// The arguments as tensors, in the types in which they would go into one operation.
#[pyfunction]
#[pyo3(signature = (*values))]
pub(super) fn _meet(values: &Bound<'_, PyTuple>) -> PyResult<Vec<PyTensor>> {
    Ok(meeting(values.as_any())?.into_iter().map(PyTensor::from).collect())
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

/// As many items as what does not tell its length may have.
const MOST_ITEMS: usize = 1 << 20;

/// The items of a sequence of tensors, which may be an iterator that never ends.
fn items<'py>(ob: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if !(ob.is_instance_of::<PyList>() || ob.is_instance_of::<PyTuple>()) && ob.try_iter().is_err() {
        return Err(PyTypeError::new_err(format!(
            "expected a sequence of tensors, got {}",
            ob.get_type().name()?
        )));
    }
    let most = ob.len().unwrap_or(MOST_ITEMS);
    let items = ob.try_iter()?.take(most + 1).collect::<PyResult<Vec<_>>>()?;
    if items.len() > most {
        return Err(PyValueError::new_err(format!(
            "a sequence of more than {most} tensors; does it never end? Give a list of those that are meant"
        )));
    }
    Ok(items)
}

/// The tensors of a sequence, each of its own type.
pub(crate) fn many(ob: &Bound<'_, PyAny>) -> PyResult<Vec<Tensor>> {
    items(ob)?.iter().map(|item| Ok(item.extract::<Operand>()?.0)).collect()
}

/// The array as another element type, which must hold its values: for data, of which nothing may get lost without a
/// word. Fractions are cut off, as in NumPy; `astype` wraps around.
pub(crate) fn fitted(x: &Array, dtype: DType) -> PyResult<Array> {
    if dtype.is_float() {
        return Ok(floating(&x.clone().into(), dtype)?.into_array());
    }
    if dtype.kind() == Kind::Integer && x.dtype() != dtype && x.dtype() != DType::Bool && x.size() > 0 {
        let bits = 8 * dtype.size() as u32;
        let (least, most) = match dtype.is_signed() {
            true => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
            false => (0, (1i128 << bits) - 1),
        };
        let x = Tensor::from(x.clone());
        for extreme in [ops::min(&x, Axes::All, false)?, ops::max(&x, Axes::All, false)?] {
            let (fits, shown) = match (x.dtype(), x.dtype().kind()) {
                (_, Kind::Float) => {
                    let v = extreme.item()?;
                    (
                        v > least as f64 - 1.0 && v < most as f64 + 1.0 && !(bits == 64 && v >= most as f64),
                        v.to_string(),
                    )
                }
                (DType::U64, _) => {
                    let v = i128::from(extreme.to_vec::<u64>()?[0]);
                    (v <= most, v.to_string())
                }
                _ => {
                    let v = i128::from(extreme.to_vec::<i64>()?[0]);
                    (least <= v && v <= most, v.to_string())
                }
            };
            if !fits {
                return Err(PyOverflowError::new_err(format!("{shown} is out of range for {dtype}")));
            }
        }
    }
    Ok(x.cast(dtype)?)
}
