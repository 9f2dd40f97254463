//! Dot-product attention as one operation with a gradient of its own, and its scores composed of others: one file, for both
//! share what is checked and how heads are divided.

use super::binary::{as_dtype, number};
use super::movement::{broadcast_to, permute, reshape_to, transpose_last};
use super::numbers::owned;
use super::{Case, add, matmul, multiply, not_equal, repeat, select, softmax, subtract, sum};
use crate::array::Array;
use crate::dtype::{DType, Element, each};
use crate::error::{Error, Result, attempt};
use crate::kernels::attention::{self as kernel, Grid, Inputs, Sequences, Sizes};
use crate::kernels::gemm;
use crate::kernels::softmax::Logit;
use crate::shape::{self, Dims};
use crate::tape::made;
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, apply, compute_beside, fields,
    in_single, parameters, readers,
};
use std::borrow::Cow;

/// Which keys the queries see.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    /// Broadcasts to `(batch, heads, queries, keys)`; false hides a key from a query.
    pub seen: Option<Array>,
    /// Whether keys behind a query's own place are hidden from it.
    pub causal: bool,
}

/// Attention of queries, keys and values of shape `(batch, length, heads * width)`, perhaps with a bias and a mask of which
/// keys are seen. Beside the result is what it found of each row: largest score, one over the sum of exponentials.
#[derive(Clone, Copy, Debug)]
struct Attention {
    heads: Heads,
    bias: bool,
    mask: bool,
    causal: bool,
}

/// Into how many parts features are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Those of the queries.
    pub queries: usize,
    /// Those of the keys and values, which divide the queries' number: each is met by as many neighbouring heads of queries.
    pub keys: usize,
}

fields!(Heads: queries, keys);
fields!(Attention: heads, bias, mask, causal);

impl From<usize> for Heads {
    /// As many of each.
    fn from(heads: usize) -> Heads {
        Heads { queries: heads, keys: heads }
    }
}

/// The inputs by name.
struct Parts<'a, A> {
    q: &'a A,
    k: &'a A,
    v: &'a A,
    bias: Option<&'a A>,
    mask: Option<&'a A>,
}

impl Attention {
    fn parts<'a, A>(&self, x: &[&'a A]) -> Parts<'a, A> {
        let mut more = x[3..].iter().copied();
        let bias = if self.bias { more.next() } else { None };
        let mask = if self.mask { more.next() } else { None };
        Parts { q: x[0], k: x[1], v: x[2], bias, mask }
    }
    /// That the first inputs are those of an attention, and of which sizes.
    fn check_inputs(&self, x: &Known<'_>) -> Result<Sizes> {
        x.floats(0..3 + usize::from(self.bias))?;
        (0..3).try_for_each(|i| x.axes(i, 3))?;
        let ([q, k, v], Heads { queries, keys }) = ([0, 1, 2].map(|i| x.shape(i)), self.heads);
        let fits = queries > 0
            && keys > 0
            && queries.is_multiple_of(keys)
            && [(q, queries), (k, keys), (v, keys)].iter().all(|(x, n)| x[2].is_multiple_of(*n))
            && q[2] / queries == k[2] / keys
            && q[0] == k[0]
            && q[0] == v[0]
            && k[1] == v[1];
        x.holds(fits, || format!("{queries} and {keys} heads do not divide shapes {q:?}, {k:?} and {v:?}"))?;
        let sizes = Sizes {
            batch: q[0],
            heads: queries,
            sharing: queries / keys,
            queries: q[1],
            keys: k[1],
            features: q[2] / queries,
            values: v[2] / keys,
        };
        let scores = [sizes.batch, sizes.heads, sizes.queries, sizes.keys];
        x.there_is(&scores)?;
        (3..self.inputs()).try_for_each(|i| x.broadcasts_to(i, &scores))?;
        if self.mask {
            x.typed(self.inputs() - 1, DType::Bool)?;
        }
        Ok(sizes)
    }
    /// How many inputs it has.
    fn inputs(&self) -> usize {
        3 + usize::from(self.bias) + usize::from(self.mask)
    }
}

/// The sizes of `(batch, length, heads * width)` tensors that fit each other.
fn sizes(q: &Array, k: &Array, v: &Array, heads: Heads) -> Sizes {
    Sizes {
        batch: q.shape()[0],
        heads: heads.queries,
        sharing: heads.queries / heads.keys,
        queries: q.shape()[1],
        keys: k.shape()[1],
        features: q.shape()[2] / heads.queries,
        values: v.shape()[2] / heads.keys,
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
    fn read<T: Element, R>(&self, x: &[&Array], f: impl FnOnce(&Inputs<T>) -> Result<R>) -> Result<R> {
        let Parts { q, k, v, bias, mask } = self.parts(x);
        let sizes = sizes(q, k, v, self.heads);
        let full = [sizes.batch, sizes.heads, sizes.queries, sizes.keys];
        let [bias, mask] = [bias, mask].map(|x| x.map(|x| as_scores(x, &full)).transpose());
        let (bias, mask) = (bias?, mask?);
        let [q, k, v] = [q, k, v].map(sequences);
        let (bias, mask) = (bias.as_ref().map(grid), mask.as_ref().map(grid));
        f(&Inputs { sizes, q, k, v, bias, mask, causal: self.causal })
    }

    fn value<T: Element + Logit + gemm::Scalar>(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let dtype = x[0].dtype();
        self.read::<T, _>(x, |inputs| {
            let Sizes { batch, heads, queries, values, .. } = inputs.sizes;
            let mut out = Array::empty("attention", &[batch, queries, heads * values], dtype)?;
            let mut found = Array::empty("attention", &[batch, heads, queries, 2], dtype)?;
            // SAFETY: `attention` has checked that the inputs fit together; the outputs are fresh.
            unsafe { kernel::attention(inputs, out.fresh_ptr(), found.fresh_ptr::<T>().cast()) };
            Ok((out, vec![found]))
        })
    }
}

impl Operation for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }
    parameters! { heads, bias, mask, causal }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(self.inputs())?;
        self.check_inputs(x).map(drop)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(x)?.0)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        each!(x[0].dtype(), float: T => self.value::<T>(x), else not_float(x[0]))
    }
}

impl Differentiable for Attention {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let inputs: Vec<&Tensor> = (0..cx.inputs()).map(|i| cx.input(i)).collect();
        let Parts { bias, mask, .. } = self.parts(&inputs);
        let heads = self.heads;
        let (q, g) = (split(cx.input(0), heads.queries)?, split(g, heads.queries)?);
        let (k, v) = (split_shared(cx.input(1), heads)?, split_shared(cx.input(2), heads)?);
        let p = probabilities(&q, &k, bias, mask, self.causal)?;
        let dp = matmul(&g, &transpose_last(&v)?)?;
        let slope = multiply(&p, &subtract(&dp, &sum(&multiply(&dp, &p)?, (-1).into(), true)?)?)?;
        let scaled = multiply(&slope, &scale(&q)?)?;
        cx.each(|i| match i {
            0 => join(&matmul(&scaled, &k)?),
            1 => join_shared(&matmul(&transpose_last(&scaled)?, &q)?, heads),
            2 => join_shared(&matmul(&transpose_last(&p)?, &g)?, heads),
            _ => Ok(slope.clone()),
        })
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        let wanted = [0, 1, 2, 3].map(|i| i < cx.inputs() && (i < 3 || self.bias) && cx.wants(i));
        let found = cx.beside()[0].clone().into();
        let inputs = (0..cx.inputs()).map(|i| cx.input(i)).chain([cx.output(), &found, g]);
        let grads = compute_beside(AttentionGradient { of: *self, wanted }, &inputs.collect::<Vec<_>>());
        let given = |grads: Vec<Tensor>| {
            let mut grads = grads.into_iter();
            (0..cx.inputs()).map(|i| if i < 4 && wanted[i] { grads.next() } else { None }).collect()
        };
        Some(grads.map(given))
    }
}

/// The gradients of [`Attention`] in one pass, those that are wanted of queries, keys, values and bias. Its inputs are those
/// of the attention, its result, what it found of each row, and the gradient for the result.
#[derive(Clone, Debug)]
struct AttentionGradient {
    of: Attention,
    wanted: [bool; 4],
}

impl AttentionGradient {
    fn value<T: Element + Logit + gemm::Scalar>(&self, all: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let (inputs, rest) = all.split_at(self.of.inputs());
        let (y, found, g) = (rest[0], rest[1], rest[2].contiguous()?);
        self.of.read::<T, _>(inputs, |x| {
            let Sizes { batch, heads, queries, keys, .. } = x.sizes;
            let mut out: [Option<Array>; 4] = [const { None }; 4];
            for (i, out) in out.iter_mut().enumerate().filter(|(i, _)| self.wanted[*i]) {
                let scores = [batch, heads, queries, keys];
                let shape = if i < 3 { inputs[i].shape() } else { &scores };
                *out = Some(Array::empty("attention", shape, g.dtype())?);
            }
            let [q, k, v, bias] =
                out.each_mut().map(|x| x.as_mut().map_or(std::ptr::null_mut(), Array::fresh_ptr::<T>));
            let grads = kernel::Grads { q, k, v, bias };
            // SAFETY: `attention` has checked that the inputs fit together, and the forward pass has written what it found; the
            // outputs are fresh.
            unsafe { kernel::attention_grad(x, y.ptr(), found.ptr::<T>().cast(), g.ptr(), &grads) };
            let mut out = out.into_iter().flatten();
            // A step asks for the gradient of one input at least.
            let first = out.next().unwrap_or_else(|| g.clone());
            Ok((first, out.collect()))
        })
    }
}

impl Operation for AttentionGradient {
    fn name(&self) -> &'static str {
        "attention"
    }
    parameters! { of, wanted }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        let n = self.of.inputs();
        x.count(n + 3)?;
        let sizes = self.of.check_inputs(x)?;
        x.floats([0, n, n + 1, n + 2])?;
        let result = [sizes.batch, sizes.queries, sizes.heads * sizes.values];
        x.shaped(n, &result)?;
        x.row_major(n)?;
        x.shaped(n + 1, &[sizes.batch, sizes.heads, sizes.queries, 2])?;
        x.row_major(n + 1)?;
        x.shaped(n + 2, &result)?;
        x.holds(self.of.bias || !self.wanted[3], || "there is no bias".into())
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(x)?.0)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        each!(x[0].dtype(), float: T => self.value::<T>(x), else not_float(x[0]))
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

/// [`split`] for keys or values: each head as often as heads of queries meet it.
fn split_shared(x: &Tensor, heads: Heads) -> Result<Tensor> {
    let x = split(x, heads.keys)?;
    if heads.keys == heads.queries { Ok(x) } else { repeat(&x, heads.queries / heads.keys, 1) }
}

/// The adjoint of [`split_shared`].
fn join_shared(x: &Tensor, heads: Heads) -> Result<Tensor> {
    let &[batch, queries, length, width] = x.shape() else { return Err(rank(x.array())) };
    if heads.keys == heads.queries {
        return join(x);
    }
    let grouped = reshape_to(x, &[batch, heads.keys, queries / heads.keys, length, width])?;
    join(&sum(&grouped, 2.into(), false)?)
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
fn probabilities(
    q: &Tensor,
    k: &Tensor,
    bias: Option<&Tensor>,
    mask: Option<&Tensor>,
    causal: bool,
) -> Result<Tensor> {
    let mut scores = matmul(&multiply(q, &scale(q)?)?, &transpose_last(k)?)?;
    if let Some(bias) = bias {
        scores = add(&scores, bias)?;
    }
    let hidden = number(f64::NEG_INFINITY, &scores)?;
    let (queries, keys) = (q.shape()[2], k.shape()[2]);
    let lower = || Array::from_fn("dot_product_attention", &[queries, keys], |i| i % keys <= i / keys);
    let causal = causal.then(lower).transpose()?.map(made).map(Tensor::from);
    for seen in [mask, causal.as_ref()].into_iter().flatten() {
        scores = select(seen, &scores, &hidden)?;
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
    mask: Option<Tensor>,
    /// The axes before the length.
    lead: Dims,
}

fn given<'a>(xs: &[&Tensor], bias: Option<&'a Tensor>, mask: &Mask, heads: Heads) -> Result<Given<'a>> {
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
    } else if heads.queries == heads.keys && tail(xs[1])[1] != features {
        return fail("queries and keys differ in features");
    } else if xs.get(2).is_some_and(|v| tail(v)[0] != keys) {
        return fail("keys and values differ in length");
    } else if heads.queries > 0 && (heads.keys == 0 || !heads.queries.is_multiple_of(heads.keys)) {
        let Heads { queries, keys } = heads;
        return Err(Error::Value(format!(
            "dot_product_attention: {queries} heads of queries do not share {keys} of keys"
        )));
    }
    let parts = [heads.queries, heads.keys, heads.keys];
    if let Some((_, n)) = xs.iter().zip(parts).find(|(x, n)| *n == 0 || !tail(x)[1].is_multiple_of(*n)) {
        return fail(&format!("the features do not divide into {n} {}", shape::plural(n, "head")));
    } else if features / heads.queries != tail(xs[1])[1] / heads.keys {
        return fail("queries and keys differ in the features of a head");
    }
    let dtype = xs.iter().fold(xs[0].dtype(), |d, x| d.promote(x.dtype())).to_float();
    let mut full = lead.clone();
    full.extend([heads.queries, queries, keys]);
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
    let mask = mask.seen.as_ref().map(|seen| -> Result<Tensor> {
        fits("mask", seen)?;
        if seen.dtype() != DType::Bool {
            let dtype = seen.dtype();
            return Err(Error::DType(format!(
                "dot_product_attention: a mask is bool, true where a key is seen, got {dtype}; numbers to add are a bias"
            )));
        }
        let seen = Tensor::from(seen.clone());
        let seen = if several { reshape_to(&broadcast_to(&seen, &full)?, &flat)? } else { seen };
        // The gradient reads it again.
        owned(seen.into_array(), DType::Bool)
    });
    Ok(Given { sequences, bias: bias.transpose()?, mask: mask.transpose()?, lead })
}

/// `softmax(q kᵀ / √features + bias) v` for each of `heads` equal parts of the features, of which keys and values may have
/// fewer.
///
/// `q` is `(.., queries, features)`, `k` `(.., keys, features)` and `v` `(.., keys, values)`; the result is
/// `(.., queries, values)`. Bias and mask broadcast to `(.., heads, queries, keys)`. A query that sees no key gives zeros.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    bias: Option<&Tensor>,
    mask: &Mask,
    heads: Heads,
) -> Result<Tensor> {
    if [q, k, v].iter().any(|x| x.dtype().is_half()) {
        return in_single(&[q, k, v], |x| attention(x[0], x[1], x[2], bias, mask, heads));
    }
    let causal = mask.causal;
    let Given { sequences, bias, mask, lead } = given(&[q, k, v], bias, mask, heads)?;
    let op = Attention { heads, bias: bias.is_some(), mask: mask.is_some(), causal };
    let inputs = sequences.iter().chain(bias.as_deref()).chain(&mask).collect::<Vec<_>>();
    let y = attempt("dot_product_attention", || apply(op, &inputs))?;
    let mut dims = lead;
    dims.extend_from_slice(&y.shape()[1..]);
    reshape_to(&y, &dims)
}

/// `softmax(q kᵀ / √features + bias)`, of shape `(.., heads, queries, keys)`; see [`attention`].
pub fn attention_scores(
    q: &Tensor,
    k: &Tensor,
    bias: Option<&Tensor>,
    mask: &Mask,
    heads: Heads,
) -> Result<Tensor> {
    let causal = mask.causal;
    let Given { sequences, bias, mask, lead } = given(&[q, k], bias, mask, heads)?;
    let (q, k) = (split(&sequences[0], heads.queries)?, split_shared(&sequences[1], heads)?);
    let p = probabilities(&q, &k, bias.as_deref(), mask.as_ref(), causal)?;
    let mut dims = lead;
    dims.extend_from_slice(&p.shape()[1..]);
    reshape_to(&p, &dims)
}

/// The values of each head weighted by scores of shape `(.., heads, queries, keys)`; `v` is as in [`attention`], of so many
/// heads.
pub fn attention_apply(scores: &Tensor, v: &Tensor, keys: usize) -> Result<Tensor> {
    let (n, m) = (scores.ndim(), v.ndim());
    let fits = n >= 3
        && n == m + 1
        && scores.shape()[..n - 3] == v.shape()[..m - 2]
        && scores.shape()[n - 1] == v.shape()[m - 2];
    let heads = if fits { scores.shape()[n - 3] } else { 0 };
    if heads == 0 || keys == 0 || !heads.is_multiple_of(keys) || !v.shape()[m - 1].is_multiple_of(keys) {
        let (scores, v) = (shape::show(scores.shape()), shape::show(v.shape()));
        return Err(Error::Shape(format!("dot_product_attention: scores {scores} do not fit values {v}")));
    }
    let batch = shape::size(&v.shape()[..m - 2]);
    let flat = |x: &Tensor, kept: usize| reshape_to(x, &[&[batch], &x.shape()[x.ndim() - kept..]].concat());
    let y = join(&matmul(&flat(scores, 3)?, &split_shared(&flat(v, 2)?, Heads { queries: heads, keys })?)?)?;
    reshape_to(&y, &[&v.shape()[..m - 2], &y.shape()[1..]].concat())
}

/// A mask for the checks: of batch, heads, queries and keys, one query sees nothing.
fn some_seen(shape: &[usize]) -> Result<Mask> {
    let keys = shape[shape.len() - 1];
    let seen: Vec<bool> = (0..shape::size(shape)).map(|i| i / keys % 3 != 1 && i % 5 != 2).collect();
    Ok(Mask { seen: Some(Array::from_slice(shape, &seen)?), causal: false })
}

const CAUSAL: Mask = Mask { seen: None, causal: true };

readers! { "attention" => Attention, "attention_gradient" => AttentionGradient }

pub(super) const OPS: &[super::Op] = &[
    super::Op {
        name: "attention",
        cases: &[
            Case {
                f: |t| attention(&t[0], &t[1], &t[2], None, &Mask::default(), 2.into()),
                shapes: &[&[2, 3, 4], &[2, 5, 4], &[2, 5, 6]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| attention(&t[0], &t[1], &t[2], Some(&t[3]), &CAUSAL, 1.into()),
                shapes: &[&[4, 3], &[4, 3], &[4, 2], &[1, 4]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| attention(&t[0], &t[1], &t[2], Some(&t[3]), &some_seen(&[2, 1, 3, 4])?, 2.into()),
                shapes: &[&[2, 3, 2], &[2, 4, 2], &[2, 4, 4], &[2, 3, 4]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| attention(&t[0], &t[1], &t[2], Some(&t[3]), &CAUSAL, Heads { queries: 6, keys: 2 }),
                shapes: &[&[2, 3, 12], &[2, 4, 4], &[2, 4, 6], &[6, 3, 4]],
                domain: (-1.0, 1.0),
            },
        ],
    },
    super::Op {
        name: "attention_scores",
        cases: &[Case {
            f: |t| attention_scores(&t[0], &t[1], None, &some_seen(&[3, 4])?, 2.into()),
            shapes: &[&[2, 3, 4], &[2, 4, 4]],
            domain: (-1.0, 1.0),
        }],
    },
    super::Op {
        name: "attention_apply",
        cases: &[
            Case {
                f: |t| attention_apply(&t[0], &t[1], 1),
                shapes: &[&[3, 2, 1, 2, 4], &[3, 2, 4, 5]],
                domain: (-1.0, 1.0),
            },
            Case {
                f: |t| attention_apply(&t[0], &t[1], 2),
                shapes: &[&[3, 4, 2, 4], &[3, 4, 6]],
                domain: (-1.0, 1.0),
            },
        ],
    },
];
