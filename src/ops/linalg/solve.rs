//! Systems of linear equations, and inverses.

use super::factors::Factors;
use super::svd::identities;
use super::{factored, failed, lead, own, real, right_hand_sides, square, which};
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::linalg::lu::System;
use crate::ops::binary::as_dtype;
use crate::ops::matmul::matrix_product;
use crate::ops::movement::{reshape_to, transpose_last};
use crate::ops::numbers::given;
use crate::ops::{Case, Op, negative};
use crate::shape::{self, Dims};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, in_single, parameters, readers,
};

/// What solves `A X = B`, or with the transpose of A, of inputs A, B, and the factors of A.
#[derive(Clone, Debug)]
struct Solve {
    transposed: bool,
}

/// The solutions for right-hand sides that are overwritten.
fn solved(name: &str, transposed: bool, lu: &Array, rows: &Array, mut b: Array) -> Result<Array> {
    let (stack, columns) = (Dims::from_slice(lead(b.shape(), 2)), b.shape()[b.ndim() - 1]);
    let which = which(lead(lu.shape(), 2), &stack)?;
    let n = lu.shape()[lu.ndim() - 1];
    each!(lu.dtype(), float: T => {
        let system = System { factors: lu.values::<T>(name)?, rows: given(rows), n, transposed };
        system.solve(&which, columns, b.values_mut(name)?).map_err(|f| failed(name, &stack, f))?;
    }, else return Err(Error::DType(format!("{name}: not defined for {}", lu.dtype()))));
    Ok(b)
}

impl Operation for Solve {
    fn name(&self) -> &'static str {
        "solve"
    }
    parameters! { transposed }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(4)?;
        factored(x, 0, 2, 3)?;
        right_hand_sides(x, 2, 1)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (b, lu) = (x[1], x[2]);
        let stack = shape::broadcast("solve", lead(lu.shape(), 2), lead(b.shape(), 2))?;
        let dims: Dims = stack.iter().chain(&b.shape()[b.ndim() - 2..]).copied().collect();
        solved("solve", self.transposed, lu, x[3], own(&b.broadcast_to(&dims)?)?)
    }
}

impl Differentiable for Solve {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let back = Solve { transposed: !self.transposed };
        let db = apply(back, &[cx.input(0), g, cx.input(2), cx.input(3)])?;
        let mut grads: Grads = (0..4).map(|_| None).collect();
        if cx.wants(0) {
            let (left, right) = if self.transposed { (cx.output(), &db) } else { (&db, cx.output()) };
            grads[0] = Some(negative(&matrix_product(left, &transpose_last(right)?)?)?);
        }
        grads[1] = cx.wants(1).then_some(db);
        Ok(grads)
    }
}

/// The inverse of the first input by its factors, the other two.
#[derive(Clone, Debug)]
struct Inverse;

impl Operation for Inverse {
    fn name(&self) -> &'static str {
        "inv"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        factored(x, 0, 1, 2)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let shape = x[0].shape();
        let n = shape[shape.len() - 1];
        let mut identity = Array::filled("inv", shape, 0.0, x[0].dtype())?;
        each!(identity.dtype(), float: T => {
            identities(identity.values_mut::<T>("inv")?, n);
        }, else ());
        solved("inv", false, x[1], x[2], identity)
    }
}

impl Differentiable for Inverse {
    fn keeps(&self) -> Keeps {
        Keeps::Output
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let y = transpose_last(cx.output())?;
        let dx = negative(&matrix_product(&matrix_product(&y, g)?, &y)?)?;
        Ok(Grads::from_iter([Some(dx), None, None]))
    }
}

/// The inverses of square matrices that have been factored.
pub(super) fn inverse(a: &Tensor, factors: &Factors) -> Result<Tensor> {
    apply(Inverse, &[a, &factors.lu, &factors.rows])
}

/// The inverses of square matrices.
pub fn inv(a: &Tensor) -> Result<Tensor> {
    if a.dtype().is_half() {
        return in_single(&[a], |a| inv(a[0]));
    }
    square("inv", a)?;
    let factors = Factors::of(a)?;
    factors.check_regular("inv")?;
    inverse(a, &factors)
}

/// The solutions X of `A X = B`, where the leading axes broadcast and B may be a vector.
pub fn solve(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let dtype = a.dtype().promote(b.dtype());
    if dtype.is_half() {
        return in_single(&[a, b], |x| solve(x[0], x[1]));
    }
    let n = square("solve", a)?;
    real("solve", b)?;
    let vector = b.ndim() == 1;
    if b.ndim() == 0 || b.shape()[b.ndim() - if vector { 1 } else { 2 }] != n {
        let (a, b) = (shape::show(a.shape()), shape::show(b.shape()));
        return Err(Error::Shape(format!(
            "solve: expected right-hand sides ({n},) or (.., {n}, k) for matrices of shape {a}, got shape {b}"
        )));
    }
    let (a, b) = (as_dtype(a, dtype)?, as_dtype(b, dtype)?);
    shape::broadcast("solve", lead(a.shape(), 2), lead(b.shape(), b.ndim().min(2)))?;
    let column = if vector { reshape_to(&b, &[n, 1])? } else { (*b).clone() };
    let factors = Factors::of(&a)?;
    factors.check_regular("solve")?;
    let x = apply(Solve { transposed: false }, &[&a, &column, &factors.lu, &factors.rows])?;
    if vector { reshape_to(&x, lead(x.shape(), 1)) } else { Ok(x) }
}

pub(super) const SOLVE: Op = Op {
    name: "solve",
    cases: &[
        Case { f: |t| solve(&regular(&t[0])?, &t[1]), shapes: &[&[3, 3], &[3]], domain: (-1.0, 1.0) },
        Case {
            f: |t| solve(&regular(&t[0])?, &t[1]),
            shapes: &[&[2, 1, 3, 3], &[2, 3, 2]],
            domain: (-1.0, 1.0),
        },
        Case { f: |t| solve(&t[0], &t[1]), shapes: &[&[2, 0, 0], &[0, 3]], domain: (-1.0, 1.0) },
    ],
};

pub(super) const INV: Op = Op {
    name: "inv",
    cases: &[
        Case { f: |t| inv(&regular(&t[0])?), shapes: &[&[3, 3]], domain: (-1.0, 1.0) },
        Case { f: |t| inv(&regular(&t[0])?), shapes: &[&[2, 1, 2, 2]], domain: (-1.0, 1.0) },
    ],
};

/// Matrices of numbers within 1, made regular: with 3 added on their diagonals.
pub(super) fn regular(a: &Tensor) -> Result<Tensor> {
    let n = a.shape()[a.ndim() - 1];
    let three = Array::from_fn("regular", &[n, n], |i| if i % (n + 1) == 0 { 3.0 } else { 0.0 })?;
    crate::ops::add(a, &three.into())
}

readers! { "solve" => Solve, "inverse" => Inverse }
