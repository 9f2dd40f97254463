//! DLPack: tensors to and from other libraries without a copy (https://dmlc.github.io/dlpack/latest/c_api.html).

use super::tensor::PyTensor;
use crate::array::Array;
use crate::dtype::{DType, Kind, each};
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
/// consumer may write.
pub(super) fn export<'py>(
    py: Python<'py>,
    a: &Array,
    max_version: Option<(u32, u32)>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let versioned = max_version.is_some_and(|v| v.0 >= 1);
    if !versioned && copy == Some(false) {
        return Err(PyBufferError::new_err(
            "this consumer does not know read-only memory: it can only have a copy",
        ));
    }
    let own = if copy == Some(true) || !versioned { a.copy()? } else { a.clone() };
    let shared = versioned && copy != Some(true);
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

/// Calls the producer's deleter when the last tensor over its memory is gone.
struct Imported {
    pointer: *mut c_void,
    versioned: bool,
}

// SAFETY: the deleter may be called from any thread that holds the GIL, which the drop acquires.
unsafe impl Send for Imported {}
// SAFETY: as above; nothing else is done through a shared reference.
unsafe impl Sync for Imported {}

impl Drop for Imported {
    fn drop(&mut self) {
        let free = || {
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
        };
        Python::attach(|_| free());
    }
}

fn dtype_of(t: &Description) -> Option<DType> {
    DType::ALL.into_iter().find(|&d| t.lanes == 1 && t.code == code(d) && usize::from(t.bits) == 8 * d.size())
}

/// A tensor over the memory of another library's array, which must not be changed while the tensor lives.
#[pyfunction]
#[pyo3(signature = (x, /, *, device = None, copy = None))]
fn from_dlpack(x: &Bound<'_, PyAny>, device: Option<&str>, copy: Option<bool>) -> PyResult<PyTensor> {
    if device.is_some_and(|d| d != "cpu") {
        return Err(PyBufferError::new_err(format!(
            "from_dlpack: oxiflux has no device {}",
            device.unwrap_or_default()
        )));
    }
    let producer = x.getattr("__dlpack__").map_err(|_| {
        PyTypeError::new_err(format!(
            "from_dlpack: {} has no __dlpack__",
            x.get_type().name().map_or_else(|_| "it".into(), |n| n.to_string())
        ))
    })?;
    let kwargs = PyDict::new(x.py());
    kwargs.set_item("max_version", (1, 0))?;
    let capsule = match producer.call((), Some(&kwargs)) {
        Err(e) if e.is_instance_of::<PyTypeError>(x.py()) => producer.call0()?,
        other => other?,
    };
    let array = import(capsule.cast::<PyCapsule>()?)?;
    Ok(Tensor::from(if copy == Some(true) { array.copy()? } else { array }).into())
}

fn import(capsule: &Bound<'_, PyCapsule>) -> PyResult<Array> {
    // SAFETY: the capsule's name says what its pointer is; renaming it takes over the duty to call the deleter.
    unsafe {
        let ptr = capsule.as_ptr();
        let versioned = ffi::PyCapsule_IsValid(ptr, NAME_VERSIONED.as_ptr()) != 0;
        let (name, used) = if versioned { (NAME_VERSIONED, USED_VERSIONED) } else { (NAME, USED) };
        let pointer = ffi::PyCapsule_GetPointer(ptr, name.as_ptr());
        if pointer.is_null() {
            return Err(PyErr::fetch(capsule.py()));
        }
        let t = if versioned {
            &(*pointer.cast::<ManagedVersioned>()).tensor
        } else {
            &(*pointer.cast::<Managed>()).tensor
        };
        let Some(dtype) = dtype_of(t) else {
            return Err(PyBufferError::new_err(format!(
                "from_dlpack: no element type of {} bits and code {}",
                t.bits, t.code
            )));
        };
        if t.device.0 != CPU {
            return Err(PyBufferError::new_err("from_dlpack: the array is not in the memory of the CPU"));
        }
        let n = t.ndim as usize;
        let lengths = |p: *mut i64| if n == 0 { &[][..] } else { std::slice::from_raw_parts(p, n) };
        let shape: Vec<usize> = lengths(t.shape).iter().map(|&d| d as usize).collect();
        let strides: Vec<isize> = match t.strides.is_null() {
            true => crate::shape::row_major(&shape).to_vec(),
            false => lengths(t.strides).iter().map(|&s| s as isize).collect(),
        };
        let data = t.data.cast::<u8>().wrapping_add(t.byte_offset as usize);
        if !(data as usize).is_multiple_of(dtype.size()) {
            return Err(PyBufferError::new_err("from_dlpack: the memory is not aligned to its elements"));
        }
        ffi::PyCapsule_SetName(ptr, used.as_ptr());
        Ok(Array::foreign(data, &shape, &strides, dtype, Box::new(Imported { pointer, versioned })))
    }
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(from_dlpack, m)?)
}
