//! Systems whose matrix is triangular.

use super::{are_square, failed, lead, own, right_hand_sides, square, which};
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::linalg::triangular::{self, Triangle};
use crate::ops::matmul::matrix_product;
use crate::ops::movement::transpose_last;
use crate::ops::{multiply, negative};
use crate::shape::{self, Dims};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, parameters, readers,
};

/// What solves `T X = B`, or with the transpose of T. Nothing is read of T but its triangle.
#[derive(Clone, Debug)]
struct SolveTriangular {
    lower: bool,
    transposed: bool,
}

impl Operation for SolveTriangular {
    fn name(&self) -> &'static str {
        "solve_triangular"
    }
    parameters! { lower, transposed }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)?;
        are_square(x, 0)?;
        right_hand_sides(x, 0, 1)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let name = "solve_triangular";
        let (t, b) = (x[0].contiguous()?, x[1]);
        let stack = shape::broadcast(name, lead(t.shape(), 2), lead(b.shape(), 2))?;
        let dims: Dims = stack.iter().chain(&b.shape()[b.ndim() - 2..]).copied().collect();
        let mut b = own(&b.broadcast_to(&dims)?)?;
        let which = which(lead(t.shape(), 2), &stack)?;
        let sizes = (dims[dims.len() - 2], dims[dims.len() - 1]);
        let triangle = Triangle { lower: self.lower, unit: false, transposed: self.transposed };
        each!(t.dtype(), float: T => {
            triangular::solve(t.values::<T>(name)?, &which, sizes, triangle, b.values_mut(name)?)
                .map_err(|f| failed(name, &stack, f))?;
        }, else return Err(Error::DType(format!("{name}: not defined for {}", t.dtype()))));
        Ok(b)
    }
}

impl Differentiable for SolveTriangular {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let back = SolveTriangular { transposed: !self.transposed, ..*self };
        let db = apply(back, &[cx.input(0), g])?;
        let mut grads = Grads::from_iter([None, None]);
        if cx.wants(0) {
            let (left, right) = if self.transposed { (cx.output(), &db) } else { (&db, cx.output()) };
            let full = negative(&matrix_product(left, &transpose_last(right)?)?)?;
            grads[0] = Some(triangle_of(&full, self.lower, 1.0)?);
        }
        grads[1] = cx.wants(1).then_some(db);
        Ok(grads)
    }
}

/// The lower or the upper triangle of square matrices, with the diagonal times a number.
pub(super) fn triangle_of(x: &Tensor, lower: bool, diagonal: f64) -> Result<Tensor> {
    let n = x.shape()[x.ndim() - 1];
    let mask = Array::from_fn("triangle", &[n, n], |at| {
        let (i, j) = (at / n, at % n);
        if i == j {
            diagonal
        } else if (i > j) == lower {
            1.0
        } else {
            0.0
        }
    })?;
    multiply(x, &mask.cast(x.dtype())?.into())
}

/// The solutions X of `T X = B` for square matrices T that are triangular, of which the other triangle is not read, or
/// with `transposed` those of `Tᵀ X = B`.
pub fn solve_triangular(t: &Tensor, b: &Tensor, lower: bool, transposed: bool) -> Result<Tensor> {
    square("solve_triangular", t)?;
    apply(SolveTriangular { lower, transposed }, &[t, b])
}

readers! { "solve_triangular" => SolveTriangular }
