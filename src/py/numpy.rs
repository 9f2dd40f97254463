//! NumPy arrays in and out, without a copy where memory allows.

use super::Device;
use super::hints::add_function;
use super::lists::sequence;
use super::once::{Once, intern};
use super::operand::{fitted, value};
use super::tensor::PyTensor;
use crate::array::Array;
use crate::dtype::{DType, Kind, each};
use crate::error::Error;
use crate::shape::Strides;
use crate::tape::Tensor;
use numpy::npyffi::{NPY_ARRAY_ALIGNED, PY_ARRAY_API, npy_intp};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple, PyType,
};

fn dtype_of(descr: &Bound<'_, PyArrayDescr>) -> Option<DType> {
    let found = match (descr.kind(), descr.itemsize()) {
        (b'b', 1) => DType::Bool,
        (b'u', 1) => DType::U8,
        (b'u', 2) => DType::U16,
        (b'u', 4) => DType::U32,
        (b'u', 8) => DType::U64,
        (b'i', 1) => DType::I8,
        (b'i', 2) => DType::I16,
        (b'i', 4) => DType::I32,
        (b'i', 8) => DType::I64,
        (b'f', 2) => DType::F16,
        (b'V', 2) if descr.getattr("name").is_ok_and(|n| n.eq("bfloat16").unwrap_or(false)) => DType::BF16,
        (b'f', 4) => DType::F32,
        (b'f', 8) => DType::F64,
        _ => return None,
    };
    Some(found)
}

/// A view of a NumPy array, which must not be written while the view lives, or a copy if it holds truth values; `None`
/// for anything else.
pub(super) fn view(ob: &Bound<'_, PyAny>) -> PyResult<Option<Array>> {
    let Ok(array) = ob.cast::<PyUntypedArray>() else { return Ok(None) };
    refuse_hidden(ob)?;
    let descr = array.dtype();
    let Some(dtype) = dtype_of(&descr) else {
        return Err(super::error::DTypeError::new_err(foreign(ob, &descr)));
    };
    let size = dtype.size() as isize;
    let whole = array.strides().iter().all(|s| s % size == 0);
    if descr.is_native_byteorder() == Some(false) || !array.is_aligned() || !whole {
        let native = ob.py().import("numpy")?.call_method1("array", (ob, dtype.name()))?;
        return view(&native);
    }
    let strides: Strides = array.strides().iter().map(|s| s / size).collect();
    // SAFETY: the array describes its own memory, which lives while `owner` holds the array.
    let foreign = unsafe {
        let data = array.cast_unchecked::<numpy::PyArrayDyn<u8>>().data().cast_const();
        let owner: Py<PyAny> = ob.clone().unbind();
        Array::foreign(data, array.shape(), &strides, given_as(dtype), Box::new(owner))
    };
    Ok(Some(taken_as(dtype, foreign)?))
}

/// Raises for an array some of whose elements do not count.
fn refuse_hidden(array: &Bound<'_, PyAny>) -> PyResult<()> {
    let may_be = !array.is_exact_instance_of::<PyUntypedArray>()
        && super::attributes::class_has(array, intern!(array.py(), "filled"))?;
    if may_be && array.getattr("mask")?.call_method0("any")?.is_truthy()? {
        return Err(PyValueError::new_err(
            "a masked array has no tensor while some of its elements are masked; write array.filled(value)",
        ));
    }
    Ok(())
}

/// The type by which memory of others is looked at: that of a bool may hold any byte, at any time.
pub(super) fn given_as(dtype: DType) -> DType {
    if dtype == DType::Bool { DType::U8 } else { dtype }
}

/// An array of `dtype` from one by which memory of others was looked at. What is not zero becomes true, in a copy.
pub(super) fn taken_as(dtype: DType, given: Array) -> crate::Result<Array> {
    given.cast(dtype)
}

/// What to do about an array whose element type no tensor has.
#[cold]
fn foreign(ob: &Bound<'_, PyAny>, descr: &Bound<'_, PyArrayDescr>) -> String {
    let texts = match descr.kind() {
        b'U' | b'S' => true,
        b'O' => ob.getattr("flat").and_then(|flat| flat.try_iter()).is_ok_and(|mut items| {
            items.next().is_some_and(|first| first.is_ok_and(|first| first.is_instance_of::<PyString>()))
        }),
        _ => false,
    };
    if texts {
        return "strings are no numbers: onehotbatch(labels, classes) makes classes vectors of 0 and 1"
            .into();
    }
    format!("NumPy arrays of dtype {descr} have no tensor; convert with astype first")
}

/// Whatever NumPy takes as an array by one of its protocols.
pub(super) fn from_protocols(ob: &Bound<'_, PyAny>) -> PyResult<Array> {
    let protocols = ["__array__", "__array_interface__"];
    let has_numbers = protocols.iter().any(|p| ob.hasattr(*p).unwrap_or(false)) || is_buffer_of_numbers(ob);
    if !has_numbers {
        let hint = if ob.is_none() {
            "; does a function lack its return?"
        } else if ob.is_instance_of::<PyString>() {
            "; onehotbatch(labels, classes) makes classes vectors of 0 and 1"
        } else {
            ""
        };
        let class = ob.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "expected a tensor, an array, a number or a list of numbers, got {class}{hint}"
        )));
    }
    let array = ob.py().import("numpy")?.call_method1("asarray", (ob,))?;
    let is_objects = array.getattr("dtype")?.getattr("kind")?.eq("O")?;
    let array = if is_objects { from_columns(ob)?.unwrap_or(array) } else { array };
    view(&array)?.ok_or_else(|| PyTypeError::new_err("not an array"))
}

/// Whether this is memory that says which numbers it holds, such as an `array.array`; bytes are text.
fn is_buffer_of_numbers(ob: &Bound<'_, PyAny>) -> bool {
    let is_text = ob.is_instance_of::<PyBytes>() || ob.is_instance_of::<PyByteArray>();
    !is_text && PyMemoryView::from(ob).is_ok()
}

/// A frame or a series of pandas whose numbers may be missing: float64, with NaN for them. What has other values is
/// named; `None` for what is no frame.
fn from_columns<'py>(ob: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let options = PyDict::new(ob.py());
    options.set_item("dtype", "float64")?;
    options.set_item("na_value", f64::NAN)?;
    let numbers = |x: &Bound<'py, PyAny>| x.call_method("to_numpy", (), Some(&options));
    if let Ok(array) = numbers(ob) {
        return Ok(Some(array));
    }
    let Some(columns) = ob.getattr_opt("columns")? else { return Ok(None) };
    for name in columns.try_iter()? {
        let name = name?;
        let column = ob.get_item(&name)?;
        if numbers(&column).is_err() {
            let dtype = column.getattr("dtype")?;
            return Err(super::error::DTypeError::new_err(format!(
                "column {} has dtype {dtype}, which has no tensor; leave it out or convert it first",
                name.repr()?
            )));
        }
    }
    Ok(None)
}

/// An array of NumPy, or of another library that gives one; `None` for anything else, and for arrays without a tensor.
pub(super) fn array_like(ob: &Bound<'_, PyAny>) -> PyResult<Option<Array>> {
    if ob.is_instance_of::<PyUntypedArray>() {
        refuse_hidden(ob)?;
        return Ok(view(ob).ok().flatten());
    }
    if is_scalar(ob, true)? || !super::attributes::class_has(ob, intern!(ob.py(), "__array__"))? {
        return Ok(None);
    }
    Ok(from_protocols(ob).ok())
}

/// Finds all that is asked of NumPy once. It runs Python code, beside which another thread may fork.
pub(super) fn ready(py: Python<'_>) -> PyResult<()> {
    let none = py.None().into_bound(py);
    let _ = none.is_instance_of::<PyUntypedArray>();
    is_scalar(&none, true).map(|_| ())
}

/// Whether this is a number of NumPy's: a float, or with `integers` an integer too.
pub(super) fn is_scalar(ob: &Bound<'_, PyAny>, integers: bool) -> PyResult<bool> {
    static CLASSES: Once<[Py<PyType>; 2]> = Once::new();
    let py = ob.py();
    let [floating, integer] = CLASSES.get_or_find(py, || {
        let class = |name| PyResult::Ok(py.import("numpy")?.getattr(name)?.cast_into::<PyType>()?.unbind());
        PyResult::Ok([class("floating")?, class("integer")?])
    })?;
    // SAFETY: a live object and a live class. `isinstance` would ask the object what it says of its class, for a long time.
    let is_of =
        |class: &Py<PyType>| unsafe { ffi::PyObject_TypeCheck(ob.as_ptr(), class.as_ptr().cast()) != 0 };
    Ok(is_of(floating) || integers && is_of(integer))
}

/// A copy of a NumPy array that can be changed and has no more than so many bytes; `None` for anything else.
pub(super) fn copy_to_put_back<'py>(
    ob: &Bound<'py, PyAny>,
    most: usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Ok(array) = ob.cast::<PyUntypedArray>() else { return Ok(None) };
    let bytes = array.len() * array.dtype().itemsize();
    if bytes == 0 || bytes > most || !ob.getattr("flags")?.getattr("writeable")?.is_truthy()? {
        return Ok(None);
    }
    let options = PyDict::new(ob.py());
    options.set_item("order", "C")?;
    ob.py().import("numpy")?.call_method("array", (ob,), Some(&options)).map(Some)
}

/// Whether two NumPy arrays, of which the second is a copy of the first, are equal to the bit; `None` if it is not NumPy's.
pub(super) fn have_same_bytes<'py>(
    ob: &Bound<'py, PyAny>,
    copy: &Bound<'py, PyAny>,
) -> PyResult<Option<bool>> {
    let Ok(array) = ob.cast::<PyUntypedArray>() else { return Ok(None) };
    let numpy = ob.py().import("numpy")?;
    let flat = |x: &Bound<'py, PyAny>| numpy.call_method1("asarray", (x,))?.call_method1("reshape", (-1,));
    let (one, other) = (flat(ob)?, flat(copy)?);
    if array.dtype().kind() == b'O' {
        let (one, other) = (one.call_method0("tolist")?, other.call_method0("tolist")?);
        let (one, other) = (one.cast_into::<PyList>()?, other.cast_into::<PyList>()?);
        return Ok(Some(one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.is(&b))));
    }
    let bytes = |x: Bound<'_, PyAny>| view(&x.call_method1("view", ("u1",))?);
    let (one, other) = (bytes(one)?, bytes(other)?);
    Ok(Some(one.as_ref().and_then(Array::as_slice::<u8>) == other.as_ref().and_then(Array::as_slice::<u8>)))
}

/// The items of a NumPy array of objects; `None` for anything else.
pub(super) fn objects<'py>(ob: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyList>>> {
    let Ok(array) = ob.cast::<PyUntypedArray>() else { return Ok(None) };
    if array.dtype().kind() != b'O' {
        return Ok(None);
    }
    let flat = ob.call_method1("reshape", (-1,))?;
    Ok(Some(flat.call_method0("tolist")?.cast_into::<PyList>()?))
}

/// Gives a NumPy array the values of its copy. Says whether it is one.
pub(super) fn take_values(ob: &Bound<'_, PyAny>, copy: &Bound<'_, PyAny>) -> PyResult<bool> {
    let is_array = ob.is_instance_of::<PyUntypedArray>();
    if is_array {
        ob.py().import("numpy")?.call_method1("copyto", (ob, copy))?;
    }
    Ok(is_array)
}

/// Keeps the elements of an array alive for NumPy.
#[pyclass(frozen, module = "oxiflux")]
struct Owner(#[allow(dead_code)] Array);

/// NumPy's name for an element type; bfloat16 is that of the package ml_dtypes.
fn descr(py: Python<'_>, dtype: DType) -> PyResult<Bound<'_, PyArrayDescr>> {
    each!(dtype, computed: T => Ok(numpy::dtype::<T>(py)), else match dtype {
        DType::BF16 => match py.import("ml_dtypes") {
            Ok(module) => PyArrayDescr::new(py, module.getattr("bfloat16")?),
            Err(_) => Err(super::error::DTypeError::new_err(
                "NumPy has no bfloat16 of its own: install ml_dtypes, or convert with .astype(\"float32\") first",
            )),
        },
        _ => PyArrayDescr::new(py, dtype.name()),
    })
}

/// A read-only NumPy array over the tensor's own memory.
pub(super) fn export<'py>(py: Python<'py>, a: &Array) -> PyResult<Bound<'py, PyAny>> {
    if crate::tape::is_captured() {
        crate::tape::looked_at(a);
    }
    let mut dims: Vec<npy_intp> = a.shape().iter().map(|&n| n as npy_intp).collect();
    let size = a.dtype().size() as npy_intp;
    // Those of an array without elements may be of any size.
    let mut strides: Vec<npy_intp> =
        a.strides().iter().map(|&s| (s as npy_intp).wrapping_mul(size)).collect();
    let descr = descr(py, a.dtype())?;
    let data = each!(a.dtype(), moved: T => a.ptr::<T>().cast_mut().cast());
    let owner = Bound::new(py, Owner(a.clone()))?;
    // SAFETY: the pointers describe `a`'s memory; NumPy takes over the references to the descriptor and to the owner,
    // which keeps that memory alive and unchanged.
    unsafe {
        let class = numpy::npyffi::get_type_object(py, numpy::npyffi::NpyTypes::PyArray_Type);
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            class,
            descr.into_dtype_ptr(),
            dims.len() as i32,
            dims.as_mut_ptr(),
            strides.as_mut_ptr(),
            data,
            NPY_ARRAY_ALIGNED,
            std::ptr::null_mut(),
        );
        let array = Bound::from_owned_ptr_or_err(py, array)?;
        if PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast(), owner.into_ptr()) != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(array)
    }
}

/// What `__array__` returns: a view if it may be one, a writable copy where one is asked for.
pub(super) fn array_protocol<'py>(
    py: Python<'py>,
    a: &Array,
    dtype: Option<Bound<'py, PyAny>>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    // As float32 it needs no package, and is on its way to another type anyway.
    let wide = if a.dtype() == DType::BF16 && dtype.is_some() { Some(a.cast(DType::F32)?) } else { None };
    let array = export(py, wide.as_ref().unwrap_or(a))?;
    let same = match &dtype {
        Some(d) => array.getattr("dtype")?.eq(py.import("numpy")?.getattr("dtype")?.call1((d,))?)?,
        None => true,
    };
    match (same, copy) {
        (true, None | Some(false)) => Ok(array),
        (false, Some(false)) => Err(PyValueError::new_err(format!(
            "a tensor of dtype {} becomes another dtype only by a copy",
            a.dtype()
        ))),
        (same, _) => {
            let kwargs = PyDict::new(py);
            kwargs.set_item("copy", true)?;
            let dtype = if same {
                array.getattr("dtype")?
            } else {
                dtype.unwrap_or_else(|| py.None().into_bound(py))
            };
            array.call_method("astype", PyTuple::new(py, [dtype])?, Some(&kwargs))
        }
    }
}

/// A tensor of data: a number, nested lists, an array or a tensor, copied. Python floats become float32, or float64 if
/// float32 does not hold them, and integers int64; arrays keep their element type.
#[pyfunction]
#[pyo3(signature = (data, dtype = None))]
fn tensor(data: &Bound<'_, PyAny>, dtype: Option<DType>) -> PyResult<PyTensor> {
    let x = converted_to(data, dtype)?.get();
    if x.place().is_some() || data.extract::<PyRef<'_, PyTensor>>().is_err() && x.array().is_unique() {
        return Ok(x.into());
    }
    Ok(crate::ops::copy(&x)?.into())
}

/// A tensor of data, as `tensor`, but over the same memory where that is possible: an array that is changed afterwards
/// changes the tensor too. Truth values are always copied, and floats inside a gradient, which may need them later. With
/// `copy=True` everything is copied; with `copy=False` nothing, a tensor comes back itself, and what cannot be taken over
/// is an error.
#[pyfunction]
#[pyo3(signature = (data, dtype = None, *, device = None, copy = None))]
fn asarray<'py>(
    data: &Bound<'py, PyAny>,
    dtype: Option<DType>,
    device: Option<Device>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyTensor>> {
    let (_, py) = (device, data.py());
    match copy {
        None => Bound::new(py, converted_to(data, dtype)?),
        Some(true) => Bound::new(py, tensor(data, dtype)?),
        Some(false) => taken_over(data, dtype),
    }
}

/// The tensor itself, or one over the memory of an array.
fn taken_over<'py>(data: &Bound<'py, PyAny>, dtype: Option<DType>) -> PyResult<Bound<'py, PyTensor>> {
    if let Ok(t) = data.cast::<PyTensor>()
        && dtype.is_none_or(|d| d == t.get().get().dtype())
    {
        return Ok(t.clone());
    }
    let x = converted_to(data, dtype)?;
    if x.get().array().is_foreign() {
        return Bound::new(data.py(), x);
    }
    Err(PyValueError::new_err(format!(
        "asarray: copy=False, but {} cannot be taken over as it is; leave it out",
        data.get_type().name()?
    )))
}

/// Data as a tensor, over the same memory where that is possible.
fn converted_to(data: &Bound<'_, PyAny>, dtype: Option<DType>) -> PyResult<PyTensor> {
    let mut exact = None;
    if let (Some(d), Ok(t)) = (dtype, data.cast::<PyTensor>()) {
        let x = value(t);
        if d.kind() == Kind::Integer {
            return Ok(Tensor::from(fitted(x.array(), d)?).into());
        }
        return converted(&x, d).map(PyTensor::from);
    }
    // Numbers go to a float64 or int64 without a detour through float32.
    if let Some(d) = dtype {
        exact = match sequence(data)? {
            Some(array) => Some(fitted(&array, d)?),
            None => number(data, d)?,
        };
    }
    let x = match exact {
        Some(a) => Tensor::from(a),
        None => match data.extract::<super::Operand>() {
            Err(e) if e.is_instance_of::<PyOverflowError>(data.py()) => in_double(data)?.ok_or(e)?,
            operand => operand?.0,
        },
    };
    Ok(match dtype {
        Some(d) if d.kind() == Kind::Integer => fitted(x.array(), d)?.into(),
        Some(d) => converted(&x, d)?,
        None => x,
    }
    .into())
}

/// Python's floats in float64: numbers that float32 does not hold.
fn in_double(data: &Bound<'_, PyAny>) -> PyResult<Option<Tensor>> {
    if let Ok(f) = data.cast::<PyFloat>() {
        return Ok(Some(Array::scalar(f.value())?.into()));
    }
    Ok(sequence(data)?.filter(|numbers| numbers.dtype() == DType::F64).map(Tensor::from))
}

/// The tensor in a type of floats or truth values; floats must hold its numbers.
fn converted(x: &Tensor, dtype: DType) -> PyResult<Tensor> {
    if dtype.is_float() { super::floating(x, dtype) } else { Ok(crate::ops::astype(x, dtype)?) }
}

/// A Python number as a 0-d array of an element type; integers must fit.
fn number(data: &Bound<'_, PyAny>, dtype: DType) -> PyResult<Option<Array>> {
    if data.is_instance_of::<PyBool>() {
        return Ok(None);
    }
    if data.is_instance_of::<PyFloat>() {
        let x = Array::filled("tensor", &[], data.extract()?, DType::F64)?;
        return Ok(Some(fitted(&x, dtype)?));
    }
    if data.is_instance_of::<PyInt>() && dtype != DType::Bool {
        return Ok(Some(super::operand::integer(data, dtype)?.into_array()));
    }
    Ok(None)
}

/// A tensor over the memory of a NumPy array, which must not be changed while the tensor lives. Truth values are copied.
#[pyfunction]
#[pyo3(signature = (array, /))]
fn from_numpy(array: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
    match view(array)? {
        Some(a) => Ok(Tensor::from(a).into()),
        None => Err(PyTypeError::new_err(format!(
            "from_numpy: expected a NumPy array, got {}",
            array.get_type().name()?
        ))),
    }
}

/// Rebuilds a tensor from its pickle.
#[pyfunction]
fn _restore(bytes: &[u8], shape: Vec<usize>, dtype: DType) -> PyResult<PyTensor> {
    let expected = crate::shape::checked_size(&shape).and_then(|n| n.checked_mul(dtype.size()));
    if expected != Some(bytes.len()) {
        return Err(Error::Value(format!(
            "a pickled tensor of {} bytes does not fill its shape",
            bytes.len()
        ))
        .into());
    }
    let mut out = Array::empty("restore", &shape, given_as(dtype))?;
    out.fresh_bytes().copy_from_slice(bytes);
    Ok(Tensor::from(taken_as(dtype, out)?).into())
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(super::operand::_meet, m)?)?;
    add_function!(m, tensor)?;
    add_function!(m, asarray)?;
    add_function!(m, from_numpy)?;
    add_function!(m, _restore)
}
