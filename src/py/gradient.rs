//! Gradients of Python functions with respect to trees of tensors.

use super::arguments::{Watch, Watched};
use super::custom;
use super::hints::add_function;
use super::operand::Operand;
use super::plan::Plan;
use super::run::released;
use super::tensor::PyTensor;
use super::walkable::Walkable;
use crate::array::Array;
use crate::error::Error;
use crate::gradient::{seed, walk};
use crate::shape;
use crate::tape::{self, Scope, Step, Tensor, Trace};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// What came of calling a function with its arguments watched.
struct Called<'py> {
    result: Bound<'py, PyAny>,
    trace: Trace,
    variables: Vec<Tensor>,
    plan: Plan,
}

fn call<'py>(f: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> PyResult<Called<'py>> {
    let scope = Scope::enter();
    let Watched { given, variables, plan, restore } = Watch::new(f.py(), &scope).arguments(args)?;
    let result = super::call(f, given)?;
    drop(restore);
    Ok(Called { result, trace: scope.close(), variables, plan })
}

/// The walk back, without the GIL where a step is long.
fn backward(
    py: Python<'_>,
    trace: &Trace,
    outputs: &[(Tensor, Tensor)],
    variables: &[Tensor],
    keep: bool,
) -> PyResult<Vec<Option<Tensor>>> {
    let call = |step: &Step, g: &Tensor| {
        released(py, g.size() + step.size(), || step.backward(g)).map_err(custom::raise)
    };
    Ok(walk(trace, outputs, variables, keep, call)?)
}

fn grads_of<'py>(
    py: Python<'py>,
    grads: Vec<Option<Tensor>>,
    variables: &[Tensor],
    plan: &Plan,
) -> PyResult<Bound<'py, PyTuple>> {
    let one = |(g, v): (Option<Tensor>, &Tensor)| {
        g.map(|g| Bound::new(py, PyTensor::from(g).gradient_for(v.place()))).transpose()
    };
    let grads = grads.into_iter().zip(variables).map(one).collect::<PyResult<Vec<_>>>()?;
    plan.build(py, &grads)
}

/// The value of `f(*args)` and its gradient with respect to each argument, in the argument's shape.
///
/// If `f` returns a tuple, its first element is the loss and the rest comes back unchanged. `None` stands for "does not
/// depend on it".
#[pyfunction]
#[pyo3(signature = (f, /, *args))]
pub(super) fn withgradient<'py>(
    f: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
    let called = call(f, args)?;
    let loss = match called.result.cast::<PyTuple>() {
        Ok(tuple) if !tuple.is_empty() => tuple.get_item(0)?,
        _ => called.result.clone(),
    };
    let Ok(loss) = loss.extract::<Operand>() else {
        let class = loss.get_type().name()?;
        return Err(PyTypeError::new_err(format!("gradient: the loss must be a single float, got {class}")));
    };
    let g = seed(&loss.0)?;
    let grads = backward(f.py(), &called.trace, &[(loss.0, g)], &called.variables, false)?;
    Ok((called.result, grads_of(f.py(), grads, &called.variables, &called.plan)?))
}

/// The gradient of `f(*args)` with respect to each argument, in the argument's shape.
#[pyfunction]
#[pyo3(signature = (f, /, *args))]
fn gradient<'py>(f: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyTuple>> {
    Ok(withgradient(f, args)?.1)
}

/// What takes the gradient of a result back to the arguments; it can be called again and again.
#[pyclass(frozen, module = "oxiflux")]
struct Pullback {
    outputs: Vec<Tensor>,
    single: bool,
    trace: Walkable,
    variables: Vec<Tensor>,
    plan: Plan,
}

#[pymethods]
impl Pullback {
    /// The gradient of the arguments for a gradient `g` of the result, of its shape; ones if not given.
    #[pyo3(signature = (g = None, /))]
    fn __call__<'py>(&self, py: Python<'py>, g: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyTuple>> {
        let count = self.outputs.len();
        if let Some(g) = g.as_ref().filter(|_| !self.single)
            && g.len().ok() != Some(count)
        {
            let got = g.len().map_or_else(|_| g.get_type().to_string(), |n| format!("{n}"));
            return Err(Error::Shape(format!(
                "pullback: {got} gradients for a result of {count} tensors; give one for each, or None"
            ))
            .into());
        }
        let mut seeds = Vec::with_capacity(count);
        for (i, y) in self.outputs.iter().enumerate() {
            let given = match &g {
                None => None,
                Some(g) if self.single => Some(g.clone()),
                Some(g) => Some(g.get_item(i)?),
            };
            let seed = match given {
                None => Tensor::from(Array::filled("pullback", y.shape(), 1.0, y.dtype())?),
                Some(g) if g.is_none() => continue,
                Some(g) => crate::ops::astype(&g.extract::<Operand>()?.0, y.dtype())?,
            };
            if seed.shape() != y.shape() {
                let (got, want) = (shape::show(seed.shape()), shape::show(y.shape()));
                return Err(Error::Shape(format!(
                    "pullback: a gradient of shape {got} for a result of shape {want}"
                ))
                .into());
            }
            seeds.push((y.clone(), seed));
        }
        let grads = self.trace.walk(|trace| backward(py, trace, &seeds, &self.variables, true))?;
        grads_of(py, grads, &self.variables, &self.plan)
    }
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.trace.traverse(&visit)
    }
    fn __clear__(&self) {
        self.trace.clear();
    }
}

/// The value of `f(*args)`, and a function that takes a gradient of it back to the arguments.
#[pyfunction]
#[pyo3(signature = (f, /, *args))]
fn pullback<'py>(
    f: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let called = call(f, args)?;
    let several = called.result.is_instance_of::<PyTuple>() || called.result.is_instance_of::<PyList>();
    let outputs = if several {
        super::many(&called.result)?
    } else if let Ok(y) = called.result.extract::<Operand>() {
        vec![y.0]
    } else {
        let class = called.result.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "pullback: the function must give a tensor, or a tuple or list of tensors, got {class}"
        )));
    };
    let back = Pullback {
        outputs,
        single: !several,
        trace: Walkable::new(called.trace),
        variables: called.variables,
        plan: called.plan,
    };
    Ok((called.result, Bound::new(f.py(), back)?.into_any()))
}

/// The same values without a place on any tape: no gradient passes.
#[pyfunction]
#[pyo3(signature = (x, /))]
fn stop_gradient(x: Operand) -> PyTensor {
    x.0.at(None).into()
}

/// Whether this was computed by a checkpointed function and is not its result: no gradient goes through it.
#[pyfunction]
fn is_left_out(x: Operand) -> bool {
    tape::is_left_out(&x.0)
}

/// Whether what is computed on this thread is recorded for a gradient.
#[pyfunction]
fn is_recording() -> bool {
    tape::is_recording()
}

/// Whether layers that behave differently in training do so by themselves: a gradient is open on this thread.
#[pyfunction]
fn is_training() -> bool {
    tape::is_training()
}

/// A context in which nothing is recorded. With `variables` it will be later, when these tensors are the variables:
/// layers do not take that for the end of training, and to use another tensor of the gradient is an error.
#[pyclass(name = "paused", frozen, module = "oxiflux")]
struct PyPaused {
    variables: Option<Vec<Tensor>>,
    /// Whether they get their gradients in another way, so that nothing is recorded later.
    is_custom: bool,
    /// Each with the thread on which it was entered, the only one that it pauses.
    open: Mutex<Vec<(ThreadId, tape::Open)>>,
}

impl PyPaused {
    fn open(&self) -> MutexGuard<'_, Vec<(ThreadId, tape::Open)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyPaused {
    #[new]
    #[pyo3(signature = (variables = None, /))]
    fn new(variables: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let variables = variables.map(super::many).transpose()?;
        Ok(PyPaused { variables, is_custom: false, open: Mutex::default() })
    }
    fn __enter__(&self) {
        let paused = match &self.variables {
            Some(variables) if self.is_custom => tape::Paused::for_custom(variables),
            Some(variables) => tape::Paused::until_later(variables),
            None => tape::Paused::new(),
        };
        self.open().push((thread::current().id(), paused.into_open()));
    }
    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<'_, PyTuple>) -> PyResult<()> {
        let here = thread::current().id();
        let mut open = self.open();
        match open.iter().rposition(|(thread, _)| *thread == here) {
            Some(last) => drop(open.remove(last)),
            None => return Err(PyRuntimeError::new_err("paused: left on a thread that has not entered it")),
        }
        Ok(())
    }
}

/// A context in which nothing is recorded, because these tensors get their gradients in another way: to use another tensor
/// of the gradient is an error.
#[pyfunction]
#[pyo3(signature = (variables, /))]
fn paused_for(variables: &Bound<'_, PyAny>) -> PyResult<PyPaused> {
    Ok(PyPaused { variables: Some(super::many(variables)?), is_custom: true, open: Mutex::default() })
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyPaused>()?;
    add_function!(m, paused_for)?;
    add_function!(m, withgradient)?;
    add_function!(m, gradient)?;
    add_function!(m, pullback)?;
    add_function!(m, stop_gradient)?;
    add_function!(m, is_left_out)?;
    add_function!(m, is_recording)?;
    add_function!(m, is_training)
}
