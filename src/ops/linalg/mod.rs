//! Linear algebra on the last two axes: factorisations, and what is made of them.
//!
//! A factorisation is computed once, without a gradient; what it gives are inputs of the operations that stand for it, so
//! that these share it, with their gradient rules too.

mod parts;
mod factors;
mod triangular;
mod solve;
mod cholesky;
mod eigh;
mod svd;
mod qr;
mod pinv;
mod determinant;

pub use cholesky::cholesky;
pub use determinant::{det, slogdet};
pub use eigh::{eigh, eigvalsh};
pub use pinv::pinv_with;
pub use qr::qr;
pub use solve::{inv, solve};
pub use svd::{svd, svdvals};
pub use triangular::solve_triangular;

use super::Op;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::linalg::{Failed, Failure};
use crate::memory::collected;
use crate::shape;
use crate::tape::{Known, Tensor};

pub(super) const OPS: &[Op] = &[
    solve::SOLVE,
    solve::INV,
    determinant::DET,
    determinant::SLOGDET,
    cholesky::CHOLESKY,
    eigh::EIGH,
    eigh::EIGVALSH,
    svd::SVD,
    svd::SVDVALS,
    qr::QR,
    pinv::PINV,
];

/// An error unless `x` has floats.
fn real(name: &str, x: &Tensor) -> Result<()> {
    if x.dtype().is_float() {
        return Ok(());
    }
    let dtype = x.dtype();
    Err(Error::DType(format!(
        "{name}: expected a floating tensor, got {dtype}; use x.astype(float32) or float64"
    )))
}

/// An error unless `x` is a matrix, or a stack of them, of floats.
fn floating(name: &str, x: &Tensor) -> Result<()> {
    real(name, x)?;
    if x.ndim() < 2 {
        let shape = shape::show(x.shape());
        return Err(Error::Shape(format!(
            "{name}: expected a matrix or a stack of matrices, got shape {shape}"
        )));
    }
    Ok(())
}

/// An error unless `x` is a square matrix, or a stack of them, of floats. Gives the length of one.
fn square(name: &str, x: &Tensor) -> Result<usize> {
    floating(name, x)?;
    let [.., m, n] = *x.shape() else { return Ok(0) };
    if m != n {
        let shape = shape::show(x.shape());
        return Err(Error::Shape(format!(
            "{name}: expected square matrices on the last two axes, got shape {shape}"
        )));
    }
    Ok(n)
}

/// The axes before the last `k`.
fn lead(x: &[usize], k: usize) -> &[usize] {
    &x[..x.len() - k]
}

/// What is wrong with the matrix that a kernel has failed at, of a stack of that shape.
fn failed(name: &str, stack: &[usize], (i, failure): Failed) -> Error {
    let matrix = matrix(stack, i);
    Error::Value(match failure {
        Failure::Singular => {
            format!("{name}: {matrix} is singular: one of its rows is a combination of the others")
        }
        Failure::NotPositive => format!("{name}: {matrix} is not positive definite"),
        Failure::NotFinite => format!("{name}: {matrix} has NaN or infinity"),
        Failure::NoConvergence => format!("{name}: the iteration for {matrix} does not converge"),
        Failure::Broken => format!("{name}: {matrix} is one that the library for it cannot work on"),
    })
}

/// What number `i` of a stack is called in a message.
fn matrix(stack: &[usize], i: usize) -> String {
    let mut place: Vec<usize> = Vec::new();
    let mut rest = i;
    for &n in stack.iter().rev() {
        place.insert(0, rest % n.max(1));
        rest /= n.max(1);
    }
    match place[..] {
        [] => "the matrix".into(),
        [i] => format!("matrix {i} of the batch"),
        _ => format!("matrix {} of the batch", shape::show(&place)),
    }
}

/// For each matrix of `stack` the number of the one of `of` that it is broadcast from.
fn which(of: &[usize], stack: &[usize]) -> Result<Vec<usize>> {
    if of == stack {
        return Ok(collected(0..shape::size(stack)));
    }
    let numbers = Array::from_fn("which", of, |i| i as i64)?.broadcast_to(stack)?;
    Ok(collected(numbers.to_vec::<i64>()?.into_iter().map(|i| i as usize)))
}

/// The elements in a type that kernels compute in, in memory that nobody else sees.
fn own(x: &Array) -> Result<Array> {
    debug_assert!(matches!(x.dtype(), DType::F32 | DType::F64));
    x.copy()
}

/// That an input is of square matrices of floats.
fn are_square(x: &Known<'_>, i: usize) -> Result<()> {
    x.floats([i])?;
    x.least_axes(i, 2)?;
    let shape = x.shape(i);
    x.holds(shape[shape.len() - 1] == shape[shape.len() - 2], || {
        format!("input {i} is of no square matrices")
    })
}

/// That inputs are of square matrices, their factors and the order of their rows.
fn factored(x: &Known<'_>, matrices: usize, factors: usize, rows: usize) -> Result<()> {
    x.floats([matrices, factors])?;
    are_square(x, matrices)?;
    let shape = x.shape(matrices);
    x.shaped(factors, shape)?;
    x.row_major(factors)?;
    x.shaped(rows, &shape[..shape.len() - 1])?;
    x.numbers(rows, shape[shape.len() - 1])
}

/// That an input is of right-hand sides for the square matrices of another.
fn right_hand_sides(x: &Known<'_>, matrices: usize, sides: usize) -> Result<()> {
    x.floats([matrices, sides])?;
    x.least_axes(sides, 2)?;
    let (a, b) = (x.shape(matrices), x.shape(sides));
    x.holds(a[a.len() - 1] == b[b.len() - 2], || "the right-hand sides are of other rows".into())?;
    let stack = crate::shape::broadcast("solve", &a[..a.len() - 2], &b[..b.len() - 2])?;
    x.there_is(&[&stack[..], &b[b.len() - 2..]].concat())
}

/// The operations of this folder by their names in files.
pub(super) const READERS: [&[crate::tape::Reader]; 10] = [
    cholesky::READERS,
    determinant::READERS,
    eigh::READERS,
    factors::READERS,
    parts::READERS,
    pinv::READERS,
    qr::READERS,
    solve::READERS,
    svd::READERS,
    triangular::READERS,
];
