//! Recurrent layers over whole sequences.

mod operation;
mod unrolled;

use super::binary::as_dtype;
use super::movement::{broadcast_to, reshape_to};
use super::view::narrow;
use super::{Case, concat};
use crate::error::{Error, Result};
use crate::shape::{self, Dims};
use crate::tape::{Tensor, apply};
pub(super) use operation::READERS;
use operation::Recurrent;

pub use operation::Kind;

/// The parameters of a recurrent layer.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// `(features, gates * hidden)`.
    pub weight_ih: &'a Tensor,
    /// `(hidden, gates * hidden)`.
    pub weight_hh: &'a Tensor,
    /// `(gates * hidden,)`.
    pub bias: Option<&'a Tensor>,
    /// One for the products of the state alone, `(gates * hidden,)`.
    pub bias_hh: Option<&'a Tensor>,
}

/// Takes sequences of shape `(batch, time, features)` or `(time, features)` through a recurrent layer, or a single step of
/// shape `(batch, features)` or `(features,)`, from a state and a memory of shape `(batch, hidden)` or `(hidden,)`. Gives
/// the state after each step and, if asked, the last memory.
///
/// The gates follow each other in the columns of the weights: input, forget, candidate and output of an LSTM; reset,
/// update and candidate of a GRU.
pub fn recurrent(
    kind: Kind,
    x: &Tensor,
    state: &Tensor,
    memory: Option<&Tensor>,
    weights: &Weights<'_>,
    is_step: bool,
    with_memory: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let hidden = fit(kind, weights)?;
    if memory.is_some() != kind.has_memory() {
        return Err(Error::Value(format!(
            "recurrent: a cell of kind {kind:?} starts from {} states",
            1 + usize::from(kind.has_memory())
        )));
    }
    let with_memory = with_memory && kind.has_memory();
    let features = weights.weight_ih.shape()[0];
    let (axes, text) = match is_step {
        true => (1..=2, "(batch, features) or (features,)"),
        false => (2..=3, "(batch, time, features) or (time, features)"),
    };
    let fail =
        |what: String| Err(Error::Shape(format!("recurrent: {what}, got shape {}", shape::show(x.shape()))));
    if !axes.contains(&x.ndim()) {
        return fail(format!("expected an input of shape {text}"));
    }
    let is_batch = x.ndim() == *axes.end();
    let time = if is_step { 1 } else { x.shape()[x.ndim() - 2] };
    let batch = if is_batch { x.shape()[0] } else { 1 };
    if x.shape()[x.ndim() - 1] != features {
        return fail(format!("expected {features} {} on the last axis", shape::plural(features, "feature")));
    } else if time == 0 {
        return fail("the sequence is empty".into());
    }
    let dtype = weights.weight_ih.dtype();
    let start = |name: &str, s: &Tensor| {
        if s.shape() == [hidden] || (is_batch && s.shape() == [batch, hidden]) {
            return broadcast_to(&*as_dtype(s, dtype)?, &[batch, hidden]);
        }
        let batched = if is_batch { format!(" or ({batch}, {hidden})") } else { String::new() };
        let got = shape::show(s.shape());
        Err(Error::Shape(format!(
            "recurrent: expected a {name} of shape ({hidden},){batched}, got shape {got}"
        )))
    };
    let cast = |x: &Tensor| -> Result<Tensor> { Ok(as_dtype(x, dtype)?.into_owned()) };
    let x3 = reshape_to(&cast(x)?, &[batch, time, features])?;
    let mut inputs = vec![x3, weights.weight_ih.clone(), cast(weights.weight_hh)?, start("state", state)?];
    inputs.extend(memory.map(|m| start("memory", m)).transpose()?);
    for bias in [weights.bias, weights.bias_hh].into_iter().flatten() {
        inputs.push(cast(bias)?);
    }
    let op = Recurrent {
        kind,
        bias: weights.bias.is_some(),
        bias_hh: weights.bias_hh.is_some(),
        memory: with_memory,
    };
    let out = apply(op, &inputs.iter().collect::<Vec<_>>())?;
    let mut dims = Dims::from_slice(x.shape());
    if let Some(last) = dims.last_mut() {
        *last = hidden;
    }
    if !with_memory {
        return Ok((reshape_to(&out, &dims)?, None));
    }
    let (whole, rest) = (batch * time * hidden, batch * hidden);
    let shape = if is_batch { Dims::from_slice(&[batch, hidden]) } else { Dims::from_slice(&[hidden]) };
    let y = reshape_to(&narrow(&out, 0, 0, whole)?, &dims)?;
    Ok((y, Some(reshape_to(&narrow(&out, 0, whole, rest)?, &shape)?)))
}

/// The size of the state, if the weights fit each other.
fn fit(kind: Kind, weights: &Weights<'_>) -> Result<usize> {
    let Weights { weight_ih, weight_hh, bias, bias_hh } = weights;
    let fail = |name: &str, x: &Tensor| {
        let (shape, gates) = (shape::show(x.shape()), kind.gates());
        Err(Error::Shape(format!("recurrent: a {name} of shape {shape} does not fit {gates} gates")))
    };
    let &[hidden, width] = weight_hh.shape() else { return fail("weight_hh", weight_hh) };
    if width != kind.gates() * hidden {
        return fail("weight_hh", weight_hh);
    } else if weight_ih.ndim() != 2 || weight_ih.shape()[1] != width {
        return fail("weight_ih", weight_ih);
    }
    for (name, x) in [("bias", bias), ("bias_hh", bias_hh)] {
        if let Some(x) = x
            && x.shape() != [width]
        {
            return fail(name, x);
        }
    }
    Ok(hidden)
}

/// A case for the checks: tensors are the input, the state, the memory of an LSTM, the two weights and the two biases.
fn checked(kind: Kind, t: &[Tensor], is_step: bool, with_memory: bool) -> Result<Tensor> {
    let (memory, rest) = if kind.has_memory() { (Some(&t[2]), &t[3..]) } else { (None, &t[2..]) };
    let weights =
        Weights { weight_ih: &rest[0], weight_hh: &rest[1], bias: rest.get(2), bias_hh: rest.get(3) };
    let (y, memory) = recurrent(kind, &t[0], &t[1], memory, &weights, is_step, with_memory)?;
    match memory {
        Some(c) => concat(&[&reshape_to(&y, &[y.size()])?, &reshape_to(&c, &[c.size()])?], 0),
        None => Ok(y),
    }
}

pub(super) const OPS: &[super::Op] = &[super::Op {
    name: "recurrent",
    cases: &[
        Case {
            f: |t| checked(Kind::Tanh, t, false, false),
            shapes: &[&[2, 3, 2], &[2, 3], &[2, 3], &[3, 3], &[3]],
            domain: (-1.0, 1.0),
        },
        Case {
            f: |t| checked(Kind::Relu, t, false, false),
            shapes: &[&[3, 2], &[3], &[2, 3], &[3, 3]],
            domain: (0.1, 1.0),
        },
        Case {
            f: |t| checked(Kind::Lstm, t, false, false),
            shapes: &[&[2, 3, 2], &[3], &[2, 3], &[2, 12], &[3, 12], &[12]],
            domain: (-1.0, 1.0),
        },
        Case {
            f: |t| checked(Kind::Lstm, t, false, true),
            shapes: &[&[2, 2], &[2], &[2], &[2, 8], &[2, 8], &[8]],
            domain: (-1.0, 1.0),
        },
        Case {
            f: |t| checked(Kind::Lstm, t, true, true),
            shapes: &[&[3, 2], &[3, 2], &[2], &[2, 8], &[2, 8]],
            domain: (-1.0, 1.0),
        },
        Case {
            f: |t| checked(Kind::Gru, t, false, false),
            shapes: &[&[2, 3, 2], &[2, 3], &[2, 9], &[3, 9], &[9], &[9]],
            domain: (-1.0, 1.0),
        },
        Case {
            f: |t| checked(Kind::Gru, t, true, false),
            shapes: &[&[2], &[3], &[2, 9], &[3, 9], &[9]],
            domain: (-1.0, 1.0),
        },
    ],
}];
