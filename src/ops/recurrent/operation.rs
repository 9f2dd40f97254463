//! The operation behind recurrent layers, and its gradient.

use super::super::gradient::through;
use super::super::matmul::operand;
use super::super::movement::{reshape_to, transpose_last};
use super::super::view::narrow;
use super::super::{concat, dense, matmul, sum};
use super::unrolled::unrolled;
use crate::array::Array;
use crate::dtype::{Element, each};
use crate::error::{Error, Result};
use crate::kernels::gemm;
use crate::kernels::number::Float;
use crate::kernels::recurrent::{self as kernel, Gradients, Gru, Lstm, Pass, Relu, Sizes, Tanh};
use crate::tape::{
    Context, Differentiable, Grads, Keeps, Known, Operation, Tensor, choice, compute_beside, fields,
    parameters, readers,
};

/// A kind of cell; the formulas are those of `kernels/recurrent/cells.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain one with the activation tanh.
    Tanh,
    /// A plain one with the activation relu.
    Relu,
    /// Long short-term memory.
    Lstm,
    /// The gated recurrent unit.
    Gru,
}

choice!(Kind: Tanh, Relu, Lstm, Gru);
fields!(Recurrent: kind, bias, bias_hh, memory);

impl Kind {
    /// How many gates a unit has.
    pub(super) fn gates(self) -> usize {
        match self {
            Kind::Tanh | Kind::Relu => 1,
            Kind::Lstm => 4,
            Kind::Gru => 3,
        }
    }
    /// Whether it has a memory beside its state.
    pub(super) fn has_memory(self) -> bool {
        self == Kind::Lstm
    }
}

/// Runs an expression with `$cell` bound to the kernels' cell of a kind.
macro_rules! with_cell {
    ($kind:expr, $cell:ident => $body:expr) => {
        match $kind {
            Kind::Tanh => {
                let $cell = Tanh;
                $body
            }
            Kind::Relu => {
                let $cell = Relu;
                $body
            }
            Kind::Lstm => {
                let $cell = Lstm;
                $body
            }
            Kind::Gru => {
                let $cell = Gru;
                $body
            }
        }
    };
}

/// A recurrent layer: the states after each step, `(batch, time, hidden)`; with `memory`, these and the last memory,
/// `(batch, hidden)`, one after the other in a vector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recurrent {
    pub(super) kind: Kind,
    pub(super) bias: bool,
    pub(super) bias_hh: bool,
    pub(super) memory: bool,
}

/// What the inputs of the operation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    X,
    WeightIh,
    WeightHh,
    State,
    Memory,
    Bias,
    BiasHh,
}

/// The inputs by name.
pub(super) struct Inputs<'a, A> {
    pub(super) x: &'a A,
    pub(super) weight_ih: &'a A,
    pub(super) weight_hh: &'a A,
    pub(super) state: &'a A,
    pub(super) memory: Option<&'a A>,
    pub(super) bias: Option<&'a A>,
    pub(super) bias_hh: Option<&'a A>,
}

impl Recurrent {
    fn roles(&self) -> impl Iterator<Item = Role> {
        let optional =
            [(Role::Memory, self.kind.has_memory()), (Role::Bias, self.bias), (Role::BiasHh, self.bias_hh)];
        let given = optional.into_iter().filter(|(_, given)| *given).map(|(role, _)| role);
        [Role::X, Role::WeightIh, Role::WeightHh, Role::State].into_iter().chain(given)
    }

    pub(super) fn inputs<'a, A>(&self, all: &[&'a A]) -> Inputs<'a, A> {
        let find = |role| self.roles().zip(all).find(|(r, _)| *r == role).map(|(_, x)| *x);
        let [memory, bias, bias_hh] = [Role::Memory, Role::Bias, Role::BiasHh].map(find);
        Inputs { x: all[0], weight_ih: all[1], weight_hh: all[2], state: all[3], memory, bias, bias_hh }
    }

    /// That the first inputs are those of a layer, and of which sizes.
    fn check_inputs(&self, x: &Known<'_>) -> Result<Sizes> {
        let gates = self.kind.gates();
        x.holds(self.kind.has_memory() || !self.memory, || "there is no memory".into())?;
        x.floats(0..self.roles().count())?;
        x.axes(0, 3)?;
        x.axes(2, 2)?;
        let (&[batch, time, features], &[hidden, _]) = (x.shape(0), x.shape(2)) else {
            return Ok(Sizes { batch: 0, time: 0, hidden: 0 });
        };
        x.there_is(&[batch, time, hidden, gates])?;
        x.holds(time > 0, || "the sequence is empty".into())?;
        let width = gates * hidden;
        for (i, role) in self.roles().enumerate() {
            match role {
                Role::X => {}
                Role::WeightIh => x.shaped(i, &[features, width])?,
                Role::WeightHh => x.shaped(i, &[hidden, width])?,
                Role::State | Role::Memory => x.shaped(i, &[batch, hidden])?,
                Role::Bias | Role::BiasHh => x.shaped(i, &[width])?,
            }
        }
        Ok(Sizes { batch, time, hidden })
    }

    /// The result, and beside it the gates and the memories or products apart (see [`Pass`]), unless the result says it all.
    fn value<T: Float + Element + gemm::Scalar>(&self, all: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let i = self.inputs(all);
        let sizes = sizes(&i);
        let Sizes { batch, time, hidden } = sizes;
        let states = Starts::of(&i)?;
        let bias_hh = i.bias_hh.map(|b| b.contiguous()).transpose()?;
        let bias_hh = bias_hh.as_ref().map_or(std::ptr::null(), Array::ptr::<T>);
        let plain = |a: &Array| Tensor::from(a.clone());
        let mut gates =
            dense(&plain(i.x), &plain(i.weight_ih), i.bias.map(plain).as_ref(), None)?.into_array();
        let empty = |shape: &[usize]| Array::empty("recurrent", shape, i.x.dtype());
        if self.kind.gates() == 1 {
            let y = gates.fresh_ptr::<T>();
            let pass = states.pass(sizes, i.weight_hh, y, std::ptr::null_mut(), y);
            // SAFETY: shapes and strides are those of the arrays, which `recurrent` has checked; what is written is fresh.
            with_cell!(self.kind, cell => unsafe { kernel::forward(cell, &pass, bias_hh) });
            return Ok((gates, Vec::new()));
        }
        let mut more = empty(&[batch, time, hidden])?;
        let whole = batch * time * hidden;
        let mut out =
            if self.memory { empty(&[whole + batch * hidden])? } else { empty(&[batch, time, hidden])? };
        let pass = states.pass(sizes, i.weight_hh, gates.fresh_ptr::<T>(), more.fresh_ptr(), out.fresh_ptr());
        // SAFETY: shapes and strides are those of the arrays, which `recurrent` has checked; what is written is fresh.
        with_cell!(self.kind, cell => unsafe { kernel::forward(cell, &pass, bias_hh) });
        if self.memory {
            let (all, out) = (more.fresh_mut::<T>(), out.fresh_mut::<T>());
            for (b, last) in out[whole..].chunks_exact_mut(hidden.max(1)).enumerate() {
                let end = (b + 1) * time * hidden;
                last.copy_from_slice(&all[end - hidden..end]);
            }
        }
        Ok((out, vec![gates, more]))
    }

    /// The states in the result.
    fn states(&self, out: &Array, sizes: Sizes) -> Result<Array> {
        let Sizes { batch, time, hidden } = sizes;
        let flat = narrow(&reshaped(out, &[out.size()])?, 0, 0, batch * time * hidden)?;
        Ok(reshape_to(&flat, &[batch, time, hidden])?.into_array())
    }

    /// The gradients for the inputs, of those for the gates, for what the products of the state have apart, and for the
    /// state and the memory before the first step.
    fn collected(&self, cx: &Context<'_>, [dgates, dmore, dstate]: [&Array; 3]) -> Result<Grads> {
        let all: Vec<&Array> = (0..cx.inputs()).map(|i| cx.input(i).array()).collect();
        let i = self.inputs(&all);
        let sizes = sizes(&i);
        let Sizes { batch, time, hidden } = sizes;
        let width = self.kind.gates() * hidden;
        let y = self.states(cx.output().array(), sizes)?;
        let rows = |a: &Array| -> Result<Tensor> { reshaped(a, &[batch * time, a.shape()[2]]) };
        let dgates = reshaped(dgates, &[batch * time, width])?;
        // The gradients of the products of the state: those for the gates, but one that is apart.
        let apart = matches!(self.kind, Kind::Gru).then(|| rows(dmore)).transpose()?;
        let of_state = |f: &dyn Fn(&Tensor) -> Result<Tensor>| match &apart {
            Some(apart) => concat(&[&f(&narrow(&dgates, 1, 0, width - hidden)?)?, &f(apart)?], -1),
            None => f(&dgates),
        };
        let roles = self.roles().enumerate();
        roles
            .map(|(at, role)| {
                if !cx.wants(at) {
                    return Ok(None);
                }
                Ok(Some(match role {
                    Role::X => {
                        reshape_to(&matmul(&dgates, &transpose_last(cx.input(at + 1))?)?, i.x.shape())?
                    }
                    Role::WeightIh => matmul(&transpose_last(&rows(i.x)?)?, &dgates)?,
                    Role::WeightHh => {
                        let before = transpose_last(&rows(&shifted(i.state, &y)?)?)?;
                        of_state(&|d| matmul(&before, d))?
                    }
                    Role::Bias => sum(&dgates, 0.into(), false)?,
                    Role::BiasHh => of_state(&|d| sum(d, 0.into(), false))?,
                    Role::State => dstate.clone().into(),
                    Role::Memory => reshaped(dmore, &[batch, hidden])?,
                }))
            })
            .collect()
    }
}

impl Operation for Recurrent {
    fn name(&self) -> &'static str {
        "recurrent"
    }
    parameters! { kind, bias, bias_hh, memory }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(self.roles().count())?;
        self.check_inputs(x).map(drop)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(x)?.0)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        each!(x[0].dtype(), float: T => self.value::<T>(x), else not_float(x[0]))
    }
}

impl Differentiable for Recurrent {
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        through(cx, g, |inputs| unrolled(*self, &self.inputs(&inputs.iter().collect::<Vec<_>>())))
    }
    fn backward_fused(&self, cx: &Context<'_>, g: &Tensor) -> Option<Result<Grads>> {
        let beside: Vec<Tensor> = cx.beside().iter().cloned().map(Tensor::from).collect();
        let inputs = (0..cx.inputs()).map(|i| cx.input(i)).chain([cx.output(), g]).chain(&beside);
        let found = compute_beside(RecurrentGradient(*self), &inputs.collect::<Vec<_>>());
        Some(found.and_then(|found| self.collected(cx, [0, 1, 2].map(|i| found[i].array()))))
    }
}

/// The steps of [`Recurrent`] backwards, of its inputs, its result, the gradient for that, and what was given beside it. It
/// gives the gradients for the gates, for what the products of the state have apart, and for the first state.
#[derive(Clone, Debug)]
struct RecurrentGradient(Recurrent);

impl Operation for RecurrentGradient {
    fn name(&self) -> &'static str {
        "recurrent"
    }
    parameters! { 0: of }
    fn check(&self, x: &Known<'_>) -> Result<()> {
        let (op, n) = (&self.0, self.0.roles().count());
        let gates = op.kind.gates();
        x.count(n + if gates > 1 { 4 } else { 2 })?;
        let Sizes { batch, time, hidden } = op.check_inputs(x)?;
        x.floats(0..x.len())?;
        let states = [batch, time, hidden];
        let whole = [batch * time * hidden + batch * hidden];
        for i in [n, n + 1] {
            x.shaped(i, if op.memory { &whole } else { &states })?;
        }
        x.row_major(n)?;
        if gates == 1 {
            return Ok(());
        }
        x.shaped(n + 2, &[batch, time, gates * hidden])?;
        x.shaped(n + 3, &states)?;
        [n + 2, n + 3].into_iter().try_for_each(|i| x.row_major(i))
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(self.forward_beside(x)?.0)
    }
    fn forward_beside(&self, x: &[&Array]) -> Result<(Array, Vec<Array>)> {
        each!(x[0].dtype(), float: T => self.steps::<T>(x), else not_float(x[0]))
    }
}

impl RecurrentGradient {
    fn steps<T: Float + Element + gemm::Scalar>(&self, all: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let op = &self.0;
        let n = op.roles().count();
        let i = op.inputs(&all[..n]);
        let sizes = sizes(&i);
        let Sizes { batch, time, hidden } = sizes;
        let (y, g) = (op.states(all[n], sizes)?, all[n + 1].contiguous()?);
        let (dtype, width) = (g.dtype(), op.kind.gates() * hidden);
        let [gates, more] = if op.kind.gates() > 1 { [all[n + 2], all[n + 3]] } else { [&y, &y] };
        let mut dgates = Array::empty("recurrent", &[batch, time, width], dtype)?;
        let mut dstate = Array::filled("recurrent", &[batch, hidden], 0.0, dtype)?;
        let mut dmore = match op.kind {
            Kind::Lstm if op.memory => {
                narrow(&g.clone().into(), 0, y.size(), batch * hidden)?.array().copy()?
            }
            Kind::Lstm => Array::filled("recurrent", &[batch * hidden], 0.0, dtype)?,
            Kind::Gru => Array::empty("recurrent", &[batch, time, hidden], dtype)?,
            _ => Array::empty("recurrent", &[0], dtype)?,
        };
        let read = |a: &Array| a.ptr::<T>().cast_mut();
        let pass = Starts::of(&i)?.pass(sizes, i.weight_hh, read(gates), read(more), read(&y));
        let grads = Gradients {
            dy: g.ptr(),
            gates: dgates.fresh_ptr(),
            more: dmore.fresh_ptr(),
            dh: dstate.fresh_ptr(),
        };
        // SAFETY: shapes and strides are those of the arrays, of which the forward pass wrote some; those are only read, and
        // what is written is fresh.
        with_cell!(op.kind, cell => unsafe { kernel::backward(cell, &pass, &grads) });
        Ok((dgates, vec![dmore, dstate]))
    }
}

fn not_float<T>(x: &Array) -> Result<T> {
    Err(Error::DType(format!("recurrent: not defined for {}", x.dtype())))
}

fn sizes(i: &Inputs<'_, Array>) -> Sizes {
    Sizes { batch: i.x.shape()[0], time: i.x.shape()[1], hidden: i.weight_hh.shape()[0] }
}

/// The elements in another shape, through the door: who captures knows where they come from.
fn reshaped(x: &Array, shape: &[usize]) -> Result<Tensor> {
    reshape_to(&x.clone().into(), shape)
}

/// The states before each step, `(batch, time, hidden)`.
fn shifted(state: &Array, y: &Array) -> Result<Array> {
    let &[batch, time, hidden] = y.shape() else { return Ok(y.clone()) };
    let first = reshaped(state, &[batch, 1, hidden])?;
    Ok(concat(&[&first, &narrow(&y.clone().into(), 1, 0, time - 1)?], 1)?.into_array())
}

/// What the sequences start from, each row side by side.
struct Starts {
    state: Array,
    memory: Array,
}

impl Starts {
    fn of(i: &Inputs<'_, Array>) -> Result<Starts> {
        let laid = |a: &Array| if a.strides()[1] == 1 { Ok(a.clone()) } else { a.contiguous() };
        Ok(Starts { state: laid(i.state)?, memory: laid(i.memory.unwrap_or(i.state))? })
    }

    fn pass<T: Element>(
        &self,
        sizes: Sizes,
        weight: &Array,
        gates: *mut T,
        more: *mut T,
        y: *mut T,
    ) -> Pass<T> {
        let (h, memory) = (operand(&self.state, 0), operand(&self.memory, 0));
        Pass { sizes, weight: operand(weight, 0), h, memory, gates, more, y }
    }
}

readers! { "recurrent" => Recurrent, "recurrent_gradient" => RecurrentGradient }
