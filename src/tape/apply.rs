//! The door through which every operation is done: [`apply`] with a gradient rule, [`compute`] without one.

use super::current::CURRENT;
use super::later::{is_unrecorded, not_recorded};
use super::operation::{Context, Differentiable, Grads, Operation};
use super::parameters::parameters;
use super::program::{is_written, unwritten, write};
use super::threads::{from_another_thread, is_anothers, on_another_thread};
use super::{ELSEWHERE, Place, Tensor, is_recording};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Result, attempt};
use smallvec::SmallVec;

type Arrays<'a> = SmallVec<[&'a Array; 4]>;

fn arrays<'a>(inputs: &[&'a Tensor]) -> Arrays<'a> {
    inputs.iter().map(|t| &t.array).collect()
}

fn sees_half<O: Operation>(op: &O, inputs: &[&Tensor]) -> bool {
    inputs.iter().any(|t| t.array.dtype().is_half()) && !op.moves()
}

/// Does `op` on `inputs` and records it where something on the tape goes in.
#[inline]
pub fn apply<O: Differentiable>(op: O, inputs: &[&Tensor]) -> Result<Tensor> {
    if sees_half(&op, inputs) {
        return in_single(inputs, |inputs| apply(op, inputs));
    }
    let arrays = arrays(inputs);
    if is_recording() && inputs.iter().any(|t| t.place.is_some()) {
        let (value, beside) = done_beside(&op, &arrays)?;
        return record(op, inputs, value, beside);
    }
    let value = done(&op, &arrays)?;
    record(op, inputs, value, Vec::new())
}

/// The result of an operation, which goes into the program that is written.
#[inline]
fn done<O: Operation>(op: &O, inputs: &[&Array]) -> Result<Array> {
    if is_written() {
        let value = unwritten(|| attempt(op.name(), || op.forward(inputs)))?;
        write(op, inputs, std::iter::once(&value))?;
        return Ok(value);
    }
    attempt(op.name(), || op.forward(inputs))
}

/// The same with what the operation gives beside it.
#[inline]
fn done_beside<O: Operation>(op: &O, inputs: &[&Array]) -> Result<(Array, Vec<Array>)> {
    if is_written() {
        let (value, beside) = unwritten(|| attempt(op.name(), || op.forward_beside(inputs)))?;
        write(op, inputs, std::iter::once(&value).chain(&beside))?;
        return Ok((value, beside));
    }
    attempt(op.name(), || op.forward_beside(inputs))
}

/// [`apply`] for those who want what the operation gives beside its result. No input has 16 bits.
pub fn apply_beside<O: Differentiable>(op: O, inputs: &[&Tensor]) -> Result<(Tensor, Vec<Array>)> {
    let (value, beside) = done_beside(&op, &arrays(inputs))?;
    Ok((record(op, inputs, value, beside.clone())?, beside))
}

/// Does an operation through which no gradient passes: a step function, a test, or a gradient that nobody records.
#[inline]
pub fn compute<O: Operation>(op: O, inputs: &[&Tensor]) -> Result<Tensor> {
    if sees_half(&op, inputs) {
        return in_single(inputs, |inputs| compute(op, inputs));
    }
    Ok(done(&op, &arrays(inputs))?.into())
}

/// [`compute`] in the memory of the first input, where that can be done.
pub(crate) fn compute_into<O: Operation>(op: O, first: Tensor, rest: &[&Tensor]) -> Result<Tensor> {
    // What is written down is held, so that its memory is no other value's.
    if is_written() || sees_half(&op, &[&first]) || sees_half(&op, rest) {
        let inputs: SmallVec<[&Tensor; 4]> = std::iter::once(&first).chain(rest.iter().copied()).collect();
        return compute(op, &inputs);
    }
    Ok(attempt(op.name(), || op.forward_into(first.into_array(), &arrays(rest)))?.into())
}

/// [`compute`] for those who want all that the operation gives, the result first. No input has 16 bits.
pub(crate) fn compute_beside<O: Operation>(op: O, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let (value, beside) = done_beside(&op, &arrays(inputs))?;
    Ok(std::iter::once(value).chain(beside).map(Tensor::from).collect())
}

/// Numbers of 16 bits are computed with as float32, and a result of that type is rounded to what the inputs have in
/// common. This is the only place, but for functions of several steps that would round between them.
#[cold]
pub(crate) fn in_single(inputs: &[&Tensor], f: impl FnOnce(&[&Tensor]) -> Result<Tensor>) -> Result<Tensor> {
    let half = |x: &Tensor| x.dtype().is_half();
    let wide = inputs.iter().map(|&x| if half(x) { cast(x, DType::F32) } else { Ok(x.clone()) });
    let wide = wide.collect::<Result<SmallVec<[Tensor; 4]>>>()?;
    let y = f(&wide.iter().collect::<SmallVec<[&Tensor; 4]>>())?;
    let floats = inputs.iter().map(|x| x.dtype()).filter(|d| d.is_float());
    match floats.reduce(DType::promote) {
        Some(dtype) if y.dtype() == DType::F32 => cast(&y, dtype),
        _ => Ok(y),
    }
}

/// The same values as another element type.
pub fn cast(x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() == dtype { Ok(x.clone()) } else { apply(Cast(dtype), &[x]) }
}

#[derive(Debug)]
struct Cast(DType);

impl Operation for Cast {
    fn name(&self) -> &'static str {
        "astype"
    }
    parameters! { 0: dtype }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        x[0].cast(self.0)
    }
    fn moves(&self) -> bool {
        true
    }
}

impl Differentiable for Cast {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|_| Ok(g.clone())) // the walk gives it the type of its input
    }
}

/// Records that `op` made `value` of `inputs`, if any of those is on the tape.
///
/// An error where the value belongs to a gradient that another thread is taking, or was computed from one there: only
/// the thread that takes a gradient can record for it, and what is not recorded would be missing without a word.
#[inline]
pub fn record<O: Differentiable>(
    op: O,
    inputs: &[&Tensor],
    value: Array,
    beside: Vec<Array>,
) -> Result<Tensor> {
    if inputs.iter().all(|t| t.place.is_none()) || !value.dtype().is_float() {
        return Ok(value.into());
    }
    if CURRENT.with(|c| c.is_later.get())
        && let Some(later) = CURRENT.with(|c| c.later.borrow().clone())
        && later.follows(op.name(), inputs)?
        && CURRENT.with(|c| c.id.get()) == 0
    {
        let place = Place { tape: later.tape, node: later.line };
        return Ok(Tensor { array: value, place: Some(place) });
    }
    let tape = CURRENT.with(|c| c.id.get());
    if tape != 0 && inputs.iter().any(|t| t.node_on(tape).is_some()) {
        if inputs.iter().any(|t| t.node_on(tape) == Some(ELSEWHERE)) {
            return Err(from_another_thread(op.name()));
        }
        if inputs.iter().any(|t| t.node_on(tape).is_some_and(is_unrecorded)) {
            return Err(not_recorded(op.name()));
        }
        let elsewhere = |p: Place| p.node == ELSEWHERE && is_anothers(p.tape);
        if inputs.iter().filter_map(|t| t.place).any(elsewhere) {
            return Err(on_another_thread(op.name()));
        }
        if let Some(tape) = CURRENT.with(|c| c.tape.borrow().clone()) {
            return Ok(tape.write(Box::new(op), inputs, value, beside));
        }
    }
    for place in inputs.iter().filter_map(|t| t.place) {
        if is_anothers(place.tape) {
            if place.node == ELSEWHERE {
                return Ok(Tensor { array: value, place: Some(place) });
            }
            return Err(on_another_thread(op.name()));
        }
    }
    Ok(value.into())
}
