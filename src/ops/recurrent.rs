//! Recurrent layers: whole sequences as one operation with a gradient of its own.

use super::binary::as_dtype;
use super::matmul::operand;
use super::movement::{broadcast_to, reshape_to, transpose_last};
use super::unrolled::unrolled;
use super::view::narrow;
use super::{Case, concat, dense, matmul, sum};
use crate::array::Array;
use crate::dtype::{Element, each};
use crate::error::{Error, Result};
use crate::gradient::backward;
use crate::kernels::gemm;
use crate::kernels::number::Float;
use crate::kernels::recurrent::{self as kernel, Gradients, Gru, Lstm, Pass, Relu, Sizes, Start, Tanh};
use crate::shape::{self, Dims};
use crate::tape::{Context, Grads, Keeps, Operation, Scope, Tensor, in_single, is_recording, record};

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
            Kind::Tanh => { let $cell = Tanh; $body }
            Kind::Relu => { let $cell = Relu; $body }
            Kind::Lstm => { let $cell = Lstm; $body }
            Kind::Gru => { let $cell = Gru; $body }
        }
    };
}

/// A recurrent layer: the states after each step, `(batch, time, hidden)`; with `memory`, these and the last memory,
/// `(batch, hidden)`, one after the other in a vector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recurrent {
    pub(super) kind: Kind,
    bias: bool,
    bias_hh: bool,
    pub(super) memory: bool,
}

/// What the inputs of the operation are. What is kept has no gradient of its own: the gates, and the memories or products
/// apart (see [`Pass`]), unless the result itself says it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    X,
    WeightIh,
    WeightHh,
    State,
    Memory,
    Bias,
    BiasHh,
    Kept,
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
        let gated = self.kind.gates() > 1;
        let optional = [
            (Role::Memory, self.kind.has_memory()),
            (Role::Bias, self.bias),
            (Role::BiasHh, self.bias_hh),
            (Role::Kept, gated),
            (Role::Kept, gated),
        ];
        let given = optional.into_iter().filter(|(_, given)| *given).map(|(role, _)| role);
        [Role::X, Role::WeightIh, Role::WeightHh, Role::State].into_iter().chain(given)
    }

    pub(super) fn inputs<'a, A>(&self, all: &[&'a A]) -> Inputs<'a, A> {
        let find = |role| self.roles().zip(all).find(|(r, _)| *r == role).map(|(_, x)| *x);
        let [memory, bias, bias_hh] = [Role::Memory, Role::Bias, Role::BiasHh].map(find);
        Inputs { x: all[0], weight_ih: all[1], weight_hh: all[2], state: all[3], memory, bias, bias_hh }
    }

    /// The result, and what is kept.
    fn compute(&self, all: &[&Array]) -> Result<(Array, Vec<Array>)> {
        each!(all[0].dtype(), float: T => self.value::<T>(all), else not_float(all[0]))
    }

    fn value<T: Float + Element + gemm::Element>(&self, all: &[&Array]) -> Result<(Array, Vec<Array>)> {
        let i = self.inputs(all);
        let sizes = sizes(&i);
        let Sizes { batch, time, hidden } = sizes;
        let states = Starts::of(&i)?;
        let bias_hh = i.bias_hh.map(|b| b.contiguous()).transpose()?;
        let bias_hh = bias_hh.as_ref().map_or(std::ptr::null(), Array::ptr::<T>);
        let plain = |a: &Array| Tensor::from(a.clone());
        let mut gates = dense(&plain(i.x), &plain(i.weight_ih), i.bias.map(plain).as_ref(), None)?.into_array();
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
        let mut out = if self.memory { empty(&[whole + batch * hidden])? } else { empty(&[batch, time, hidden])? };
        let pass = states.pass(sizes, i.weight_hh, gates.fresh_ptr::<T>(), more.fresh_ptr(), out.fresh_ptr());
        // SAFETY: as above.
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
        let flat = narrow(&out.reshape(&[out.size()])?.into(), 0, 0, batch * time * hidden)?;
        flat.reshape(&[batch, time, hidden])
    }

    fn gradients<T: Float + Element + gemm::Element>(&self, cx: &Context<'_>, g: &Array) -> Result<Grads> {
        let all: Vec<&Array> = (0..cx.inputs()).map(|i| cx.input(i).array()).collect();
        let i = self.inputs(&all);
        let sizes = sizes(&i);
        let Sizes { batch, time, hidden } = sizes;
        let (dtype, width) = (g.dtype(), self.kind.gates() * hidden);
        let y = self.states(cx.output(), sizes)?;
        let [gates, more] = if self.kind.gates() > 1 { [all[all.len() - 2], all[all.len() - 1]] } else { [&y, &y] };
        let mut dgates = Array::empty("recurrent", &[batch, time, width], dtype)?;
        let mut dstate = Array::filled("recurrent", &[batch, hidden], 0.0, dtype)?;
        let mut dmore = match self.kind {
            Kind::Lstm if self.memory => narrow(&g.clone().into(), 0, y.size(), batch * hidden)?.copy()?,
            Kind::Lstm => Array::filled("recurrent", &[batch * hidden], 0.0, dtype)?,
            Kind::Gru => Array::empty("recurrent", &[batch, time, hidden], dtype)?,
            _ => Array::empty("recurrent", &[0], dtype)?,
        };
        let read = |a: &Array| a.ptr::<T>().cast_mut();
        let pass = Starts::of(&i)?.pass(sizes, i.weight_hh, read(gates), read(more), read(&y));
        let grads = Gradients { dy: g.ptr(), gates: dgates.fresh_ptr(), more: dmore.fresh_ptr(), dh: dstate.fresh_ptr() };
        // SAFETY: as in the forward pass, which wrote what is kept; it is only read, and what is written is fresh.
        with_cell!(self.kind, cell => unsafe { kernel::backward(cell, &pass, &grads) });

        let rows = |a: &Array| -> Result<Tensor> { Ok(a.reshape(&[batch * time, a.shape()[2]])?.into()) };
        let dgates: Tensor = dgates.reshape(&[batch * time, width])?.into();
        // The gradients of the products of the state: those for the gates, but one that is apart.
        let apart = matches!(self.kind, Kind::Gru).then(|| rows(&dmore)).transpose()?;
        let of_state = |f: &dyn Fn(&Tensor) -> Result<Tensor>| match &apart {
            Some(apart) => concat(&[&f(&narrow(&dgates, 1, 0, width - hidden)?)?, &f(apart)?], -1),
            None => f(&dgates),
        };
        let roles = self.roles().enumerate();
        roles.map(|(at, role)| {
            if !cx.wants(at) {
                return Ok(None);
            }
            Ok(Some(match role {
                Role::X => reshape_to(&matmul(&dgates, &transpose_last(cx.input(at + 1))?)?, i.x.shape())?,
                Role::WeightIh => matmul(&transpose_last(&rows(i.x)?)?, &dgates)?,
                Role::WeightHh => {
                    let before = transpose_last(&rows(&shifted(i.state, &y)?)?)?;
                    of_state(&|d| matmul(&before, d))?
                }
                Role::Bias => sum(&dgates, 0.into(), false)?,
                Role::BiasHh => of_state(&|d| sum(d, 0.into(), false))?,
                Role::State => dstate.clone().into(),
                Role::Memory => dmore.reshape(&[batch, hidden])?.into(),
                Role::Kept => return Ok(None),
            }))
        })
        .collect()
    }

    /// The gradients of the same steps done with other operations, for they are differentiable again.
    fn recomposed(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let scope = Scope::enter();
        let inputs: Vec<Tensor> = (0..cx.inputs()).map(|i| scope.watch(cx.input(i))).collect();
        let y = unrolled(*self, &self.inputs(&inputs.iter().collect::<Vec<_>>()))?;
        let grads = backward(&scope.close(), &[(y, g.clone())], &inputs, false)?;
        Ok(grads.into_iter().enumerate().map(|(i, g)| g.filter(|_| cx.wants(i))).collect())
    }
}

impl Operation for Recurrent {
    fn name(&self) -> &'static str {
        "recurrent"
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(self.compute(x)?.0)
    }
    fn keeps(&self) -> Keeps {
        Keeps::Both
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let g = broadcast_to(g, cx.output().shape())?;
        if is_recording() {
            return self.recomposed(cx, &g);
        }
        let g = g.contiguous()?;
        each!(g.dtype(), float: T => self.gradients::<T>(cx, &g), else not_float(&g))
    }
}

fn not_float<T>(x: &Array) -> Result<T> {
    Err(Error::DType(format!("recurrent: not defined for {}", x.dtype())))
}

fn sizes(i: &Inputs<'_, Array>) -> Sizes {
    Sizes { batch: i.x.shape()[0], time: i.x.shape()[1], hidden: i.weight_hh.shape()[0] }
}

/// The states before each step, `(batch, time, hidden)`.
fn shifted(state: &Array, y: &Array) -> Result<Array> {
    let &[batch, time, hidden] = y.shape() else { return Ok(y.clone()) };
    let first = state.reshape(&[batch, 1, hidden])?.into();
    Ok(concat(&[&first, &narrow(&y.clone().into(), 1, 0, time - 1)?], 1)?.into_array())
}

/// What the sequences start from, each row side by side.
struct Starts {
    state: Array,
    memory: Array,
}

impl Starts {
    fn of(i: &Inputs<'_, Array>) -> Result<Starts> {
        let laid = |a: &Array| if a.strides()[1] == 1 && a.strides()[0] == 0 { Ok(a.clone()) } else { a.contiguous() };
        Ok(Starts { state: laid(i.state)?, memory: laid(i.memory.unwrap_or(i.state))? })
    }

    fn pass<T: Element>(&self, sizes: Sizes, weight: &Array, gates: *mut T, more: *mut T, y: *mut T) -> Pass<T> {
        let start = |a: &Array| Start { ptr: a.ptr(), row: a.strides()[0] as usize };
        let (h, memory) = (start(&self.state), start(&self.memory));
        Pass { sizes, weight: operand(weight, 0), h, memory, gates, more, y }
    }
}

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
        return Err(Error::Value(format!("recurrent: a cell of kind {kind:?} starts from {} states", 1 + usize::from(kind.has_memory()))));
    }
    let features = weights.weight_ih.shape()[0];
    let (axes, text) = match is_step {
        true => (1..=2, "(batch, features) or (features,)"),
        false => (2..=3, "(batch, time, features) or (time, features)"),
    };
    let fail = |what: String| Err(Error::Shape(format!("recurrent: {what}, got shape {}", shape::show(x.shape()))));
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
        Err(Error::Shape(format!("recurrent: expected a {name} of shape ({hidden},){batched}, got shape {got}")))
    };
    let x3 = reshape_to(&*as_dtype(x, dtype)?, &[batch, time, features])?;
    let state = start("state", state)?;
    let memory = memory.map(|m| start("memory", m)).transpose()?;
    let op = Recurrent { kind, bias: weights.bias.is_some(), bias_hh: weights.bias_hh.is_some(), memory: with_memory };
    let mut inputs = vec![&x3, weights.weight_ih, weights.weight_hh, &state];
    inputs.extend(memory.iter().chain(weights.bias).chain(weights.bias_hh));
    let out = recorded(op, &inputs)?;
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

fn recorded(op: Recurrent, inputs: &[&Tensor]) -> Result<Tensor> {
    if inputs.iter().any(|x| x.dtype().is_half()) {
        return in_single(inputs, |inputs| recorded(op, inputs));
    }
    let arrays: Vec<&Array> = inputs.iter().map(|x| x.array()).collect();
    let (value, kept) = op.compute(&arrays)?;
    let kept: Vec<Tensor> = kept.into_iter().map(Tensor::from).collect();
    let inputs: Vec<&Tensor> = inputs.iter().copied().chain(&kept).collect();
    Ok(record(op, &inputs, value))
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
    let weights = Weights { weight_ih: &rest[0], weight_hh: &rest[1], bias: rest.get(2), bias_hh: rest.get(3) };
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
        Case { f: |t| checked(Kind::Relu, t, false, false), shapes: &[&[3, 2], &[3], &[2, 3], &[3, 3]], domain: (0.1, 1.0) },
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
        Case { f: |t| checked(Kind::Gru, t, true, false), shapes: &[&[2], &[3], &[2, 9], &[3, 9], &[9]], domain: (-1.0, 1.0) },
    ],
}];

#[cfg(feature = "python")]
mod python {
    use super::{Kind, Weights};
    use crate::py::{Operand, PyTensor, pair, released};
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;

    /// Takes sequences of shape `(batch, time, features)` or `(time, features)` through a recurrent layer, or a single step
    /// of shape `(batch, features)` or `(features,)`.
    ///
    /// `kind` is "tanh", "relu", "lstm" or "gru", `states` the state and for an LSTM the memory to start from. Gives the
    /// state after each step and, with `with_memory`, the last memory.
    #[pyfunction]
    #[pyo3(signature = (kind, x, states, weight_ih, weight_hh, bias = None, bias_hh = None, is_step = false, with_memory = false, /))]
    #[expect(clippy::too_many_arguments, reason = "what a layer has")]
    pub(super) fn recurrent(
        py: Python<'_>,
        kind: &str,
        x: &Bound<'_, PyAny>,
        states: Vec<Bound<'_, PyAny>>,
        weight_ih: &Bound<'_, PyAny>,
        weight_hh: Operand,
        bias: Option<Operand>,
        bias_hh: Option<Operand>,
        is_step: bool,
        with_memory: bool,
    ) -> PyResult<(PyTensor, Option<PyTensor>)> {
        let kind = match kind {
            "tanh" => Kind::Tanh,
            "relu" => Kind::Relu,
            "lstm" => Kind::Lstm,
            "gru" => Kind::Gru,
            _ => return Err(PyValueError::new_err(format!("recurrent: there is no kind {kind:?}"))),
        };
        let states = states.iter().map(|s| Ok(pair(s, weight_ih)?.0)).collect::<PyResult<Vec<_>>>()?;
        let [state, memory @ ..] = &states[..] else { return Err(PyValueError::new_err("recurrent: there is no state")) };
        let (x, weight_ih) = pair(x, weight_ih)?;
        let (bias, bias_hh) = (bias.as_ref().map(|b| &b.0), bias_hh.as_ref().map(|b| &b.0));
        let weights = Weights { weight_ih: &weight_ih, weight_hh: &weight_hh.0, bias, bias_hh };
        let size = x.size() + weight_ih.size() + weight_hh.0.size();
        let with_memory = with_memory && kind.has_memory();
        let (y, memory) =
            released(py, size, || super::recurrent(kind, &x, state, memory.first(), &weights, is_step, with_memory))?;
        Ok((y.into(), memory.map(PyTensor::from)))
    }
}

#[cfg(feature = "python")]
pub(super) fn register(m: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
    use pyo3::prelude::*;
    m.add_function(pyo3::wrap_pyfunction!(python::recurrent, m)?)
}
