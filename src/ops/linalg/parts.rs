//! What the rules of decompositions share.

use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::ops::matmul::matrix_product;
use crate::ops::movement::{reshape_to, transpose_last};
use crate::ops::{Name, divide, multiply, subtract};
use crate::shape::Dims;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, parameters, readers,
};

/// `Aᵀ B`.
pub(super) fn inner(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    matrix_product(&transpose_last(a)?, b)
}

/// `A - Aᵀ`.
pub(super) fn skew(a: &Tensor) -> Result<Tensor> {
    subtract(a, &transpose_last(a)?)
}

/// A number for each column, as a row.
pub(super) fn row(x: &Tensor) -> Result<Tensor> {
    let mut dims = Dims::from_slice(x.shape());
    dims.insert(x.ndim() - 1, 1);
    reshape_to(x, &dims)
}

/// A number for each row, as a column.
pub(super) fn column(x: &Tensor) -> Result<Tensor> {
    let mut dims = Dims::from_slice(x.shape());
    dims.push(1);
    reshape_to(x, &dims)
}

/// `A diag(x) B`.
pub(super) fn scaled_product(a: &Tensor, x: &Tensor, b: &Tensor) -> Result<Tensor> {
    matrix_product(&multiply(a, &row(x)?)?, b)
}

/// Square matrices divided by others, but for their diagonals, which become zero.
pub(super) fn divided_beside_diagonal(a: &Tensor, by: &Tensor) -> Result<Tensor> {
    let n = by.shape()[by.ndim() - 1];
    let diagonal = |on: f64, off: f64| -> Result<Tensor> {
        let values = Array::from_fn("diagonal", &[n, n], |i| if i % (n + 1) == 0 { on } else { off })?;
        Ok(values.cast(by.dtype())?.into())
    };
    let by = crate::ops::add(by, &diagonal(1.0, 0.0)?)?;
    multiply(&divide(a, &by)?, &diagonal(0.0, 1.0)?)
}

/// An error where two neighbours of sorted values are equal, as far as can be told: what `vectors` says has no gradient.
pub(super) fn check_apart(vectors: &str, values: &Tensor, stack: &[usize]) -> Result<()> {
    let x = values.array().contiguous()?;
    let n = x.shape()[x.ndim() - 1];
    if n < 2 {
        return Ok(());
    }
    let near = each!(x.dtype(), float: T => {
        let values = x.values::<T>("eigh")?;
        values.chunks_exact(n).position(|values| {
            let most = values.iter().fold(0.0, |most: T, x| most.max(x.abs()));
            values.windows(2).any(|pair| (pair[1] - pair[0]).abs() <= 4.0 * T::EPSILON * most)
        })
    }, else None);
    match near {
        Some(i) => Err(Error::Value(format!(
            "{vectors} of {} have no gradient, since two of its values are equal: any rotation of their vectors would do",
            super::matrix(stack, i)
        ))),
        None => Ok(()),
    }
}

/// Vectors that complete a basis, the second input; the first is the matrix. They are not determined, so that nothing that
/// depends on them has a gradient.
#[derive(Clone, Debug)]
struct Rest {
    name: Name,
}

impl Operation for Rest {
    fn name(&self) -> &'static str {
        self.name.0
    }
    parameters! { name }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(x[1].clone())
    }
}

impl Differentiable for Rest {
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn backward(&self, _: &Context<'_>, g: &Tensor) -> Result<Grads> {
        if g.array().to_vec::<f64>()?.iter().any(|&g| g != 0.0) {
            return Err(Error::Value(format!(
                "{}: the vectors that complete a basis are not determined and have no gradient; leave them out with \
                 full_matrices=False or mode=\"reduced\"",
                self.name.0
            )));
        }
        Ok(Grads::from_iter([None, None]))
    }
}

/// The vectors `rest`, which complete those of matrices `a` to a basis.
pub(super) fn completing(name: &'static str, a: &Tensor, rest: &Tensor) -> Result<Tensor> {
    apply(Rest { name: Name(name) }, &[a, rest])
}

/// Matrices whose singular values and eigenvalues are far from each other and from zero, of any of numbers within 1.
pub(super) fn apart(a: &Tensor) -> Result<Tensor> {
    let [.., m, n] = *a.shape() else { return Ok(a.clone()) };
    let diagonal = Array::from_fn("apart", &[m, n], |at| {
        let (i, j) = (at / n, at % n);
        if i == j { [1.0, 4.0, 8.0, 13.0][i % 4] } else { 0.0 }
    })?;
    let small = multiply(a, &Array::filled("apart", &[], 0.3, a.dtype())?.into())?;
    crate::ops::add(&small, &diagonal.cast(a.dtype())?.into())
}

readers! { "rest" => Rest }
