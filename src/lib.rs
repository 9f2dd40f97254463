//! Tensors, gradients and neural networks on the CPU: the core of a Python package, and a library of its own.
//!
//! A network learns to tell apart points within a circle from those outside:
//!
//! ```
//! use oxiflux::{Adam, Axes, Chain, DType, Dense, Generator, Layer, ops, withgradient};
//!
//! let mut rng = Generator::new(0);
//! let x = rng.randn(&[256, 2], DType::F32)?;
//! let is_far = ops::greater(&(&x * &x).sum(1, false)?, &1.5.into())?.cast(DType::I64)?;
//!
//! let mut model = Chain::new()
//!     .then(Dense::new(2, 16, "tanh", &mut rng)?)
//!     .then(Dense::new(16, 2, "identity", &mut rng)?);
//! let mut adam = Adam::new(0.02);
//! for _ in 0..200 {
//!     let (_, gradient) = withgradient(|m| ops::logitcrossentropy_mean(&m.call(&x)?, &is_far), &model)?;
//!     adam.update(&mut model, &gradient)?;
//! }
//!
//! let accuracy = model.call(&x)?.argmax(1, false)?.equal(&is_far)?.mean(Axes::All, false)?;
//! assert!(accuracy.item()? > 0.95);
//! # Ok::<(), oxiflux::Error>(())
//! ```
//!
//! `examples/iris.rs` does so with flowers that were measured.
//!
//! # What there is
//!
//! - [`Tensor`]: numbers of one of thirteen [types](DType) in a shape. It is made of numbers, arrays and `ndarray`'s arrays
//!   with `From`, printed with its values, and cheap to clone: clones share their memory until one is written.
//! - [`ops`]: the functions of tensors, each with its gradient, and of that gradient another. The usual ones are methods
//!   of [`Tensor`] too, and the four operators work on tensors and numbers: `&a * 2.0 + &b`.
//! - [`withgradient`]: the value of a function and its gradient for all parameters of a model, which is anything
//!   [`Trainable`].
//! - [`Dense`], [`Chain`] and what else is a [`Layer`]; [`Adam`] to train it. A rule of one's own is a loop:
//!
//! ```
//! use oxiflux::{Axes, Tensor, Trainable, withgradient};
//! let mut model = vec![Tensor::from(1.0), Tensor::from([2.0, 3.0])];
//! let (_, gradient) = withgradient(|m| (&m[0] * &m[1]).sum(Axes::All, false), &model)?;
//! for (p, g) in model.parameters().into_iter().zip(gradient) {
//!     if let Some(g) = g {
//!         *p = &*p - g * 0.1;
//!     }
//! }
//! assert_eq!(model[1].to_string(), "[1.9, 2.9]");
//! # Ok::<(), oxiflux::Error>(())
//! ```
//!
//! - [`Generator`]: random tensors from a seed, the same on every machine and for any number of [threads](set_threads).
//! - [`set_strict`]: convolutions without the algorithm that is fast but less accurate.
//! - [`files`]: tensors in safetensors files.
//!
//! # Errors and panics
//!
//! Functions and methods give a [`Result`], whose [`Error`] says in numbers what does not fit. Two things have no room for
//! one and panic with its message: an operator on shapes or types that do not fit, as `ndarray`'s do, and a `From` for which
//! there is no memory, as a `Vec` does. Nothing here needs `unsafe`.
//!
//! ```should_panic
//! use oxiflux::Tensor;
//! let _ = Tensor::from([1.0, 2.0]) + Tensor::from([1.0, 2.0, 3.0]);
//! ```
//!
//! # Numbers
//!
//! Rust's literals are float64, and two tensors meet in the type that has room for both; write `1.0f32` for models, which
//! are float32. A number beside a tensor takes the type of the tensor, and data the type of the layer that it goes into.
//!
//! # Build with optimisation
//!
//! Without it numerics are some thirty times slower. A debug build of your program stays fast if its dependencies are
//! optimised; this crate's own profile does not reach into yours. In your `Cargo.toml`:
//!
//! ```toml
//! [profile.dev.package."*"]
//! opt-level = 3
//! ```
//!
//! # Features
//!
//! - `ndarray` (on): arrays from and to the crate of that name.
//! - `safetensors` (on): [`files`] and [`programs`].
//! - `python`: the Python module, for maturin alone.

// Each module uses those listed above it, never those below.

#[doc(hidden)]
pub mod memory;
pub mod dtype;
pub mod error;
#[doc(hidden)]
pub mod shape;
#[doc(hidden)]
pub mod isa;
#[doc(hidden)]
pub mod team;
#[cfg(feature = "python")]
mod fork;
mod strict;
/// Functions on pointers, for the tests and the benches: their contracts are not for anyone else.
#[doc(hidden)]
pub mod kernels;
pub mod array;
#[doc(hidden)]
pub mod fuse;
pub mod tape;
mod random;
pub mod ops;
#[doc(hidden)]
pub mod optim;
mod nn;
#[cfg(feature = "safetensors")]
pub mod files;
#[cfg(feature = "safetensors")]
pub mod programs;
#[cfg(feature = "python")]
mod py;

/// Gives Python the functions of a table of operations, where there is Python.
#[cfg(not(feature = "python"))]
macro_rules! bind {
    ($($table:tt)*) => {};
}
#[cfg(not(feature = "python"))]
pub(crate) use bind;
#[cfg(feature = "python")]
pub(crate) use py::bind;

#[doc(inline)]
pub use array::Array;
#[doc(inline)]
pub use dtype::{DType, Element, half};
#[doc(inline)]
pub use error::{Error, Result};
pub use nn::{Adam, Chain, Dense, Layer};
#[doc(inline)]
pub use ops::gradient::{self, withgradient};
pub use random::Generator;
pub use shape::Axes;
pub use strict::{set_strict, strict, strictly};
#[doc(inline)]
pub use tape::{Tensor, Trainable};
pub use team::{set_threads, threads};

/// Holds what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
