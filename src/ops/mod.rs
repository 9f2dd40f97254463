//! Every operation: a row of a table, or a file of its own. The end of this file is the only other place to touch.
//!
//! To add one:
//! 1. Element-wise, one argument: a row in `unary.rs` or `activation.rs`. Two: a row in `binary.rs`.
//! 2. Otherwise a file with a struct for its parameters and one `impl Operation`: name, forward, what is kept, and the
//!    gradient rule written with the functions of this module, so that it has a gradient itself.
//!    Labels, indices and places are `numbers.rs`'s: a copy, for what is checked once must stay what it was.
//! 3. A head in `operations! { … }`: documentation, arguments with Python's defaults, the function that does it, and
//!    the calls on which its gradient is checked.
//! 4. The file's name below: as a module, which is where the formatter finds it, and in `list!`.
//!
//! From the head come the Rust function, the Python function with the same text, a finite-difference check of first
//! and second order in `tests/gradients.rs`, and a row in `benches/ops.rs`. `tests/test_ops_numpy.py` fails until the new name has
//! an independent oracle.

use crate::error::Result;
use crate::tape::Tensor;

/// What the tests, the benches and the Python module know of an operation.
pub struct Op {
    /// Its name in Rust and in Python.
    pub name: &'static str,
    /// Calls on which its gradient is checked; none where it has no gradient.
    pub cases: &'static [Case],
}

/// A call to check: the function, the shapes of its arguments, and the interval their values come from.
pub struct Case {
    /// The call.
    pub f: fn(&[Tensor]) -> Result<Tensor>,
    /// The shapes of its arguments.
    pub shapes: &'static [&'static [usize]],
    /// Away from kinks and poles.
    pub domain: (f64, f64),
}

/// The heads of a file's operations: `name(tensors; parameter: type = default) = function, cases [..];`. A parameter
/// without a default has to be given.
macro_rules! operations {
    ($(
        $(#[$doc:meta])+
        $name:ident($($x:ident),+ $(; $($k:ident: $t:ty $(= $d:expr)?),+)?) = $run:path, cases [$($case:expr),* $(,)?];
    )+) => {
        $(
            $(#[$doc])+
            pub fn $name($($x: &crate::tape::Tensor,)+ $($($k: $t),+)?) -> crate::error::Result<crate::tape::Tensor> {
                crate::error::attempt(stringify!($name), || $run($($x,)+ $($($k),+)?))
            }
        )+
        pub(super) const OPS: &[super::Op] = &[$(super::Op { name: stringify!($name), cases: &[$($case),*] }),+];
        #[cfg(feature = "python")]
        mod python {
            #[allow(unused_imports)]
            use super::*;
            use crate::py::PyTensor;
            use pyo3::prelude::*;
            $(
                $(#[$doc])+
                #[pyfunction]
                #[pyo3(signature = ($($x,)+ / $(, $($k $(= $d)?),+)?))]
                pub(super) fn $name($($x: &Bound<'_, PyAny>,)+ $($($k: $t),+)?) -> PyResult<PyTensor> {
                    let [$($x),+] = crate::py::meet([$($x),+]).map_err(|e| crate::py::named(stringify!($name), e))?;
                    crate::py::run(&[$(&$x),+], || super::$name($(&$x,)+ $($($k),+)?))
                }
            )+
        }
        #[cfg(feature = "python")]
        pub(super) fn register(m: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
            $(crate::py::hints::add_function!(m, python::$name)?;)+
            Ok(())
        }
    };
}

macro_rules! list {
    ($($file:ident),+ $(,)?) => {
        $(pub use $file::*;)+
        /// Every operation.
        pub const OPS: &[&[Op]] = &[$($file::OPS),+];
        #[cfg(feature = "python")]
        pub(crate) fn register(m: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
            $($file::register(m)?;)+
            sort::register_functions(m)
        }
    };
}

mod convolution;
mod methods;
mod numbers;
mod recurrence;
pub(crate) mod row;
mod traced;
mod unrolled;

mod unary;
mod activation;
mod step;
mod binary;
mod compare;
mod select;
mod cast;
mod movement;
mod view;
mod join;
mod index;
mod scatter;
mod creation;
mod reduce;
mod scan;
mod sort;
mod matmul;
mod softmax;
mod dense;
mod attention;
mod conv;
mod norm;
mod normalise;
mod dropout;
mod loss;
mod crossentropy;
mod pool;
mod ctc;
mod recurrent;

list![
    unary,
    activation,
    step,
    binary,
    compare,
    select,
    cast,
    movement,
    view,
    join,
    index,
    scatter,
    creation,
    reduce,
    scan,
    sort,
    matmul,
    softmax,
    dense,
    attention,
    conv,
    norm,
    normalise,
    dropout,
    loss,
    crossentropy,
    pool,
    ctc,
    recurrent,
];
