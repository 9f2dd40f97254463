//! `P A = L U`, which solves systems and gives determinants.

use super::{are_square, failed, lead, own};
use crate::array::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::kernels::linalg::{Failure, lu};
use crate::tape::{Known, Operation, Tensor, compute_beside, parameters, readers};

/// Factors and order of rows of square matrices.
#[derive(Clone, Debug)]
struct Lu;

impl Operation for Lu {
    fn name(&self) -> &'static str {
        "lu_factor"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)?;
        are_square(x, 0)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(x)?.0)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let shape = x[0].shape();
        let n = shape[shape.len() - 1];
        let mut factors = own(x[0])?;
        let mut rows = Array::full("lu_factor", lead(shape, 1), 0i64)?;
        each!(factors.dtype(), float: T => {
            lu::factor(factors.values_mut::<T>("lu_factor")?, n, rows.values_mut::<i64>("lu_factor")?)
                .map_err(|f| failed("lu_factor", lead(shape, 2), f))?;
        }, else return Err(Error::DType(format!("lu_factor: not defined for {}", x[0].dtype()))));
        Ok((factors, vec![rows]))
    }
}

/// A matrix by what it was factored into: inputs of operations on it.
#[derive(Debug)]
pub(super) struct Factors {
    /// L without its diagonal of ones, below U.
    pub(super) lu: Tensor,
    /// Row `i` of `P A` is row `rows[i]` of A.
    pub(super) rows: Tensor,
}

impl Factors {
    /// The factors of square matrices of float32 or float64.
    pub(super) fn of(a: &Tensor) -> Result<Factors> {
        let mut found = compute_beside(Lu, &[a])?.into_iter();
        match (found.next(), found.next()) {
            (Some(lu), Some(rows)) => Ok(Factors { lu, rows }),
            _ => Err(Error::Unsupported("lu_factor: no factors".into())),
        }
    }

    /// An error, by the name of the function, where a matrix is singular.
    pub(super) fn check_regular(&self, name: &str) -> Result<()> {
        let shape = self.lu.shape();
        let n = shape[shape.len() - 1];
        match self.zero_pivot()? {
            Some(i) => Err(failed(name, lead(shape, 2), (i / n, Failure::Singular))),
            None => Ok(()),
        }
    }

    /// Where among the pivots of all matrices there is the first zero.
    pub(super) fn zero_pivot(&self) -> Result<Option<usize>> {
        let shape = self.lu.shape();
        let n = shape[shape.len() - 1];
        let lu = self.lu.array();
        each!(lu.dtype(), float: T => {
            let matrices = lu.values::<T>("lu_factor")?.chunks_exact((n * n).max(1));
            Ok(matrices.flat_map(|matrix| matrix.iter().step_by(n + 1)).position(|&pivot| pivot == 0.0))
        }, else Ok(None))
    }
}

readers! { "lu_factor" => Lu }
