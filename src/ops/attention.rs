//! Dot-product attention as one operation with a gradient of its own, and its scores composed of others.

use super::binary::{as_dtype, number};
use super::movement::{broadcast_to, permute, reshape_to, transpose_last};
use super::{Case, add, matmul, multiply, not_equal, select, softmax, subtract, sum};
use crate::array::Array;
use crate::dtype::{DType, Element, Float, each};
use crate::error::{Error, Result, attempt};
use crate::kernels::attention::{self as kernel, Grid, Inputs, Sequences, Sizes};
use crate::kernels::gemm;
use crate::kernels::softmax::Logit;
use crate::shape::{self, Dims};
use crate::tape::{Context, Grads, Keeps, Operation, Tensor, in_single, is_recording, record};
use std::borrow::Cow;

/// Which keys the queries see.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    /// Broadcasts to `(batch, heads, queries, keys)`; false hides a key from a query.
    pub seen: Option<Array>,
    /// Whether keys behind a query's own place are hidden from it.
    pub causal: bool,
}

/// Attention of queries, keys and values of shape `(batch, length, heads * width)`, perhaps with a bias.
///
/// Its last input is what the forward pass found of each row (largest score, one over the sum of exponentials), which
/// is kept but has no gradient of its own.
#[derive(Debug)]
struct Attention {
    heads: usize,
    mask: Mask,
}

/// The sizes of `(batch, length, heads * width)` tensors that fit each other.
fn sizes(q: &Array, k: &Array, v: &Array, heads: usize) -> Sizes {
    Sizes {
        batch: q.shape()[0],
        heads,
        queries: q.shape()[1],
        keys: k.shape()[1],
        features: q.shape()[2] / heads,
        values: v.shape()[2] / heads,
    }
}

fn sequences<T: Element>(x: &Array) -> Sequences<T> {
    Sequences { ptr: x.ptr(), strides: [x.strides()[0], x.strides()[1], x.strides()[2]] }
}

/// The array as `(batch, heads, queries, keys)` with the keys side by side.
fn as_scores(x: &Array, full: &[usize; 4]) -> Result<Array> {
    let mut dims = Dims::from_slice(x.shape());
    match dims.last_mut() {
        Some(last) => *last = full[3],
        None => dims.push(full[3]),
    }
    let x = x.broadcast_to(&dims)?;
    let x = if x.strides()[dims.len() - 1] == 1 { x } else { x.copy()? };
    x.broadcast_to(full)
}

fn grid<T: Element>(x: &Array) -> Grid<T> {
    Grid { ptr: x.ptr(), strides: [x.strides()[0], x.strides()[1], x.strides()[2]] }
}

impl Attention {
    /// Calls `f` with what the kernel reads.
    fn read<T: Float, R>(
        &self,
        x: &[&Array],
        bias: Option<&Array>,
        f: impl FnOnce(&Inputs<T>) -> Result<R>,
    ) -> Result<R> {
        let sizes = sizes(x[0], x[1], x[2], self.heads);
        let full = [sizes.batch, self.heads, sizes.queries, sizes.keys];
        let bias = bias.map(|b| as_scores(b, &full)).transpose()?;
        let mask = self.mask.seen.as_ref().map(|m| as_scores(m, &full)).transpose()?;
        let [q, k, v] = [0, 1, 2].map(|i| sequences(x[i]));
        f(&Inputs {
            sizes,
            q,
            k,
            v,
            bias: bias.as_ref().map(grid),
            mask: mask.as_ref().map(grid),
            causal: self.mask.causal,
        })
    }

    fn value<T: Float + Logit + gemm::Element>(
        &self,
        x: &[&Array],
        bias: Option<&Array>,
    ) -> Result<(Array, Array)> {
        let dtype = x[0].dtype();
        self.read::<T, _>(x, bias, |inputs| {
            let Sizes { batch, heads, queries, values, .. } = inputs.sizes;
            let mut out = Array::empty("attention", &[batch, queries, heads * values], dtype)?;
            let mut kept = Array::empty("attention", &[batch, heads, queries, 2], dtype)?;
            // SAFETY: `attention` has checked that the inputs fit together; the outputs are fresh.
            unsafe { kernel::attention(inputs, out.fresh_ptr(), kept.fresh_ptr::<T>().cast()) };
            Ok((out, kept))
        })
    }

    fn gradients<T: Float + Logit + gemm::Element>(
        &self,
        cx: &Context<'_>,
        bias: Option<&Array>,
        g: &Array,
    ) -> Result<Grads> {
        let inputs: [&Array; 3] = [0, 1, 2].map(|i| cx.input(i).array());
        let (kept, y) = (cx.input(cx.inputs() - 1), cx.output());
        self.read::<T, _>(&inputs, bias, |x| {
            let Sizes { batch, heads, queries, keys, .. } = x.sizes;
            let like = |i: usize| match i {
                0..3 => Dims::from_slice(inputs[i].shape()),
                _ => Dims::from_slice(&[batch, heads, queries, keys]),
            };
            let wanted = |i: usize| (i < 3 || bias.is_some()) && cx.wants(i);
            let mut out: [Option<Array>; 4] = [const { None }; 4];
            for (i, out) in out.iter_mut().enumerate().filter(|(i, _)| wanted(*i)) {
                *out = Some(Array::empty("attention", &like(i), g.dtype())?);
            }
            let [q, k, v, bias] =
                out.each_mut().map(|x| x.as_mut().map_or(std::ptr::null_mut(), Array::fresh_ptr::<T>));
            // SAFETY: as in the forward pass, which wrote what is kept; the outputs are fresh.
            unsafe {
                kernel::attention_grad(
                    x,
                    y.array().ptr(),
                    kept.array().ptr::<T>().cast(),
                    g.ptr(),
                    &kernel::Grads { q, k, v, bias },
                )
            };
            Ok(out.into_iter().map(|x| x.map(Tensor::from)).take(cx.inputs() - 1).chain([None]).collect())
        })
    }

    /// The gradients in terms of operations, which are differentiable again.
    fn composed(&self, cx: &Context<'_>, bias: Option<&Tensor>, g: &Tensor) -> Result<Grads> {
        let [q, k, v] = [0, 1, 2].map(|i| split(cx.input(i), self.heads));
        let (q, k, v, g) = (q?, k?, v?, split(g, self.heads)?);
        let p = probabilities(&q, &k, bias, &self.mask)?;
        let dp = matmul(&g, &transpose_last(&v)?)?;
        let slope = multiply(&p, &subtract(&dp, &sum(&multiply(&dp, &p)?, (-1).into(), true)?)?)?;
        let scaled = multiply(&slope, &scale(&q)?)?;
        cx.each(|i| match i {
            0 => join(&matmul(&scaled, &k)?),
            1 => join(&matmul(&transpose_last(&scaled)?, &q)?),
            2 => join(&matmul(&transpose_last(&p)?, &g)?),
            _ => Ok(slope.clone()),
        })
    }
}

impl Operation for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        let bias = x.get(3).filter(|_| x.len() == 5).copied();
        Ok(each!(x[0].dtype(), float: T => self.value::<T>(x, bias)?, else return not_float(x[0])).0)
    }
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let bias = (cx.inputs() == 5).then(|| cx.input(3));
        let g = broadcast_to(g, cx.output().shape())?;
        if is_recording() {
            return self.composed(cx, bias, &g);
        }
        let g = g.array().contiguous()?;
        each!(g.dtype(), float: T => self.gradients::<T>(cx, bias.map(Tensor::array), &g), else not_float(&g))
    }
}

fn not_float<T>(x: &Array) -> Result<T> {
    Err(Error::DType(format!("dot_product_attention: not defined for {}", x.dtype())))
}

/// `(batch, length, heads * width)` as `(batch, heads, length, width)`, without copying.
fn split(x: &Tensor, heads: usize) -> Result<Tensor> {
    let &[batch, length, features] = x.shape() else { return Err(rank(x.array())) };
    permute(&reshape_to(x, &[batch, length, heads, features / heads])?, &[0, 2, 1, 3])
}

/// The inverse of [`split`].
fn join(x: &Tensor) -> Result<Tensor> {
    let &[batch, heads, length, width] = x.shape() else { return Err(rank(x.array())) };
    reshape_to(&permute(x, &[0, 2, 1, 3])?, &[batch, length, heads * width])
}

fn rank(x: &Array) -> Error {
    Error::Shape(format!(
        "dot_product_attention: expected shape (.., length, features), got {}",
        shape::show(x.shape())
    ))
}

/// One over the root of the number of features.
fn scale(q: &Tensor) -> Result<Tensor> {
    number(1.0 / (q.shape()[q.ndim() - 1] as f64).sqrt(), q)
}

/// The softmax of the scores, for heads that are split; zero where a query sees no key.
fn probabilities(q: &Tensor, k: &Tensor, bias: Option<&Tensor>, mask: &Mask) -> Result<Tensor> {
    let mut scores = matmul(&multiply(q, &scale(q)?)?, &transpose_last(k)?)?;
    if let Some(bias) = bias {
        scores = add(&scores, bias)?;
    }
    let hidden = number(f64::NEG_INFINITY, &scores)?;
    let (queries, keys) = (q.shape()[2], k.shape()[2]);
    let lower = || Array::from_fn("dot_product_attention", &[queries, keys], |i| i % keys <= i / keys);
    let causal = mask.causal.then(lower).transpose()?;
    for seen in [&mask.seen, &causal].into_iter().flatten() {
        scores = select(&seen.clone().into(), &scores, &hidden)?;
    }
    // A row of nothing but -inf has no softmax: its scores become finite before, and its probabilities zero after.
    let seen = not_equal(&scores, &hidden)?;
    let lowest = match scores.dtype() {
        DType::F64 => f64::MIN,
        DType::F16 => -65504.0,
        DType::BF16 => -3e38,
        _ => f64::from(f32::MIN),
    };
    let p = softmax(&select(&seen, &scores, &number(lowest, &scores)?)?, -1)?;
    select(&seen, &p, &number(0.0, &scores)?)
}

/// What was given, checked and brought to one floating type and to `(batch, length, heads * width)`.
struct Given<'a> {
    sequences: Vec<Tensor>,
    bias: Option<Cow<'a, Tensor>>,
    mask: Mask,
    /// The axes before the length.
    lead: Dims,
}

fn given<'a>(xs: &[&Tensor], bias: Option<&'a Tensor>, mask: &Mask, heads: usize) -> Result<Given<'a>> {
    if let Some(x) = xs.iter().find(|x| x.ndim() < 2) {
        return Err(rank(x.array()));
    }
    let show = |x: &Tensor| shape::show(x.shape());
    let fail = |what: &str| {
        let names = ["queries", "keys", "values"];
        let shapes: Vec<String> =
            names.iter().zip(xs).map(|(name, x)| format!("{name} {}", show(x))).collect();
        Err(Error::Shape(format!("dot_product_attention: {what}: {}", shapes.join(", "))))
    };
    let tail = |x: &Tensor| [x.shape()[x.ndim() - 2], x.shape()[x.ndim() - 1]];
    let lead = Dims::from_slice(&xs[0].shape()[..xs[0].ndim() - 2]);
    let ([queries, features], [keys, _]) = (tail(xs[0]), tail(xs[1]));
    if xs.iter().any(|x| x.shape()[..x.ndim() - 2] != lead[..]) {
        return fail("the axes before the length differ");
    } else if tail(xs[1])[1] != features {
        return fail("queries and keys differ in features");
    } else if xs.get(2).is_some_and(|v| tail(v)[0] != keys) {
        return fail("keys and values differ in length");
    } else if heads == 0 || xs.iter().any(|x| !tail(x)[1].is_multiple_of(heads)) {
        return fail(&format!("the features do not divide into {heads} {}", shape::plural(heads, "head")));
    }
    let dtype = xs.iter().fold(xs[0].dtype(), |d, x| d.promote(x.dtype())).to_float();
    let mut full = lead.clone();
    full.extend([heads, queries, keys]);
    let fits = |name: &str, x: &Array| {
        if shape::broadcast("attention", x.shape(), &full).is_ok_and(|s| s == full) {
            return Ok(());
        }
        let (x, full) = (shape::show(x.shape()), shape::show(&full));
        Err(Error::Shape(format!(
            "dot_product_attention: a {name} of shape {x} does not broadcast to the scores, {full}"
        )))
    };
    let flat =
        |x: &Tensor| reshape_to(&*as_dtype(x, dtype)?, &[&[shape::size(&lead)], &tail(x)[..]].concat());
    let sequences = xs.iter().map(|x| flat(x)).collect::<Result<_>>()?;
    // Several axes of batches become one here too; fewer broadcast as they are.
    let flat = [&[shape::size(&lead)], &full[lead.len()..]].concat();
    let several = lead.len() > 1;
    let bias = bias.map(|b| -> Result<_> {
        fits("bias", b.array())?;
        let b = as_dtype(b, dtype)?;
        Ok(if several { Cow::Owned(reshape_to(&broadcast_to(&b, &full)?, &flat)?) } else { b })
    });
    let mut mask = mask.clone();
    if let Some(seen) = &mut mask.seen {
        fits("mask", seen)?;
        if seen.dtype() != DType::Bool {
            let dtype = seen.dtype();
            return Err(Error::DType(format!(
                "dot_product_attention: a mask is bool, true where a key is seen, got {dtype}; numbers to add are a bias"
            )));
        }
        if several {
            *seen = seen.broadcast_to(&full)?.reshape(&flat)?;
        }
        // The gradient reads it again.
        *seen = seen.clone().into_own()?;
    }
    Ok(Given { sequences, bias: bias.transpose()?, mask, lead })
}

/// `softmax(q kᵀ / √features + bias) v` for each of `heads` equal parts of the features.
///
/// `q` is `(.., queries, features)`, `k` `(.., keys, features)` and `v` `(.., keys, values)`; the result is
/// `(.., queries, values)`. Bias and mask broadcast to `(.., heads, queries, keys)`. A query that sees no key gives zeros.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    bias: Option<&Tensor>,
    mask: &Mask,
    heads: usize,
) -> Result<Tensor> {
    if [q, k, v].iter().any(|x| x.dtype().is_half()) {
        return in_single(&[q, k, v], |x| attention(x[0], x[1], x[2], bias, mask, heads));
    }
    let Given { sequences, bias, mask, lead } = given(&[q, k, v], bias, mask, heads)?;
    let op = Attention { heads, mask };
    let arrays: Vec<&Array> = sequences.iter().map(Tensor::array).collect();
    let bias = bias.as_deref();
    let (y, kept) = attempt(
        "dot_product_attention",
        || each!(arrays[0].dtype(), float: T => op.value::<T>(&arrays, bias.map(Tensor::array)), else not_float(arrays[0])),
    )?;
    let kept = Tensor::from(kept);
    let mut dims = lead;
    dims.extend_from_slice(&y.shape()[1..]);
    let inputs: Vec<&Tensor> = sequences.iter().chain(bias).chain([&kept]).collect();
    reshape_to(&record(op, &inputs, y)?, &dims)
}

/// `softmax(q kᵀ / √features + bias)`, of shape `(.., heads, queries, keys)`; see [`attention`].
pub fn attention_scores(
    q: &Tensor,
    k: &Tensor,
    bias: Option<&Tensor>,
    mask: &Mask,
    heads: usize,
) -> Result<Tensor> {
    let Given { sequences, bias, mask, lead } = given(&[q, k], bias, mask, heads)?;
    let p =
        probabilities(&split(&sequences[0], heads)?, &split(&sequences[1], heads)?, bias.as_deref(), &mask)?;
    let mut dims = lead;
    dims.extend_from_slice(&p.shape()[1..]);
    reshape_to(&p, &dims)
}

/// The values of each head weighted by scores of shape `(.., heads, queries, keys)`; `v` is as in [`attention`].
pub fn attention_apply(scores: &Tensor, v: &Tensor) -> Result<Tensor> {
    let (n, m) = (scores.ndim(), v.ndim());
    let fits = n >= 3
        && n == m + 1
        && scores.shape()[..n - 3] == v.shape()[..m - 2]
        && scores.shape()[n - 1] == v.shape()[m - 2];
    let heads = if fits { scores.shape()[n - 3] } else { 0 };
    if heads == 0 || !v.shape()[m - 1].is_multiple_of(heads) {
        let (scores, v) = (shape::show(scores.shape()), shape::show(v.shape()));
        return Err(Error::Shape(format!("dot_product_attention: scores {scores} do not fit values {v}")));
    }
    let batch = shape::size(&v.shape()[..m - 2]);
    let flat = |x: &Tensor, kept: usize| reshape_to(x, &[&[batch], &x.shape()[x.ndim() - kept..]].concat());
    let y = join(&matmul(&flat(scores, 3)?, &split(&flat(v, 2)?, heads)?)?)?;
    reshape_to(&y, &[&v.shape()[..m - 2], &y.shape()[1..]].concat())
}

/// A mask for the checks: of batch, heads, queries and keys, one query sees nothing.
fn some_seen(shape: &[usize]) -> Result<Mask> {
    let keys = shape[shape.len() - 1];
    let seen: Vec<bool> = (0..shape::size(shape)).map(|i| i / keys % 3 != 1 && i % 5 != 2).collect();
    Ok(Mask { seen: Some(Array::from_slice(shape, &seen)?), causal: false })
}

const CAUSAL: Mask = Mask { seen: None, causal: true };

pub(super) const OPS: &[super::Op] = &[
    super::Op {
        name: "attention",
        cases: &[
            Case {
                f: |t| attention(&t[0], &t[1], &t[2], None, &Mask::default(), 2),
                shapes: &[&[2, 3, 4], &[2, 5, 4], &[2, 5, 6]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| attention(&t[0], &t[1], &t[2], Some(&t[3]), &CAUSAL, 1),
                shapes: &[&[4, 3], &[4, 3], &[4, 2], &[1, 4]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| attention(&t[0], &t[1], &t[2], Some(&t[3]), &some_seen(&[2, 1, 3, 4])?, 2),
                shapes: &[&[2, 3, 2], &[2, 4, 2], &[2, 4, 4], &[2, 3, 4]],
                domain: (-1.0, 1.0),
            },
        ],
    },
    super::Op {
        name: "attention_scores",
        cases: &[Case {
            f: |t| attention_scores(&t[0], &t[1], None, &some_seen(&[3, 4])?, 2),
            shapes: &[&[2, 3, 4], &[2, 4, 4]],
            domain: (-1.0, 1.0),
        }],
    },
    super::Op {
        name: "attention_apply",
        cases: &[Case {
            f: |t| attention_apply(&t[0], &t[1]),
            shapes: &[&[3, 2, 1, 2, 4], &[3, 2, 4, 5]],
            domain: (-1.0, 1.0),
        }],
    },
];
