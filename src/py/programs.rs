//! Programs in files, as Python has them: with trees of arguments and of results.

use super::hints::add_function;
use super::operand::Operand;
use super::plan::namespace;
use super::run::released;
use super::step;
use super::tensor::{PyTensor, check_assignable};
use crate::array::Array;
use crate::dtype::Kind;
use crate::error::Error;
use crate::files::Notes;
use crate::ops;
use crate::programs::{Program, no_gradient, read, write};
use crate::tape::{Tensor, is_recorded};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::sync::Arc;

/// A tree of tensors and values.
pub(super) enum Form {
    Tensor(usize),
    Value(Py<PyAny>),
    Tuple(Vec<Form>),
    List(Vec<Form>),
    Dict(Vec<(Py<PyAny>, Form)>),
    Namespace(Vec<(Py<PyAny>, Form)>),
    /// What has been built before, counting from the first.
    Again(usize),
}

/// Trees may be nested so deep.
const DEEPEST: usize = 70;

impl Form {
    /// The numbers of its tensors.
    pub(super) fn slots(&self, slots: &mut Vec<usize>) {
        match self {
            Form::Tensor(slot) => slots.push(*slot),
            Form::Value(_) | Form::Again(_) => {}
            Form::Tuple(parts) | Form::List(parts) => parts.iter().for_each(|part| part.slots(slots)),
            Form::Dict(items) | Form::Namespace(items) => {
                items.iter().for_each(|(_, part)| part.slots(slots));
            }
        }
    }

    /// The same with other numbers for its tensors.
    pub(super) fn renumbered(self, number: &dyn Fn(usize) -> usize) -> Form {
        let all = |parts: Vec<Form>| parts.into_iter().map(|part| part.renumbered(number)).collect();
        let items = |items: Vec<(Py<PyAny>, Form)>| {
            items.into_iter().map(|(key, part)| (key, part.renumbered(number))).collect()
        };
        match self {
            Form::Tensor(slot) => Form::Tensor(number(slot)),
            Form::Tuple(parts) => Form::Tuple(all(parts)),
            Form::List(parts) => Form::List(all(parts)),
            Form::Dict(parts) => Form::Dict(items(parts)),
            Form::Namespace(parts) => Form::Namespace(items(parts)),
            form => form,
        }
    }

    /// As JSON.
    pub(super) fn text(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.json(py)?.to_string())
    }

    fn json(&self, py: Python<'_>) -> PyResult<Json> {
        let all = |parts: &[Form]| parts.iter().map(|part| part.json(py)).collect::<PyResult<Vec<_>>>();
        let items = |items: &[(Py<PyAny>, Form)]| {
            let item =
                |(key, part): &(Py<PyAny>, Form)| Ok(json!([value_json(key.bind(py))?, part.json(py)?]));
            items.iter().map(item).collect::<PyResult<Vec<_>>>()
        };
        Ok(match self {
            Form::Tensor(slot) => json!({"tensor": slot}),
            Form::Value(value) => json!({"value": value_json(value.bind(py))?}),
            Form::Tuple(parts) => json!({"tuple": all(parts)?}),
            Form::List(parts) => json!({"list": all(parts)?}),
            Form::Dict(parts) => json!({"dict": items(parts)?}),
            Form::Namespace(parts) => json!({"namespace": items(parts)?}),
            Form::Again(at) => json!({"again": at}),
        })
    }

    /// What [`Form::text`] has written. `built` counts the parts that may be again.
    fn read(py: Python<'_>, json: &Json, built: &mut usize, depth: usize) -> Option<Form> {
        let (kind, body) = json.as_object().filter(|all| all.len() == 1)?.iter().next()?;
        if depth > DEEPEST {
            return None;
        }
        let number = || body.as_u64().and_then(|n| usize::try_from(n).ok());
        let all = |built: &mut usize| -> Option<Vec<Form>> {
            body.as_array()?.iter().map(|part| Form::read(py, part, built, depth + 1)).collect()
        };
        let items = |built: &mut usize| -> Option<Vec<(Py<PyAny>, Form)>> {
            let items = body.as_array()?.iter();
            items
                .map(|item| {
                    let [key, part] = &item.as_array()?[..] else { return None };
                    Some((value_of(py, key)?, Form::read(py, part, built, depth + 1)?))
                })
                .collect()
        };
        let form = match kind.as_str() {
            "value" => return Some(Form::Value(value_of(py, body)?)),
            "again" => return number().filter(|n| n < built).map(Form::Again),
            "tensor" => Form::Tensor(number()?),
            "tuple" => Form::Tuple(all(built)?),
            "list" => Form::List(all(built)?),
            "dict" => Form::Dict(items(built)?),
            "namespace" => Form::Namespace(items(built).filter(|items| {
                items.iter().all(|(key, _)| key.bind(py).is_exact_instance_of::<PyString>())
            })?),
            _ => return None,
        };
        *built += 1;
        Some(form)
    }

    /// Whether an object is of this form; its tensors go to their places.
    fn takes<'py>(&self, ob: &Bound<'py, PyAny>, places: &mut [Option<Bound<'py, PyAny>>]) -> PyResult<bool> {
        let py = ob.py();
        match self {
            Form::Tensor(slot) => {
                let Some(place) = places.get_mut(*slot) else { return Ok(false) };
                match place {
                    Some(other) => return Ok(other.is(ob)),
                    None => *place = Some(ob.clone()),
                }
                Ok(true)
            }
            Form::Value(value) => Ok(super::compiled::is_same_value(ob, value.bind(py))),
            Form::Tuple(parts) => match ob.cast_exact::<PyTuple>() {
                Ok(tuple) if tuple.len() == parts.len() => all_take(parts, tuple.iter(), places),
                _ => Ok(false),
            },
            Form::List(parts) => match ob.cast_exact::<PyList>() {
                Ok(list) if list.len() == parts.len() => all_take(parts, list.iter(), places),
                _ => Ok(false),
            },
            Form::Dict(items) => {
                let Ok(dict) = ob.cast_exact::<PyDict>() else { return Ok(false) };
                if dict.len() != items.len() {
                    return Ok(false);
                }
                for (key, part) in items {
                    match dict.get_item(key)? {
                        Some(item) if part.takes(&item, places)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
            Form::Namespace(_) | Form::Again(_) => Ok(false),
        }
    }

    /// The object of these tensors.
    fn build<'py>(
        &self,
        py: Python<'py>,
        tensors: &[Bound<'py, PyTensor>],
        built: &mut Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        fn all<'py>(
            py: Python<'py>,
            parts: &[Form],
            tensors: &[Bound<'py, PyTensor>],
            built: &mut Vec<Bound<'py, PyAny>>,
        ) -> PyResult<Vec<Bound<'py, PyAny>>> {
            parts.iter().map(|part| part.build(py, tensors, built)).collect()
        }
        let items = |items: &[(Py<PyAny>, Form)], built: &mut Vec<Bound<'py, PyAny>>| {
            let dict = PyDict::new(py);
            for (key, part) in items {
                dict.set_item(key, part.build(py, tensors, built)?)?;
            }
            PyResult::Ok(dict)
        };
        let made = match self {
            Form::Value(value) => return Ok(value.bind(py).clone()),
            Form::Again(at) => return Ok(built[*at].clone()),
            Form::Tensor(slot) => tensors[*slot].clone().into_any(),
            Form::Tuple(parts) => PyTuple::new(py, all(py, parts, tensors, built)?)?.into_any(),
            Form::List(parts) => PyList::new(py, all(py, parts, tensors, built)?)?.into_any(),
            Form::Dict(parts) => items(parts, built)?.into_any(),
            Form::Namespace(parts) => namespace(py)?.call((), Some(&items(parts, built)?))?,
        };
        built.push(made.clone());
        Ok(made)
    }

    /// As text, with what tensors are.
    fn shown(&self, py: Python<'_>, tensor: &dyn Fn(usize) -> String) -> String {
        let all =
            |parts: &[Form]| parts.iter().map(|part| part.shown(py, tensor)).collect::<Vec<_>>().join(", ");
        let items = |items: &[(Py<PyAny>, Form)]| {
            let item = |(key, part): &(Py<PyAny>, Form)| format!("{key}: {}", part.shown(py, tensor));
            items.iter().map(item).collect::<Vec<_>>().join(", ")
        };
        match self {
            Form::Tensor(slot) => tensor(*slot),
            Form::Value(value) => value.bind(py).repr().map_or_else(|_| "?".into(), |text| text.to_string()),
            Form::Tuple(parts) if parts.len() == 1 => format!("({},)", all(parts)),
            Form::Tuple(parts) => format!("({})", all(parts)),
            Form::List(parts) => format!("[{}]", all(parts)),
            Form::Dict(parts) | Form::Namespace(parts) => format!("{{{}}}", items(parts)),
            Form::Again(_) => "…".into(),
        }
    }
}

fn all_take<'py>(
    parts: &[Form],
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    places: &mut [Option<Bound<'py, PyAny>>],
) -> PyResult<bool> {
    for (part, item) in parts.iter().zip(items) {
        if !part.takes(&item, places)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A number, a text or None as JSON; numbers as texts, which give the same bits again.
fn value_json(value: &Bound<'_, PyAny>) -> PyResult<Json> {
    if value.is_none() {
        return Ok(Json::Null);
    }
    if let Ok(is) = value.cast_exact::<PyBool>() {
        return Ok(Json::Bool(is.is_true()));
    }
    if value.is_exact_instance_of::<PyInt>() {
        return Ok(json!({"int": value.str()?.to_string()}));
    }
    if let Ok(x) = value.cast_exact::<PyFloat>() {
        return Ok(json!({"float": format!("{:?}", x.value())}));
    }
    match value.cast_exact::<PyString>() {
        Ok(text) => Ok(Json::String(text.to_str()?.into())),
        Err(_) => Err(PyTypeError::new_err(format!("save: {} is no number and no text", value.repr()?))),
    }
}

fn value_of(py: Python<'_>, json: &Json) -> Option<Py<PyAny>> {
    Some(match json {
        Json::Null => py.None(),
        Json::Bool(x) => PyBool::new(py, *x).to_owned().into_any().unbind(),
        Json::String(x) => PyString::new(py, x).into_any().unbind(),
        Json::Object(x) if x.len() == 1 => match (x.get("int"), x.get("float")) {
            (Some(Json::String(text)), None) => py.get_type::<PyInt>().call1((text,)).ok()?.unbind(),
            (None, Some(Json::String(text))) => PyFloat::new(py, text.parse().ok()?).into_any().unbind(),
            _ => return None,
        },
        _ => return None,
    })
}

/// Programs of one function, each with the forms of its calls and of its results.
#[pyclass(frozen, module = "oxiflux._core")]
pub(super) struct Saved(Vec<One>);

struct One {
    program: Arc<Program>,
    args: Form,
    kwargs: Form,
    result: Form,
}

impl Saved {
    pub(super) fn new(py: Python<'_>, programs: Vec<Arc<Program>>) -> PyResult<Saved> {
        let invalid = |what: &str| PyValueError::new_err(format!("what a program {what} is not valid"));
        let mut all = Vec::new();
        for program in programs {
            let read =
                |text: &str| -> Option<Form> { Form::read(py, &serde_json::from_str(text).ok()?, &mut 0, 0) };
            let call = read(&program.call).ok_or_else(|| invalid("takes"))?;
            let result = read(&program.result).ok_or_else(|| invalid("returns"))?;
            let mut slots = Vec::new();
            call.slots(&mut slots);
            slots.sort_unstable();
            slots.dedup();
            if !slots.iter().copied().eq(0..program.arguments()) {
                return Err(invalid("takes"));
            }
            slots.clear();
            result.slots(&mut slots);
            if slots.iter().any(|&slot| slot >= program.results()) {
                return Err(invalid("returns"));
            }
            let Form::Tuple(parts) = call else { return Err(invalid("takes")) };
            let Ok([args, kwargs]) = <[Form; 2]>::try_from(parts) else { return Err(invalid("takes")) };
            let is_call = matches!(args, Form::Tuple(_))
                && match &kwargs {
                    Form::Dict(_) => true,
                    Form::Value(value) => value.is_none(py),
                    _ => false,
                };
            if !is_call {
                return Err(invalid("takes"));
            }
            all.push(One { program, args, kwargs, result });
        }
        Ok(Saved(all))
    }
}

impl One {
    /// How it is called, as text.
    fn signature(&self, py: Python<'_>) -> String {
        let tensor = |slot: usize| {
            let (shape, dtype) = self.program.argument(slot);
            format!("{dtype} {}", crate::shape::show(shape))
        };
        let kwargs = match &self.kwargs {
            Form::Value(_) => String::new(),
            form => format!(" and {}", form.shown(py, &tensor)),
        };
        format!("{}{kwargs}", self.args.shown(py, &tensor))
    }

    /// The arrays of a call, if it is one of this program's.
    fn arguments<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Vec<Array>>> {
        let mut places = vec![None; self.program.arguments()];
        let none = args.py().None().into_bound(args.py());
        let kwargs = kwargs.filter(|all| !all.is_empty()).map_or(&none, |all| all.as_any());
        if !self.args.takes(args.as_any(), &mut places)? || !self.kwargs.takes(kwargs, &mut places)? {
            return Ok(None);
        }
        let mut arrays = Vec::with_capacity(places.len());
        for (slot, ob) in places.into_iter().enumerate() {
            let Some(ob) = ob else { return Ok(None) };
            let (shape, dtype) = self.program.argument(slot);
            let given: Operand = match ob.extract() {
                Ok(given) => given,
                Err(_) => return Ok(None),
            };
            let mut x = given.0;
            if is_recorded(&x) {
                return Err(no_gradient().into());
            }
            // Numbers that are not tensors take the type of what they stand for, if it holds them.
            if x.dtype() != dtype && !ob.is_exact_instance_of::<PyTensor>() {
                let holds =
                    dtype.is_float() || (x.dtype().kind() == Kind::Integer && dtype.kind() == Kind::Integer);
                if !holds || (!dtype.is_float() && super::fitted(x.array(), dtype).is_err()) {
                    return Ok(None);
                }
                x = ops::astype(&x, dtype)?;
            }
            if x.shape() != shape || x.dtype() != dtype {
                return Ok(None);
            }
            arrays.push(x.into_array());
        }
        Ok(Some(arrays))
    }
}

#[pymethods]
impl Saved {
    /// What a call returns, by the first program that takes its arguments; `state` are the tensors that are kept.
    fn call<'py>(
        &self,
        state: Vec<Bound<'py, PyTensor>>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        for one in &self.0 {
            let Some(arguments) = one.arguments(args, kwargs)? else { continue };
            let mut kept = Vec::with_capacity(state.len());
            for x in &state {
                let Operand(x) = x.as_any().extract()?;
                if is_recorded(&x) {
                    return Err(no_gradient().into());
                }
                kept.push(x.into_array());
            }
            let program = &one.program;
            let (results, changed) = released(py, program.work(), || program.run(&arguments, &kept))?;
            for (number, _) in &changed {
                check_assignable(&state[*number])?;
            }
            for (number, x) in changed {
                step::note(&state[number]);
                state[number].get().set(Tensor::from(x));
            }
            let made = results.into_iter().map(|x| Bound::new(py, PyTensor::from(Tensor::from(x))));
            let made = made.collect::<PyResult<Vec<_>>>()?;
            return one.result.build(py, &made, &mut Vec::new());
        }
        let known: Vec<String> = self.0.iter().map(|one| one.signature(py)).collect();
        let given = args.iter().map(|x| described(&x)).collect::<PyResult<Vec<_>>>()?.join(", ");
        let given = match kwargs {
            Some(kwargs) if !kwargs.is_empty() => format!("{given} and {:?}", kwargs.keys()),
            _ => given,
        };
        Err(Error::Shape(format!(
            "Program: it was captured for {}, and is given ({given}); save it with a call of such arguments, too",
            known.join(" or ")
        ))
        .into())
    }

    /// How it can be called, a line for each program.
    fn signatures(&self, py: Python<'_>) -> Vec<String> {
        self.0.iter().map(|one| one.signature(py)).collect()
    }

    /// The programs as text, a line for each step.
    fn shown(&self) -> Vec<String> {
        self.0.iter().map(|one| one.program.shown()).collect()
    }

    /// Writes them to a file with the tensors that they keep.
    fn write(
        &self,
        py: Python<'_>,
        path: PathBuf,
        state: Vec<(String, Bound<'_, PyTensor>)>,
    ) -> PyResult<()> {
        let state: Vec<(String, Array)> =
            state.into_iter().map(|(name, x)| (name, x.get().get().into_array())).collect();
        let programs: Vec<Arc<Program>> = self.0.iter().map(|one| one.program.clone()).collect();
        Ok(py.detach(|| write(&path, &programs, state))?)
    }
}

/// An argument in a few words.
fn described(x: &Bound<'_, PyAny>) -> PyResult<String> {
    match x.cast_exact::<PyTensor>() {
        Ok(x) => {
            let x = x.get().get();
            Ok(format!("{} {}", x.dtype(), crate::shape::show(x.shape())))
        }
        Err(_) => Ok(format!("a {}", x.get_type().name()?)),
    }
}

/// The programs of a file of these tensors and notes, and the tensors that they keep by name; `None` if it has none.
#[pyfunction]
#[pyo3(signature = (tensors, notes, /))]
fn read_program(
    py: Python<'_>,
    tensors: Vec<(String, Bound<'_, PyTensor>)>,
    notes: Notes,
) -> PyResult<Option<(Saved, Vec<(String, PyTensor)>)>> {
    let tensors = tensors.into_iter().map(|(name, x)| (name, x.get().get().into_array())).collect();
    let Some(programs) = py.detach(|| read(tensors, &notes))? else { return Ok(None) };
    let saved = Saved::new(py, programs.programs().to_vec())?;
    let state = programs.state().into_iter().map(|(name, x)| (name, PyTensor::from(x))).collect();
    Ok(Some((saved, state)))
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Saved>()?;
    add_function!(m, read_program)
}
