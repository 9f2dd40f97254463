//! What an optimiser keeps for each parameter.

use super::step;
use super::tensor::PyTensor;
use crate::optim::rules::{Clock, Clocks};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyTuple};
use smallvec::SmallVec;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an optimiser keeps for one parameter: its rule, the rule's state, and whether updates are held back.
#[pyclass(module = "oxiflux._core", name = "Leaf", frozen)]
pub(super) struct Leaf(Mutex<Held>);

pub(super) struct Held {
    pub(super) rule: Py<PyAny>,
    pub(super) memory: Memory,
    pub(super) frozen: bool,
}

/// What a rule remembers. Its numbers change with every step and are kept as numbers: the Python object that shows them
/// is made anew when somebody looks.
pub(super) struct Memory {
    state: Py<PyAny>,
    pub(super) tensors: Tensors,
    pub(super) clocks: Clocks,
    is_stale: bool,
}

pub(super) type Tensors = SmallVec<[Py<PyTensor>; 3]>;

impl Memory {
    pub(super) fn new(state: Bound<'_, PyAny>) -> PyResult<Memory> {
        let (mut tensors, mut clocks) = (Tensors::new(), Clocks::new());
        read_state(&state, &mut tensors, &mut clocks)?;
        Ok(Memory { state: state.unbind(), tensors, clocks, is_stale: false })
    }

    fn clone_ref(&self, py: Python<'_>) -> Memory {
        let tensors = self.tensors.iter().map(|t| t.clone_ref(py)).collect();
        Memory {
            state: self.state.clone_ref(py),
            tensors,
            clocks: self.clocks.clone(),
            is_stale: self.is_stale,
        }
    }
}

impl Held {
    pub(super) fn clone_ref(&self, py: Python<'_>) -> Held {
        let Held { rule, memory, frozen } = self;
        Held { rule: rule.clone_ref(py), memory: memory.clone_ref(py), frozen: *frozen }
    }
}

impl Leaf {
    /// Its holder must neither wait for the GIL nor run Python code, which may come back to the leaf: what is replaced is
    /// dropped when the lock is free.
    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn set_memory(&self, memory: Memory) {
        let _old = std::mem::replace(&mut self.held().memory, memory);
    }
    pub(super) fn set(&self, held: Held) {
        let _old = std::mem::replace(&mut *self.held(), held);
    }
    /// Moves the clocks on.
    pub(super) fn tick(&self, clocks: Clocks) {
        let memory = &mut self.held().memory;
        (memory.clocks, memory.is_stale) = (clocks, true);
    }
}

/// To be called where a part of an optimiser's state is asked for or set: a program reads it anew in its updates alone.
fn asked(what: &str) {
    if crate::tape::is_captured() {
        crate::tape::refuse(|| format!("the {what} of an optimiser's state is asked for or set"));
    }
}

#[pymethods]
impl Leaf {
    #[new]
    #[pyo3(signature = (rule, state = None, frozen = false))]
    fn new(py: Python<'_>, rule: Py<PyAny>, state: Option<Py<PyAny>>, frozen: bool) -> PyResult<Self> {
        let memory = Memory::new(state.unwrap_or_else(|| py.None()).into_bound(py))?;
        Ok(Leaf(Mutex::new(Held { rule, memory, frozen })))
    }
    /// The rule.
    #[getter]
    fn rule(&self, py: Python<'_>) -> Py<PyAny> {
        asked("rule");
        self.held().rule.clone_ref(py)
    }
    #[setter]
    fn set_rule(slf: &Bound<'_, Self>, rule: Py<PyAny>) {
        asked("rule");
        step::note_leaf(slf);
        let _old = std::mem::replace(&mut slf.get().held().rule, rule);
    }
    /// What the rule remembers of the steps before.
    #[getter]
    pub(super) fn state(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        asked("state");
        let (state, clocks, is_stale) = {
            let memory = &self.held().memory;
            (memory.state.clone_ref(py), memory.clocks.clone(), memory.is_stale)
        };
        if !is_stale {
            return Ok(state);
        }
        let now = moved_on(state.bind(py), &clocks, &mut 0)?.unbind();
        let mut held = self.held();
        let memory = &mut held.memory;
        let _old = if memory.state.is(&state) && memory.clocks == clocks {
            memory.is_stale = false;
            Some(std::mem::replace(&mut memory.state, now.clone_ref(py)))
        } else {
            None // another thread has made a step meanwhile
        };
        drop(held);
        Ok(now)
    }
    #[setter]
    fn set_state(slf: &Bound<'_, Self>, state: Bound<'_, PyAny>) -> PyResult<()> {
        asked("state");
        step::note_leaf(slf);
        slf.get().set_memory(Memory::new(state)?);
        Ok(())
    }
    /// Whether `update` passes over this parameter.
    #[getter]
    fn frozen(&self) -> bool {
        self.held().frozen
    }
    #[setter]
    fn set_frozen(slf: &Bound<'_, Self>, frozen: bool) {
        asked("frozen");
        step::note_leaf(slf);
        slf.get().held().frozen = frozen;
    }
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Held { rule, memory, .. } = &*self.held();
        visit.call(rule)?;
        visit.call(&memory.state)?;
        memory.tensors.iter().try_for_each(|t| visit.call(t))
    }
    fn __clear__(&self, py: Python<'_>) {
        let nothing =
            Memory { state: py.None(), tensors: Tensors::new(), clocks: Clocks::new(), is_stale: false };
        let nothing = Held { rule: py.None(), memory: nothing, frozen: true };
        let _old = std::mem::replace(&mut *self.held(), nothing);
    }
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let frozen = if self.frozen() { ", frozen=True" } else { "" };
        Ok(format!("Leaf({}, {}{frozen})", self.rule(py).bind(py).repr()?, self.state(py)?.bind(py).repr()?))
    }
    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (Py<PyAny>, Py<PyAny>, bool))> {
        let (py, leaf) = (slf.py(), slf.get());
        Ok((slf.get_type().into_any(), (leaf.rule(py), leaf.state(py)?, leaf.frozen())))
    }
}

/// Whether a part of a state is two powers.
fn is_pair(state: &Bound<'_, PyTuple>) -> bool {
    state.len() == 2 && state.iter().all(|x| x.is_instance_of::<PyFloat>())
}

/// Whether a part of a state is a count.
fn is_count(state: &Bound<'_, PyAny>) -> bool {
    state.is_exact_instance_of::<PyInt>()
}

/// Collects the tensors of a rule's state, and its clocks: a clock is a power or two, a count, or these and then that.
fn read_state(state: &Bound<'_, PyAny>, tensors: &mut Tensors, clocks: &mut Clocks) -> PyResult<()> {
    let start = Clock { beta_t: (1.0, 1.0), t: 1 };
    if let Ok(t) = state.cast_exact::<PyTensor>() {
        tensors.push(t.clone().unbind());
    } else if let Ok(tuple) = state.cast::<PyTuple>() {
        if is_pair(tuple) {
            clocks.push(Clock { beta_t: tuple.extract()?, ..start });
            return Ok(());
        }
        let first = clocks.len();
        for item in tuple.iter() {
            match clocks[first..].last_mut() {
                // A count belongs to the powers beside it.
                Some(clock) if is_count(&item) => clock.t = item.extract()?,
                _ => read_state(&item, tensors, clocks)?,
            }
        }
    } else if is_count(state) {
        clocks.push(Clock { t: state.extract()?, ..start });
    } else if state.is_exact_instance_of::<PyFloat>() {
        clocks.push(Clock { beta_t: (state.extract()?, 1.0), ..start });
    }
    Ok(())
}

/// The state after a step: the same tensors, the clocks moved on, of which `seen` have been met before this part.
fn moved_on<'py>(
    state: &Bound<'py, PyAny>,
    clocks: &Clocks,
    seen: &mut usize,
) -> PyResult<Bound<'py, PyAny>> {
    let py = state.py();
    let mut next = || {
        *seen += 1;
        clocks[*seen - 1]
    };
    if let Ok(tuple) = state.cast::<PyTuple>() {
        if is_pair(tuple) {
            return Ok(next().beta_t.into_pyobject(py)?.into_any());
        }
        let first = *seen;
        let item = |x: Bound<'py, PyAny>| match *seen {
            beside if is_count(&x) && first < beside => {
                Ok(clocks[beside - 1].t.into_pyobject(py)?.into_any())
            }
            _ => moved_on(&x, clocks, seen),
        };
        let items = tuple.iter().map(item).collect::<PyResult<Vec<_>>>()?;
        return Ok(PyTuple::new(py, items)?.into_any());
    }
    if state.is_exact_instance_of::<PyFloat>() {
        return Ok(next().beta_t.0.into_pyobject(py)?.into_any());
    }
    if is_count(state) {
        return Ok(next().t.into_pyobject(py)?.into_any());
    }
    Ok(state.clone())
}
