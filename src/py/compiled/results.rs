//! What a captured function returns, and how it is built again of what its program computes.

use super::guard::Found;
use crate::array::Array;
use crate::py::plan::namespace;
use crate::py::programs::Form;
use crate::py::tensor::PyTensor;
use crate::tape::Capture;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use std::collections::HashMap;

/// A part of what is returned.
pub(super) enum Part {
    /// The object that the guard has found under this number.
    Found(usize),
    /// A tensor of the wanted value of this number.
    Tensor(usize),
    /// What cannot change.
    Value(Py<PyAny>),
    Tuple(Vec<Part>),
    /// A tuple with names, by what makes it of a list.
    Named(Py<PyAny>, Vec<Part>),
    List(Vec<Part>),
    Dict(Vec<(Py<PyAny>, Part)>),
    Namespace(Vec<(Py<PyAny>, Part)>),
    /// What has been built before, counting from the first.
    Again(usize),
}

/// Reads what is returned.
pub(super) struct Reading<'a, 'py> {
    pub(super) capture: &'a Capture,
    pub(super) known: HashMap<usize, usize>,
    /// The values that are wanted of the program.
    pub(super) wanted: &'a mut Vec<u32>,
    /// What has been read, which is built once. It is held, so that nothing else gets its address.
    pub(super) built: Vec<Bound<'py, PyAny>>,
}

/// Containers may be nested so deep.
const DEEPEST: usize = 64;

impl<'py> Reading<'_, 'py> {
    /// The part that an object is, or what it is that can be no part.
    pub(super) fn part(&mut self, ob: &Bound<'py, PyAny>, depth: usize) -> PyResult<Result<Part, String>> {
        let py = ob.py();
        let is_value = ob.is_none()
            || ob.is_exact_instance_of::<PyBool>()
            || ob.is_exact_instance_of::<PyInt>()
            || ob.is_exact_instance_of::<PyFloat>()
            || ob.is_exact_instance_of::<PyString>();
        if is_value {
            return Ok(Ok(Part::Value(ob.clone().unbind())));
        }
        if let Some(&number) = self.known.get(&(ob.as_ptr() as usize)) {
            return Ok(Ok(Part::Found(number)));
        }
        if let Some(at) = self.built.iter().position(|x| x.is(ob)) {
            return Ok(Ok(Part::Again(at)));
        }
        let class = || ob.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        if depth > DEEPEST {
            return Ok(Err("containers that are nested too deep".into()));
        }
        if let Ok(tensor) = ob.cast_exact::<PyTensor>() {
            let x = tensor.get().get();
            let Some(number) = self.capture.number(x.array()).filter(|_| !tensor.get().is_counting()) else {
                return Ok(Err("a tensor of which it is not known what made it".into()));
            };
            self.built.push(ob.clone());
            self.wanted.push(number);
            return Ok(Ok(Part::Tensor(self.wanted.len() - 1)));
        }
        if ob.is_exact_instance_of::<PyTuple>() {
            let parts = self.parts(ob.cast::<PyTuple>()?.iter(), depth)?;
            self.built.push(ob.clone());
            return Ok(parts.map(Part::Tuple));
        }
        if let Ok(tuple) = ob.cast::<PyTuple>()
            && let Some(make) = ob.getattr_opt("_make")?
        {
            let parts = self.parts(tuple.iter(), depth)?;
            self.built.push(ob.clone());
            return Ok(parts.map(|parts| Part::Named(make.unbind(), parts)));
        }
        if ob.is_exact_instance_of::<PyList>() {
            let parts = self.parts(ob.cast::<PyList>()?.iter(), depth)?;
            self.built.push(ob.clone());
            return Ok(parts.map(Part::List));
        }
        let dict = if ob.is_exact_instance_of::<PyDict>() {
            ob.cast::<PyDict>()?.clone()
        } else if ob.get_type().is(namespace(py)?) {
            ob.getattr("__dict__")?.cast_into::<PyDict>()?
        } else {
            return Ok(Err(format!("an object of the class {}", class())));
        };
        let keys: Vec<Py<PyAny>> = dict.keys().iter().map(Bound::unbind).collect();
        let parts = self.parts(dict.values().iter(), depth)?;
        self.built.push(ob.clone());
        let is_dict = ob.is_exact_instance_of::<PyDict>();
        Ok(parts.map(|parts| {
            let items = keys.into_iter().zip(parts).collect();
            if is_dict { Part::Dict(items) } else { Part::Namespace(items) }
        }))
    }

    fn parts(
        &mut self,
        items: impl Iterator<Item = Bound<'py, PyAny>>,
        depth: usize,
    ) -> PyResult<Result<Vec<Part>, String>> {
        let mut parts = Vec::new();
        for item in items {
            match self.part(&item, depth + 1)? {
                Ok(part) => parts.push(part),
                Err(what) => return Ok(Err(what)),
            }
        }
        Ok(Ok(parts))
    }
}

impl Part {
    /// Whether another is built in the same way.
    pub(super) fn is_like(&self, other: &Part, py: Python<'_>) -> bool {
        let all =
            |a: &[Part], b: &[Part]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_like(b, py));
        let items = |a: &[(Py<PyAny>, Part)], b: &[(Py<PyAny>, Part)]| {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    super::comparison::is_same_value(a.0.bind(py), b.0.bind(py)) && a.1.is_like(&b.1, py)
                })
        };
        match (self, other) {
            (Part::Found(a), Part::Found(b)) | (Part::Tensor(a), Part::Tensor(b)) => a == b,
            (Part::Again(a), Part::Again(b)) => a == b,
            (Part::Value(a), Part::Value(b)) => super::comparison::is_same_value(a.bind(py), b.bind(py)),
            (Part::Tuple(a), Part::Tuple(b)) | (Part::List(a), Part::List(b)) => all(a, b),
            (Part::Named(f, a), Part::Named(g, b)) => f.bind(py).eq(g).unwrap_or(false) && all(a, b),
            (Part::Dict(a), Part::Dict(b)) | (Part::Namespace(a), Part::Namespace(b)) => items(a, b),
            _ => false,
        }
    }

    /// Builds it again of the values of a program.
    pub(super) fn build<'py>(
        &self,
        py: Python<'py>,
        found: &Found<'_, 'py>,
        value: &dyn Fn(usize) -> Array,
        built: &mut Built<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let all = |parts: &[Part], built: &mut Built<'py>| {
            parts.iter().map(|part| part.build(py, found, value, built)).collect::<PyResult<Vec<_>>>()
        };
        let items = |items: &[(Py<PyAny>, Part)], built: &mut Built<'py>| {
            let dict = PyDict::new(py);
            for (key, part) in items {
                dict.set_item(key, part.build(py, found, value, built)?)?;
            }
            PyResult::Ok(dict)
        };
        let made = match self {
            Part::Value(value) => return Ok(value.bind(py).clone()),
            Part::Found(number) => {
                return Ok(found.object(*number).cloned().unwrap_or_else(|| py.None().into_bound(py)));
            }
            Part::Again(at) => return Ok(built.parts[*at].clone()),
            Part::Tensor(n) => {
                Bound::new(py, PyTensor::from(crate::tape::Tensor::from(value(*n))))?.into_any()
            }
            Part::Tuple(parts) => PyTuple::new(py, all(parts, built)?)?.into_any(),
            Part::Named(make, parts) => make.bind(py).call1((PyTuple::new(py, all(parts, built)?)?,))?,
            Part::List(parts) => PyList::new(py, all(parts, built)?)?.into_any(),
            Part::Dict(parts) => items(parts, built)?.into_any(),
            Part::Namespace(parts) => namespace(py)?.call((), Some(&items(parts, built)?))?,
        };
        if built.is_kept {
            built.parts.push(made.clone());
        }
        Ok(made)
    }

    /// The same as it is written to a file, where that can be: `found` says which tensor an object of that number is.
    pub(super) fn form(
        &self,
        py: Python<'_>,
        found: &mut dyn FnMut(usize) -> Option<usize>,
        counts: &mut Counts,
    ) -> PyResult<Form> {
        let mut all = |parts: &mut dyn Iterator<Item = &Part>, counts: &mut Counts| {
            parts.map(|part| part.form(py, found, counts)).collect::<PyResult<Vec<_>>>()
        };
        let items = |items: &[(Py<PyAny>, Part)], parts: Vec<Form>| {
            items.iter().map(|(key, _)| key.clone_ref(py)).zip(parts).collect()
        };
        let form = match self {
            Part::Found(number) => {
                let slot = found(*number).ok_or_else(|| {
                    PyTypeError::new_err(
                        "save: the program returns an object that it reaches; let it return tensors",
                    )
                })?;
                counts.now += 1;
                return Ok(Form::Tensor(slot));
            }
            Part::Tensor(n) => Form::Tensor(*n),
            Part::Value(value) => return Ok(Form::Value(value.clone_ref(py))),
            Part::Tuple(parts) => Form::Tuple(all(&mut parts.iter(), counts)?),
            Part::Named(..) => {
                return Err(PyTypeError::new_err(
                    "save: the program returns a named tuple, whose class is no part of a file; let it return a tuple or a dict",
                ));
            }
            Part::List(parts) => Form::List(all(&mut parts.iter(), counts)?),
            Part::Dict(parts) => {
                Form::Dict(items(parts, all(&mut parts.iter().map(|(_, part)| part), counts)?))
            }
            Part::Namespace(parts) => {
                Form::Namespace(items(parts, all(&mut parts.iter().map(|(_, part)| part), counts)?))
            }
            Part::Again(at) => return Ok(Form::Again(counts.then[*at])),
        };
        counts.then.push(counts.now);
        counts.now += 1;
        Ok(form)
    }

    /// The numbers of the objects in it that are found, and whether some part is in it again.
    pub(super) fn survey(&self, found: &mut Vec<usize>) -> bool {
        let mut all = |parts: &[Part]| parts.iter().fold(false, |again, part| part.survey(found) | again);
        match self {
            Part::Found(number) => {
                found.push(*number);
                false
            }
            Part::Again(_) => true,
            Part::Tuple(parts) | Part::Named(_, parts) | Part::List(parts) => all(parts),
            Part::Dict(items) | Part::Namespace(items) => {
                items.iter().fold(false, |again, (_, part)| part.survey(found) | again)
            }
            Part::Tensor(_) | Part::Value(_) => false,
        }
    }
}

/// What has been built, if some of it is in the result again.
#[derive(Default)]
pub(super) struct Built<'py> {
    pub(super) is_kept: bool,
    pub(super) parts: Vec<Bound<'py, PyAny>>,
}

/// The numbers of parts as they were built, and as those of a form are.
#[derive(Default)]
pub(super) struct Counts {
    then: Vec<usize>,
    now: usize,
}
