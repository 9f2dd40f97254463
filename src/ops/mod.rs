#![doc = include_str!("guide.md")]

// Every operation: a row of a table, or a file of its own. The end of this file is the only other place to touch.
//
// To add one:
// 1. Element-wise, one argument: a row in `unary.rs` or `activation.rs`. Two: a row in `binary.rs`.
// 2. Otherwise a file with a struct for its parameters, `impl Operation` (name, forward) and `impl Differentiable` (what is
//    kept, and the gradient rule written with the functions of this module, so that it has a gradient itself). A rule with
//    a kernel of its own adds `backward_fused`. What has no gradient is computed by `tape::compute` and is no more than
//    an `Operation`.
//    Labels, indices and places are inputs and `numbers.rs`'s: a copy, for what is checked once must stay what it was. Those
//    of `along.rs` are one only where a gradient reads them again: its kernel checks each number as it reads it.
// 3. A head in `operations! { … }`: documentation, arguments with Python's defaults, what it does, and
//    the calls on which its gradient is checked.
// 4. The file's name below: as a module, below those whose parts it uses, and in `list!`.
//
// The operations themselves, which are functions of this module, use each other as they like.
//
// From the head come the Rust function, the Python function with the same text, a finite-difference check of first
// and second order in `tests/gradients.rs`, and a row in `benches/ops.rs`. `tests/test_ops_numpy.py` fails until the new name has
// an independent oracle.

use crate::error::Result;
use crate::tape::{Parameter, Reader, Tensor, Value};

/// What the tests, the benches and the Python module know of an operation.
#[doc(hidden)]
pub struct Op {
    /// Its name in Rust and in Python.
    pub name: &'static str,
    /// Calls on which its gradient is checked; none where it has no gradient.
    pub cases: &'static [Case],
}

/// The name of an operation's function, as a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) &'static str);

impl Parameter for Name {
    fn value(&self) -> Value {
        Value::Name(self.0.into())
    }
    fn read(value: &Value) -> Option<Self> {
        let Value::Name(name) = value else { return None };
        OPS.iter().copied().flatten().find(|op| op.name == name).map(|op| Name(op.name))
    }
}

/// A call to check: the function, the shapes of its arguments, and the interval their values come from.
#[doc(hidden)]
pub struct Case {
    /// The call.
    pub f: fn(&[Tensor]) -> Result<Tensor>,
    /// The shapes of its arguments.
    pub shapes: &'static [&'static [usize]],
    /// Away from kinks and poles.
    pub domain: (f64, f64),
}

/// A file's operations: `name(tensors; parameter: type = default) { what it does } cases [..];`. A parameter without a
/// default has to be given. What takes more than a few lines is a function beside it, which rustfmt sees.
macro_rules! operations {
    ($(
        $(#[$doc:meta])+
        $name:ident($($x:ident),+ $(; $($k:ident: $t:ty $(= $d:expr)?),+)?)
            $body:block cases [$($case:expr),* $(,)?];
    )+) => {
        $(
            $(#[$doc])+
            pub fn $name($($x: &crate::tape::Tensor,)+ $($($k: $t),+)?) -> crate::error::Result<crate::tape::Tensor> {
                crate::error::attempt(stringify!($name), || $body)
            }
        )+
        pub(in crate::ops) const OPS: &[crate::ops::Op] = &[$(crate::ops::Op { name: stringify!($name), cases: &[$($case),*] }),+];
        crate::bind! { meet $($(#[$doc])+ $name($($x),+ $(; $($k: $t $(= $d)?),+)?);)+ }
    };
}

/// The operations of these files, and those of the tape, by their names in files.
macro_rules! readers_of {
    ($($file:ident)+) => {
        /// Every operation by its name in files.
        #[doc(hidden)]
        pub fn readers() -> impl Iterator<Item = &'static Reader> {
            let ours = [$($file::READERS),+];
            crate::tape::READERS.into_iter().chain([crate::random::READERS]).chain(ours).chain(linalg::READERS).flatten()
        }
    };
}

macro_rules! list {
    (tables: $($table:ident)+; files: $($file:ident)+) => {
        $(pub use $table::*;)+
        $(pub use $file::*;)+
        /// Every operation.
        #[doc(hidden)]
        pub const OPS: &[&[Op]] = &[$($table::OPS,)+ $($file::OPS),+];
        crate::bind! { tables $($table)+ }
    };
}

mod traced;
mod numbers;
pub mod gradient;
mod binary;
pub(crate) mod formula;
mod unary;
mod activation;
mod compare;
mod rounding;
mod select;
mod finite;
mod lerp;
mod cast;
mod movement;
mod scatter;
mod creation;
mod view;
mod join;
mod index;
mod at;
mod along;
mod key;
mod reduce;
mod scan;
mod running;
mod sort;
mod count;
mod ranks;
mod matmul;
mod distance;
mod softmax;
mod dense;
mod attention;
mod conv;
mod norm;
mod dropout;
mod loss;
mod crossentropy;
mod pool;
mod ctc;
mod fft;
mod frames;
mod recurrent;
mod linalg;
mod methods;
mod operators;

pub use formula::Activation;
use norm::normalise;
#[cfg(feature = "python")]
pub(crate) use numbers::{are_below, copy, holds};
#[cfg(feature = "safetensors")]
pub(crate) use numbers::{below, still};

list! {
    tables:
        unary activation rounding binary compare finite lerp cast movement view index along scatter reduce scan running
        sort count ranks matmul distance softmax normalise loss crossentropy pool ctc fft frames;
    files:
        select at join creation dense attention conv norm dropout recurrent linalg
}

readers_of! {
    numbers unary activation rounding binary compare select finite lerp movement view at join creation index along scatter
    reduce scan running sort count ranks matmul distance softmax dense attention conv norm dropout loss crossentropy pool ctc
    fft frames recurrent
}
