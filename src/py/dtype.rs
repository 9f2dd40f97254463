//! Element types and axes as Python sees them.

use super::hints::add_function;
use super::once::Once;
use crate::dtype::{DType, Kind};
use crate::shape::{Axes, MOST_AXES};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyType};
use smallvec::SmallVec;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The type of a tensor's elements. Equal to its name and to NumPy's type of that name.
#[pyclass(name = "DType", module = "oxiflux", frozen)]
pub(super) struct PyDType(DType);

#[pymethods]
impl PyDType {
    /// The name, as in NumPy.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name()
    }
    /// Bytes an element takes.
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.size()
    }
    /// One of "b" (bool), "i", "u" (integers) and "f" (floating point).
    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind() {
            Kind::Bool => "b",
            Kind::Float => "f",
            Kind::Integer if self.0.is_signed() => "i",
            Kind::Integer => "u",
        }
    }
    fn __repr__(&self) -> String {
        format!("oxiflux.{}", self.0.name())
    }
    fn __str__(&self) -> &'static str {
        self.0.name()
    }
    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.extract::<DType>().is_ok_and(|d| d == self.0)
    }
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (&'static str,))> {
        Ok((py.import("oxiflux._core")?.getattr("dtype")?, (self.0.name(),)))
    }
}

impl<'py> FromPyObject<'_, 'py> for DType {
    type Error = PyErr;
    fn extract(ob: Borrowed<'_, 'py, PyAny>) -> PyResult<DType> {
        if let Ok(d) = ob.cast::<PyDType>() {
            return Ok(d.get().0);
        }
        let unknown = || PyTypeError::new_err(format!("{} is not an element type of oxiflux", &*ob));
        if let Ok(name) = ob.cast::<PyString>() {
            let name = name.to_cow()?;
            return DType::parse(name.trim_end_matches('_')).ok_or_else(unknown);
        }
        if let Ok(class) = ob.cast::<PyType>() {
            let py = ob.py();
            let builtin = [
                (py.get_type::<PyBool>(), DType::Bool),
                (py.get_type::<PyFloat>(), DType::F32),
                (py.get_type::<PyInt>(), DType::I64),
            ];
            if let Some((_, d)) = builtin.iter().find(|(t, _)| class.is(t)) {
                return Ok(*d);
            }
            let name: String = class.name()?.extract()?;
            return DType::parse(name.trim_end_matches('_')).ok_or_else(unknown);
        }
        let name: String = ob.getattr("name").and_then(|n| n.extract()).map_err(|_| unknown())?;
        DType::parse(&name).ok_or_else(unknown)
    }
}

impl<'py> IntoPyObject<'py> for DType {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;
    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static OBJECTS: Once<Vec<Py<PyDType>>> = Once::new();
        let objects = OBJECTS.get_or_find(py, || {
            DType::ALL.iter().map(|&d| Py::new(py, PyDType(d))).collect::<PyResult<_>>()
        })?;
        let at = DType::ALL.iter().position(|&d| d == self).unwrap_or(0);
        Ok(objects[at].bind(py).clone().into_any())
    }
}

impl<'py> FromPyObject<'_, 'py> for Axes {
    type Error = PyErr;
    fn extract(ob: Borrowed<'_, 'py, PyAny>) -> PyResult<Axes> {
        if ob.is_none() {
            return Ok(Axes::All);
        }
        if let Ok(axis) = ob.extract::<isize>() {
            return Ok(axis.into());
        }
        let wrong = |e: PyErr| match e.is_instance_of::<PyOverflowError>(ob.py()) {
            true => e,
            false => {
                PyTypeError::new_err(format!("expected an integer or a tuple of integers, got {}", &*ob))
            }
        };
        let mut found = SmallVec::new();
        for i in ob.try_iter().map_err(wrong)? {
            // Told before all are collected: there may be more than memory holds.
            if found.len() == MOST_AXES {
                return Err(PyValueError::new_err(format!(
                    "a tensor has at most {MOST_AXES} axes, got more"
                )));
            }
            found.push(i?.extract::<isize>().map_err(wrong)?);
        }
        Ok(Axes::These(found))
    }
}

/// The element type of that name, or of that NumPy or Python type.
#[pyfunction]
#[pyo3(signature = (name, /))]
fn dtype(name: DType) -> DType {
    name
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyDType>()?;
    add_function!(m, dtype)?;
    for d in DType::ALL {
        m.add(if d == DType::Bool { "bool_" } else { d.name() }, d.into_pyobject(m.py())?)?;
    }
    Ok(())
}
