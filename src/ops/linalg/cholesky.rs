//! `A = L Lᵀ`.

use super::triangular::{solve_triangular, triangle_of};
use super::{are_square, failed, lead, own, square};
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::linalg::cholesky as kernel;
use crate::ops::matmul::matrix_product;
use crate::ops::movement::transpose_last;
use crate::ops::{Case, Op, add, multiply};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, in_single, parameters, readers,
};

/// The lower factor of matrices that are made symmetric first.
#[derive(Clone, Debug)]
struct Cholesky;

impl Operation for Cholesky {
    fn name(&self) -> &'static str {
        "cholesky"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        are_square(x, 0)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let shape = x[0].shape();
        let mut l = own(x[0])?;
        each!(l.dtype(), float: T => {
            kernel::factor(l.values_mut::<T>("cholesky")?, shape[shape.len() - 1])
                .map_err(|f| failed("cholesky", lead(shape, 2), f))?;
        }, else return Err(Error::DType(format!("cholesky: not defined for {}", l.dtype()))));
        Ok(l)
    }
}

impl Differentiable for Cholesky {
    fn keeps(&self) -> Keeps {
        Keeps::Output
    }
    /// `L⁻ᵀ M L⁻¹` with `M` the lower triangle of `Lᵀ dL`, its diagonal halved, made symmetric as A is. Ref: Murray 2016, Differentiation of the Cholesky decomposition.
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let l = cx.output();
        let m = triangle_of(&matrix_product(&transpose_last(l)?, g)?, true, 0.5)?;
        let left = solve_triangular(l, &m, true, true)?;
        let right = solve_triangular(l, &transpose_last(&left)?, true, true)?;
        Ok(Grads::from_iter([Some(symmetric(&right)?)]))
    }
}

/// `(A + Aᵀ) / 2`.
pub(super) fn symmetric(a: &Tensor) -> Result<Tensor> {
    let half = multiply(a, &Array::filled("symmetric", &[], 0.5, a.dtype())?.into())?;
    add(&half, &transpose_last(&half)?)
}

/// The lower triangular L with `A = L Lᵀ`, of symmetric positive definite matrices: of `A`, `(A + Aᵀ) / 2` is taken.
pub fn cholesky(a: &Tensor) -> Result<Tensor> {
    if a.dtype().is_half() {
        return in_single(&[a], |a| cholesky(a[0]));
    }
    square("cholesky", a)?;
    apply(Cholesky, &[a])
}

pub(super) const CHOLESKY: Op = Op {
    name: "cholesky",
    cases: &[
        Case { f: |t| cholesky(&positive(&t[0])?), shapes: &[&[3, 3]], domain: (-1.0, 1.0) },
        Case { f: |t| cholesky(&positive(&t[0])?), shapes: &[&[2, 1, 4, 4]], domain: (-1.0, 1.0) },
    ],
};

/// Positive definite matrices from any of numbers within 1.
fn positive(a: &Tensor) -> Result<Tensor> {
    super::solve::regular(&matrix_product(a, &transpose_last(a)?)?)
}

readers! { "cholesky" => Cholesky }
