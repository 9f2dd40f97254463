//! The shape of gradients: that of the arguments.

use super::once::Once;
use super::tensor::PyTensor;
use crate::tape;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use smallvec::SmallVec;

/// A step on the way to the gradients in the shape of their arguments; it names earlier steps by number.
pub(super) enum Step {
    Nothing,
    Variable(usize),
    Number(usize),
    List(Numbers),
    Tuple(Numbers),
    /// A named tuple, made by its class.
    Named(Py<PyAny>, Numbers),
    /// A dict, or one of a class whose keys are attributes, too.
    Dict(Keys, Numbers, Option<Py<PyAny>>),
    Object(Keys, Numbers),
}

pub(super) type Numbers = SmallVec<[u32; 4]>;
pub(super) type Keys = SmallVec<[Py<PyAny>; 4]>;

/// The step that gives None.
pub(super) const NOTHING: u32 = 0;

/// The shape of the gradients: steps, each after those that it names, and the last step for each argument. Flat, so that
/// nothing recurses, however deep the arguments are.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) arguments: Vec<u32>,
}

/// Objects on the way.
pub(super) type Children<'py> = SmallVec<[Bound<'py, PyAny>; 4]>;

impl Default for Plan {
    fn default() -> Plan {
        Plan { steps: vec![Step::Nothing], arguments: Vec::new() }
    }
}

impl Plan {
    /// Adds a step, and gives its number.
    pub(super) fn add(&mut self, step: Step) -> u32 {
        self.steps.push(step);
        self.steps.len() as u32 - 1
    }

    /// The gradients in the shape of the arguments.
    pub(super) fn build<'py>(
        &self,
        py: Python<'py>,
        grads: &[Option<Bound<'py, PyTensor>>],
    ) -> PyResult<Bound<'py, PyTuple>> {
        let none = py.None().into_bound(py);
        let mut made: Vec<Bound<'py, PyAny>> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let all = |numbers: &Numbers| {
                numbers.iter().map(|&n| made[n as usize].clone()).collect::<Children<'py>>()
            };
            let named = |keys: &Keys, numbers: &Numbers| {
                let dict = PyDict::new(py);
                keys.iter().zip(all(numbers)).try_for_each(|(key, x)| dict.set_item(key, x))?;
                PyResult::Ok(dict)
            };
            made.push(match step {
                Step::Nothing => none.clone(),
                Step::Variable(i) => {
                    grads[*i].as_ref().map_or_else(|| none.clone(), |g| g.clone().into_any())
                }
                Step::Number(i) => match &grads[*i] {
                    // Where a gradient around this one goes on with it, it stays a tensor.
                    Some(g) if tape::is_recorded(&g.get().get()) => g.clone().into_any(),
                    Some(g) => g.get().get().item()?.into_pyobject(py)?.into_any(),
                    None => none.clone(),
                },
                Step::List(numbers) => PyList::new(py, all(numbers))?.into_any(),
                Step::Tuple(numbers) => PyTuple::new(py, all(numbers))?.into_any(),
                Step::Named(make, numbers) => make.bind(py).call1((PyTuple::new(py, all(numbers))?,))?,
                Step::Dict(keys, numbers, None) => named(keys, numbers)?.into_any(),
                Step::Dict(keys, numbers, Some(class)) => {
                    super::call(class.bind(py), (named(keys, numbers)?,))?
                }
                Step::Object(keys, numbers) => namespace(py)?.call((), Some(&named(keys, numbers)?))?,
            });
        }
        PyTuple::new(py, self.arguments.iter().map(|&n| made[n as usize].clone()))
    }
}

/// `types.SimpleNamespace`.
pub(super) fn namespace(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: Once<Py<PyAny>> = Once::new();
    CLASS.get_or_find(py, || Ok(py.import("types")?.getattr("SimpleNamespace")?.unbind())).map(|c| c.bind(py))
}
