//! Determinants, and their logarithms.

use super::factors::Factors;
use super::parts::{column, scaled_product};
use super::solve::{inverse, regular};
use super::svd::svd;
use super::{factored, lead, square};
use crate::array::Array;
use crate::dtype::{Element, each};
use crate::error::{Error, Result};
use crate::kernels::linalg::Entry;
use crate::kernels::linalg::pivots::Factored;
use crate::memory::collected;
use crate::ops::movement::transpose_last;
use crate::ops::numbers::given;
use crate::ops::{Case, Op, multiply};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, apply_beside, in_single,
    parameters, readers,
};

/// The determinants of the first input by its factors, the other two.
#[derive(Clone, Debug)]
struct Det;

/// [`Factored::folded`] for a matrix, its factors and the order of its rows.
fn folded<T: Entry + Element, S>(
    [a, lu, rows]: [&Array; 3],
    start: impl Fn(bool) -> S + Sync,
    step: impl Fn(S, T) -> S + Sync,
    end: impl Fn(S) -> T + Sync,
) -> Result<Array> {
    let (shape, a) = (lu.shape(), a.contiguous()?);
    let (a, lu, rows) = (a.values("det")?, lu.values("det")?, given(rows));
    let factored = Factored { a, lu, rows, n: shape[shape.len() - 1] };
    Array::written("det", lead(shape, 2), |out| factored.folded(start, step, end, out))
}

/// The sign of an order of rows.
fn sign<T: Entry>(odd: bool) -> T {
    if odd { -T::ONE } else { T::ONE }
}

impl Operation for Det {
    fn name(&self) -> &'static str {
        "det"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        factored(x, 0, 1, 2)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        each!(x[1].dtype(), float: T => {
            folded::<T, T>([x[0], x[1], x[2]], sign, |y, x| y * x, |y| y)
        }, else Err(Error::DType(format!("det: not defined for {}", x[1].dtype()))))
    }
}

/// `g`, a number for each matrix, times the transposed inverses.
fn times_inverse(g: &Tensor, cx: &Context<'_>, factors: &Factors) -> Result<Tensor> {
    multiply(&column(&column(g)?)?, &transpose_last(&inverse(cx.input(0), factors)?)?)
}

fn factors(cx: &Context<'_>) -> Factors {
    Factors { lu: cx.input(1).clone(), rows: cx.input(2).clone() }
}

impl Differentiable for Det {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let factors = factors(cx);
        let dx = if factors.zero_pivot()?.is_none() {
            times_inverse(&multiply(g, cx.output())?, cx, &factors)?
        } else {
            let cofactors = apply(Cofactors, &[cx.input(0), &cofactors(cx.input(0))?])?;
            multiply(&column(&column(g)?)?, &cofactors)?
        };
        Ok(Grads::from_iter([Some(dx), None, None]))
    }
}

/// The derivatives of the determinants of the first input, some of which are zero: they are the second.
#[derive(Clone, Debug)]
struct Cofactors;

impl Operation for Cofactors {
    fn name(&self) -> &'static str {
        "det"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(2)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(x[1].clone())
    }
}

impl Differentiable for Cofactors {
    fn backward(&self, _: &Context<'_>, _: &Tensor) -> Result<Grads> {
        Err(Error::Value("det: only the first derivative is there for a matrix that is singular".into()))
    }
}

/// `det(U) det(Vh) U diag(p) Vh` with `p[i]` the product of all singular values but one.
fn cofactors(a: &Tensor) -> Result<Tensor> {
    let [u, s, vh] = svd(&a.array().clone().into(), false)?;
    let n = a.shape()[a.ndim() - 1];
    let products = s.to_vec::<f64>()?;
    let others = products.chunks_exact(n.max(1)).flat_map(|s| {
        (0..n).map(|i| s.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, x)| x).product::<f64>())
    });
    let others: Tensor = Array::from_slice(s.shape(), &collected(others))?.cast(s.dtype())?.into();
    let sign = multiply(&det(&u)?, &det(&vh)?)?;
    multiply(&column(&column(&sign)?)?, &scaled_product(&u, &others, &vh)?)
}

/// The logarithms of the sizes of determinants, and beside them their signs.
#[derive(Clone, Debug)]
struct LogDet;

impl Operation for LogDet {
    fn name(&self) -> &'static str {
        "slogdet"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(3)?;
        factored(x, 0, 1, 2)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        each!(x[1].dtype(), float: T => {
            // Logarithms take long: one is taken of as large a product as there is.
            let step = |(sum, product): (T, T), x: T| {
                let more = product * x.abs();
                if more.is_normal() { (sum, more) } else { (sum + product.ln(), x.abs()) }
            };
            folded::<T, (T, T)>([x[0], x[1], x[2]], |_| (0.0, 1.0), step, |(sum, product)| sum + product.ln())
        }, else Err(Error::DType(format!("slogdet: not defined for {}", x[1].dtype()))))
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let signs = each!(x[1].dtype(), float: T => {
            let of = |x: T| if x == 0.0 || x.is_nan() { x } else { x.signum() };
            folded::<T, T>([x[0], x[1], x[2]], sign, |y, x| y * of(x), |y| y)
        }, else Err(Error::DType(format!("slogdet: not defined for {}", x[1].dtype()))))?;
        Ok((self.forward(x)?, vec![signs]))
    }
}

impl Differentiable for LogDet {
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let factors = factors(cx);
        factors.check_regular("slogdet: the gradient")?;
        Ok(Grads::from_iter([Some(times_inverse(g, cx, &factors)?), None, None]))
    }
}

/// The determinants of square matrices.
pub fn det(a: &Tensor) -> Result<Tensor> {
    if a.dtype().is_half() {
        return in_single(&[a], |a| det(a[0]));
    }
    square("det", a)?;
    let factors = Factors::of(a)?;
    apply(Det, &[a, &factors.lu, &factors.rows])
}

/// The signs of the determinants of square matrices, and the logarithms of their sizes; signs have no gradient.
pub fn slogdet(a: &Tensor) -> Result<[Tensor; 2]> {
    if a.dtype().is_half() {
        let wide = crate::tape::cast(a, crate::dtype::DType::F32)?;
        let [sign, log] = slogdet(&wide)?;
        return Ok([crate::tape::cast(&sign, a.dtype())?, crate::tape::cast(&log, a.dtype())?]);
    }
    square("slogdet", a)?;
    let factors = Factors::of(a)?;
    let (log, signs) = apply_beside(LogDet, &[a, &factors.lu, &factors.rows])?;
    let sign = signs.into_iter().next().ok_or_else(|| Error::Unsupported("slogdet: no signs".into()))?;
    Ok([sign.into(), log])
}

pub(super) const DET: Op = Op {
    name: "det",
    cases: &[
        Case { f: |t| det(&regular(&t[0])?), shapes: &[&[3, 3]], domain: (-1.0, 1.0) },
        Case { f: |t| det(&regular(&t[0])?), shapes: &[&[2, 3, 1, 1]], domain: (-1.0, 1.0) },
    ],
};

pub(super) const SLOGDET: Op = Op {
    name: "slogdet",
    cases: &[
        Case { f: |t| Ok(slogdet(&regular(&t[0])?)?[1].clone()), shapes: &[&[3, 3]], domain: (-1.0, 1.0) },
        Case { f: |t| Ok(slogdet(&regular(&t[0])?)?[1].clone()), shapes: &[&[2, 2, 2]], domain: (-1.0, 1.0) },
    ],
};

readers! { "det" => Det, "det_cofactors" => Cofactors, "slogdet" => LogDet }
