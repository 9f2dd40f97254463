//! Singular values and vectors: `A = U diag(S) Vh`.

use super::parts::{
    apart, check_apart, column, completing, divided_beside_diagonal, inner, row, scaled_product, skew,
};
use super::{failed, floating, lead};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::linalg::svd as kernel;
use crate::ops::matmul::matrix_product;
use crate::ops::movement::transpose_last;
use crate::ops::view::narrow;
use crate::ops::{Case, Op, add, concat, divide, multiply, subtract};
use crate::shape::Dims;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, cast, compute_beside, in_single,
    parameters, readers,
};

/// The singular values, and beside them the left singular vectors and the right ones, each a row: as many as there are
/// values, or all.
#[derive(Clone, Debug)]
struct Svd {
    full: bool,
}

impl Operation for Svd {
    fn name(&self) -> &'static str {
        "svd"
    }
    parameters! { full }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.floats([0])?;
        x.least_axes(0, 2)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let (a, stack, m, n) = sizes(x[0])?;
        let dims: Dims = stack.iter().copied().chain([m.min(n)]).collect();
        let mut values = Array::filled("svd", &dims, 0.0, a.dtype())?;
        each!(a.dtype(), float: T => {
            kernel::values(a.values::<T>("svd")?, (m, n), values.values_mut("svd")?)
                .map_err(|f| failed("svd", &stack, f))?;
        }, else return Err(Error::DType(format!("svd: not defined for {}", a.dtype()))));
        Ok(values)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let (a, stack, m, n) = sizes(x[0])?;
        let k = m.min(n);
        let of = |last: &[usize]| -> Dims { stack.iter().chain(last).copied().collect() };
        let (rows, columns) = if self.full { (m, n) } else { (k, k) };
        let mut values = Array::filled("svd", &of(&[k]), 0.0, a.dtype())?;
        let mut left = Array::filled("svd", &of(&[rows, m]), 0.0, a.dtype())?;
        let mut right = Array::filled("svd", &of(&[columns, n]), 0.0, a.dtype())?;
        each!(a.dtype(), float: T => {
            let (u, v) = (left.values_mut::<T>("svd")?, right.values_mut::<T>("svd")?);
            if k == 0 {
                identities(u, m);
                identities(v, n);
            } else {
                kernel::vectors(a.values("svd")?, (m, n), values.values_mut("svd")?, u, v)
                    .map_err(|f| failed("svd", &stack, f))?;
            }
        }, else return Err(Error::DType(format!("svd: not defined for {}", a.dtype()))));
        Ok((values, vec![left, right]))
    }
}

/// A matrix in order, its leading axes, its rows and its columns.
fn sizes(x: &Array) -> Result<(Array, Dims, usize, usize)> {
    let shape = x.shape();
    let stack = Dims::from_slice(lead(shape, 2));
    Ok((x.contiguous()?, stack, shape[shape.len() - 2], shape[shape.len() - 1]))
}

/// Writes ones on the diagonals of square matrices of zeros.
pub(super) fn identities<T: crate::dtype::Element>(matrices: &mut [T], n: usize) {
    for one in matrices.chunks_exact_mut((n * n).max(1)) {
        one.iter_mut().step_by(n + 1).for_each(|x| *x = T::from_f64(1.0));
    }
}

impl Differentiable for Svd {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let values = Tensor::from(cx.output().array().clone());
        let [left, right] = [0, 1].map(|i| Tensor::from(cx.beside()[i].clone()));
        Ok(Grads::from_iter([Some(Parts([cx.input(0), &left, &values, &right]).spread(g)?)]))
    }
}

/// A matrix with its left singular vectors, its values and its right vectors: inputs of the operations below.
struct Parts<'a>([&'a Tensor; 4]);

impl<'a> Parts<'a> {
    fn of(cx: &'a Context<'_>) -> Self {
        Parts([0, 1, 2, 3].map(|i| cx.input(i)))
    }
    fn left(&self) -> Result<Tensor> {
        apply(Left, &self.0)
    }
    fn values(&self) -> Result<Tensor> {
        apply(Values, &self.0)
    }
    fn right(&self) -> Result<Tensor> {
        apply(Right, &self.0)
    }
    /// The gradient by the values: `U diag(g) Vh`.
    fn spread(&self, g: &Tensor) -> Result<Tensor> {
        scaled_product(&self.left()?, g, &self.right()?)
    }
    /// `D[i, j] = s[j]² - s[i]²`, which must not be zero beside the diagonal.
    fn differences(&self) -> Result<Tensor> {
        check_apart("svd: the singular vectors", self.0[2], lead(self.0[0].shape(), 2))?;
        let s = self.values()?;
        let (r, c) = (row(&s)?, column(&s)?);
        multiply(&subtract(&r, &c)?, &add(&r, &c)?)
    }
    /// An error where a value is zero, by which those parts of vectors are divided that the others do not span.
    fn check_regular(&self) -> Result<()> {
        let values = self.0[2].array().to_vec::<f64>()?;
        let k = self.0[2].shape()[self.0[2].ndim() - 1];
        match values.iter().position(|&s| s == 0.0) {
            Some(i) => Err(Error::Value(format!(
                "svd: the singular vectors of {} have no gradient, since one of its values is zero",
                super::matrix(lead(self.0[0].shape(), 2), i / k)
            ))),
            None => Ok(()),
        }
    }
}

/// The left singular vectors of the first input, which are the rows of the second, as columns.
#[derive(Clone, Debug)]
struct Left;

/// The singular values of the first input, which are the third.
#[derive(Clone, Debug)]
struct Values;

/// The right singular vectors of the first input, which are the rows of the fourth.
#[derive(Clone, Debug)]
struct Right;

impl Operation for Left {
    fn name(&self) -> &'static str {
        "svd"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(4)?;
        x.least_axes(1, 2)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let n = x[1].ndim();
        let mut order: Dims = (0..n).collect();
        order.swap(n - 2, n - 1);
        x[1].permute(&order)
    }
}

impl Operation for Values {
    fn name(&self) -> &'static str {
        "svd"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(4)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(x[2].clone())
    }
}

impl Operation for Right {
    fn name(&self) -> &'static str {
        "svd"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(4)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(x[3].clone())
    }
}

fn of_matrix(da: Tensor) -> Result<Grads> {
    Ok(Grads::from_iter([Some(da), None, None, None]))
}

impl Differentiable for Left {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    /// `(U ((M - Mᵀ) / D) S + (dU - U M) / S) Vh` with `M = Uᵀ dU`; the second term is there where U is not square.
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let parts = Parts::of(cx);
        let (u, s, vh) = (parts.left()?, parts.values()?, parts.right()?);
        let m = inner(&u, g)?;
        let core = divided_beside_diagonal(&skew(&m)?, &parts.differences()?)?;
        let mut left = multiply(&matrix_product(&u, &core)?, &row(&s)?)?;
        let [.., rows, k] = *u.shape() else { return of_matrix(left) };
        if rows > k {
            parts.check_regular()?;
            let beside = subtract(g, &matrix_product(&u, &m)?)?;
            left = add(&left, &divide(&beside, &row(&s)?)?)?;
        }
        of_matrix(matrix_product(&left, &vh)?)
    }
}

impl Differentiable for Values {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        of_matrix(Parts::of(cx).spread(g)?)
    }
}

impl Differentiable for Right {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    /// `U (S ((N - Nᵀ) / D) Vh + (dVh - Nᵀ Vh) / S)` with `N = Vh dVhᵀ`; the second term is there where Vh is not square.
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let parts = Parts::of(cx);
        let (u, s, vh) = (parts.left()?, parts.values()?, parts.right()?);
        let n = matrix_product(&vh, &transpose_last(g)?)?;
        let core = divided_beside_diagonal(&skew(&n)?, &parts.differences()?)?;
        let mut right = multiply(&matrix_product(&core, &vh)?, &column(&s)?)?;
        let [.., k, columns] = *vh.shape() else { return of_matrix(right) };
        if columns > k {
            parts.check_regular()?;
            let beside = subtract(g, &matrix_product(&transpose_last(&n)?, &vh)?)?;
            right = add(&right, &divide(&beside, &column(&s)?)?)?;
        }
        of_matrix(matrix_product(&u, &right)?)
    }
}

/// U, the singular values S in descending order, and Vh of matrices. With `full` U and Vh are square.
pub fn svd(a: &Tensor, full: bool) -> Result<[Tensor; 3]> {
    if a.dtype().is_half() {
        let [u, s, vh] = svd(&cast(a, DType::F32)?, full)?;
        return Ok([cast(&u, a.dtype())?, cast(&s, a.dtype())?, cast(&vh, a.dtype())?]);
    }
    floating("svd", a)?;
    let found = compute_beside(Svd { full }, &[a])?;
    let (values, left, right) = (&found[0], &found[1], &found[2]);
    let k = values.shape()[values.ndim() - 1];
    let at = a.ndim() - 2;
    let first = |x: &Tensor| narrow(x, at, 0, k);
    let rest = |x: &Tensor| narrow(x, at, k, x.shape()[at] - k);
    let (left_k, right_k) = (first(left)?, first(right)?);
    let parts = Parts([a, &left_k, values, &right_k]);
    let (mut u, mut vh) = (parts.left()?, parts.right()?);
    if left.shape()[at] > k {
        u = concat(&[&u, &completing("svd", a, &transpose_last(&rest(left)?)?)?], -1)?;
    }
    if right.shape()[at] > k {
        vh = concat(&[&vh, &completing("svd", a, &rest(right)?)?], -2)?;
    }
    Ok([u, parts.values()?, vh])
}

/// The singular values of matrices in descending order.
pub fn svdvals(a: &Tensor) -> Result<Tensor> {
    if a.dtype().is_half() {
        return in_single(&[a], |a| svdvals(a[0]));
    }
    floating("svdvals", a)?;
    apply(Svd { full: false }, &[a])
}

pub(super) const SVDVALS: Op = Op {
    name: "svdvals",
    cases: &[
        Case { f: |t| svdvals(&apart(&t[0])?), shapes: &[&[3, 2]], domain: (-1.0, 1.0) },
        Case { f: |t| svdvals(&apart(&t[0])?), shapes: &[&[2, 2, 3]], domain: (-1.0, 1.0) },
    ],
};

pub(super) const SVD: Op = Op {
    name: "svd",
    cases: &[
        // Squared, for their signs are not determined.
        Case {
            f: |t| crate::ops::square(&svd(&apart(&t[0])?, false)?[0]),
            shapes: &[&[4, 3]],
            domain: (-1.0, 1.0),
        },
        Case {
            f: |t| crate::ops::square(&svd(&apart(&t[0])?, false)?[2]),
            shapes: &[&[2, 2, 3]],
            domain: (-1.0, 1.0),
        },
        Case {
            f: |t| crate::ops::square(&svd(&apart(&t[0])?, true)?[0]),
            shapes: &[&[2, 4]],
            domain: (-1.0, 1.0),
        },
        Case { f: |t| Ok(svd(&apart(&t[0])?, true)?[1].clone()), shapes: &[&[3, 3]], domain: (-1.0, 1.0) },
    ],
};

readers! { "svd" => Svd, "svd_left" => Left, "svd_values" => Values, "svd_right" => Right }
