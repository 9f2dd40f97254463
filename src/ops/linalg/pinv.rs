//! Pseudo-inverses.

use super::floating;
use crate::array::Array;
use crate::error::Result;
use crate::ops::matmul::matrix_product;
use crate::ops::movement::transpose_last;
use crate::ops::{Case, Op, add, subtract};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, parameters, readers,
};

/// The pseudo-inverse of the first input, which is the second.
#[derive(Clone, Debug)]
struct Pinv;

impl Operation for Pinv {
    fn name(&self) -> &'static str {
        "pinv"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(x[1].clone())
    }
}

impl Differentiable for Pinv {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    /// `-Yᵀ g Yᵀ + (I - A Y) gᵀ Y Yᵀ + Yᵀ Y gᵀ (I - Y A)` for `Y = A⁺`, where the rank does not change. Ref: Golub and
    /// Pereyra 1973, The differentiation of pseudo-inverses.
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let (a, y, back) = (cx.input(0), cx.output(), transpose_last(g)?);
        let product = matrix_product;
        let yt = transpose_last(y)?;
        let turned = product(&product(&yt, g)?, &yt)?;
        // gᵀ Y Yᵀ and Yᵀ Y gᵀ, each less its projection.
        let right = product(&product(&back, y)?, &yt)?;
        let right = subtract(&right, &product(a, &product(y, &right)?)?)?;
        let left = product(&yt, &product(y, &back)?)?;
        let left = subtract(&left, &product(&product(&left, y)?, a)?)?;
        Ok(Grads::from_iter([Some(subtract(&add(&right, &left)?, &turned)?), None]))
    }
}

/// The pseudo-inverses `y` of matrices `a`, whose gradient they are given.
pub fn pinv_with(a: &Tensor, y: &Tensor) -> Result<Tensor> {
    floating("pinv", a)?;
    apply(Pinv, &[a, &y.array().clone().into()])
}

pub(super) const PINV: Op = Op {
    name: "pinv_with",
    cases: &[
        Case { f: pinv_case, shapes: &[&[4, 2]], domain: (-1.0, 1.0) },
        Case { f: pinv_case, shapes: &[&[2, 2, 3]], domain: (-1.0, 1.0) },
    ],
};

/// By the singular values, all of which count.
fn pinv_case(t: &[Tensor]) -> Result<Tensor> {
    let a = super::parts::apart(&t[0])?;
    let [u, s, vh] = super::svd(&a.array().clone().into(), false)?;
    let right = crate::ops::divide(&transpose_last(&vh)?, &super::parts::row(&s)?)?;
    pinv_with(&a, &matrix_product(&right, &transpose_last(&u)?)?)
}

readers! { "pinv_part" => Pinv }
