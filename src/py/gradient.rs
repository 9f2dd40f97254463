//! Gradients of Python functions with respect to trees of tensors.
//!
//! Tensors that are arguments, or sit in lists, tuples and dicts among the arguments, reach the function as variables of
//! their own. Tensors that sit in objects stay where they are and are looked up by identity while the gradient is open:
//! the function is called with the very model, and a closure that has captured it works too.

use super::operand::{Operand, value};
use super::tensor::PyTensor;
use super::tree::{self, Node};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::gradient::{backward, seed};
use crate::shape;
use crate::tape::{self, Context, Grads, Keeps, Operation, Place, Scope, Tensor, Trace};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PyTuple};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

/// Addresses spread well enough as they are, but for the low bits.
#[derive(Default)]
struct Address(u64);
impl Hasher for Address {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_usize(&mut self, x: usize) {
        self.0 = (x as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
type ByAddress<T> = HashMap<usize, T, BuildHasherDefault<Address>>;

thread_local! {
    /// Where tensors that stay in their objects are on the tape: by the address of the Python object.
    static WATCHED: RefCell<ByAddress<Place>> = RefCell::default();
}

/// The place on the tape of a tensor that is watched where it is.
#[inline]
pub(super) fn place_of(address: usize) -> Option<Place> {
    if !tape::is_recording() {
        return None;
    }
    WATCHED.with_borrow(|w| w.get(&address).copied())
}

/// The shape of a gradient: that of its argument.
enum Plan {
    Nothing,
    Variable(usize),
    Number(usize),
    List(Vec<Plan>),
    Tuple(Vec<Plan>),
    Dict(Vec<(Py<PyAny>, Plan)>),
    Object(Vec<(Py<PyAny>, Plan)>),
}

/// The walk over the arguments.
struct Watch<'py, 's> {
    py: Python<'py>,
    scope: &'s Scope,
    variables: Vec<Tensor>,
    known: ByAddress<(usize, Option<Bound<'py, PyAny>>)>,
    before: Vec<(usize, Option<Place>)>,
    /// Objects on the way down, so that one that holds itself does not recurse for ever.
    path: Vec<usize>,
}

impl<'py> Watch<'py, '_> {
    fn variable(&mut self, x: &Tensor) -> usize {
        self.variables.push(self.scope.watch(x));
        self.variables.len() - 1
    }

    /// An argument, or what a container among the arguments holds: what the function gets instead, and the plan.
    fn argument(&mut self, ob: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Plan)> {
        let same = |plan| Ok((ob.clone(), plan));
        Ok(match tree::node(ob)? {
            Node::Tensor(t) => {
                let x = value(&t);
                if !x.dtype().is_float() {
                    return same(Plan::Nothing);
                }
                let address = ob.as_ptr() as usize;
                if let Some((i, alias)) = self.known.get(&address) {
                    return Ok((alias.clone().unwrap_or_else(|| ob.clone()), Plan::Variable(*i)));
                }
                let i = self.variable(&x);
                let alias = Bound::new(self.py, PyTensor::from(self.variables[i].clone()))?.into_any();
                self.known.insert(address, (i, Some(alias.clone())));
                (alias, Plan::Variable(i))
            }
            // Subclasses are objects with a mind of their own, such as `Params`: they go in as they are.
            Node::List(_) | Node::Dict(_) | Node::Tuple(_) if !is_plain(ob)? => (ob.clone(), self.inside(ob)?),
            Node::List(list) => {
                let (items, plans) = self.arguments(list.iter())?;
                (PyList::new(self.py, items)?.into_any(), Plan::List(plans))
            }
            Node::Tuple(tuple) => {
                let (items, plans) = self.arguments(tuple.iter())?;
                let rebuilt = PyTuple::new(self.py, items)?;
                // A named tuple keeps its class.
                let rebuilt = match ob.getattr_opt("_make")? {
                    Some(make) => make.call1((rebuilt,))?,
                    None => rebuilt.into_any(),
                };
                (rebuilt, Plan::Tuple(plans))
            }
            Node::Dict(dict) => {
                let rebuilt = PyDict::new(self.py);
                let mut plans = Vec::with_capacity(dict.len());
                for (key, item) in dict.iter() {
                    let (item, plan) = self.argument(&item)?;
                    rebuilt.set_item(&key, item)?;
                    plans.push((key.unbind(), plan));
                }
                (rebuilt.into_any(), Plan::Dict(plans))
            }
            Node::Object(_) => {
                if let Some(array) = super::numpy::view(ob)? {
                    if !array.dtype().is_float() {
                        return same(Plan::Nothing);
                    }
                    let i = self.variable(&array.into());
                    return Ok((Bound::new(self.py, PyTensor::from(self.variables[i].clone()))?.into_any(), Plan::Variable(i)));
                }
                let plan = self.inside(ob)?;
                (ob.clone(), plan)
            }
            Node::Leaf => {
                if let Ok(f) = ob.cast::<PyFloat>() {
                    let i = self.variable(&Array::scalar(f.value() as f32)?.into());
                    return Ok((Bound::new(self.py, PyTensor::from(self.variables[i].clone()))?.into_any(), Plan::Number(i)));
                }
                if let Some(array) = super::numpy::view(ob)?.filter(|a| a.dtype().is_float()) {
                    let i = self.variable(&array.into());
                    return Ok((Bound::new(self.py, PyTensor::from(self.variables[i].clone()))?.into_any(), Plan::Variable(i)));
                }
                return same(Plan::Nothing);
            }
        })
    }

    fn arguments(&mut self, items: impl Iterator<Item = Bound<'py, PyAny>>) -> PyResult<(Vec<Bound<'py, PyAny>>, Vec<Plan>)> {
        let (mut rebuilt, mut plans) = (Vec::new(), Vec::new());
        for item in items {
            let (item, plan) = self.argument(&item)?;
            rebuilt.push(item);
            plans.push(plan);
        }
        Ok((rebuilt, plans))
    }

    /// What an object holds: tensors are watched where they are.
    fn inside(&mut self, ob: &Bound<'py, PyAny>) -> PyResult<Plan> {
        let node = tree::node(ob)?;
        if let Node::Tensor(t) = &node {
            let address = ob.as_ptr() as usize;
            if let Some((i, alias)) = self.known.get(&address) {
                let (i, place) = (*i, self.variables[*i].place());
                if alias.is_some() {
                    self.watch_in_place(address, place);
                }
                return Ok(Plan::Variable(i));
            }
            let x = value(t);
            if !x.dtype().is_float() {
                return Ok(Plan::Nothing);
            }
            let i = self.variable(&x);
            self.watch_in_place(address, self.variables[i].place());
            self.known.insert(address, (i, None));
            return Ok(Plan::Variable(i));
        }
        if matches!(node, Node::Leaf) || self.path.contains(&(ob.as_ptr() as usize)) {
            return Ok(Plan::Nothing);
        }
        self.path.push(ob.as_ptr() as usize);
        let plan = match node {
            Node::List(list) => Plan::List(list.iter().map(|x| self.inside(&x)).collect::<PyResult<_>>()?),
            Node::Tuple(tuple) => Plan::Tuple(tuple.iter().map(|x| self.inside(&x)).collect::<PyResult<_>>()?),
            Node::Dict(dict) => Plan::Dict(dict.iter().map(|(k, x)| Ok((k.unbind(), self.inside(&x)?))).collect::<PyResult<_>>()?),
            Node::Object(dict) => {
                let names = tree::trainable_names(ob)?;
                let mut plans = Vec::with_capacity(dict.len());
                for (key, child) in dict.iter() {
                    if names.as_ref().is_some_and(|n| !n.contains(&key).unwrap_or(false)) {
                        continue;
                    }
                    match self.inside(&child)? {
                        Plan::Nothing => {}
                        plan => plans.push((key.unbind(), plan)),
                    }
                }
                Plan::Object(plans)
            }
            _ => Plan::Nothing,
        };
        self.path.pop();
        Ok(if plan.is_empty() { Plan::Nothing } else { plan })
    }

    fn watch_in_place(&mut self, address: usize, place: Option<Place>) {
        if let Some(place) = place {
            let before = WATCHED.with_borrow_mut(|w| w.insert(address, place));
            self.before.push((address, before));
        }
    }
}

/// Whether a container can be rebuilt: a list, tuple or dict itself, or a named tuple.
fn is_plain(ob: &Bound<'_, PyAny>) -> PyResult<bool> {
    let exact = ob.is_exact_instance_of::<PyList>() || ob.is_exact_instance_of::<PyTuple>() || ob.is_exact_instance_of::<PyDict>();
    Ok(exact || ob.hasattr("_make")?)
}

/// Gives `WATCHED` back as it was, whatever happens in between.
struct Restore(Vec<(usize, Option<Place>)>);

impl Drop for Restore {
    fn drop(&mut self) {
        WATCHED.with_borrow_mut(|w| {
            for (address, before) in self.0.drain(..).rev() {
                match before {
                    Some(place) => w.insert(address, place),
                    None => w.remove(&address),
                };
            }
        });
    }
}

impl Plan {
    fn is_empty(&self) -> bool {
        match self {
            Plan::Nothing => true,
            Plan::Variable(_) | Plan::Number(_) => false,
            Plan::List(items) | Plan::Tuple(items) => items.iter().all(Plan::is_empty),
            Plan::Dict(items) | Plan::Object(items) => items.iter().all(|(_, p)| p.is_empty()),
        }
    }

    /// The gradients in the shape of the argument.
    fn build<'py>(&self, py: Python<'py>, grads: &[Option<Bound<'py, PyTensor>>]) -> PyResult<Bound<'py, PyAny>> {
        let none = || Ok(py.None().into_bound(py));
        Ok(match self {
            Plan::Nothing => return none(),
            Plan::Variable(i) => match &grads[*i] {
                Some(g) => g.clone().into_any(),
                None => return none(),
            },
            Plan::Number(i) => match &grads[*i] {
                Some(g) => g.call_method0("item")?,
                None => return none(),
            },
            Plan::List(items) => PyList::new(py, build_all(items, py, grads)?)?.into_any(),
            Plan::Tuple(items) => PyTuple::new(py, build_all(items, py, grads)?)?.into_any(),
            Plan::Dict(items) => named(items, py, grads)?.into_any(),
            Plan::Object(items) => namespace(py)?.call((), Some(&named(items, py, grads)?))?,
        })
    }
}

fn build_all<'py>(items: &[Plan], py: Python<'py>, grads: &[Option<Bound<'py, PyTensor>>]) -> PyResult<Vec<Bound<'py, PyAny>>> {
    items.iter().map(|p| p.build(py, grads)).collect()
}

fn named<'py>(items: &[(Py<PyAny>, Plan)], py: Python<'py>, grads: &[Option<Bound<'py, PyTensor>>]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, plan) in items {
        dict.set_item(key, plan.build(py, grads)?)?;
    }
    Ok(dict)
}

/// `types.SimpleNamespace`.
pub(super) fn namespace(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: pyo3::sync::PyOnceLock<Py<PyAny>> = pyo3::sync::PyOnceLock::new();
    CLASS.get_or_try_init(py, || Ok(py.import("types")?.getattr("SimpleNamespace")?.unbind())).map(|c| c.bind(py))
}

/// What came of calling a function with its arguments watched.
struct Called<'py> {
    result: Bound<'py, PyAny>,
    trace: Trace,
    variables: Vec<Tensor>,
    plans: Vec<Plan>,
}

fn call<'py>(f: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> PyResult<Called<'py>> {
    let scope = Scope::enter();
    let mut watch = Watch {
        py: f.py(),
        scope: &scope,
        variables: Vec::new(),
        known: HashMap::default(),
        before: Vec::new(),
        path: Vec::new(),
    };
    let watched = watch.arguments(args.iter());
    let (variables, restore) = (watch.variables, Restore(watch.before));
    let (items, plans) = watched?;
    let result = f.call1(PyTuple::new(f.py(), items)?)?;
    drop(restore);
    Ok(Called { result, trace: scope.close(), variables, plans })
}

fn grads_of<'py>(py: Python<'py>, grads: Vec<Option<Tensor>>, plans: &[Plan]) -> PyResult<Bound<'py, PyTuple>> {
    let grads: Vec<Option<Bound<'py, PyTensor>>> =
        grads.into_iter().map(|g| g.map(|g| Bound::new(py, PyTensor::from(g))).transpose()).collect::<PyResult<_>>()?;
    PyTuple::new(py, build_all(plans, py, &grads)?)
}

/// The value of `f(*args)` and its gradient with respect to each argument, in the argument's shape.
///
/// If `f` returns a tuple, its first element is the loss and the rest comes back unchanged. `None` stands for "does not
/// depend on it".
#[pyfunction]
#[pyo3(signature = (f, /, *args))]
fn withgradient<'py>(f: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
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
    let grads = backward(&called.trace, &[(loss.0, g)], &called.variables, false)?;
    Ok((called.result, grads_of(f.py(), grads, &called.plans)?))
}

/// The gradient of `f(*args)` with respect to each argument, in the argument's shape.
#[pyfunction]
#[pyo3(signature = (f, /, *args))]
fn gradient<'py>(f: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyTuple>> {
    Ok(withgradient(f, args)?.1)
}

/// What takes the gradient of a result back to the arguments; it can be called again and again.
#[pyclass(frozen, unsendable, module = "oxiflux")]
struct Pullback {
    outputs: Vec<Tensor>,
    single: bool,
    trace: Trace,
    variables: Vec<Tensor>,
    plans: Vec<Plan>,
}

#[pymethods]
impl Pullback {
    /// The gradient of the arguments for a gradient `g` of the result, of its shape; ones if not given.
    #[pyo3(signature = (g = None, /))]
    fn __call__<'py>(&self, py: Python<'py>, g: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyTuple>> {
        let mut seeds = Vec::with_capacity(self.outputs.len());
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
                return Err(Error::Shape(format!("pullback: a gradient of shape {got} for a result of shape {want}")).into());
            }
            seeds.push((y.clone(), seed));
        }
        let grads = backward(&self.trace, &seeds, &self.variables, true)?;
        grads_of(py, grads, &self.plans)
    }
}

/// The value of `f(*args)`, and a function that takes a gradient of it back to the arguments.
#[pyfunction]
#[pyo3(signature = (f, /, *args))]
fn pullback<'py>(f: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let called = call(f, args)?;
    let several = called.result.is_instance_of::<PyTuple>() || called.result.is_instance_of::<PyList>();
    let outputs = if several { super::many(&called.result)? } else { vec![called.result.extract::<Operand>()?.0] };
    let back = Pullback { outputs, single: !several, trace: called.trace, variables: called.variables, plans: called.plans };
    Ok((called.result, Bound::new(f.py(), back)?.into_any()))
}

/// The same values without a place on any tape: no gradient passes.
#[pyfunction]
#[pyo3(signature = (x, /))]
fn stop_gradient(x: Operand) -> PyTensor {
    x.0.at(None).into()
}

/// Whether a gradient is open on this thread: layers are in training mode.
#[pyfunction]
fn is_recording() -> bool {
    tape::is_recording()
}

/// A context in which nothing is recorded.
#[pyclass(name = "paused", frozen, unsendable, module = "oxiflux")]
struct PyPaused(RefCell<Vec<tape::Paused>>);

#[pymethods]
impl PyPaused {
    #[new]
    fn new() -> Self {
        PyPaused(RefCell::default())
    }
    fn __enter__(&self) {
        self.0.borrow_mut().push(tape::Paused::new());
    }
    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<'_, PyTuple>) {
        self.0.borrow_mut().pop();
    }
}

/// A rule given by a Python function.
struct Custom(Py<PyAny>);

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("custom")
    }
}

impl Operation for Custom {
    fn name(&self) -> &'static str {
        "custom"
    }
    fn forward(&self, _: &[&Array]) -> Result<Array> {
        Err(Error::Unsupported("custom: the value is computed in Python".into()))
    }
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        Python::attach(|py| {
            let g = Bound::new(py, PyTensor::from(g.clone()))?;
            let found = self.0.bind(py).call1((g,))?;
            let found: Vec<Bound<'_, PyAny>> = match found.cast::<PyTuple>() {
                Ok(tuple) => tuple.iter().collect(),
                Err(_) => found.cast::<PyList>().map(|l| l.iter().collect()).unwrap_or_else(|_| vec![found.clone()]),
            };
            if found.len() != cx.inputs() {
                return Err(PyValueError::new_err(format!("custom_gradient: {} gradients for {} arguments", found.len(), cx.inputs())));
            }
            let mut grads = Grads::new();
            for (i, dx) in found.into_iter().enumerate() {
                grads.push(if dx.is_none() || !cx.wants(i) { None } else { Some(checked(dx.extract::<Operand>()?.0, cx.shape(i))?) });
            }
            Ok(grads)
        })
        .map_err(raise)
    }
}

fn checked(dx: Tensor, shape: &[usize]) -> Result<Tensor> {
    if shape::broadcast("custom_gradient", dx.shape(), shape).is_ok_and(|s| s[..] == *dx.shape()) {
        return Ok(dx);
    }
    let (got, want) = (shape::show(dx.shape()), shape::show(shape));
    Err(Error::Shape(format!("custom_gradient: a gradient of shape {got} for an argument of shape {want}")))
}

thread_local! {
    /// The exception of a Python rule, on its way through Rust.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

fn raise(e: PyErr) -> Error {
    let text = e.to_string();
    RAISED.set(Some(e));
    Error::Unsupported(text)
}

/// The exception that a Python rule raised, if that is why a walk failed.
pub(super) fn raised() -> Option<PyErr> {
    RAISED.take()
}

/// Records that `value` was computed from `inputs` and that `rule` takes a gradient of it back to each of them.
#[pyfunction]
#[pyo3(signature = (value, inputs, rule, /))]
fn custom(value: Operand, inputs: &Bound<'_, PyAny>, rule: Py<PyAny>) -> PyResult<PyTensor> {
    let inputs = super::many(inputs)?;
    let value = value.0.into_array();
    Ok(tape::record(Custom(rule), &inputs.iter().collect::<Vec<_>>(), value).into())
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyPaused>()?;
    m.add_function(wrap_pyfunction!(withgradient, m)?)?;
    m.add_function(wrap_pyfunction!(gradient, m)?)?;
    m.add_function(wrap_pyfunction!(pullback, m)?)?;
    m.add_function(wrap_pyfunction!(stop_gradient, m)?)?;
    m.add_function(wrap_pyfunction!(is_recording, m)?)?;
    m.add_function(wrap_pyfunction!(custom, m)?)
}
