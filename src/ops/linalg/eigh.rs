//! Eigenvalues and eigenvectors of symmetric matrices.

use super::cholesky::symmetric;
use super::parts::{apart, check_apart, column, divided_beside_diagonal, inner, row, scaled_product};
use super::{are_square, failed, lead, own, square};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::linalg::eigh as kernel;
use crate::ops::matmul::matrix_product;
use crate::ops::movement::transpose_last;
use crate::ops::{Case, Op, subtract};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, cast, compute_beside, in_single,
    parameters, readers,
};

/// The eigenvalues of symmetric matrices, and beside them the eigenvectors, each a row.
#[derive(Clone, Debug)]
struct Eigh;

impl Operation for Eigh {
    fn name(&self) -> &'static str {
        "eigh"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        are_square(x, 0)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let shape = x[0].shape();
        let (mut a, n) = (own(x[0])?, shape[shape.len() - 1]);
        let mut values = Array::filled("eigh", lead(shape, 1), 0.0, a.dtype())?;
        each!(a.dtype(), float: T => {
            kernel::values(a.values_mut::<T>("eigh")?, n, values.values_mut("eigh")?)
                .map_err(|f| failed("eigh", lead(shape, 2), f))?;
        }, else return Err(Error::DType(format!("eigh: not defined for {}", a.dtype()))));
        Ok(values)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let shape = x[0].shape();
        let (mut a, n) = (own(x[0])?, shape[shape.len() - 1]);
        let mut values = Array::filled("eigh", lead(shape, 1), 0.0, a.dtype())?;
        let mut vectors = Array::filled("eigh", shape, 0.0, a.dtype())?;
        each!(a.dtype(), float: T => {
            let (a, out) = (a.values_mut::<T>("eigh")?, values.values_mut("eigh")?);
            kernel::vectors(a, n, out, vectors.values_mut("eigh")?)
                .map_err(|f| failed("eigh", lead(shape, 2), f))?;
        }, else return Err(Error::DType(format!("eigh: not defined for {}", a.dtype()))));
        Ok((values, vec![vectors]))
    }
}

impl Differentiable for Eigh {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let values = Tensor::from(cx.output().array().clone());
        Ok(Grads::from_iter([Some(spread(cx.input(0), &values, &cx.beside()[0].clone().into(), g)?)]))
    }
}

/// The gradient by eigenvalues, `V diag(g) Vᵀ`, of a matrix, its eigenvalues and its eigenvectors.
fn spread(a: &Tensor, values: &Tensor, rows: &Tensor, g: &Tensor) -> Result<Tensor> {
    let v = apply(Vectors, &[a, values, rows])?;
    scaled_product(&v, g, &transpose_last(&v)?)
}

/// The eigenvalues of the first input, which are the second.
#[derive(Clone, Debug)]
struct Values;

impl Operation for Values {
    fn name(&self) -> &'static str {
        "eigh"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(x[1].clone())
    }
}

impl Differentiable for Values {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let da = spread(cx.input(0), cx.input(1), cx.input(2), g)?;
        Ok(Grads::from_iter([Some(da), None, None]))
    }
}

/// The eigenvectors of the first input, which are the rows of the third, as columns.
#[derive(Clone, Debug)]
struct Vectors;

impl Operation for Vectors {
    fn name(&self) -> &'static str {
        "eigh"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        x.least_axes(2, 2)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let n = x[2].ndim();
        let mut order: crate::shape::Dims = (0..n).collect();
        order.swap(n - 2, n - 1);
        x[2].permute(&order)
    }
}

impl Differentiable for Vectors {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    /// `V (Vᵀ dV / D) Vᵀ` with `D[i, j] = λ[j] - λ[i]` beside the diagonal, where the quotient is zero.
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let inputs = [cx.input(0), cx.input(1), cx.input(2)];
        check_apart("eigh: the eigenvectors", inputs[1], lead(inputs[0].shape(), 2))?;
        let (values, v) = (apply(Values, &inputs)?, apply(Vectors, &inputs)?);
        let differences = subtract(&row(&values)?, &column(&values)?)?;
        let middle = divided_beside_diagonal(&inner(&v, g)?, &differences)?;
        let da = matrix_product(&matrix_product(&v, &middle)?, &transpose_last(&v)?)?;
        Ok(Grads::from_iter([Some(da), None, None]))
    }
}

/// The eigenvalues, in ascending order, and the eigenvectors, which are columns, of symmetric matrices: of `A`,
/// `(A + Aᵀ) / 2` is taken.
pub fn eigh(a: &Tensor) -> Result<[Tensor; 2]> {
    if a.dtype().is_half() {
        let [values, vectors] = eigh(&cast(a, DType::F32)?)?;
        return Ok([cast(&values, a.dtype())?, cast(&vectors, a.dtype())?]);
    }
    square("eigh", a)?;
    let a = symmetric(a)?;
    let found = compute_beside(Eigh, &[&a])?;
    let inputs = [&a, &found[0], &found[1]];
    Ok([apply(Values, &inputs)?, apply(Vectors, &inputs)?])
}

/// The eigenvalues of symmetric matrices in ascending order.
pub fn eigvalsh(a: &Tensor) -> Result<Tensor> {
    if a.dtype().is_half() {
        return in_single(&[a], |a| eigvalsh(a[0]));
    }
    square("eigvalsh", a)?;
    apply(Eigh, &[&symmetric(a)?])
}

pub(super) const EIGVALSH: Op = Op {
    name: "eigvalsh",
    cases: &[
        Case { f: |t| eigvalsh(&apart(&t[0])?), shapes: &[&[3, 3]], domain: (-1.0, 1.0) },
        Case { f: |t| eigvalsh(&apart(&t[0])?), shapes: &[&[2, 1, 2, 2]], domain: (-1.0, 1.0) },
    ],
};

pub(super) const EIGH: Op = Op {
    name: "eigh",
    cases: &[
        Case { f: |t| Ok(eigh(&apart(&t[0])?)?[0].clone()), shapes: &[&[2, 3, 3]], domain: (-1.0, 1.0) },
        // Squared, for their signs are not determined.
        Case {
            f: |t| crate::ops::square(&eigh(&apart(&t[0])?)?[1]),
            shapes: &[&[3, 3]],
            domain: (-1.0, 1.0),
        },
    ],
};

readers! { "eigh" => Eigh, "eigh_values" => Values, "eigh_vectors" => Vectors }
