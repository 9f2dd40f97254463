//! DLPack: tensors to and from other libraries without a copy (https://dmlc.github.io/dlpack/latest/c_api.html).

use super::hints::add_function;
use super::numpy::{given_as, taken_as};
use super::operand::value;
use super::tensor::PyTensor;
use crate::array::Array;
use crate::dtype::{DType, Kind, each};
use crate::shape::{MOST_AXES, checked_size, row_major, show};
use crate::tape::Tensor;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};
use std::ffi::{CStr, c_void};

const CPU: i32 = 1;
const NAME: &CStr = c"dltensor";
const NAME_VERSIONED: &CStr = c"dltensor_versioned";
const USED: &CStr = c"used_dltensor";
const USED_VERSIONED: &CStr = c"used_dltensor_versioned";
const READ_ONLY: u64 = 1;

/// `DLTensor`.
#[repr(C)]
struct Description {
    data: *mut c_void,
    device: (i32, i32),
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensor`.
#[repr(C)]
struct Managed {
    tensor: Description,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}

/// `DLManagedTensorVersioned`.
#[repr(C)]
struct ManagedVersioned {
    version: (u32, u32),
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut ManagedVersioned)>,
    flags: u64,
    tensor: Description,
}

/// What keeps an exported tensor and its description alive.
struct Context {
    _array: Array,
    shape: Vec<i64>,
    strides: Vec<i64>,
}

/// `DLDataTypeCode`.
fn code(dtype: DType) -> u8 {
    match dtype.kind() {
        Kind::Bool => 6,
        Kind::Float if dtype == DType::BF16 => 4,
        Kind::Float => 2,
        Kind::Integer => u8::from(!dtype.is_signed()),
    }
}

fn describe(a: &Array) -> (Box<Context>, Description) {
    let shape = a.shape().iter().map(|&n| n as i64).collect();
    let strides = a.strides().iter().map(|&s| s as i64).collect();
    let mut context = Box::new(Context { _array: a.clone(), shape, strides });
    let description = Description {
        data: each!(a.dtype(), moved: T => a.ptr::<T>().cast_mut().cast()),
        device: (CPU, 0),
        ndim: a.ndim() as i32,
        code: code(a.dtype()),
        bits: 8 * a.dtype().size() as u8,
        lanes: 1,
        shape: context.shape.as_mut_ptr(),
        strides: context.strides.as_mut_ptr(),
        byte_offset: 0,
    };
    (context, description)
}

/// # Safety
/// `managed` was made by `export` and is not used afterwards.
unsafe extern "C" fn delete(managed: *mut Managed) {
    // SAFETY: both boxes were made by `export`.
    unsafe {
        let managed = Box::from_raw(managed);
        drop(Box::from_raw(managed.context.cast::<Context>()));
    }
}

/// # Safety
/// `managed` was made by `export` and is not used afterwards.
unsafe extern "C" fn delete_versioned(managed: *mut ManagedVersioned) {
    // SAFETY: both boxes were made by `export`.
    unsafe {
        let managed = Box::from_raw(managed);
        drop(Box::from_raw(managed.context.cast::<Context>()));
    }
}

/// # Safety
/// Called by Python with a capsule made by `export`.
unsafe extern "C" fn drop_capsule(capsule: *mut ffi::PyObject) {
    // SAFETY: a capsule that nobody has taken the tensor out of still has its first name, and owns its tensor.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, NAME.as_ptr()) != 0 {
            delete(ffi::PyCapsule_GetPointer(capsule, NAME.as_ptr()).cast());
        } else if ffi::PyCapsule_IsValid(capsule, NAME_VERSIONED.as_ptr()) != 0 {
            delete_versioned(ffi::PyCapsule_GetPointer(capsule, NAME_VERSIONED.as_ptr()).cast());
        }
    }
}

/// A capsule over the tensor's memory, marked read-only where the consumer understands that; else over a copy, which the
/// consumer may write. Of truth values it is a copy always: some consumers write what is read-only, and other bytes.
pub(super) fn export<'py>(
    py: Python<'py>,
    a: &Array,
    max_version: Option<(u32, u32)>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    if crate::tape::is_captured() {
        crate::tape::looked_at(a);
    }
    let versioned = max_version.is_some_and(|v| v.0 >= 1);
    if !versioned && copy == Some(false) {
        return Err(PyBufferError::new_err(
            "this consumer does not know read-only memory: it can only have a copy",
        ));
    }
    if a.dtype() == DType::Bool && copy == Some(false) {
        return Err(PyBufferError::new_err("truth values are always copied: leave copy=False out"));
    }
    let shared = versioned && copy != Some(true) && a.dtype() != DType::Bool;
    let own = if shared { a.clone() } else { a.copy()? };
    let (context, tensor) = describe(&own);
    let context = Box::into_raw(context).cast();
    let (pointer, name): (*mut c_void, &CStr) = if versioned {
        let flags = if shared { READ_ONLY } else { 0 };
        let managed =
            ManagedVersioned { version: (1, 0), context, deleter: Some(delete_versioned), flags, tensor };
        (Box::into_raw(Box::new(managed)).cast(), NAME_VERSIONED)
    } else {
        (Box::into_raw(Box::new(Managed { tensor, context, deleter: Some(delete) })).cast(), NAME)
    };
    // SAFETY: pointer, name and destructor belong together.
    unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyCapsule_New(pointer, name.as_ptr(), Some(drop_capsule)))
    }
}

/// Calls the producer's deleter when the last tensor over its memory is gone. A Python object, so that it goes when the
/// thread that lets go of it has the GIL, and waits for nothing.
#[pyclass(frozen, module = "oxiflux")]
struct Imported {
    pointer: *mut c_void,
    versioned: bool,
}

// SAFETY: the deleter may be called from any thread that holds the GIL, under which Python objects are dropped.
unsafe impl Send for Imported {}
// SAFETY: as above; nothing else is done through a shared reference.
unsafe impl Sync for Imported {}

impl Drop for Imported {
    fn drop(&mut self) {
        // SAFETY: the pointer was taken out of a capsule of that kind, with the duty to call its deleter once.
        unsafe {
            if self.versioned {
                let managed = self.pointer.cast::<ManagedVersioned>();
                if let Some(delete) = (*managed).deleter {
                    delete(managed);
                }
            } else {
                let managed = self.pointer.cast::<Managed>();
                if let Some(delete) = (*managed).deleter {
                    delete(managed);
                }
            }
        }
    }
}

fn dtype_of(t: &Description) -> Option<DType> {
    DType::ALL.into_iter().find(|&d| t.lanes == 1 && t.code == code(d) && usize::from(t.bits) == 8 * d.size())
}

/// A tensor over the memory of another library's array, which must not be changed while the tensor lives. Truth values are
/// copied. A tensor gives another one of the same values, through which gradients pass.
#[pyfunction]
#[pyo3(signature = (x, /, *, device = None, copy = None))]
fn from_dlpack(x: &Bound<'_, PyAny>, device: Option<&str>, copy: Option<bool>) -> PyResult<PyTensor> {
    if device.is_some_and(|d| d != "cpu") {
        return Err(PyBufferError::new_err(format!(
            "from_dlpack: oxiflux has no device {}",
            device.unwrap_or_default()
        )));
    }
    if let Ok(t) = x.cast_exact::<PyTensor>() {
        return match copy {
            Some(true) => PyTensor::copy(t),
            _ => Ok(value(t).into()),
        };
    }
    let class = |x: &Bound<'_, PyAny>| x.get_type().name().map_or_else(|_| "?".into(), |n| n.to_string());
    let producer = x.getattr("__dlpack__").map_err(|_| {
        PyTypeError::new_err(format!("from_dlpack: expected an array with __dlpack__, got {}", class(x)))
    })?;
    let kwargs = PyDict::new(x.py());
    kwargs.set_item("max_version", (1, 0))?;
    let capsule = match producer.call((), Some(&kwargs)) {
        Err(e) if e.is_instance_of::<PyTypeError>(x.py()) => producer.call0()?,
        other => other?,
    };
    let capsule = capsule.cast::<PyCapsule>().map_err(|_| {
        let (producer, got) = (class(x), class(&capsule));
        PyTypeError::new_err(format!("from_dlpack: {producer}.__dlpack__ must return a capsule, got {got}"))
    })?;
    let (array, dtype) = import(capsule)?;
    if copy == Some(false) && dtype == DType::Bool {
        return Err(PyBufferError::new_err(
            "from_dlpack: truth values are always copied: leave copy=False out",
        ));
    }
    let array = taken_as(dtype, array)?;
    Ok(Tensor::from(if copy == Some(true) && array.is_foreign() { array.copy()? } else { array }).into())
}

/// What a capsule holds, looked at by the type that its memory can be trusted to have, and its own type.
fn import(capsule: &Bound<'_, PyCapsule>) -> PyResult<(Array, DType)> {
    let ptr = capsule.as_ptr();
    // SAFETY: a live capsule.
    let is = |name: &CStr| unsafe { ffi::PyCapsule_IsValid(ptr, name.as_ptr()) != 0 };
    let (versioned, name, used) = match (is(NAME_VERSIONED), is(NAME)) {
        (true, _) => (true, NAME_VERSIONED, USED_VERSIONED),
        (_, true) => (false, NAME, USED),
        _ if is(USED) || is(USED_VERSIONED) => {
            return Err(PyBufferError::new_err(
                "from_dlpack: the array in this capsule has been taken already: a capsule serves once, call __dlpack__ again",
            ));
        }
        _ => return Err(PyBufferError::new_err("from_dlpack: the capsule holds no array")),
    };
    // SAFETY: the capsule's name says what its pointer is.
    let (pointer, t) = unsafe {
        let pointer = ffi::PyCapsule_GetPointer(ptr, name.as_ptr());
        if pointer.is_null() {
            return Err(PyErr::fetch(capsule.py()));
        }
        if versioned {
            let managed = &*pointer.cast::<ManagedVersioned>();
            if managed.version.0 != 1 {
                let (major, minor) = managed.version;
                return Err(PyBufferError::new_err(format!(
                    "from_dlpack: this is version {major}.{minor} of DLPack, expected 1"
                )));
            }
            (pointer, &managed.tensor)
        } else {
            (pointer, &(*pointer.cast::<Managed>()).tensor)
        }
    };
    // SAFETY: the producer describes its array truly, as far as it can be checked.
    let Strided { data, shape, strides, dtype } = unsafe { layout(t) }?;
    // SAFETY: renaming the capsule takes over the duty to call the deleter, which `Imported` does.
    if unsafe { ffi::PyCapsule_SetName(ptr, used.as_ptr()) } != 0 {
        return Err(PyErr::fetch(capsule.py()));
    }
    let owner = Py::new(capsule.py(), Imported { pointer, versioned })?;
    if shape.contains(&0) {
        return Ok((Array::empty("from_dlpack", &shape, given_as(dtype))?, dtype));
    }
    // SAFETY: the memory lives until the deleter is called.
    let array = unsafe { Array::foreign(data, &shape, &strides, given_as(dtype), Box::new(owner)) };
    Ok((array, dtype))
}

/// Where the elements of another library's array are.
struct Strided {
    data: *const u8,
    shape: Vec<usize>,
    strides: Vec<isize>,
    dtype: DType,
}

/// Believes nothing of a description that can be checked.
///
/// # Safety
/// `shape` and `strides` must point to as many numbers as there are axes, or be null.
unsafe fn layout(t: &Description) -> PyResult<Strided> {
    let no = |why: String| Err(PyBufferError::new_err(format!("from_dlpack: {why}")));
    let Some(dtype) = dtype_of(t) else {
        let Description { code, bits, lanes, .. } = t;
        return no(format!("no element type of {bits} bits, code {code} and {lanes} lanes"));
    };
    if t.device.0 != CPU {
        return no(format!("the array is on a device of kind {}, not in the memory of the CPU", t.device.0));
    }
    let Some(n) = usize::try_from(t.ndim).ok().filter(|&n| n <= MOST_AXES) else {
        return no(format!("an array has 0 to {MOST_AXES} axes, this has {}", t.ndim));
    };
    if n > 0 && t.shape.is_null() {
        return no("the array has no shape".into());
    }
    // SAFETY: not null; a producer that follows the protocol gives a length and a stride for each axis.
    let numbers = |p: *mut i64| if n == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(p, n) } };
    let lengths = numbers(t.shape);
    let Ok(shape) = lengths.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>() else {
        return no(format!("a shape has no negative length, got {lengths:?}"));
    };
    let Some(size) = checked_size(&shape) else {
        return no(format!("no memory holds an array of shape {}", show(&shape)));
    };
    let strides: Vec<isize> = match t.strides.is_null() || size == 0 {
        true => row_major(&shape).to_vec(),
        false => numbers(t.strides).iter().map(|&s| s as isize).collect(),
    };
    // How far the elements reach before and behind the first one, in bytes.
    let reach = shape.iter().zip(&strides).try_fold(dtype.size(), |sum, (&n, &stride)| {
        let steps = n.saturating_sub(1).checked_mul(stride.unsigned_abs())?;
        sum.checked_add(steps.checked_mul(dtype.size())?).filter(|&sum| sum <= isize::MAX as usize)
    });
    if reach.is_none() {
        return no(format!("no memory holds the strides {strides:?}"));
    }
    let data = (t.data as usize).checked_add(t.byte_offset as usize).map(|at| at as *const u8);
    let Some(data) = data.filter(|_| size == 0 || !t.data.is_null()) else {
        return no("the array has no memory".into());
    };
    if size > 0 && !(data as usize).is_multiple_of(dtype.size()) {
        return no("the memory is not aligned to its elements".into());
    }
    Ok(Strided { data, shape, strides, dtype })
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_function!(m, from_dlpack)
}
