//! The Python objects that can be reached from some others as they are at a moment, to go back to.

use super::held::{self, Held};
use super::random::Generator;
use crate::random::Generator as Stream;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// What containers, objects, arrays and generators hold. The values of tensors are not among it.
#[pyclass(frozen, module = "oxiflux._core")]
struct Snapshot {
    held: Vec<Held>,
    generators: Vec<(Py<Generator>, Stream)>,
}

#[pymethods]
impl Snapshot {
    #[new]
    #[pyo3(signature = (*roots, twice = false))]
    fn new(roots: &Bound<'_, PyTuple>, twice: bool) -> PyResult<Self> {
        // What is only done twice leaves all as it was after the first time.
        if !twice && crate::tape::is_captured() {
            crate::tape::refuse(|| "what is done may be undone".into());
        }
        let (mut held, mut generators) = (Vec::new(), Vec::new());
        held::reach(roots.iter(), |ob, parts| {
            match ob.cast::<Generator>() {
                Ok(generator) => generators.push((generator.clone().unbind(), *generator.get().stream())),
                Err(_) => held.extend(Held::of(ob, parts)?),
            }
            Ok(())
        })?;
        Ok(Snapshot { held, generators })
    }

    /// Goes back. What does not let itself be put back has not let itself be changed either.
    fn put_back(&self, py: Python<'_>) {
        for held in &self.held {
            let _ = held.put_back(py);
        }
        for (generator, stream) in &self.generators {
            *generator.get().stream() = *stream;
        }
    }
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Snapshot>()
}
