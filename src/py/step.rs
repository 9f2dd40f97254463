//! A step of training as one: it is done whole, or everything is as before it.

use super::attributes;
use super::compiled::Compiled;
use super::gradient::withgradient;
use super::held::{self, Held};
use super::once::intern;
use super::optim::{Outcome, fits, update_if_finite};
use super::state::{self, Leaf, Tensors};
use super::tensor::PyTensor;
use super::variables::ByAddress;
use crate::tape::Tensor;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What has been changed in place, and what it was.
enum Change {
    Tensor(Py<PyTensor>, Tensor),
    Leaf(Py<Leaf>, state::Held),
}

/// The changes of a step that is open.
struct Open {
    changes: Vec<Change>,
    is_nested: bool,
}

thread_local! {
    /// The innermost step that is open on this thread.
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

fn add(change: impl FnOnce() -> Change) {
    OPEN.with_borrow_mut(|open| {
        if let Some(open) = open {
            open.changes.push(change());
        }
    });
}

/// To be told of a tensor before it is given other values.
pub(super) fn note(x: &Bound<'_, PyTensor>) {
    add(|| Change::Tensor(x.clone().unbind(), x.get().get()));
}

/// To be told of a parameter's rule and what that keeps before they are changed.
pub(super) fn note_leaf(leaf: &Bound<'_, Leaf>) {
    let py = leaf.py();
    if !OPEN.with_borrow(Option::is_some) {
        return;
    }
    add(|| Change::Leaf(leaf.clone().unbind(), leaf.get().held().clone_ref(py)));
    let tensors: Tensors = leaf.get().held().memory.tensors.iter().map(|t| t.clone_ref(py)).collect();
    tensors.iter().for_each(|t| note(t.bind(py)));
}

/// Whether a step is open on this thread, other than the one whose own update this is.
pub(super) fn is_open(is_own: bool) -> bool {
    OPEN.with_borrow(|open| open.as_ref().is_some_and(|open| !is_own || open.is_nested))
}

/// A model before a step: unless the step is kept, it is put back.
struct Before<'py> {
    py: Python<'py>,
    held: Vec<Held>,
    /// The step around this one, if there is one.
    outer: Option<Open>,
    kept: bool,
}

impl<'py> Before<'py> {
    fn new(py: Python<'py>, held: Vec<Held>) -> Self {
        let outer = OPEN.take();
        OPEN.set(Some(Open { changes: Vec::new(), is_nested: outer.is_some() }));
        Before { py, held, outer, kept: false }
    }

    /// Keeps what the step has changed.
    fn keep(mut self) -> Vec<Held> {
        self.kept = true;
        std::mem::take(&mut self.held)
    }
}

impl Drop for Before<'_> {
    fn drop(&mut self) {
        let changes = OPEN.replace(self.outer.take()).map_or_else(Vec::new, |open| open.changes);
        if self.kept {
            // A step around this one may still be undone.
            let rest = OPEN.with_borrow_mut(|outer| match outer {
                Some(outer) => {
                    outer.changes.extend(changes);
                    None
                }
                None => Some(changes),
            });
            drop(rest); // outside: to let go of a tensor may run Python code, which may assign
            return;
        }
        for change in changes.into_iter().rev() {
            match change {
                Change::Tensor(tensor, value) => tensor.get().set(value),
                Change::Leaf(leaf, held) => leaf.get().set(held),
            }
        }
        for held in self.held.drain(..) {
            // What does not let itself be put back has not let itself be changed either.
            let _ = held.put_back(self.py);
        }
    }
}

/// What a walk over a model finds.
#[derive(Default)]
struct Model {
    held: Vec<Held>,
    has_modes: bool,
    /// Whether a layer that has a mode is not in test mode.
    trains: bool,
}

impl Model {
    /// Looks at all that can be reached.
    fn walk(roots: [&Bound<'_, PyAny>; 2]) -> PyResult<Model> {
        let (mut found, mut classes) = (Model::default(), ByAddress::default());
        held::reach(roots.into_iter().cloned(), |ob, parts| {
            let first = found.held.len();
            found.held.extend(Held::of(ob, parts)?);
            let mode = found.held.get(first).map(|held| mode(ob, held, &mut classes));
            if let Some(mode) = mode.transpose()?.flatten() {
                found.has_modes = true;
                found.trains |= mode.is_none() || mode.is_truthy()?;
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The mode of a layer that has one: `active`, which is None or says whether it trains. `classes` are those that have been
/// asked for it, which the objects that have been seen keep alive.
fn mode<'py>(
    ob: &Bound<'py, PyAny>,
    held: &Held,
    classes: &mut ByAddress<Option<Bound<'py, PyAny>>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (name, class) = (intern!(ob.py(), "active"), ob.get_type());
    let found = match held.attributes_of(ob) {
        Some(own) => match (own.get_item(name)?, classes.get(&(class.as_ptr() as usize))) {
            (None, Some(known)) => known.clone(),
            (None, None) => {
                let found = attributes::class_has(ob, name)?.then(|| class.getattr(name)).transpose()?;
                classes.insert(class.as_ptr() as usize, found.clone());
                found
            }
            (own, _) => own,
        },
        None => None,
    };
    Ok(found.filter(|mode| mode.is_none() || mode.is_instance_of::<PyBool>()))
}

/// The number that a loss is. A gradient around this step may be taken through it, of which nothing gets lost: it goes
/// into no result.
fn number(loss: &Bound<'_, PyAny>) -> PyResult<f64> {
    match loss.cast_exact::<PyTensor>() {
        Ok(tensor) => Ok(tensor.get().get().item()?),
        Err(_) => loss.extract(),
    }
}

/// The steps of a training: of a model and the state of its optimiser. What else a loss may change, such as models that
/// are not its argument, is `beside`.
#[pyclass(frozen, module = "oxiflux._core")]
struct Steps {
    /// The function that trains, for the messages of errors.
    caller: String,
    model: Py<PyAny>,
    state: Py<PyAny>,
    beside: Py<PyAny>,
    /// Whether all layers that have a mode are in test mode, and there is one.
    #[pyo3(get)]
    in_test_mode: bool,
    /// The containers as the last step left them: they are looked for again only where one has got a new part.
    held: Mutex<Vec<Held>>,
    /// Whether the first step follows at once, so that the containers are as they were found.
    is_fresh: AtomicBool,
}

impl Steps {
    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Steps {
    #[new]
    #[pyo3(signature = (caller, model, state, beside, is_fresh = false, /))]
    fn new(
        caller: String,
        model: Bound<'_, PyAny>,
        state: Bound<'_, PyAny>,
        beside: Bound<'_, PyAny>,
        is_fresh: bool,
    ) -> PyResult<Self> {
        if !is_fresh {
            fits(&caller, &state, &model)?; // before there are data; the steps look themselves
        }
        let Model { held, has_modes, trains } = Model::walk([&model, &beside])?;
        let (model, state, beside, held) =
            (model.unbind(), state.unbind(), beside.unbind(), Mutex::new(held));
        let (in_test_mode, is_fresh) = (has_modes && !trains, AtomicBool::new(is_fresh));
        Ok(Steps { caller, model, state, beside, in_test_mode, held, is_fresh })
    }

    /// One step: the value of `loss(model)`, the number that it is, its gradient, and what became of the update:
    /// "done", or why it was not, "loss" (not finite), "gradient" (not finite) or "constant" (no parameter has one).
    /// Then, and when an error is raised, the model is as before. `agreed` gets the number and the gradient before the
    /// update, and gives those that all processes of a training have together. `compiled` gives of the
    /// model and the batch what `withgradient(loss, model)` gives.
    #[pyo3(signature = (loss, agreed = None, compiled = None, batch = None, /))]
    fn __call__<'py>(
        &self,
        loss: &Bound<'py, PyAny>,
        agreed: Option<&Bound<'py, PyAny>>,
        compiled: Option<&Bound<'py, Compiled>>,
        batch: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, f64, Bound<'py, PyAny>, &'static str)> {
        if crate::tape::is_captured() {
            crate::tape::refuse(|| "what is done may be undone".into());
        }
        let py = loss.py();
        let (model, state) = (self.model.bind(py), self.state.bind(py));
        let mut held = std::mem::take(&mut *self.held());
        let is_all = |held: &mut Held| held.renew(py).unwrap_or(false);
        let is_fresh = self.is_fresh.swap(false, Ordering::Relaxed);
        if held.is_empty() || !is_fresh && !held.iter_mut().all(is_all) {
            held = Model::walk([model, self.beside.bind(py)])?.held;
        }
        let before = Before::new(py, held);
        let (value, grads): (Bound<'py, PyAny>, Bound<'py, PyTuple>) = match compiled {
            Some(compiled) => {
                compiled.get().call(&(model, batch).into_pyobject(py)?, None, true)?.extract()?
            }
            None => withgradient(loss, &PyTuple::new(py, [model])?)?,
        };
        let mut grads = grads.get_item(0)?;
        let mut number = match value.cast_exact::<PyTuple>() {
            Ok(several) => number(&several.get_item(0)?)?,
            Err(_) => number(&value)?,
        };
        if let Some(agreed) = agreed {
            (number, grads) = agreed.call1((number, grads))?.extract()?;
        }
        let outcome = match number.is_finite() {
            true => match update_if_finite(&self.caller, state, model, &grads)? {
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
