//! A step of training as one: it is done whole, or everything is as before it.

use super::gradient::withgradient;
use super::optim::{Outcome, update_if_finite};
use super::tensor::PyTensor;
use super::tree::{self, Node, trainable_names};
use super::watch::ByAddress;
use crate::tape::Tensor;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFunction, PyList, PyString, PyTuple};
use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tensors and what they were.
type Assigned = Vec<(Py<PyTensor>, Tensor)>;

thread_local! {
    /// What has been assigned to since the step that is open on this thread began.
    static ASSIGNED: RefCell<Option<Assigned>> = const { RefCell::new(None) };
}

/// To be told of a tensor before it is given other values.
pub(super) fn note(x: &Bound<'_, PyTensor>) {
    ASSIGNED.with_borrow_mut(|open| {
        if let Some(assigned) = open {
            assigned.push((x.clone().unbind(), x.get().get()));
        }
    });
}

/// A container and what it held.
enum Held {
    /// A dict, or that of an object's attributes.
    Dict(Py<PyDict>, Py<PyDict>),
    List(Py<PyList>, Py<PyList>),
    /// An object whose attributes are in slots, or a closure, and these or what it has captured.
    Object(Py<PyAny>, Py<PyDict>),
}

impl Held {
    /// Whether the container holds what it held.
    fn is_same(&self, py: Python<'_>) -> PyResult<bool> {
        let same = |now: &Bound<'_, PyDict>, before: &Bound<'_, PyDict>| {
            let mut pairs = now.iter().zip(before.iter());
            now.len() == before.len() && pairs.all(|(now, before)| now.0.is(&before.0) && now.1.is(&before.1))
        };
        Ok(match self {
            Held::Dict(now, before) => same(now.bind(py), before.bind(py)),
            Held::List(now, before) => {
                let (now, before) = (now.bind(py), before.bind(py));
                now.len() == before.len()
                    && now.iter().zip(before.iter()).all(|(now, before)| now.is(&before))
            }
            Held::Object(ob, before) => {
                matches!(tree::node(ob.bind(py))?, Node::Object(now) if same(&now, before.bind(py)))
            }
        })
    }

    fn put_back(self, py: Python<'_>) -> PyResult<()> {
        if self.is_same(py)? {
            return Ok(());
        }
        match self {
            Held::Dict(dict, before) => {
                let dict = dict.bind(py);
                dict.clear();
                dict.update(before.bind(py).as_mapping())
            }
            Held::List(list, before) => {
                let list = list.bind(py);
                list.set_slice(0, list.len(), before.bind(py))
            }
            Held::Object(ob, before) => put_back(ob.bind(py), before.bind(py)),
        }
    }
}

/// Puts the attributes of an object back, or what a closure had captured.
fn put_back<'py>(ob: &Bound<'py, PyAny>, before: &Bound<'py, PyDict>) -> PyResult<()> {
    let py = ob.py();
    if ob.is_instance_of::<PyFunction>() {
        let names = ob.getattr(intern!(py, "__code__"))?.getattr(intern!(py, "co_freevars"))?;
        let cells = ob.getattr(intern!(py, "__closure__"))?;
        for (name, cell) in names.try_iter()?.zip(cells.try_iter()?) {
            if let Some(content) = before.get_item(name?)? {
                cell?.setattr(intern!(py, "cell_contents"), content)?;
            }
        }
        return Ok(());
    }
    let Node::Object(now) = tree::node(ob)? else { return Ok(()) };
    for name in now.keys().iter().filter(|name| !before.contains(name).unwrap_or(true)) {
        attribute(ob, name.cast()?, None)?;
    }
    for (name, value) in before.iter() {
        attribute(ob, name.cast()?, Some(&value))?;
    }
    Ok(())
}

/// A model before a step: unless the step is kept, it is put back.
struct Before<'py> {
    py: Python<'py>,
    held: Vec<Held>,
    /// The step around this one, if there is one.
    outer: Option<Assigned>,
    kept: bool,
}

impl<'py> Before<'py> {
    fn new(py: Python<'py>, held: Vec<Held>) -> Self {
        Before { py, held, outer: ASSIGNED.replace(Some(Assigned::new())), kept: false }
    }

    /// Keeps what the step has changed.
    fn keep(mut self) -> Vec<Held> {
        self.kept = true;
        std::mem::take(&mut self.held)
    }
}

impl Drop for Before<'_> {
    fn drop(&mut self) {
        let assigned = ASSIGNED.replace(self.outer.take()).unwrap_or_default();
        if self.kept {
            // A step around this one may still be undone.
            let rest = ASSIGNED.with_borrow_mut(|outer| match outer {
                Some(outer) => {
                    outer.extend(assigned);
                    None
                }
                None => Some(assigned),
            });
            drop(rest); // outside: to let go of a tensor may run Python code, which may assign
            return;
        }
        for (tensor, value) in assigned.into_iter().rev() {
            tensor.get().set(value);
        }
        for held in self.held.drain(..) {
            // What does not let itself be put back has not let itself be changed either.
            let _ = held.put_back(self.py);
        }
    }
}

/// All containers of a model.
fn containers(model: &Bound<'_, PyAny>) -> PyResult<Vec<Held>> {
    let (mut held, mut seen, mut next) = (Vec::new(), ByAddress::default(), vec![model.clone()]);
    while let Some(ob) = next.pop() {
        let node = tree::node(&ob)?;
        if matches!(node, Node::Tensor(_) | Node::Leaf) || seen.insert(ob.as_ptr() as usize, ()).is_some() {
            continue;
        }
        match node {
            Node::Dict(dict) => {
                next.extend(dict.values());
                held.push(Held::Dict(dict.clone().unbind(), dict.copy()?.unbind()));
            }
            Node::List(list) => {
                next.extend(list.iter());
                let copy = PyList::new(list.py(), list.iter())?;
                held.push(Held::List(list.unbind(), copy.unbind()));
            }
            Node::Tuple(tuple) => next.extend(tuple.iter()),
            Node::Object(dict) => {
                let names = trainable_names(&ob)?;
                for (key, part) in dict.iter() {
                    // A layer may hold its data and leave them out of training: they are not gone through.
                    let is_part = names.as_ref().is_none_or(|n| n.contains(&key).unwrap_or(false));
                    let is_plain = || {
                        part.is_instance_of::<PyList>()
                            || part.is_instance_of::<PyTuple>()
                            || part.is_instance_of::<PyDict>()
                    };
                    if is_part || !is_plain() {
                        next.push(part);
                    }
                }
                let copy = dict.copy()?.unbind();
                // Attributes in slots come in a dict that is made for the occasion.
                let is_own = matches!(tree::node(&ob)?, Node::Object(again) if again.is(&dict));
                held.push(if is_own {
                    Held::Dict(dict.unbind(), copy)
                } else {
                    Held::Object(ob.unbind(), copy)
                });
            }
            Node::Tensor(_) | Node::Leaf => {}
        }
    }
    Ok(held)
}

/// Sets an attribute, or deletes it, as `object` does: what a class does on assignment was done the first time.
fn attribute(
    ob: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    value: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let value = value.map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: live objects, or null to delete; an error comes back as -1.
    match unsafe { ffi::PyObject_GenericSetAttr(ob.as_ptr(), name.as_ptr(), value) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(ob.py())),
    }
}

/// The steps of a training: of a model and the state of its optimiser.
#[pyclass(frozen, module = "oxiflux._core")]
struct Steps {
    model: Py<PyAny>,
    state: Py<PyAny>,
    /// The containers as the last step found them: they are looked for again only where one has changed.
    held: Mutex<Vec<Held>>,
}

impl Steps {
    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Steps {
    #[new]
    #[pyo3(signature = (model, state, /))]
    fn new(model: Py<PyAny>, state: Py<PyAny>) -> Self {
        Steps { model, state, held: Mutex::default() }
    }

    /// One step: the value of `loss(model)`, the number that it is, its gradient, and what became of the update:
    /// "done", or why it was not, "loss" (not finite), "gradient" (not finite) or "constant" (no parameter has one).
    /// Then, and when an error is raised, the model is as before.
    fn __call__<'py>(
        &self,
        loss: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyAny>, f64, Bound<'py, PyAny>, &'static str)> {
        let py = loss.py();
        let (model, state) = (self.model.bind(py), self.state.bind(py));
        let mut held = std::mem::take(&mut *self.held());
        let same = |held: &Held| held.is_same(py).unwrap_or(false);
        if held.is_empty() || !held.iter().all(same) {
            held = containers(model)?;
        }
        let before = Before::new(py, held);
        let (value, grads) = withgradient(loss, &PyTuple::new(py, [model])?)?;
        let grads = grads.get_item(0)?;
        let number = match value.cast_exact::<PyTuple>() {
            Ok(several) => several.get_item(0)?.extract()?,
            Err(_) => value.extract::<f64>()?,
        };
        let outcome = match number.is_finite() {
            true => match update_if_finite(state, model, &grads)? {
                Outcome::Done => "done",
                Outcome::NoGradient => "constant",
                Outcome::NotFinite => "gradient",
            },
            false => "loss",
        };
        if outcome == "done" {
            // What was there is dropped when the lock is free.
            let _old = std::mem::replace(&mut *self.held(), before.keep());
        }
        Ok((value, number, grads, outcome))
    }
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Steps>()
}
