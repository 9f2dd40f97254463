//! The optimiser step: three trees walked together, one kernel call for all parameters that share a rule. In one file,
//! because it is done whole or not at all.

use super::hints::add_function;
use super::operand::Operand;
use super::plan::namespace;
use super::rules::{self, KERNELS, Plan};
use super::run::detached;
use super::state::{Clocks, Held, Leaf, Memory, Tensors};
use super::step;
use super::tensor::{PyTensor, check_assignable, foreign, take};
use super::tree::{self, Node};
use super::variables::ByAddress;
use crate::array::Array;
use crate::error::Error;
use crate::optim::{self, Member, Parameter, Stage};
use crate::tape::Tensor;
use crate::{fork, ops, shape};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyList, PyString, PyTuple};
use std::sync::MutexGuard;

/// A parameter found in the trees.
struct Found<'py> {
    leaf: Bound<'py, Leaf>,
    rule: Bound<'py, PyAny>,
    tensor: Bound<'py, PyTensor>,
    grad: Tensor,
    state: Tensors,
    clocks: Clocks,
}

/// Where a child is in its parent.
enum Key<'a, 'py> {
    Attribute(&'a Bound<'py, PyString>),
    Item(&'a Bound<'py, PyAny>),
    Index(usize),
}

impl<'py> Key<'_, 'py> {
    /// The child of another tree at this place; `None` where that has None.
    fn of(&self, tree: &Bound<'py, PyAny>, what: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.find(tree)?;
        let missing = || {
            format!("update: the state has {} where {what} has not: they differ in structure", self.shown())
        };
        Ok(Some(found.ok_or_else(|| PyTypeError::new_err(missing()))?).filter(|x| !x.is_none()))
    }

    fn find(&self, tree: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self {
            Key::Attribute(name) => match tree.getattr_opt(name)? {
                // What a callable holds are not all attributes of it.
                None => match tree::node(tree)? {
                    Node::Object(held) => held.get_item(name)?,
                    _ => None,
                },
                found => found,
            },
            Key::Item(key) => tree.get_item(key).ok(),
            Key::Index(i) => match (tree.cast_exact::<PyList>(), tree.cast_exact::<PyTuple>()) {
                (Ok(list), _) => list.get_item(*i).ok(),
                (_, Ok(tuple)) => tuple.get_item(*i).ok(),
                _ => tree.get_item(i).ok(),
            },
        })
    }

    fn shown(&self) -> String {
        match self {
            Key::Attribute(key) => shown(key),
            Key::Item(key) => shown(key),
            Key::Index(i) => i.to_string(),
        }
    }
}

/// The walk over state, model and gradients together.
#[derive(Default)]
struct Walk<'py> {
    seen: ByAddress<()>,
    walked: ByAddress<Triple<'py>>,
    found: Vec<Found<'py>>,
    /// Whether any parameter has a gradient, be it frozen.
    has_gradients: bool,
}

/// Parts of the state, the model and the gradients that are in one place.
type Triple<'py> = [Bound<'py, PyAny>; 3];

impl<'py> Walk<'py> {
    /// A loop and not a recursion: trees may be deeper than the stack of this thread.
    fn all(&mut self, trees: Triple<'py>) -> PyResult<()> {
        let mut pending = vec![trees];
        while let Some(trees) = pending.pop() {
            let first = pending.len();
            self.node(trees, &mut pending)?;
            pending[first..].reverse(); // so that they come in order
        }
        Ok(())
    }

    fn node(&mut self, trees: Triple<'py>, pending: &mut Vec<Triple<'py>>) -> PyResult<()> {
        let [state, model, grads] = &trees;
        if let Ok(leaf) = state.cast_exact::<Leaf>() {
            return self.leaf(leaf, model, grads);
        }
        if grads.is_instance_of::<PyTensor>() {
            let class = state.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "update: the gradient is a tensor where the state has a {class}"
            )));
        }
        // What several places share is walked once; it is kept, so that nothing else gets its address.
        let key = state.as_ptr() as usize;
        if self.walked.get(&key).is_some_and(|before| before[1].is(model)) {
            return Ok(());
        }
        self.walked.insert(key, trees.clone());
        // Lists, so that what runs on the way to a child cannot change what is being walked.
        match tree::node(state)? {
            Node::Object(dict) => {
                for (name, part) in dict.iter().collect::<Vec<_>>() {
                    child(part, &Key::Attribute(name.cast()?), model, grads, pending)?;
                }
                if let Node::Object(theirs) = tree::node(grads)? {
                    covers(&dict, &theirs)?;
                }
            }
            Node::Dict(dict) => {
                for (key, part) in dict.iter().collect::<Vec<_>>() {
                    child(part, &Key::Item(&key), model, grads, pending)?;
                }
                if let Node::Dict(theirs) = tree::node(grads)? {
                    covers(&dict, &theirs)?;
                }
            }
            Node::List(list) => {
                as_long(list.len(), true, model, grads)?;
                for (i, part) in list.iter().enumerate() {
                    child(part, &Key::Index(i), model, grads, pending)?;
                }
            }
            Node::Tuple(tuple) => {
                as_long(tuple.len(), !model.is_instance_of::<PyTuple>(), model, grads)?;
                for (i, part) in tuple.iter().enumerate() {
                    child(part, &Key::Index(i), model, grads, pending)?;
                }
            }
            Node::Tensor(_) | Node::Leaf => return Ok(()),
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        leaf: &Bound<'py, Leaf>,
        model: &Bound<'py, PyAny>,
        grad: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let py = model.py();
        let Ok(tensor) = model.cast_exact::<PyTensor>() else {
            let class = model.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "update: the state has a rule where the model has a {class}"
            )));
        };
        if grad.is_none() {
            return Ok(());
        }
        self.has_gradients = true;
        if self.seen.insert(tensor.as_ptr() as usize, ()).is_some() || leaf.get().held().frozen {
            return Ok(());
        }
        check_assignable(tensor)?;
        let grad = grad.extract::<Operand>()?.0;
        let value = tensor.get().get();
        if value.shape() != grad.shape() {
            let (want, got) = (shape::show(value.shape()), shape::show(grad.shape()));
            return Err(Error::Shape(format!(
                "update: a gradient of shape {got} for a parameter of shape {want}"
            ))
            .into());
        }
        let (rule, state, clocks) = {
            let Held { rule, memory, .. } = &*leaf.get().held();
            let state: Tensors = memory.tensors.iter().map(|t| t.clone_ref(py)).collect();
            (rule.clone_ref(py).into_bound(py), state, memory.clocks.clone())
        };
        if state.iter().any(|t| self.seen.insert(t.as_ptr() as usize, ()).is_some()) {
            return Err(PyValueError::new_err(
                "update: a tensor serves two parameters' rules, or a rule twice",
            ));
        }
        self.found.push(Found { leaf: leaf.clone(), rule, tensor: tensor.clone(), grad, state, clocks });
        Ok(())
    }
}

/// Raises where there are gradients for what a state does not have.
fn covers<'py>(state: &Bound<'py, PyDict>, grads: &Bound<'py, PyDict>) -> PyResult<()> {
    for (key, grad) in grads.iter() {
        if !grad.is_none() && !state.contains(&key)? && holds_gradient(&grad)? {
            return Err(newer(&shown(&key)));
        }
    }
    Ok(())
}

/// Raises unless model and gradient have as many items as the state. A list or deque may have grown since, by what has
/// no gradient.
fn as_long<'py>(
    count: usize,
    may_grow: bool,
    model: &Bound<'py, PyAny>,
    grads: &Bound<'py, PyAny>,
) -> PyResult<()> {
    for (name, tree) in [("the model", model), ("the gradient", grads)] {
        let other = tree.len().unwrap_or(0);
        if other < count || other > count && !may_grow {
            return Err(PyTypeError::new_err(format!(
                "update: the state has {count} items where {name} has {other}: they differ in structure"
            )));
        }
    }
    for i in count..grads.len()? {
        if holds_gradient(&grads.get_item(i)?)? {
            return Err(newer(&i.to_string()));
        }
    }
    Ok(())
}

/// Whether there is a gradient anywhere in a tree of them.
fn holds_gradient(grads: &Bound<'_, PyAny>) -> PyResult<bool> {
    let mut pending = vec![grads.clone()];
    while let Some(part) = pending.pop() {
        match tree::node(&part)? {
            _ if part.is_none() => {}
            Node::Dict(dict) | Node::Object(dict) => pending.extend(dict.values()),
            Node::List(list) => pending.extend(list),
            Node::Tuple(tuple) => pending.extend(tuple),
            Node::Tensor(_) | Node::Leaf => return Ok(true),
        }
    }
    Ok(false)
}

/// Whether there is a rule anywhere in a state.
#[cold]
fn holds_leaf(state: &Bound<'_, PyAny>) -> PyResult<bool> {
    let (mut pending, mut seen) = (vec![state.clone()], ByAddress::default());
    while let Some(part) = pending.pop() {
        if part.is_exact_instance_of::<Leaf>() {
            return Ok(true);
        }
        if seen.insert(part.as_ptr() as usize, part.clone()).is_none() {
            pending.extend(tree::children(&part, false)?.into_iter().flatten().map(|(_, child)| child));
        }
    }
    Ok(false)
}

fn shown(key: &Bound<'_, PyAny>) -> String {
    key.repr().map_or_else(|_| "?".into(), |k| k.to_string())
}

#[cold]
fn newer(key: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "update: the gradient has {key} where the state has not: they differ in structure; a layer that makes its \
         parameters when it is called must have been called once before setup(rule, model)"
    ))
}

/// Adds the trees at a child's place to those that are to be walked, where each has something there.
fn child<'py>(
    part: Bound<'py, PyAny>,
    key: &Key<'_, 'py>,
    model: &Bound<'py, PyAny>,
    grads: &Bound<'py, PyAny>,
    pending: &mut Vec<Triple<'py>>,
) -> PyResult<()> {
    if grads.is_none() {
        return Ok(());
    }
    if part.is_none() {
        // A parameter may have been left out; what had none when the state was made has nothing there.
        return match key.find(grads)? {
            Some(grad) if !grad.is_instance_of::<PyTensor>() && holds_gradient(&grad)? => {
                Err(newer(&key.shown()))
            }
            _ => Ok(()),
        };
    }
    let Some(g) = key.of(grads, "the gradient")? else { return Ok(()) };
    match key.of(model, "the model")? {
        Some(m) => pending.push([part, m, g]),
        None if holds_gradient(&g)? => {
            return Err(PyTypeError::new_err(format!(
                "update: the model has None at {} where the state and the gradient have a parameter",
                key.shown()
            )));
        }
        None => {}
    }
    Ok(())
}

/// One optimiser step: walks the state, the model and the gradients together and changes the model's tensors and the
/// state in place.
#[pyfunction]
#[pyo3(signature = (state, model, grads, /))]
fn update<'py>(
    state: &Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
    grads: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let mut walk = Walk::default();
    walk.all([state.clone(), model.clone(), grads.clone()])?;
    if !walk.has_gradients && holds_leaf(state)? {
        return Err(PyTypeError::new_err(
            "update: nothing to train: no parameter that has a rule has a gradient: the loss does not depend on any of \
             them; it may be made of another model's tensors, or of values that were taken out by numpy(), item(), \
             float(), save() or stop_gradient()",
        ));
    }
    change(model, walk.found, step::is_open(false))
}

/// What became of a step.
#[derive(PartialEq)]
pub(super) enum Outcome {
    /// It was done.
    Done,
    /// No parameter has a gradient; nothing was changed.
    NoGradient,
    /// A gradient is infinite or NaN; nothing was changed.
    NotFinite,
}

/// [`update`] where there is something to do, and all gradients are finite.
pub(super) fn update_if_finite<'py>(
    state: &Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
    grads: &Bound<'py, PyAny>,
) -> PyResult<Outcome> {
    let mut walk = Walk::default();
    walk.all([state.clone(), model.clone(), grads.clone()])?;
    if !walk.has_gradients {
        return Ok(Outcome::NoGradient);
    }
    let size = walk.found.iter().map(|f| f.grad.size()).sum();
    let arrays: Vec<&Array> = walk.found.iter().map(|f| f.grad.array()).collect();
    // From the end: see `kernels::update::is_finite`.
    let look = || arrays.iter().rev().try_fold(true, |all, g| Ok(all && optim::is_finite(g)?));
    if !detached(state.py(), size, look)? {
        return Ok(Outcome::NotFinite);
    }
    change(model, walk.found, step::is_open(true))?;
    Ok(Outcome::Done)
}

/// Changes the parameters and their states, all or none; `is_within` a step that may be undone.
fn change<'py>(model: &Bound<'py, PyAny>, mut rest: Vec<Found<'py>>, is_within: bool) -> PyResult<()> {
    for f in rest.iter().filter(|_| is_within) {
        step::note(&f.tensor);
        step::note_leaf(&f.leaf);
    }
    // Nothing is stored before everything that may fail has been done.
    let (mut groups, mut made) = (Vec::new(), Vec::new());
    while let Some(first) = rest.first() {
        let rule = first.rule.clone();
        let together: Vec<Found<'py>> = rest.extract_if(.., |f| f.rule.is(&rule)).collect();
        match Plan::of(&rule)? {
            Some(plan) => groups.push(alike(&plan, together)?),
            None => made.extend(in_python(&rule, together, model)?),
        }
    }
    fused(model.py(), &groups)?;
    for Made { leaf, tensor, value, state } in made {
        tensor.get().set(value);
        leaf.get().set_memory(state);
    }
    Ok(())
}

/// Parameters whose rule is at the same step, and their clocks after it.
struct Alike<'py> {
    stages: Vec<Stage>,
    next: Clocks,
    is_mixed: bool,
    together: Vec<Found<'py>>,
}

/// The parameters that share a rule by the step they are at.
fn alike<'py>(plan: &Plan<'py>, mut rest: Vec<Found<'py>>) -> PyResult<Vec<Alike<'py>>> {
    let mut found = Vec::new();
    let is_mixed = plan.is_mixed;
    if let Some(f) = rest.iter().find(|f| is_mixed && f.state.is_empty()) {
        return Err(PyValueError::new_err(format!("update: the state does not fit the rule {}", f.rule)));
    }
    while let Some(first) = rest.first() {
        let clocks = first.clocks.clone();
        let (stages, next) = rules::stages(plan, &clocks)?;
        let together = rest.extract_if(.., |f| f.clocks == clocks).collect();
        found.push(Alike { stages, next, is_mixed, together });
    }
    Ok(found)
}

/// Does the steps of all kernels, or none where one does not fit. A group is what shares a rule.
fn fused(py: Python<'_>, groups: &[Vec<Alike<'_>>]) -> PyResult<()> {
    let found = || groups.iter().flatten().flat_map(|a| &a.together);
    let size = found().map(|f| f.grad.size()).sum();
    let tensors: Vec<&PyTensor> =
        found().flat_map(|f| f.state.iter().map(Py::get).chain([f.tensor.get()])).collect();
    let given: Vec<(&Array, usize, bool)> = groups
        .iter()
        .flatten()
        .flat_map(|a| a.together.iter().map(|f| (f.grad.array(), f.state.len(), a.is_mixed)))
        .collect();
    let rules: Vec<Vec<&[Stage]>> = groups
        .iter()
        .map(|g| g.iter().flat_map(|a| a.together.iter().map(|_| &*a.stages)).collect())
        .collect();
    let moved: Vec<(&Leaf, &Clocks)> = groups
        .iter()
        .flatten()
        .filter(|a| !a.next.is_empty())
        .flat_map(|a| a.together.iter().map(|f| (f.leaf.get(), &a.next)))
        .collect();
    // A step holds the locks of many tensors: only one may do so. Ctrl-C would come between the tensors and the clocks.
    let all = || {
        let mut held: Vec<MutexGuard<'_, Tensor>> = tensors.iter().map(|t| t.lock()).collect();
        let foreign: Vec<Array> = held.iter().filter_map(|t| foreign(t)).collect();
        let mut taken = held.iter_mut().map(|t| take(t));
        let parameter = |&(grad, states, is_mixed): &(&Array, usize, bool)| {
            let wide = if is_mixed { taken.next() } else { None };
            let state = taken.by_ref().take(states - usize::from(is_mixed)).collect();
            let own = taken.next().unwrap_or_else(Array::nothing);
            let (value, rounded) = match wide {
                Some(wide) => (wide, Some(own)),
                None => (own, None),
            };
            Parameter { value, rounded, state, grad: grad.clone() }
        };
        let mut parameters: Vec<Parameter> = given.iter().map(parameter).collect();
        let mut each = parameters.iter_mut();
        let mut members: Vec<Vec<Member<'_>>> = rules
            .iter()
            .map(|group| group.iter().zip(each.by_ref()).map(|(rule, p)| Member::new(rule, p)).collect())
            .collect();
        let done = optim::update(&mut members);
        drop(members);
        // In the order in which they were taken.
        let results = parameters.into_iter().flat_map(|p| {
            let (wide, own) = match p.rounded {
                Some(own) => (Some(p.value), own),
                None => (None, p.value),
            };
            wide.into_iter().chain(p.state).chain([own])
        });
        for (tensor, array) in held.iter_mut().zip(results) {
            **tensor = array.into();
        }
        if done.is_ok() {
            moved.iter().for_each(|(leaf, next)| leaf.tick((*next).clone()));
        }
        (done, foreign)
    };
    let (done, _foreign) = detached(py, size, || Ok(fork::whole(all)))?;
    Ok(done?)
}

/// What a rule written in Python makes of a parameter.
struct Made<'py> {
    leaf: Bound<'py, Leaf>,
    tensor: Bound<'py, PyTensor>,
    value: Tensor,
    state: Memory,
}

/// A rule written in Python: `state, dx = rule.apply(state, x, dx)`, then `x - dx`.
///
/// A rule that looks at all its parameters together has `apply_all` instead, with lists.
fn in_python<'py>(
    rule: &Bound<'py, PyAny>,
    together: Vec<Found<'py>>,
    model: &Bound<'py, PyAny>,
) -> PyResult<Vec<Made<'py>>> {
    let py = rule.py();
    let answers = match rule.getattr_opt(intern!(py, "apply_all"))? {
        Some(apply_all) => {
            let states = together.iter().map(|f| f.leaf.get().state(py)).collect::<PyResult<Vec<_>>>()?;
            let tensors: Vec<_> = together.iter().map(|f| f.tensor.clone()).collect();
            let grads: Vec<_> = together.iter().map(|f| PyTensor::from(f.grad.clone())).collect();
            let result = apply_all.call1((states, tensors, grads))?;
            let (states, dxs): (Vec<Bound<'py, PyAny>>, Vec<Bound<'py, PyAny>>) = result.extract()?;
            let counts = (together.len(), states.len(), dxs.len());
            if counts.0 != counts.1 || counts.0 != counts.2 {
                return Err(PyValueError::new_err(format!(
                    "update: {rule}.apply_all must return {} states and steps, got {} and {}",
                    counts.0, counts.1, counts.2
                )));
            }
            states.into_iter().zip(dxs).collect()
        }
        None => {
            let answer = |f: &Found<'py>| {
                let g = PyTensor::from(f.grad.clone());
                let result =
                    rule.call_method1(intern!(py, "apply"), (f.leaf.get().state(py)?, &f.tensor, g))?;
                result.extract().map_err(|_| {
                    let got = result.get_type();
                    PyTypeError::new_err(format!("update: {rule}.apply must return (state, dx), got {got}"))
                })
            };
            together.iter().map(answer).collect::<PyResult<Vec<_>>>()?
        }
    };
    together.into_iter().zip(answers).map(|(f, (state, dx))| made(rule, f, state, dx, model)).collect()
}

/// What becomes of a parameter by the state and the step that its rule gives.
fn made<'py>(
    rule: &Bound<'py, PyAny>,
    f: Found<'py>,
    state: Bound<'py, PyAny>,
    dx: Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
) -> PyResult<Made<'py>> {
    let x = f.tensor.get().get();
    let wrong = |what: String| {
        let (path, shape) = (tree::path_of(model, &f.tensor), shape::show(x.shape()));
        format!(
            "update: {rule}.apply gave {what} for {path}, of shape {shape}; it returns (state, dx), in this order, with \
             a dx of the parameter's shape, or None for no step"
        )
    };
    let is_step =
        |ob: &Bound<'py, PyAny>| ob.cast::<PyTensor>().is_ok_and(|t| t.get().get().shape() == x.shape());
    // A rule without a state that returns (dx, None) would make no step, for ever.
    if dx.is_none() && is_step(&state) && f.leaf.get().state(rule.py())?.bind(rule.py()).is_none() {
        return Err(PyTypeError::new_err(wrong("a new state and no step".into())));
    }
    let replaces = rule.getattr_opt(intern!(rule.py(), "replaces"))?.map_or(Ok(false), |r| r.is_truthy())?;
    let value = if dx.is_none() {
        x.clone()
    } else {
        let Ok(step) = dx.extract::<Operand>() else {
            return Err(PyTypeError::new_err(wrong(format!("a step of {}", dx.get_type()))));
        };
        // Broadcast it would be a step that nobody meant.
        if step.0.shape() != x.shape() {
            let got = shape::show(step.0.shape());
            return Err(Error::Shape(wrong(format!("a step of shape {got}"))).into());
        }
        let dx = ops::astype(&step.0, x.dtype())?;
        if replaces { dx } else { ops::subtract(&x, &dx)? }
    };
    Ok(Made { leaf: f.leaf, tensor: f.tensor, value: value.at(None), state: Memory::new(state)? })
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Leaf>()?;
    m.add("kernels", PyFrozenSet::new(m.py(), KERNELS)?)?;
    m.add("Namespace", namespace(m.py())?)?;
    add_function!(m, update)
}
