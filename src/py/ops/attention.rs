//! Attention, for Python.

use crate::ops;
use crate::ops::{Heads, Mask};
use crate::py::{Operand, PyTensor, named, run};
use pyo3::prelude::*;

/// The arguments that meet, or an error that names the function that people call.
fn meet<const N: usize>(obs: [&Bound<'_, PyAny>; N]) -> PyResult<[crate::tape::Tensor; N]> {
    crate::py::meet(obs).map_err(|e| named("dot_product_attention", e))
}

fn mask(seen: Option<Operand>, causal: bool) -> Mask {
    Mask { seen: seen.map(|m| m.0.into_array()), causal }
}

/// `softmax(q kᵀ / √features + bias) v` for each of `heads` equal parts of the features: as many as there
/// are of queries, and of keys and values.
#[pyfunction]
#[pyo3(
    signature = (q, k, v, bias = None, mask = None, heads = (1, 1), causal = false, /),
    text_signature = "(q, k, v, bias=None, mask=None, heads=(1, 1), causal=False, /)"
)]
pub(super) fn attention(
    q: &Bound<'_, PyAny>,
    k: &Bound<'_, PyAny>,
    v: &Bound<'_, PyAny>,
    bias: Option<Operand>,
    mask: Option<Operand>,
    heads: (usize, usize),
    causal: bool,
) -> PyResult<PyTensor> {
    let [q, k, v] = meet([q, k, v])?;
    let (bias, mask) = (bias.map(|b| b.0), self::mask(mask, causal));
    let heads = Heads { queries: heads.0, keys: heads.1 };
    run(&[&q, &k, &v], || ops::attention(&q, &k, &v, bias.as_ref(), &mask, heads))
}

/// `softmax(q kᵀ / √features + bias)`, of shape `(.., heads, queries, keys)`.
#[pyfunction]
#[pyo3(
    signature = (q, k, bias = None, mask = None, heads = (1, 1), causal = false, /),
    text_signature = "(q, k, bias=None, mask=None, heads=(1, 1), causal=False, /)"
)]
pub(super) fn attention_scores(
    q: &Bound<'_, PyAny>,
    k: &Bound<'_, PyAny>,
    bias: Option<Operand>,
    mask: Option<Operand>,
    heads: (usize, usize),
    causal: bool,
) -> PyResult<PyTensor> {
    let [q, k] = meet([q, k])?;
    let (bias, mask) = (bias.map(|b| b.0), self::mask(mask, causal));
    let heads = Heads { queries: heads.0, keys: heads.1 };
    run(&[&q, &k], || ops::attention_scores(&q, &k, bias.as_ref(), &mask, heads))
}

/// The values of each head weighted by scores of shape `(.., heads, queries, keys)`.
#[pyfunction]
#[pyo3(signature = (scores, v, kv_heads, /))]
pub(super) fn attention_apply(
    scores: &Bound<'_, PyAny>,
    v: &Bound<'_, PyAny>,
    kv_heads: usize,
) -> PyResult<PyTensor> {
    let [scores, v] = meet([scores, v])?;
    run(&[&scores, &v], || ops::attention_apply(&scores, &v, kv_heads))
}
