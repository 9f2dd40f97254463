//! Linear algebra, for Python.

use crate::error::Result;
use crate::ops;
use crate::py::hints::add_function;
use crate::py::{Operand, PyTensor, named, pair, released};
use crate::tape::Tensor;
use pyo3::prelude::*;

/// The argument of a function of that name.
fn given(name: &str, x: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    Ok(x.extract::<Operand>().map_err(|e| named(name, e))?.0)
}

/// Does work that takes a multiple of the elements for each row.
fn done<T: Send>(py: Python<'_>, x: &Tensor, f: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    let work = x.size().saturating_mul(x.shape().last().copied().unwrap_or(1));
    released(py, work, f)
}

/// The inverses of square matrices.
#[pyfunction]
#[pyo3(signature = (x, /))]
fn inv(py: Python<'_>, x: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
    let x = given("inv", x)?;
    Ok(done(py, &x, || ops::inv(&x))?.into())
}

/// The solutions X of `A X = B`, where the leading axes broadcast and B may be a vector.
#[pyfunction]
#[pyo3(signature = (a, b, /))]
fn solve(py: Python<'_>, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
    let (a, b) = pair(a, b).map_err(|e| named("solve", e))?;
    let larger = if a.size() > b.size() { &a } else { &b };
    Ok(done(py, larger, || ops::solve(&a, &b))?.into())
}

/// The determinants of square matrices.
#[pyfunction]
#[pyo3(signature = (x, /))]
fn det(py: Python<'_>, x: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
    let x = given("det", x)?;
    Ok(done(py, &x, || ops::det(&x))?.into())
}

/// The signs of determinants, and the logarithms of their sizes.
#[pyfunction]
#[pyo3(signature = (x, /))]
fn slogdet(py: Python<'_>, x: &Bound<'_, PyAny>) -> PyResult<(PyTensor, PyTensor)> {
    let x = given("slogdet", x)?;
    let [sign, log] = done(py, &x, || ops::slogdet(&x))?;
    Ok((sign.into(), log.into()))
}

/// The lower triangular L with `A = L Lᵀ`.
#[pyfunction]
#[pyo3(signature = (x, /))]
fn cholesky(py: Python<'_>, x: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
    let x = given("cholesky", x)?;
    Ok(done(py, &x, || ops::cholesky(&x))?.into())
}

/// The eigenvalues of symmetric matrices in ascending order, and the eigenvectors, which are columns.
#[pyfunction]
#[pyo3(signature = (x, /))]
fn eigh(py: Python<'_>, x: &Bound<'_, PyAny>) -> PyResult<(PyTensor, PyTensor)> {
    let x = given("eigh", x)?;
    let [values, vectors] = done(py, &x, || ops::eigh(&x))?;
    Ok((values.into(), vectors.into()))
}

/// The eigenvalues of symmetric matrices in ascending order.
#[pyfunction]
#[pyo3(signature = (x, /))]
fn eigvalsh(py: Python<'_>, x: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
    let x = given("eigvalsh", x)?;
    Ok(done(py, &x, || ops::eigvalsh(&x))?.into())
}

/// U, S and Vh of matrices `U diag(S) Vh`, the singular values S in descending order; with `full_matrices` U and Vh are
/// square.
#[pyfunction]
#[pyo3(signature = (x, /, full_matrices))]
fn svd(
    py: Python<'_>,
    x: &Bound<'_, PyAny>,
    full_matrices: bool,
) -> PyResult<(PyTensor, PyTensor, PyTensor)> {
    let x = given("svd", x)?;
    let [u, s, vh] = done(py, &x, || ops::svd(&x, full_matrices))?;
    Ok((u.into(), s.into(), vh.into()))
}

/// The singular values of matrices in descending order.
#[pyfunction]
#[pyo3(signature = (x, /))]
fn svdvals(py: Python<'_>, x: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
    let x = given("svdvals", x)?;
    Ok(done(py, &x, || ops::svdvals(&x))?.into())
}

/// Q with orthonormal columns and the upper triangular R of matrices `Q R`; with `complete` Q is square.
#[pyfunction]
#[pyo3(signature = (x, /, complete))]
fn qr(py: Python<'_>, x: &Bound<'_, PyAny>, complete: bool) -> PyResult<(PyTensor, PyTensor)> {
    let x = given("qr", x)?;
    let [q, r] = done(py, &x, || ops::qr(&x, complete))?;
    Ok((q.into(), r.into()))
}

/// The pseudo-inverses `y` of the matrices `x`, which have the gradient of such.
#[pyfunction]
#[pyo3(signature = (x, y, /))]
fn pinv_with(x: Operand, y: Operand) -> PyResult<PyTensor> {
    Ok(ops::pinv_with(&x.0, &y.0)?.into())
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_function!(m, inv)?;
    add_function!(m, solve)?;
    add_function!(m, det)?;
    add_function!(m, slogdet)?;
    add_function!(m, cholesky)?;
    add_function!(m, eigh)?;
    add_function!(m, eigvalsh)?;
    add_function!(m, svd)?;
    add_function!(m, svdvals)?;
    add_function!(m, qr)?;
    add_function!(m, pinv_with)?;
    Ok(())
}
