//! The door through which every operation is done: [`apply`] with a gradient rule, [`compute`] without one.

use super::capturing::{is_written, unwritten, write};
use super::current::CURRENT;
use super::known::{Known, readers};
use super::later::{is_unrecorded, not_recorded};
use super::operation::{Context, Differentiable, Grads, Operation};
use super::parameters::parameters;
use super::profile::{Begun, is_profiled};
use super::threads::{from_another_thread, is_anothers, on_another_thread};
use super::{ELSEWHERE, Place, Tape, Tensor, is_recording};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Result, attempt};
use crate::fuse::{Fusible, casting};
use smallvec::SmallVec;
use std::rc::Rc;

type Arrays<'a> = SmallVec<[&'a Array; 4]>;

fn arrays<'a>(inputs: &[&'a Tensor]) -> Arrays<'a> {
    inputs.iter().map(|t| &t.array).collect()
}

// What knows an operation's type is compiled for each of them; so little does.

fn sees_half(op: &dyn Operation, inputs: &[&Tensor]) -> bool {
    inputs.iter().any(|t| t.array.dtype().is_half()) && !op.moves()
}

/// The result of an operation, which goes into the program that is written.
fn forward(op: &dyn Operation, inputs: &[&Array]) -> Result<Array> {
    if !is_written() {
        return result_of(op, inputs);
    }
    let value = unwritten(|| result_of(op, inputs))?;
    write(op, false, inputs, std::iter::once(&value))?;
    Ok(value)
}

/// The result itself.
#[inline]
pub(super) fn result_of(op: &dyn Operation, inputs: &[&Array]) -> Result<Array> {
    if is_profiled() {
        return timed(op, inputs, || attempt(op.name(), || op.forward(inputs)));
    }
    attempt(op.name(), || op.forward(inputs))
}

/// The same with what the operation gives beside it.
#[inline]
pub(super) fn results_of(op: &dyn Operation, inputs: &[&Array]) -> Result<(Array, Vec<Array>)> {
    if is_profiled() {
        return timed_beside(op, inputs);
    }
    attempt(op.name(), || op.forward_beside(inputs))
}

#[cold]
fn timed(op: &dyn Operation, inputs: &[&Array], f: impl FnOnce() -> Result<Array>) -> Result<Array> {
    let begun = Begun::on(|| op.name().into(), inputs.iter().copied());
    let value = f()?;
    if let Some(begun) = begun {
        begun.done(op, std::iter::once(&value));
    }
    Ok(value)
}

#[cold]
fn timed_beside(op: &dyn Operation, inputs: &[&Array]) -> Result<(Array, Vec<Array>)> {
    let begun = Begun::on(|| op.name().into(), inputs.iter().copied());
    let (value, beside) = attempt(op.name(), || op.forward_beside(inputs))?;
    if let Some(begun) = begun {
        begun.done(op, std::iter::once(&value).chain(&beside));
    }
    Ok((value, beside))
}

/// The result in the memory of the first input, where that can be done.
#[inline]
pub(super) fn result_into(op: &dyn Operation, first: Array, rest: &[&Array]) -> Result<Array> {
    if is_profiled() {
        let begun = Begun::on(|| op.name().into(), std::iter::once(&first).chain(rest.iter().copied()));
        let value = attempt(op.name(), || op.forward_into(first, rest))?;
        if let Some(begun) = begun {
            begun.done(op, std::iter::once(&value));
        }
        return Ok(value);
    }
    attempt(op.name(), || op.forward_into(first, rest))
}

/// The same with what the operation gives beside it.
fn forward_beside(op: &dyn Operation, inputs: &[&Array]) -> Result<(Array, Vec<Array>)> {
    if !is_written() {
        return results_of(op, inputs);
    }
    let (value, beside) = unwritten(|| results_of(op, inputs))?;
    write(op, true, inputs, std::iter::once(&value).chain(&beside))?;
    Ok((value, beside))
}

/// What an operation of a program gives, the result first and with `is_beside` all that is beside it.
pub fn again(op: &dyn Operation, is_beside: bool, inputs: &[&Array]) -> Result<Vec<Array>> {
    match is_beside {
        true => forward_beside(op, inputs).map(|(y, beside)| std::iter::once(y).chain(beside).collect()),
        false => Ok(vec![forward(op, inputs)?]),
    }
}

/// An operation on its way to the tape.
trait Passing {
    fn operation(&self) -> &dyn Operation;
    /// The operation for the tape, once.
    fn boxed(&mut self) -> Box<dyn Differentiable>;
}

impl<O: Differentiable> Passing for Option<O> {
    fn operation(&self) -> &dyn Operation {
        self.as_ref().expect("it is recorded last")
    }
    fn boxed(&mut self) -> Box<dyn Differentiable> {
        Box::new(self.take().expect("it is recorded once"))
    }
}

/// Does `op` on `inputs` and records it where something on the tape goes in.
#[inline]
pub fn apply<O: Differentiable>(op: O, inputs: &[&Tensor]) -> Result<Tensor> {
    applied(&mut Some(op), inputs)
}

fn applied(op: &mut dyn Passing, inputs: &[&Tensor]) -> Result<Tensor> {
    if sees_half(op.operation(), inputs) {
        return in_single(inputs, |inputs| done(op, inputs));
    }
    done(op, inputs)
}

fn done(op: &mut dyn Passing, inputs: &[&Tensor]) -> Result<Tensor> {
    let (value, beside) = if is_recording() && inputs.iter().any(|t| t.place.is_some()) {
        forward_beside(op.operation(), &arrays(inputs))?
    } else {
        (forward(op.operation(), &arrays(inputs))?, Vec::new())
    };
    recorded(op, inputs, value, beside)
}

/// [`apply`] for those who want what the operation gives beside its result. No input has 16 bits.
pub fn apply_beside<O: Differentiable>(op: O, inputs: &[&Tensor]) -> Result<(Tensor, Vec<Array>)> {
    let (value, beside) = forward_beside(&op, &arrays(inputs))?;
    Ok((record(op, inputs, value, beside.clone())?, beside))
}

/// Does an operation through which no gradient passes: a step function, a test, or a gradient that nobody records.
#[inline]
pub fn compute<O: Operation>(op: O, inputs: &[&Tensor]) -> Result<Tensor> {
    computed(&op, inputs)
}

fn computed(op: &dyn Operation, inputs: &[&Tensor]) -> Result<Tensor> {
    if sees_half(op, inputs) {
        return in_single(inputs, |inputs| Ok(forward(op, &arrays(inputs))?.into()));
    }
    Ok(forward(op, &arrays(inputs))?.into())
}

/// [`compute`] in the memory of the first input, where that can be done.
pub(crate) fn compute_into<O: Operation>(op: O, first: Tensor, rest: &[&Tensor]) -> Result<Tensor> {
    // What is written down is held, so that its memory is no other value's.
    if is_written() || sees_half(&op, &[&first]) || sees_half(&op, rest) {
        let inputs: SmallVec<[&Tensor; 4]> = std::iter::once(&first).chain(rest.iter().copied()).collect();
        return compute(op, &inputs);
    }
    Ok(result_into(&op, first.into_array(), &arrays(rest))?.into())
}

/// [`compute`] for those who want all that the operation gives, the result first. No input has 16 bits.
pub(crate) fn compute_beside<O: Operation>(op: O, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let (value, beside) = forward_beside(&op, &arrays(inputs))?;
    Ok(std::iter::once(value).chain(beside).map(Tensor::from).collect())
}

/// Numbers of 16 bits are computed with as float32, and a result of that type is rounded to what the inputs have in
/// common. This is the only place, but for functions of several steps that would round between them.
#[cold]
pub(crate) fn in_single(inputs: &[&Tensor], f: impl FnOnce(&[&Tensor]) -> Result<Tensor>) -> Result<Tensor> {
    let mut f = Some(f);
    in_single_by(inputs, &mut |inputs| {
        let f = f.take().expect("it is called once");
        f(inputs)
    })
}

fn in_single_by(inputs: &[&Tensor], f: &mut dyn FnMut(&[&Tensor]) -> Result<Tensor>) -> Result<Tensor> {
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

#[derive(Clone, Debug)]
struct Cast(DType);

impl Operation for Cast {
    fn name(&self) -> &'static str {
        "astype"
    }
    parameters! { 0: dtype }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)
    }
    fn fused(&self, x: &[DType]) -> Option<Fusible> {
        casting(x[0], self.0)
    }
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
    recorded(&mut Some(op), inputs, value, beside)
}

fn recorded(op: &mut dyn Passing, inputs: &[&Tensor], value: Array, beside: Vec<Array>) -> Result<Tensor> {
    if inputs.iter().all(|t| t.place.is_none()) || !value.dtype().is_float() {
        return Ok(value.into());
    }
    match record_of(op.operation().name(), inputs)? {
        Record::On(tape) => Ok(tape.write(op.boxed(), inputs, value, beside)),
        Record::At(place) => Ok(Tensor { array: value, place }),
    }
}

/// Where an operation is recorded.
enum Record {
    /// On the tape of this thread.
    On(Rc<Tape>),
    /// Nowhere, but its result may belong to a gradient all the same.
    At(Option<Place>),
}

/// Where an operation of that name on such inputs is recorded.
fn record_of(name: &'static str, inputs: &[&Tensor]) -> Result<Record> {
    if CURRENT.with(|c| c.is_later.get())
        && let Some(later) = CURRENT.with(|c| c.later.borrow().clone())
        && later.follows(name, inputs)?
        && CURRENT.with(|c| c.id.get()) == 0
    {
        return Ok(Record::At(Some(Place { tape: later.tape, node: later.line })));
    }
    let tape = CURRENT.with(|c| c.id.get());
    if tape != 0 && inputs.iter().any(|t| t.node_on(tape).is_some()) {
        if inputs.iter().any(|t| t.node_on(tape) == Some(ELSEWHERE)) {
            return Err(from_another_thread(name));
        }
        if inputs.iter().any(|t| t.node_on(tape).is_some_and(is_unrecorded)) {
            return Err(not_recorded(name));
        }
        let elsewhere = |p: Place| p.node == ELSEWHERE && is_anothers(p.tape);
        if inputs.iter().filter_map(|t| t.place).any(elsewhere) {
            return Err(on_another_thread(name));
        }
        if let Some(tape) = CURRENT.with(|c| c.tape.borrow().clone()) {
            return Ok(Record::On(tape));
        }
    }
    for place in inputs.iter().filter_map(|t| t.place) {
        if is_anothers(place.tape) {
            if place.node == ELSEWHERE {
                return Ok(Record::At(Some(place)));
            }
            return Err(on_another_thread(name));
        }
    }
    Ok(Record::At(None))
}

readers! { "astype" => Cast }
