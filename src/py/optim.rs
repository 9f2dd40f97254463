//! The optimiser step: three trees walked together, one kernel call for all parameters that share a rule.

use super::operand::Operand;
use super::tensor::PyTensor;
use super::tree::{self, Node};
use super::watch::namespace;
use crate::error::{Error, Result};
use crate::kernels::update as kernel;
use crate::ops;
use crate::optim::{Parameter, step};
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyFrozenSet, PyInt, PyString, PyTuple};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an optimiser keeps for one parameter: its rule, the rule's state, and whether updates are held back.
#[pyclass(module = "oxiflux._core", name = "Leaf", frozen)]
pub(super) struct Leaf(Mutex<Held>);

struct Held {
    rule: Py<PyAny>,
    state: Py<PyAny>,
    frozen: bool,
}

impl Leaf {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Leaf {
    #[new]
    #[pyo3(signature = (rule, state = None, frozen = false))]
    fn new(py: Python<'_>, rule: Py<PyAny>, state: Option<Py<PyAny>>, frozen: bool) -> Self {
        Leaf(Mutex::new(Held { rule, state: state.unwrap_or_else(|| py.None()), frozen }))
    }
    /// The rule.
    #[getter]
    fn rule(&self, py: Python<'_>) -> Py<PyAny> {
        self.held().rule.clone_ref(py)
    }
    #[setter]
    fn set_rule(&self, rule: Py<PyAny>) {
        self.held().rule = rule;
    }
    /// What the rule remembers of the steps before.
    #[getter]
    fn state(&self, py: Python<'_>) -> Py<PyAny> {
        self.held().state.clone_ref(py)
    }
    #[setter]
    fn set_state(&self, state: Py<PyAny>) {
        self.held().state = state;
    }
    /// Whether `update` passes over this parameter.
    #[getter]
    fn frozen(&self) -> bool {
        self.held().frozen
    }
    #[setter]
    fn set_frozen(&self, frozen: bool) {
        self.held().frozen = frozen;
    }
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let frozen = if self.frozen() { ", frozen=True" } else { "" };
        Ok(format!("Leaf({}, {}{frozen})", self.rule(py).bind(py).repr()?, self.state(py).bind(py).repr()?))
    }
    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (Py<PyAny>, Py<PyAny>, bool))> {
        let (py, leaf) = (slf.py(), slf.get());
        Ok((slf.get_type().into_any(), (leaf.rule(py), leaf.state(py), leaf.frozen())))
    }
}

/// The numbers in a rule's state that change from step to step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Clock {
    beta_t: (f64, f64),
    t: u64,
}

/// A parameter found in the trees.
struct Found<'py> {
    leaf: Bound<'py, Leaf>,
    rule: Bound<'py, PyAny>,
    tensor: Bound<'py, PyTensor>,
    grad: crate::Tensor,
    state: Vec<Bound<'py, PyTensor>>,
    clock: Option<Clock>,
}

/// Reads the hyper-parameters that a rule's object holds.
struct Fields<'a, 'py>(&'a Bound<'py, PyAny>);

impl Fields<'_, '_> {
    fn number(&self, name: &str) -> PyResult<f64> {
        self.0.getattr(name)?.extract()
    }
    fn pair(&self, name: &str) -> PyResult<(f64, f64)> {
        let value = self.0.getattr(name)?;
        value.extract().or_else(|_| Ok((value.extract::<f64>()?, 0.0)))
    }
}

/// The fused kernels: `"name" fields of the rule's object => the kernel's rule`.
macro_rules! kernels {
    ($($name:literal $kernel:ident { $($field:ident: $read:ident $attribute:literal),* } $(at $clock:ident)?;)+) => {
        const KERNELS: &[&str] = &[$($name),+];

        /// One step of a rule's kernel for parameters that share the rule and its clock.
        fn apply(name: &str, rule: &Bound<'_, PyAny>, clock: Clock, parameters: &mut [Parameter]) -> PyResult<()> {
            let fields = Fields(rule);
            match name {
                $($name => {
                    #[allow(clippy::needless_update)]
                    let rule = kernel::$kernel {
                        $($field: kernels!(@read fields $read $attribute),)*
                        $(..kernels!(@clock $kernel $clock clock))?
                    };
                    Ok(step(&rule, parameters)?)
                })+
                _ => Err(PyKeyError::new_err(format!("update: there is no kernel {name}"))),
            }
        }
    };
    (@read $f:ident number $a:literal) => { $f.number($a)? };
    (@read $f:ident pair $a:literal) => { $f.pair($a)? };
    (@read $f:ident truth $a:literal) => { $f.0.getattr($a)?.is_truthy()? };
    (@clock $kernel:ident beta $c:ident) => { kernel::$kernel { beta_t: $c.beta_t, ..Default::default() } };
    (@clock $kernel:ident step $c:ident) => { kernel::$kernel { beta_t: $c.beta_t, t: $c.t, ..Default::default() } };
}

kernels! {
    "descent" Descent { eta: number "eta" };
    "momentum" Momentum { eta: number "eta", rho: number "rho" };
    "nesterov" Nesterov { eta: number "eta", rho: number "rho" };
    "rmsprop" RmsProp { eta: number "eta", rho: number "rho", epsilon: number "eps" };
    "centred_rmsprop" CentredRmsProp { eta: number "eta", rho: number "rho", epsilon: number "eps" };
    "rprop" Rprop { eta: number "eta", ell: pair "ell", gamma: pair "gamma" };
    "adam" Adam { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at beta;
    "adamw" AdamW { eta: number "eta", beta: pair "beta", lambda: number "lambda_", epsilon: number "eps", couple: truth "couple" } at beta;
    "radam" RAdam { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at step;
    "adamax" AdaMax { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at beta;
    "oadam" OAdam { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at beta;
    "adagrad" AdaGrad { eta: number "eta", epsilon: number "eps" };
    "adadelta" AdaDelta { rho: number "rho", epsilon: number "eps" };
    "amsgrad" AmsGrad { eta: number "eta", beta: pair "beta", epsilon: number "eps" };
    "nadam" NAdam { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at beta;
    "adabelief" AdaBelief { eta: number "eta", beta: pair "beta", epsilon: number "eps" } at beta;
    "lion" Lion { eta: number "eta", beta: pair "beta" };
}

/// The name of the kernel of a rule's object, if it has one.
fn kernel_of<'py>(rule: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyString>>> {
    let name = rule.getattr_opt(intern!(rule.py(), "kernel"))?;
    Ok(name.and_then(|n| n.cast_into::<PyString>().ok()))
}

/// Collects the tensors of a rule's state, and its clock.
fn read_state<'py>(
    state: &Bound<'py, PyAny>,
    tensors: &mut Vec<Bound<'py, PyTensor>>,
    clock: &mut Option<Clock>,
) -> PyResult<()> {
    if let Ok(t) = state.cast_exact::<PyTensor>() {
        tensors.push(t.clone());
    } else if let Ok(tuple) = state.cast::<PyTuple>() {
        let number = |i: usize| tuple.get_item(i).and_then(|x| x.extract::<f64>());
        if tuple.len() == 2 && tuple.get_item(0)?.is_instance_of::<PyFloat>() {
            clock.get_or_insert(Clock { beta_t: (1.0, 1.0), t: 1 }).beta_t = (number(0)?, number(1)?);
        } else {
            for item in tuple.iter() {
                read_state(&item, tensors, clock)?;
            }
        }
    } else if state.is_exact_instance_of::<PyInt>() {
        clock.get_or_insert(Clock { beta_t: (1.0, 1.0), t: 1 }).t = state.extract()?;
    } else if state.is_exact_instance_of::<PyFloat>() {
        clock.get_or_insert(Clock { beta_t: (1.0, 1.0), t: 1 }).beta_t = (state.extract()?, 1.0);
    }
    Ok(())
}

/// The state after a step: the same tensors, the clock moved on.
fn moved_on<'py>(state: &Bound<'py, PyAny>, clock: Clock) -> PyResult<Bound<'py, PyAny>> {
    let py = state.py();
    if let Ok(tuple) = state.cast::<PyTuple>() {
        if tuple.len() == 2 && tuple.get_item(0)?.is_instance_of::<PyFloat>() {
            return Ok(PyTuple::new(py, [clock.beta_t.0, clock.beta_t.1])?.into_any());
        }
        let items = tuple.iter().map(|x| moved_on(&x, clock)).collect::<PyResult<Vec<_>>>()?;
        return Ok(PyTuple::new(py, items)?.into_any());
    }
    if state.is_exact_instance_of::<PyInt>() {
        return Ok(clock.t.into_pyobject(py)?.into_any());
    }
    if state.is_exact_instance_of::<PyFloat>() {
        return Ok(clock.beta_t.0.into_pyobject(py)?.into_any());
    }
    Ok(state.clone())
}

/// The child of a tree under a key, an item or an attribute; `None` where the tree is None there.
fn child<'py>(
    tree: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    attribute: bool,
    what: &str,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if tree.is_none() {
        return Ok(None);
    }
    let found = if attribute { tree.getattr_opt(key.cast::<PyString>()?)? } else { tree.get_item(key).ok() };
    let missing = || {
        let key = key.repr().map_or_else(|_| "?".into(), |k| k.to_string());
        PyTypeError::new_err(format!(
            "update: the state has {key} where {what} has not: they differ in structure"
        ))
    };
    Ok(Some(found.ok_or_else(missing)?).filter(|x| !x.is_none()))
}

/// Walks state, model and gradients together.
fn collect<'py>(
    state: &Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
    grads: &Bound<'py, PyAny>,
    seen: &mut HashSet<usize>,
    found: &mut Vec<Found<'py>>,
) -> PyResult<()> {
    if let Ok(leaf) = state.cast::<Leaf>() {
        let Ok(tensor) = model.cast_exact::<PyTensor>() else {
            let class = model.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "update: the state has a rule where the model has a {class}"
            )));
        };
        if !seen.insert(tensor.as_ptr() as usize) || leaf.get().frozen() {
            return Ok(());
        }
        let grad = grads.extract::<Operand>()?.0;
        let rule = leaf.get().rule(model.py()).into_bound(model.py());
        let (mut tensors, mut clock) = (Vec::new(), None);
        read_state(leaf.get().state(model.py()).bind(model.py()), &mut tensors, &mut clock)?;
        found.push(Found { leaf: leaf.clone(), rule, tensor: tensor.clone(), grad, state: tensors, clock });
        return Ok(());
    }
    if grads.is_instance_of::<PyTensor>() {
        let class = state.get_type().name()?;
        return Err(PyTypeError::new_err(format!("update: the gradient is a tensor where the state has a {class}")));
    }
    let (keys, attribute): (Vec<Bound<'py, PyAny>>, bool) = match tree::node(state)? {
        Node::Object(dict) => (dict.keys().iter().collect(), true),
        Node::Dict(dict) => (dict.keys().iter().collect(), false),
        Node::List(list) => (
            (0..list.len()).map(|i| Ok(i.into_pyobject(model.py())?.into_any())).collect::<PyResult<_>>()?,
            false,
        ),
        Node::Tuple(tuple) => (
            (0..tuple.len()).map(|i| Ok(i.into_pyobject(model.py())?.into_any())).collect::<PyResult<_>>()?,
            false,
        ),
        Node::Tensor(_) | Node::Leaf => return Ok(()),
    };
    for key in keys {
        let Some(part) = child(state, &key, attribute, "the state")? else { continue };
        let Some(g) = child(grads, &key, attribute, "the gradient")? else { continue };
        if let Some(m) = child(model, &key, attribute, "the model")? {
            collect(&part, &m, &g, seen, found)?;
        }
    }
    Ok(())
}

/// One optimiser step: walks the state, the model and the gradients together and changes the model's tensors and the
/// state in place.
#[pyfunction]
#[pyo3(signature = (state, model, grads, /))]
fn update(state: &Bound<'_, PyAny>, model: &Bound<'_, PyAny>, grads: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut found = Vec::new();
    collect(state, model, grads, &mut HashSet::new(), &mut found)?;
    for f in &found {
        check(f)?;
    }
    while let Some(first) = found.first() {
        let (rule, clock) = (first.rule.clone(), first.clock);
        let together: Vec<Found<'_>>;
        (together, found) = found.into_iter().partition(|f| f.rule.is(&rule) && f.clock == clock);
        match kernel_of(&rule)? {
            Some(name) if KERNELS.contains(&&*name.to_cow()?) => {
                fused(&name.to_cow()?, &rule, clock, &together)?
            }
            _ => in_python(&rule, &together)?,
        }
    }
    Ok(())
}

fn check(f: &Found<'_>) -> Result<()> {
    let value = f.tensor.get().get();
    if value.shape() == f.grad.shape() {
        return Ok(());
    }
    let (want, got) = (crate::shape::show(value.shape()), crate::shape::show(f.grad.shape()));
    Err(Error::Shape(format!("update: a gradient of shape {got} for a parameter of shape {want}")))
}

fn fused(name: &str, rule: &Bound<'_, PyAny>, clock: Option<Clock>, together: &[Found<'_>]) -> PyResult<()> {
    let at = clock.unwrap_or(Clock { beta_t: (1.0, 1.0), t: 1 });
    let mut parameters: Vec<Parameter> = together
        .iter()
        .map(|f| Parameter {
            value: f.tensor.get().take(),
            grad: f.grad.array().clone(),
            state: f.state.iter().map(|s| s.get().take()).collect(),
        })
        .collect();
    let done = apply(name, rule, at, &mut parameters);
    for (f, p) in together.iter().zip(parameters) {
        f.tensor.get().set(p.value.into());
        for (to, a) in f.state.iter().zip(p.state) {
            to.get().set(a.into());
        }
    }
    done?;
    if clock.is_some() {
        let beta = Fields(rule).pair("beta")?;
        let next = Clock { beta_t: (at.beta_t.0 * beta.0, at.beta_t.1 * beta.1), t: at.t + 1 };
        for f in together {
            let state = moved_on(f.leaf.get().state(rule.py()).bind(rule.py()), next)?.unbind();
            f.leaf.get().set_state(state);
        }
    }
    Ok(())
}

/// A rule written in Python: `state, dx = rule.apply(state, x, dx)`, then `x - dx`.
fn in_python(rule: &Bound<'_, PyAny>, together: &[Found<'_>]) -> PyResult<()> {
    let py = rule.py();
    for f in together {
        let g = Bound::new(py, PyTensor::from(f.grad.clone()))?;
        let state = f.leaf.get().state(py);
        let result = rule.call_method1(intern!(py, "apply"), (state, &f.tensor, g))?;
        let (state, dx): (Bound<'_, PyAny>, Bound<'_, PyAny>) = result
            .extract()
            .map_err(|_| PyTypeError::new_err(format!("update: {rule}.apply must return (state, dx)")))?;
        let x = f.tensor.get().get();
        let new = if dx.is_none() {
            x.clone()
        } else {
            ops::subtract(&x, &ops::astype(&dx.extract::<Operand>()?.0, x.dtype())?)?
        };
        if new.shape() != x.shape() {
            let (want, got) = (crate::shape::show(x.shape()), crate::shape::show(new.shape()));
            return Err(PyValueError::new_err(format!(
                "update: {rule}.apply made a step of shape {got} for a parameter of shape {want}"
            )));
        }
        f.tensor.get().set(new.at(None));
        f.leaf.get().set_state(state.unbind());
    }
    Ok(())
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Leaf>()?;
    m.add("kernels", PyFrozenSet::new(m.py(), KERNELS)?)?;
    m.add("Namespace", namespace(m.py())?)?;
    m.add_function(wrap_pyfunction!(update, m)?)
}
