//! `A = Q R`.

use super::parts::{apart, completing, inner};
use super::svd::identities;
use super::triangular::{solve_triangular, triangle_of};
use super::{failed, floating, lead};
use crate::array::Array;
use crate::dtype::{DType, each};
use crate::error::{Error, Result};
use crate::kernels::linalg::qr as kernel;
use crate::ops::matmul::matrix_product;
use crate::ops::movement::transpose_last;
use crate::ops::view::narrow;
use crate::ops::{Case, Op, add, concat, negative};
use crate::shape::Dims;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, cast, compute_beside, parameters,
    readers,
};

/// The rows of R that are not zero, and beside them the columns of Q, each a row: as many, or all.
#[derive(Clone, Debug)]
struct Qr {
    complete: bool,
}

impl Operation for Qr {
    fn name(&self) -> &'static str {
        "qr"
    }
    parameters! { complete }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        x.floats([0])?;
        x.least_axes(0, 2)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(x)?.0)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let (a, shape) = (x[0].contiguous()?, x[0].shape());
        let stack = lead(shape, 2);
        let (m, n) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        let k = m.min(n);
        let of =
            |rows: usize, columns: usize| -> Dims { stack.iter().copied().chain([rows, columns]).collect() };
        let mut r = Array::filled("qr", &of(k, n), 0.0, a.dtype())?;
        let mut q = Array::filled("qr", &of(if self.complete { m } else { k }, m), 0.0, a.dtype())?;
        each!(a.dtype(), float: T => {
            let q = q.values_mut::<T>("qr")?;
            if k == 0 {
                identities(q, m);
            } else {
                kernel::factor(a.values("qr")?, (m, n), q, r.values_mut("qr")?)
                    .map_err(|f| failed("qr", stack, f))?;
            }
        }, else return Err(Error::DType(format!("qr: not defined for {}", a.dtype()))));
        Ok((r, vec![q]))
    }
}

/// A matrix with the columns of its Q, as rows, and its R: inputs of the operations below.
struct Parts<'a>([&'a Tensor; 3]);

impl<'a> Parts<'a> {
    fn of(cx: &'a Context<'_>) -> Self {
        Parts([0, 1, 2].map(|i| cx.input(i)))
    }
    fn q(&self) -> Result<Tensor> {
        apply(Q, &self.0)
    }
    fn r(&self) -> Result<Tensor> {
        apply(R, &self.0)
    }

    /// The gradient of the first columns of A, which are as many as there are rows of R: of Q, and of `R dRᵀ` for the
    /// square part of R, `(dQ + Q S) R⁻ᵀ`, where S is symmetric with the lower triangle of `R dRᵀ - dQᵀ Q`.
    /// Ref: Walter and Lehmann 2010, Algorithmic differentiation of linear algebra functions.
    fn columns(&self, dq: Option<&Tensor>, r_dr: Option<&Tensor>) -> Result<Tensor> {
        let (q, r) = (self.q()?, self.r()?);
        let k = r.shape()[r.ndim() - 2];
        let r = narrow(&r, r.ndim() - 1, 0, k)?;
        self.check_regular(k)?;
        let m = match (dq, r_dr) {
            (Some(dq), None) => negative(&inner(dq, &q)?)?,
            (None, Some(r_dr)) => r_dr.clone(),
            (Some(dq), Some(r_dr)) => add(r_dr, &negative(&inner(dq, &q)?)?)?,
            (None, None) => return Err(Error::Unsupported("qr: no gradient".into())),
        };
        let lower = triangle_of(&m, true, 0.5)?;
        let mut left = matrix_product(&q, &add(&lower, &transpose_last(&lower)?)?)?;
        if let Some(dq) = dq {
            left = add(dq, &left)?;
        }
        transpose_last(&solve_triangular(&r, &transpose_last(&left)?, false, false)?)
    }

    /// An error where R has a zero on its diagonal.
    fn check_regular(&self, k: usize) -> Result<()> {
        let (values, n) = (self.0[2].array().to_vec::<f64>()?, self.0[2].shape()[self.0[2].ndim() - 1]);
        let is_singular = |r: &[f64]| r.iter().step_by(n + 1).any(|&x| x == 0.0);
        match values.chunks_exact((k * n).max(1)).position(is_singular) {
            Some(i) => Err(Error::Value(format!(
                "qr: the gradient is not defined for {}, whose columns depend on each other",
                super::matrix(lead(self.0[0].shape(), 2), i)
            ))),
            None => Ok(()),
        }
    }

    /// The columns of A that are more than there are rows of R, and where they begin.
    fn wide(&self) -> Result<Option<(Tensor, usize)>> {
        let [.., k, n] = *self.0[2].shape() else { return Ok(None) };
        let a = self.0[0];
        if n > k { Ok(Some((narrow(a, a.ndim() - 1, k, n - k)?, k))) } else { Ok(None) }
    }
}

/// Q of the first input, whose columns are the rows of the second.
#[derive(Clone, Debug)]
struct Q;

/// R of the first input, which is the third.
#[derive(Clone, Debug)]
struct R;

impl Operation for Q {
    fn name(&self) -> &'static str {
        "qr"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        x.least_axes(1, 2)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let n = x[1].ndim();
        let mut order: Dims = (0..n).collect();
        order.swap(n - 2, n - 1);
        x[1].permute(&order)
    }
}

impl Operation for R {
    fn name(&self) -> &'static str {
        "qr"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(x[2].clone())
    }
}

fn of_matrix(da: Tensor) -> Result<Grads> {
    Ok(Grads::from_iter([Some(da), None, None]))
}

impl Differentiable for Q {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let parts = Parts::of(cx);
        let first = parts.columns(Some(g), None)?;
        of_matrix(match parts.wide()? {
            Some((rest, _)) => {
                let zeros = Array::filled("qr", rest.shape(), 0.0, rest.dtype())?;
                concat(&[&first, &zeros.into()], -1)?
            }
            None => first,
        })
    }
}

impl Differentiable for R {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let parts = Parts::of(cx);
        let (r, last) = (parts.r()?, g.ndim() - 1);
        let k = r.shape()[last - 1];
        // What lies below the diagonal is always zero.
        let dr = triangle_of(&narrow(g, last, 0, k)?, false, 1.0)?;
        let r_dr = matrix_product(&narrow(&r, last, 0, k)?, &transpose_last(&dr)?)?;
        of_matrix(match parts.wide()? {
            Some((rest, at)) => {
                let dw = narrow(g, last, at, g.shape()[last] - at)?;
                let dq = matrix_product(&rest, &transpose_last(&dw)?)?;
                let first = parts.columns(Some(&dq), Some(&r_dr))?;
                concat(&[&first, &matrix_product(&parts.q()?, &dw)?], -1)?
            }
            None => parts.columns(None, Some(&r_dr))?,
        })
    }
}

/// Q with orthonormal columns and the upper triangular R of `A = Q R`. With `complete`, Q is square.
pub fn qr(a: &Tensor, complete: bool) -> Result<[Tensor; 2]> {
    if a.dtype().is_half() {
        let [q, r] = qr(&cast(a, DType::F32)?, complete)?;
        return Ok([cast(&q, a.dtype())?, cast(&r, a.dtype())?]);
    }
    floating("qr", a)?;
    let found = compute_beside(Qr { complete }, &[a])?;
    let (r, rows) = (&found[0], &found[1]);
    let at = a.ndim() - 2;
    let (k, all) = (r.shape()[at], rows.shape()[at]);
    let first = narrow(rows, at, 0, k)?;
    let parts = Parts([a, &first, r]);
    if all == k {
        return Ok([parts.q()?, parts.r()?]);
    }
    let rest = completing("qr", a, &transpose_last(&narrow(rows, at, k, all - k)?)?)?;
    let mut dims = Dims::from_slice(r.shape());
    dims[at] = all - k;
    let zeros = Array::filled("qr", &dims, 0.0, r.dtype())?;
    Ok([concat(&[&parts.q()?, &rest], -1)?, concat(&[&parts.r()?, &zeros.into()], -2)?])
}

pub(super) const QR: Op = Op {
    name: "qr",
    cases: &[
        Case { f: |t| Ok(qr(&apart(&t[0])?, false)?[0].clone()), shapes: &[&[4, 3]], domain: (-1.0, 1.0) },
        Case { f: |t| Ok(qr(&apart(&t[0])?, false)?[1].clone()), shapes: &[&[2, 3, 3]], domain: (-1.0, 1.0) },
        Case { f: |t| Ok(qr(&apart(&t[0])?, false)?[0].clone()), shapes: &[&[2, 4]], domain: (-1.0, 1.0) },
        Case { f: |t| Ok(qr(&apart(&t[0])?, true)?[1].clone()), shapes: &[&[2, 4]], domain: (-1.0, 1.0) },
    ],
};

readers! { "qr" => Qr, "qr_q" => Q, "qr_r" => R }
