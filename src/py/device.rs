//! Where tensors are: on the CPU. Functions of the array API standard may be told so.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The only device there is.
pub(crate) struct Device;

impl<'py> FromPyObject<'_, 'py> for Device {
    type Error = PyErr;
    fn extract(ob: Borrowed<'_, 'py, PyAny>) -> PyResult<Device> {
        match ob.cast::<PyString>() {
            Ok(name) if name.to_cow()? == "cpu" => Ok(Device),
            _ => Err(PyValueError::new_err(format!(
                "must be \"cpu\" or None, for tensors are nowhere else, got {}",
                ob.repr()?
            ))),
        }
    }
}
