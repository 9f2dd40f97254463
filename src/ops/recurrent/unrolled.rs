//! The steps of a recurrent layer one by one, in terms of other operations.

use super::super::movement::reshape_to;
use super::super::view::narrow;
use super::super::{add, concat, dense, multiply, relu, sigmoid, stack, subtract, tanh};
use super::operation::{Inputs, Kind, Recurrent};
use crate::error::Result;
use crate::tape::Tensor;

/// What [`Recurrent`] gives.
pub(super) fn unrolled(op: Recurrent, i: &Inputs<'_, Tensor>) -> Result<Tensor> {
    let (time, hidden) = (i.x.shape()[1], i.weight_hh.shape()[0]);
    let of_inputs = dense(i.x, i.weight_ih, i.bias, None)?;
    let width = of_inputs.shape()[2];
    let (mut h, mut memory) = (i.state.clone(), i.memory.cloned());
    let mut states = Vec::with_capacity(time);
    for t in 0..time {
        let a = reshape_to(&narrow(&of_inputs, 1, t, 1)?, &[h.shape()[0], width])?;
        let b = dense(&h, i.weight_hh, i.bias_hh, None)?;
        let gate = |x: &Tensor, k: usize| narrow(x, 1, k * hidden, hidden);
        let sum = |k: usize| add(&gate(&a, k)?, &gate(&b, k)?);
        h = match (op.kind, &memory) {
            (Kind::Tanh, _) => tanh(&sum(0)?)?,
            (Kind::Relu, _) => relu(&sum(0)?)?,
            (Kind::Gru, _) => {
                let (r, z) = (sigmoid(&sum(0)?)?, sigmoid(&sum(1)?)?);
                let n = tanh(&add(&gate(&a, 2)?, &multiply(&r, &gate(&b, 2)?)?)?)?;
                add(&n, &multiply(&z, &subtract(&h, &n)?)?)?
            }
            (Kind::Lstm, c) => {
                let (input, forget, output) = (sigmoid(&sum(0)?)?, sigmoid(&sum(1)?)?, sigmoid(&sum(3)?)?);
                let new = multiply(&input, &tanh(&sum(2)?)?)?;
                let c = match c {
                    Some(c) => add(&multiply(&forget, c)?, &new)?,
                    None => new,
                };
                let h = multiply(&output, &tanh(&c)?)?;
                memory = Some(c);
                h
            }
        };
        states.push(h.clone());
    }
    let y = stack(&states.iter().collect::<Vec<_>>(), 1)?;
    match memory {
        Some(c) if op.memory => concat(&[&reshape_to(&y, &[y.size()])?, &reshape_to(&c, &[c.size()])?], 0),
        _ => Ok(y),
    }
}
