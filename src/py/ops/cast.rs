//! Other forms of the same elements, for Python: in another type and in another shape.

use crate::dtype::DType;
use crate::ops;
use crate::py::{Device, Operand, PyTensor, run};
use crate::shape::Axes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The same values as another element type. With `copy=False` a tensor of that type comes back itself.
#[pyfunction]
#[pyo3(signature = (x, /, dtype, *, copy = true, device = None))]
pub(super) fn astype<'py>(
    x: &Bound<'py, PyAny>,
    dtype: DType,
    copy: bool,
    device: Option<Device>,
) -> PyResult<Bound<'py, PyTensor>> {
    let _ = device;
    if !copy
        && let Ok(t) = x.cast_exact::<PyTensor>()
        && t.get().get().dtype() == dtype
    {
        return Ok(t.clone());
    }
    let given = x.extract::<Operand>()?.0;
    Bound::new(x.py(), run(&[&given], || ops::astype(&given, dtype))?)
}

/// The same elements in another shape, of which one length may be -1: what is left for it. Where the order in memory allows
/// it nothing is copied; with `copy=False` everything else is an error. To assign to the result never changes `x`.
#[pyfunction]
#[pyo3(signature = (x, /, shape, *, copy = None))]
pub(super) fn reshape(x: Operand, shape: Axes, copy: Option<bool>) -> PyResult<PyTensor> {
    let Some(copy) = copy else { return run(&[&x.0], || ops::reshape(&x.0, shape)) };
    let y = ops::reshape(&x.0, shape)?;
    let shared = y.array().shares_memory(x.0.array());
    if !copy && !shared && y.size() > 0 {
        return Err(PyValueError::new_err(
            "reshape: copy=False, but the elements do not lie in memory in the order of the new shape; leave it out",
        ));
    }
    Ok(y.into())
}
