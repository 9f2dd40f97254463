//! The Python class `Tensor`. Longer than other files because a class is one block of methods, most of them a line.

use super::at::At;
use super::hints::add_function;
use super::operand::{Operand, pair, value, weak};
use super::ops::reduce::in_type;
use super::variables::{Watcher, place_of};
use super::{dlpack, hints, index, numpy, released, run, step};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::shape::{self, Axes};
use crate::tape::{self, Place, Tensor, is_captured};
use crate::{ops, optim};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A dense array of numbers of one type, on the CPU.
///
/// It is made by `tensor(data, dtype=None)`, by functions such as `zeros(shape)`, `rand(*shape)` and
/// `from_numpy(array)`, and by operations on others.
///
/// Operations on tensors are recorded inside `gradient` and nowhere else. A tensor can be assigned to (`x[0] = 1`) and
/// an optimiser updates it in place, but what has been made from it before never changes.
#[pyclass(name = "Tensor", module = "oxiflux", frozen, weakref)]
pub(crate) struct PyTensor {
    tensor: Mutex<Tensor>,
    watcher: Watcher,
    /// Whether it stands for a Python integer, and can go on counting things.
    counts: Option<i64>,
    /// The variable that it is the gradient for, if it is one as it came.
    variable: Option<Place>,
}

impl From<Tensor> for PyTensor {
    #[inline]
    fn from(t: Tensor) -> Self {
        if is_captured() {
            tape::met(t.array());
        }
        PyTensor { tensor: Mutex::new(t), watcher: Watcher::default(), counts: None, variable: None }
    }
}

impl PyTensor {
    /// The tensor that stands for a Python integer.
    pub(super) fn counting(self, n: i64) -> Self {
        PyTensor { counts: Some(n), ..self }
    }

    /// The gradient for a variable.
    pub(super) fn gradient_for(self, variable: Option<Place>) -> Self {
        PyTensor { variable, ..self }
    }

    /// Whether it stands for a Python integer.
    pub(super) fn is_counting(&self) -> bool {
        self.counts.is_some()
    }

    /// The variable that it is the gradient for, if it is one as it came.
    pub(super) fn variable(&self) -> Option<Place> {
        self.variable
    }

    /// Which gradient has watched it where it is.
    #[inline]
    pub(super) fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// The tensor in it.
    #[inline]
    pub(super) fn get(&self) -> Tensor {
        self.lock().clone()
    }

    /// Its shape, unless that is `shape`.
    pub(super) fn shape_unless(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let held = self.lock();
        (held.shape() != shape).then(|| held.shape().to_vec())
    }

    /// Puts another tensor in its place.
    pub(super) fn set(&self, t: Tensor) {
        // Dropped when the lock is free: to let go of somebody else's memory may run Python code.
        let _old = std::mem::replace(&mut *self.lock(), t);
    }

    /// Changes the elements, in place where nobody else refers to them. `f` must run no Python code.
    pub(super) fn change<R>(&self, f: impl FnOnce(&mut Array) -> R) -> R {
        let mut held = self.lock();
        // Dropped after the lock.
        let _foreign = foreign(&held);
        let mut array = take(&mut held);
        let done = f(&mut array);
        *held = array.into();
        drop(held);
        done
    }

    /// Keeps other threads from the tensor until the guard is dropped. Its holder must neither wait for the GIL, which a
    /// thread that waits for the tensor holds, nor run Python code, which may come back to the tensor.
    pub(super) fn lock(&self) -> MutexGuard<'_, Tensor> {
        self.tensor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the array out of a tensor, to be put back changed: memory that nobody else refers to is changed in place.
pub(super) fn take(tensor: &mut Tensor) -> Array {
    std::mem::replace(tensor, Array::nothing().into()).into_array()
}

/// Another reference to a tensor's memory if that is somebody else's: to be dropped when no lock is held, because to let
/// go of it may run Python code.
pub(super) fn foreign(tensor: &Tensor) -> Option<Array> {
    tensor.array().is_foreign().then(|| tensor.array().clone())
}

/// Ends what is captured where the values are no constants: what follows may depend on them.
#[inline]
fn looked_at(x: &Array) {
    if is_captured() {
        tape::looked_at(x);
    }
}

/// The values of a tensor, for who reads them as a number or an array. A gradient cannot follow them there, and what comes
/// back from there would count as a constant.
fn read(slf: &Bound<'_, PyTensor>, name: &str) -> PyResult<Array> {
    let x = value(slf);
    looked_at(x.array());
    if crate::tape::is_recorded(&x) {
        return Err(PyValueError::new_err(format!(
            "{name}: a gradient is being taken through this tensor, and what is read from it would count as a constant. \
             Go on with functions of tensors; return the tensor itself to look at it afterwards; or read it from \
             flux.ignore_derivatives(x) where a constant is meant"
        )));
    }
    Ok(x.into_array())
}

type Two = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// An operator: `NotImplemented` for values that are not tensors, so that their class may answer.
fn operator<'py>(a: &Bound<'py, PyAny>, b: &Bound<'py, PyAny>, f: Two) -> PyResult<Bound<'py, PyAny>> {
    let py = a.py();
    let (a, b) = match pair(a, b) {
        Ok(operands) => operands,
        Err(e)
            if e.is_instance_of::<PyTypeError>(py) && !e.is_instance_of::<super::error::DTypeError>(py) =>
        {
            return Ok(py.NotImplemented().into_bound(py));
        }
        Err(e) => return Err(e),
    };
    Ok(Bound::new(py, run(&[&a, &b], || f(&a, &b))?)?.into_any())
}

#[pymethods]
impl PyTensor {
    #[new]
    #[pyo3(signature = (*_args, **_more), text_signature = "()")]
    fn new(_args: &Bound<'_, PyTuple>, _more: Option<&Bound<'_, PyDict>>) -> PyResult<PyTensor> {
        Err(PyTypeError::new_err(
            "Tensor is not called: flux.tensor(data) makes a tensor of data, flux.zeros(shape) one of a shape",
        ))
    }
    /// The lengths of the axes.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.get().shape())
    }
    /// The type of the elements.
    #[getter]
    fn dtype(&self) -> DType {
        self.get().dtype()
    }
    /// The number of axes.
    #[getter]
    fn ndim(&self) -> usize {
        self.get().ndim()
    }
    /// The number of elements.
    #[getter]
    fn size(&self) -> usize {
        self.get().size()
    }
    /// The bytes that the elements take.
    #[getter]
    fn nbytes(&self) -> usize {
        let t = self.get();
        t.size() * t.dtype().size()
    }
    /// Where the elements are: always "cpu".
    #[getter]
    fn device(&self) -> &'static str {
        "cpu"
    }
    /// The tensor with its axes reversed.
    #[getter(T)]
    fn transposed(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        Ok(ops::permute_dims(&value(slf), Axes::All)?.into())
    }
    /// The tensor with its last two axes exchanged.
    #[getter(mT)]
    fn matrix_transposed(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        Ok(ops::matrix_transpose(&value(slf))?.into())
    }

    /// A read-only NumPy array over the same memory. It keeps these values when the tensor is assigned to.
    fn numpy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        numpy::export(slf.py(), &read(slf, "numpy")?)
    }
    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        numpy::array_protocol(slf.py(), &read(slf, "__array__")?, dtype, copy)
    }
    #[pyo3(signature = (*, stream = None, max_version = None, dl_device = None, copy = None))]
    fn __dlpack__<'py>(
        slf: &Bound<'py, Self>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if stream.is_some() || dl_device.is_some_and(|d| d.0 != 1) {
            return Err(pyo3::exceptions::PyBufferError::new_err(
                "a tensor of oxiflux is on the CPU, without streams",
            ));
        }
        dlpack::export(slf.py(), &read(slf, "__dlpack__")?, max_version, copy)
    }
    fn __dlpack_device__(&self) -> (i32, i32) {
        (1, 0)
    }
    #[classattr]
    fn __array_priority__() -> f64 {
        1000.0
    }

    /// The only element, as a Python number.
    fn item<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, t) = (slf.py(), read(slf, "item")?);
        t.item()?;
        // SAFETY: there is one element at the start.
        each!(t.dtype(), computed: T => Ok(unsafe { *t.ptr::<T>() }.into_pyobject(py)?.to_owned().into_any()),
            else Ok(t.item()?.into_pyobject(py)?.into_any()))
    }
    /// The elements as nested lists of Python numbers.
    fn tolist<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let t = read(slf, "tolist")?;
        let wide = if t.dtype().is_half() { t.cast(DType::F32)? } else { t };
        numpy::export(slf.py(), &wide)?.call_method0("tolist")
    }
    /// The same values as another element type.
    fn astype(slf: &Bound<'_, Self>, dtype: DType) -> PyResult<PyTensor> {
        let x = value(slf);
        run(&[&x], || ops::astype(&x, dtype))
    }
    /// A tensor of its own with the same values.
    pub(super) fn copy(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        let x = value(slf);
        Ok(ops::copy(&x)?.into())
    }
    fn __copy__(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        Self::copy(slf)
    }
    fn __deepcopy__(slf: &Bound<'_, Self>, _memo: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        Self::copy(slf)
    }
    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>, Bound<'py, PyTuple>, &'static str))> {
        let (py, a) = (slf.py(), read(slf, "pickle")?.contiguous()?);
        let values = a.as_bytes().expect("a contiguous array has its bytes in order");
        let bytes = PyBytes::new_with(py, values.len(), |to| {
            to.copy_from_slice(values);
            Ok(())
        })?;
        let restore = py.import("oxiflux._core")?.getattr("_restore")?;
        Ok((restore, (bytes, PyTuple::new(py, a.shape())?, a.dtype().name())))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let t = self.get();
        looked_at(t.array());
        let shown = if t.dtype() == DType::BF16 { t.array().cast(DType::F32)? } else { t.array().clone() };
        let kwargs = PyDict::new(py);
        kwargs.set_item("separator", ", ")?;
        kwargs.set_item("prefix", "Tensor(")?;
        let text: String = py
            .import("numpy")?
            .call_method("array2string", (numpy::export(py, &shown)?,), Some(&kwargs))?
            .extract()?;
        let plain = matches!(t.dtype(), DType::F32 | DType::I64 | DType::Bool) && t.size() > 0;
        let shape = if t.size() == 0 { format!(", shape={}", shape::show(t.shape())) } else { String::new() };
        let dtype = if plain { String::new() } else { format!(", dtype={}", t.dtype()) };
        Ok(format!("Tensor({text}{shape}{dtype})"))
    }
    fn __len__(&self) -> PyResult<usize> {
        self.get().shape().first().copied().ok_or_else(|| PyTypeError::new_err("a 0-d tensor has no len()"))
    }
    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let n = slf.len()?;
        let items = pyo3::types::PyList::empty(slf.py());
        (0..n).try_for_each(|i| items.append(slf.get_item(i)?))?;
        Ok(items.try_iter()?.into_any())
    }
    fn __contains__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (a, b) = pair(slf, other)?;
        Ok(ops::any(&ops::equal(&a, &b)?, Axes::All, false)?.item()? != 0.0)
    }
    fn __getitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        index::get(&value(slf), key)
    }
    fn __setitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        check_assignable(slf)?;
        index::set(slf, key, item)
    }
    /// Copies of it with a part changed: `x.at[i].set(v)` is what `x` would be after `x[i] = v`.
    #[getter]
    fn at(slf: &Bound<'_, Self>) -> At {
        At::of(value(slf))
    }
    fn __bool__(&self) -> PyResult<bool> {
        let t = self.get();
        if t.size() != 1 {
            let shape = shape::show(t.shape());
            return Err(PyValueError::new_err(format!(
                "the truth of a tensor of shape {shape} with {} elements is ambiguous; use any or all",
                t.size()
            )));
        }
        looked_at(t.array());
        Ok(t.array().item()? != 0.0)
    }
    fn __float__(slf: &Bound<'_, Self>) -> PyResult<f64> {
        Ok(read(slf, "float")?.item()?)
    }
    fn __int__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::item(slf)?.call_method0("__int__")
    }
    fn __trunc__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::__int__(slf)
    }
    fn __floor__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::item(slf)?.call_method0("__floor__")
    }
    fn __ceil__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::item(slf)?.call_method0("__ceil__")
    }
    fn __index__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(n) = slf.get().counts {
            return Ok(n.into_pyobject(slf.py())?.into_any());
        }
        let x = slf.get().get();
        if x.dtype().is_float() {
            return Err(PyTypeError::new_err("only integer tensors can be used as an index"));
        }
        Self::__int__(slf)
    }
    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        slf.as_ptr() as isize >> 4 // by identity: tensors are compared element by element
    }
    fn __richcmp__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let f: Two = match op {
            CompareOp::Eq => ops::equal,
            CompareOp::Ne => ops::not_equal,
            CompareOp::Lt => ops::less,
            CompareOp::Le => ops::less_equal,
            CompareOp::Gt => ops::greater,
            CompareOp::Ge => ops::greater_equal,
        };
        if other.is_instance_of::<PyString>() && matches!(op, CompareOp::Eq | CompareOp::Ne) {
            return Err(PyTypeError::new_err(
                "a tensor holds numbers and is not compared with text; onecold(y, classes) gives the names of \
                 classes, which can be",
            ));
        }
        match operator(slf, other, f) {
            Err(e) if e.is_instance_of::<PyOverflowError>(slf.py()) => {
                let (a, b) = super::compared(slf, other)?;
                Ok(Bound::new(slf.py(), run(&[&a, &b], || f(&a, &b))?)?.into_any())
            }
            done => done,
        }
    }
    fn __add__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::add)
    }
    fn __radd__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::add)
    }
    fn __sub__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::subtract)
    }
    fn __rsub__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::subtract)
    }
    fn __mul__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::multiply)
    }
    fn __rmul__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::multiply)
    }
    fn __truediv__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::divide)
    }
    fn __rtruediv__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::divide)
    }
    fn __floordiv__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::floor_divide)
    }
    fn __rfloordiv__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::floor_divide)
    }
    fn __mod__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::remainder)
    }
    fn __rmod__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::remainder)
    }
    fn __matmul__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::matmul)
    }
    fn __rmatmul__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::matmul)
    }
    fn __and__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::bitwise_and)
    }
    fn __rand__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::bitwise_and)
    }
    fn __or__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::bitwise_or)
    }
    fn __ror__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::bitwise_or)
    }
    fn __xor__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::bitwise_xor)
    }
    fn __rxor__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::bitwise_xor)
    }
    fn __lshift__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::bitwise_left_shift)
    }
    fn __rlshift__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::bitwise_left_shift)
    }
    fn __rshift__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(slf, other, ops::bitwise_right_shift)
    }
    fn __rrshift__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        operator(other, slf, ops::bitwise_right_shift)
    }
    fn __neg__(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        let x = value(slf);
        run(&[&x], || ops::negative(&x))
    }
    fn __pos__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }
    fn __abs__(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        let x = value(slf);
        run(&[&x], || ops::abs(&x))
    }
    fn __invert__(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        let x = value(slf);
        run(&[&x], || ops::bitwise_invert(&x))
    }
    fn __pow__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
        modulo: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match modulo {
            None => operator(slf, other, ops::pow),
            Some(_) => Ok(slf.py().NotImplemented().into_bound(slf.py())),
        }
    }
    fn __rpow__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
        modulo: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match modulo {
            None => operator(other, slf, ops::pow),
            Some(_) => Ok(slf.py().NotImplemented().into_bound(slf.py())),
        }
    }

    /// The same elements in row-major order with another shape; one length may be -1.
    #[pyo3(signature = (*shape))]
    fn reshape(slf: &Bound<'_, Self>, shape: &Bound<'_, PyTuple>) -> PyResult<PyTensor> {
        Ok(ops::reshape(&value(slf), lengths(shape)?)?.into())
    }
    /// The axes in another order; reversed, if none is given.
    #[pyo3(signature = (*axes))]
    fn transpose(slf: &Bound<'_, Self>, axes: &Bound<'_, PyTuple>) -> PyResult<PyTensor> {
        let order = if axes.is_empty() { Axes::All } else { lengths(axes)? };
        Ok(ops::permute_dims(&value(slf), order)?.into())
    }
    /// The elements in row-major order along one axis.
    fn flatten(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        Ok(ops::reshape(&value(slf), Axes::All)?.into())
    }
    /// The elements in row-major order along one axis.
    fn ravel(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        Self::flatten(slf)
    }
    /// The matrix product with another tensor.
    fn dot(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        let (x, other) = pair(slf, other)?;
        run(&[&x, &other], || ops::matmul(&x, &other))
    }
    /// The sum over axes.
    #[pyo3(signature = (axis = Axes::All, keepdims = false, **more), text_signature = "($self, axis=None, keepdims=False, dtype=None)")]
    fn sum(
        slf: &Bound<'_, Self>,
        axis: Axes,
        keepdims: bool,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let (x, dtype) = (value(slf), asked("sum", more)?);
        run(&[&x], || in_type(&x, dtype, |x| ops::sum(x, axis, keepdims)))
    }
    /// The arithmetic mean over axes.
    #[pyo3(signature = (axis = Axes::All, keepdims = false, **more), text_signature = "($self, axis=None, keepdims=False, dtype=None)")]
    fn mean(
        slf: &Bound<'_, Self>,
        axis: Axes,
        keepdims: bool,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let x = reduced("mean", slf, more)?;
        run(&[&x], || ops::mean(&x, axis, keepdims))
    }
    /// The product over axes.
    #[pyo3(signature = (axis = Axes::All, keepdims = false, **more), text_signature = "($self, axis=None, keepdims=False, dtype=None)")]
    fn prod(
        slf: &Bound<'_, Self>,
        axis: Axes,
        keepdims: bool,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let (x, dtype) = (value(slf), asked("prod", more)?);
        run(&[&x], || in_type(&x, dtype, |x| ops::prod(x, axis, keepdims)))
    }
    /// The running sums along an axis, which only a vector may leave out.
    #[pyo3(signature = (axis = None, **more), text_signature = "($self, axis=None, dtype=None)")]
    fn cumsum(
        slf: &Bound<'_, Self>,
        axis: Option<isize>,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let (x, dtype) = (value(slf), asked("cumsum", more)?);
        run(&[&x], || in_type(&x, dtype, |x| ops::cumulative_sum(x, axis)))
    }
    /// The running products along an axis, which only a vector may leave out.
    #[pyo3(signature = (axis = None, **more), text_signature = "($self, axis=None, dtype=None)")]
    fn cumprod(
        slf: &Bound<'_, Self>,
        axis: Option<isize>,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let (x, dtype) = (value(slf), asked("cumprod", more)?);
        run(&[&x], || in_type(&x, dtype, |x| ops::cumulative_prod(x, axis)))
    }
    /// The elements in order along an axis, as a new tensor.
    #[pyo3(signature = (axis = -1, descending = false, **more), text_signature = "($self, axis=-1, descending=False)")]
    fn sort(
        slf: &Bound<'_, Self>,
        axis: isize,
        descending: bool,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        hints::beside("sort", &["axis", "descending"], more)?;
        let x = value(slf);
        run(&[&x], || ops::sort(&x, axis, descending))
    }
    /// The places of the elements in order along an axis.
    #[pyo3(signature = (axis = -1, descending = false, **more), text_signature = "($self, axis=-1, descending=False)")]
    fn argsort(
        slf: &Bound<'_, Self>,
        axis: isize,
        descending: bool,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        hints::beside("argsort", &["axis", "descending"], more)?;
        let x = value(slf);
        run(&[&x], || ops::argsort(&x, axis, descending))
    }
    /// The elements, none below `min` and none above `max`.
    #[pyo3(signature = (min = None, max = None, **more), text_signature = "($self, min=None, max=None)")]
    fn clip(
        slf: &Bound<'_, Self>,
        min: Option<&Bound<'_, PyAny>>,
        max: Option<&Bound<'_, PyAny>>,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        hints::beside("clip", &["min", "max"], more)?;
        let mut x = value(slf);
        for (limit, within) in [(min, ops::maximum as Two), (max, ops::minimum)] {
            if let Some(limit) = limit {
                x = within(&x, &weak(limit, x.dtype())?)?;
            }
        }
        Ok(x.into())
    }
    /// The tensor without axes of length one, or without those that are given.
    #[pyo3(signature = (axis = Axes::All, **more), text_signature = "($self, axis=None)")]
    fn squeeze(slf: &Bound<'_, Self>, axis: Axes, more: Option<&Bound<'_, PyDict>>) -> PyResult<PyTensor> {
        hints::beside("squeeze", &["axis"], more)?;
        Ok(ops::squeeze(&value(slf), axis)?.into())
    }
    /// The tensor with two axes exchanged.
    fn swapaxes(slf: &Bound<'_, Self>, axis1: isize, axis2: isize) -> PyResult<PyTensor> {
        let x = value(slf);
        let mut order: Vec<isize> = (0..x.ndim() as isize).collect();
        order.swap(shape::axis("swapaxes", axis1, x.ndim())?, shape::axis("swapaxes", axis2, x.ndim())?);
        Ok(ops::permute_dims(&x, Axes::These(order.into_iter().collect()))?.into())
    }
    /// The largest element over axes.
    #[pyo3(signature = (axis = Axes::All, keepdims = false, **more), text_signature = "($self, axis=None, keepdims=False)")]
    fn max(
        slf: &Bound<'_, Self>,
        axis: Axes,
        keepdims: bool,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let x = reduced("max", slf, more)?;
        run(&[&x], || ops::max(&x, axis, keepdims))
    }
    /// The smallest element over axes.
    #[pyo3(signature = (axis = Axes::All, keepdims = false, **more), text_signature = "($self, axis=None, keepdims=False)")]
    fn min(
        slf: &Bound<'_, Self>,
        axis: Axes,
        keepdims: bool,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let x = reduced("min", slf, more)?;
        run(&[&x], || ops::min(&x, axis, keepdims))
    }
    /// The variance over axes, `sum((x - mean)^2) / (n - ddof)`.
    #[pyo3(signature = (axis = Axes::All, keepdims = false, ddof = 0.0, **more), text_signature = "($self, axis=None, keepdims=False, ddof=0.0, dtype=None)")]
    fn var(
        slf: &Bound<'_, Self>,
        axis: Axes,
        keepdims: bool,
        ddof: f64,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let x = reduced("var", slf, more)?;
        run(&[&x], || ops::var(&x, axis, keepdims, ddof))
    }
    /// The standard deviation over axes.
    #[pyo3(signature = (axis = Axes::All, keepdims = false, ddof = 0.0, **more), text_signature = "($self, axis=None, keepdims=False, ddof=0.0, dtype=None)")]
    fn std(
        slf: &Bound<'_, Self>,
        axis: Axes,
        keepdims: bool,
        ddof: f64,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let x = reduced("std", slf, more)?;
        run(&[&x], || ops::std(&x, axis, keepdims, ddof))
    }
    /// Whether any element over axes is not zero.
    #[pyo3(signature = (axis = Axes::All, keepdims = false, **more), text_signature = "($self, axis=None, keepdims=False)")]
    fn any(
        slf: &Bound<'_, Self>,
        axis: Axes,
        keepdims: bool,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let x = reduced("any", slf, more)?;
        run(&[&x], || ops::any(&x, axis, keepdims))
    }
    /// Whether every element over axes is not zero.
    #[pyo3(signature = (axis = Axes::All, keepdims = false, **more), text_signature = "($self, axis=None, keepdims=False)")]
    fn all(
        slf: &Bound<'_, Self>,
        axis: Axes,
        keepdims: bool,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let x = reduced("all", slf, more)?;
        run(&[&x], || ops::all(&x, axis, keepdims))
    }
    /// Where the first largest element is.
    #[pyo3(signature = (axis = Axes::All, keepdims = false, **more), text_signature = "($self, axis=None, keepdims=False)")]
    fn argmax(
        slf: &Bound<'_, Self>,
        axis: Axes,
        keepdims: bool,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let x = reduced("argmax", slf, more)?;
        run(&[&x], || ops::argmax(&x, axis, keepdims))
    }
    /// Where the first smallest element is.
    #[pyo3(signature = (axis = Axes::All, keepdims = false, **more), text_signature = "($self, axis=None, keepdims=False)")]
    fn argmin(
        slf: &Bound<'_, Self>,
        axis: Axes,
        keepdims: bool,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyTensor> {
        let x = reduced("argmin", slf, more)?;
        run(&[&x], || ops::argmin(&x, axis, keepdims))
    }
    /// The nearest numbers of so many decimals, whole ones unless given; from the middle to the even neighbour.
    #[pyo3(signature = (decimals = 0))]
    fn round(slf: &Bound<'_, Self>, decimals: i32) -> PyResult<PyTensor> {
        let x = value(slf);
        if decimals == 0 || decimals > 0 && !x.dtype().is_float() {
            return Ok(ops::round(&x)?.into());
        }
        let scale = Array::filled("round", &[], 10f64.powi(decimals.abs()), x.dtype())?.into();
        let (to, from): (Two, Two) =
            if decimals > 0 { (ops::multiply, ops::divide) } else { (ops::divide, ops::multiply) };
        let rounded = from(&ops::round(&to(&x, &scale)?)?, &scale)?;
        Ok(ops::astype(&rounded, x.dtype())?.into())
    }
}

/// The element type that a reduction was asked for, as NumPy's methods let one.
#[inline]
fn asked(method: &str, more: Option<&Bound<'_, PyDict>>) -> PyResult<Option<DType>> {
    if more.is_none() {
        return Ok(None);
    }
    let known: &[&str] = match method {
        "sum" | "mean" | "prod" => &["axis", "keepdims", "dtype"],
        "std" | "var" => &["axis", "keepdims", "ddof", "dtype"],
        "cumsum" | "cumprod" => &["axis", "dtype"],
        _ => &["axis", "keepdims"],
    };
    hints::beside(method, known, more)
}

/// The tensor that a reduction works on: in the type that was asked for.
#[inline]
fn reduced(method: &str, slf: &Bound<'_, PyTensor>, more: Option<&Bound<'_, PyDict>>) -> PyResult<Tensor> {
    let x = value(slf);
    match asked(method, more)? {
        Some(dtype) => Ok(ops::astype(&x, dtype)?),
        None => Ok(x),
    }
}

/// Integers given one by one or as one sequence.
fn lengths(args: &Bound<'_, PyTuple>) -> PyResult<Axes> {
    match args.len() {
        1 => match args.get_item(0)?.extract::<Axes>()? {
            Axes::All => Err(PyTypeError::new_err("expected integers, got None")),
            these => Ok(these),
        },
        _ => args.extract(),
    }
}

/// Raises an error where a gradient is being taken through a tensor: what was computed from it and what is going to be
/// would depend on different values.
pub(super) fn check_assignable(tensor: &Bound<'_, PyTensor>) -> PyResult<()> {
    // Nearly always it has no place on a tape.
    let has_place = tensor.get().lock().place().is_some() || place_of(tensor).is_some();
    if has_place && crate::tape::is_recorded(&value(tensor)) {
        return Err(PyValueError::new_err(
            "a tensor that a gradient is being taken through cannot be assigned to; make a new one: x = x.at[i].set(v) for \
             x[i] = v, and .add, .multiply, .min or .max",
        ));
    }
    Ok(())
}

/// Whether all numbers of a tensor are finite. It is a look at the values and not recorded.
#[pyfunction]
#[pyo3(signature = (x, /))]
fn all_finite(py: Python<'_>, x: Operand) -> PyResult<bool> {
    let found = released(py, x.0.size(), || crate::optim::is_finite(x.0.array()))?;
    match is_captured() {
        true if found => finite_each_time(&x.0),
        true => tape::looked_at(x.0.array()),
        false => {}
    }
    Ok(found)
}

/// Numbers that were finite are looked at again where a program does this again.
#[cold]
fn finite_each_time(x: &Tensor) {
    tape::derive("finite", Vec::new(), &[x.array()], &[], optim::finite("is not finite"));
}

/// Gives a tensor the values of another, in place; shape must be equal, the element type is kept.
#[pyfunction]
#[pyo3(signature = (x, y, /))]
fn assign(x: &Bound<'_, PyTensor>, y: Operand) -> PyResult<()> {
    check_assignable(x)?;
    let old = x.get().get();
    if old.shape() != y.0.shape() {
        let (want, got) = (shape::show(old.shape()), shape::show(y.0.shape()));
        return Err(Error::Shape(format!(
            "assign: a tensor of shape {want} cannot take values of shape {got}"
        ))
        .into());
    }
    if is_captured() {
        step::note(x);
        x.get().set(ops::copy(&ops::astype(&y.0.at(None), old.dtype())?)?);
        return Ok(());
    }
    let values = y.0.array().cast(old.dtype())?;
    // Foreign memory may be changed by its owner, and views keep the whole of what they view.
    let values = if values.is_unique() { values } else { values.copy()? };
    step::note(x);
    x.get().set(values.into());
    Ok(())
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyTensor>()?;
    add_function!(m, all_finite)?;
    add_function!(m, assign)
}
