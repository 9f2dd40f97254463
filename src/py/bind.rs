//! What the tables of operations give Python: a function for each row, of its name and documentation.

/// Defines the Python functions of a table, and `register`, which adds them to the module. The first word says how they
/// take their arguments.
macro_rules! bind {
    // Tensors that meet, and parameters by name or place.
    (meet $(
        $(#[$doc:meta])+ $name:ident($($x:ident),+ $(; $($k:ident: $t:ty $(= $d:expr)?),+)?);
    )+) => {
        mod python {
            #[allow(unused_imports)]
            use super::*;
            use crate::py::{PyTensor, meet, named, run};
            use pyo3::prelude::*;
            $(
                $(#[$doc])+
                #[pyfunction]
                #[pyo3(signature = ($($x,)+ / $(, $($k $(= $d)?),+)?))]
                pub(super) fn $name($($x: &Bound<'_, PyAny>,)+ $($($k: $t),+)?) -> PyResult<PyTensor> {
                    let [$($x),+] = meet([$($x),+]).map_err(|e| named(stringify!($name), e))?;
                    run(&[$(&$x),+], || super::$name($(&$x,)+ $($($k),+)?))
                }
            )+
        }
        crate::bind! { functions $($name [$($($($d,)?)+)?])+ }
    };
    // Two arguments of one type.
    (pair $($(#[$doc:meta])+ $name:ident;)+) => {
        mod python {
            use crate::py::{PyTensor, named, pair, run};
            use pyo3::prelude::*;
            $(
                $(#[$doc])+
                #[pyfunction]
                #[pyo3(signature = (a, b, /))]
                pub(super) fn $name(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
                    let (a, b) = pair(a, b).map_err(|e| named(stringify!($name), e))?;
                    run(&[&a, &b], || super::$name(&a, &b))
                }
            )+
        }
        crate::bind! { functions $($name [])+ }
    };
    // Two arguments without a gradient; numbers that are compared need not fit the type of the other.
    (compare $($(#[$doc:meta])+ $name:ident -> $out:ident;)+) => {
        mod python {
            use crate::py::{PyTensor, run};
            use pyo3::prelude::*;
            $(
                $(#[$doc])+
                #[pyfunction]
                #[pyo3(signature = (a, b, /))]
                pub(super) fn $name(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
                    let (a, b) = crate::bind!(together $out, a, b)?;
                    run(&[&a, &b], || super::$name(&a, &b))
                }
            )+
        }
        crate::bind! { functions $($name [])+ }
    };
    (together bool, $a:ident, $b:ident) => { crate::py::compared($a, $b) };
    (together $out:ident, $a:ident, $b:ident) => { crate::py::pair($a, $b) };
    // One argument, and numbers.
    (row $($(#[$doc:meta])+ $name:ident($($p:ident $(= $d:literal)?),*);)+) => {
        mod python {
            use crate::py::{Operand, PyTensor, named, run};
            use pyo3::prelude::*;
            $(
                $(#[$doc])+
                #[pyfunction]
                #[pyo3(signature = (x, / $(, $p $(= $d)?)*))]
                pub(super) fn $name(x: &Bound<'_, PyAny> $(, $p: f64)*) -> PyResult<PyTensor> {
                    let x = x.extract::<Operand>().map_err(|e| named(stringify!($name), e))?.0;
                    run(&[&x], || super::$name(&x $(, $p)*))
                }
            )+
        }
        crate::bind! { functions $($name [$($($d,)?)*])+ }
    };
    // One argument.
    (step $($(#[$doc:meta])+ $name:ident;)+) => {
        mod python {
            use crate::py::{Operand, PyTensor, run};
            use pyo3::prelude::*;
            $(
                $(#[$doc])+
                #[pyfunction]
                #[pyo3(signature = (x, /))]
                pub(super) fn $name(x: Operand) -> PyResult<PyTensor> {
                    run(&[&x.0], || super::$name(&x.0))
                }
            )+
        }
        crate::bind! { functions $($name [])+ }
    };
    // With the defaults of each, as Rust writes them.
    (functions $($name:ident [$($d:expr,)*])+) => {
        pub(in crate::ops) fn register(m: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
            $(crate::py::hints::add_function!(m, python::$name, [$(stringify!($d)),*])?;)+
            Ok(())
        }
    };
    // The functions of all tables.
    (tables $($file:ident)+) => {
        pub(crate) fn register(m: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
            $($file::register(m)?;)+
            Ok(())
        }
    };
}
pub(crate) use bind;
