//! The arguments of a gradient, walked: what the function gets, and the shape in which its gradients come back.
//!
//! Tensors that are arguments, or sit in lists, tuples and dicts among the arguments, reach the function as variables of
//! their own. Tensors that sit in objects stay where they are and are looked up by identity while the gradient is open:
//! the function is called with the very model, and a closure that has captured it works too. Within one argument a
//! tensor that occurs twice is one variable; each argument has variables of its own.

use super::operand::value;
use super::plan::{Children, NOTHING, Numbers, Plan, Step};
use super::tensor::PyTensor;
use super::tree::{self, Node};
use super::variables::{ByAddress, Restore, watch, watched};
use crate::array::Array;
use crate::dtype;
use crate::error::{Error, Result};
use crate::tape::{Place, Scope, Tensor};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyCFunction, PyDict, PyFloat, PyInt, PyList, PyTuple, PyType};
use smallvec::SmallVec;
use std::collections::HashMap;

/// What the walk knows of an object that it has met in the argument.
struct Known<'py> {
    /// Keeps the address from being given to another object.
    _ob: Bound<'py, PyAny>,
    /// What the function gets in its place; `None` while the walk is inside it.
    given: Option<Bound<'py, PyAny>>,
    step: u32,
}

/// A container or an object on the way down.
struct Frame<'py> {
    ob: Bound<'py, PyAny>,
    kind: Kind<'py>,
    in_place: bool,
    children: Children<'py>,
    given: Children<'py>,
    /// As many as there are children done.
    steps: Numbers,
}

enum Kind<'py> {
    List,
    Tuple,
    Named(Bound<'py, PyAny>),
    /// With the class of one whose keys are attributes, too.
    Dict(Children<'py>, Option<Bound<'py, PyType>>),
    Object(Children<'py>),
}

/// What a node is to the walk.
enum Met<'py> {
    /// What the function gets for it, and the step that gives its gradient.
    Done(Bound<'py, PyAny>, u32),
    /// Its children come first.
    Below(Frame<'py>),
}

/// The walk over the arguments.
pub(super) struct Watch<'py, 's> {
    py: Python<'py>,
    scope: &'s Scope,
    variables: Vec<Tensor>,
    restore: Restore,
    plan: Plan,
    /// Of the argument being walked: by address, with the lowest bit set for what stays where it is.
    known: ByAddress<Known<'py>>,
    stack: Vec<Frame<'py>>,
}

/// What a function is called with, and what is needed to give gradients back.
pub(super) struct Watched<'py> {
    pub(super) given: Bound<'py, PyTuple>,
    pub(super) variables: Vec<Tensor>,
    pub(super) plan: Plan,
    pub(super) restore: Restore,
}

/// Why a walk ends early.
enum Stop {
    /// A tensor is in its place for an earlier argument, which holds it too.
    Shared,
    Failed(PyErr),
}

type Walked<T> = std::result::Result<T, Stop>;

impl From<Stop> for PyErr {
    fn from(stop: Stop) -> PyErr {
        match stop {
            Stop::Failed(e) => e,
            Stop::Shared => {
                PyRuntimeError::new_err("gradient: an argument could not be told from an earlier one")
            }
        }
    }
}

impl From<PyErr> for Stop {
    fn from(e: PyErr) -> Stop {
        Stop::Failed(e)
    }
}

impl From<Error> for Stop {
    fn from(e: Error) -> Stop {
        Stop::Failed(e.into())
    }
}

impl<'py, 's> Watch<'py, 's> {
    pub(super) fn new(py: Python<'py>, scope: &'s Scope) -> Self {
        let (variables, restore, stack) = (Vec::new(), Restore::default(), Vec::new());
        Watch { py, scope, variables, restore, plan: Plan::default(), known: HashMap::default(), stack }
    }

    /// What the function gets for its arguments, and how their gradients come back.
    pub(super) fn arguments(mut self, args: &Bound<'py, PyTuple>) -> PyResult<Watched<'py>> {
        let mut given = Vec::with_capacity(args.len());
        for arg in args.iter() {
            self.known.clear();
            let before = (self.variables.len(), self.plan.steps.len(), self.restore.0.len());
            let found = match self.walk(&arg) {
                Err(Stop::Shared) => {
                    // What this walk has done of the argument is undone: it is walked again.
                    self.known.clear();
                    self.stack.clear();
                    self.variables.truncate(before.0);
                    self.plan.steps.truncate(before.1);
                    drop(Restore(self.restore.0.split_off(before.2)));
                    let own = self.apart(&arg)?;
                    self.walk(&own)
                }
                found => found,
            };
            let (arg, step) = found?;
            given.push(arg);
            self.plan.arguments.push(step);
        }
        if self.variables.is_empty()
            && let Some(what) = args.iter().find_map(|x| numbers_in(&x).transpose())
        {
            return Err(nothing_to_differentiate(&what?));
        }
        let Watch { variables, plan, restore, .. } = self;
        Ok(Watched { given: PyTuple::new(self.py, given)?, variables, plan, restore })
    }

    /// Goes down and up again, without recursion: a tree may be deeper than the stack of this thread.
    fn walk(&mut self, root: &Bound<'py, PyAny>) -> Walked<(Bound<'py, PyAny>, u32)> {
        let mut met = self.meet(root, false)?;
        loop {
            match met {
                Met::Below(frame) => {
                    self.stack.push(frame);
                    if self.stack.len() > tree::MAX_DEPTH {
                        return Err(tree::too_deep("gradient", &self.path()).into());
                    }
                }
                Met::Done(given, step) => match self.stack.last_mut() {
                    None => return Ok((given, step)),
                    Some(frame) => {
                        frame.steps.push(step);
                        if !frame.in_place {
                            frame.given.push(given);
                        }
                    }
                },
            }
            let next =
                self.stack.last().and_then(|f| Some((f.children.get(f.steps.len())?.clone(), f.in_place)));
            met = match next {
                Some((child, in_place)) => self.meet(&child, in_place)?,
                None => match self.stack.pop() {
                    Some(frame) => self.finish(frame)?,
                    None => return Ok((root.clone(), NOTHING)),
                },
            };
        }
    }

    /// Looks at a node: one without children is done at once.
    fn meet(&mut self, ob: &Bound<'py, PyAny>, inside: bool) -> Walked<Met<'py>> {
        let node = tree::node(ob)?;
        match &node {
            Node::Tensor(t) => return self.tensor(t, inside),
            Node::Leaf if inside => return Ok(Met::Done(ob.clone(), NOTHING)),
            Node::Leaf => return self.leaf(ob),
            Node::Object(_) if !inside => {
                if let Some(array) = super::numpy::array_like(ob)? {
                    return self.array(ob, array);
                }
            }
            _ => {}
        }
        // Subclasses of containers are objects with a mind of their own, such as `Params`: they go in as they are.
        let in_place = inside || matches!(node, Node::Object(_)) || !is_plain(ob)?;
        let key = ob.as_ptr() as usize | usize::from(in_place);
        if let Some(known) = self.known.get(&key) {
            if let Some(given) = &known.given {
                return Ok(Met::Done(given.clone(), known.step));
            }
            // A part that refers back to what it is part of has no gradient of its own; a container among containers
            // has no end.
            let around = self.stack.iter().rev().take_while(|frame| !frame.ob.is(ob));
            let is_part = |frame: &Frame<'_>| matches!(frame.kind, Kind::Object(_));
            return match matches!(node, Node::Object(_)) || around.into_iter().any(is_part) {
                true => Ok(Met::Done(ob.clone(), NOTHING)),
                false => Err(tree::holds_itself("gradient", &self.path()).into()),
            };
        }
        let (kind, children): (_, Children<'py>) = match node {
            Node::List(list) => (Kind::List, list.iter().collect()),
            Node::Tuple(tuple) => {
                let make =
                    if tuple.is_exact_instance_of::<PyTuple>() { None } else { ob.getattr_opt("_make")? };
                (make.map_or(Kind::Tuple, Kind::Named), tuple.iter().collect())
            }
            Node::Dict(dict) => {
                let class = tree::named_class(&dict)?;
                let (keys, children): (Children<'py>, Children<'py>) = dict.iter().unzip();
                (Kind::Dict(keys, class), children)
            }
            Node::Object(dict) => {
                let items: SmallVec<[_; 8]> = dict.iter().collect(); // before `trainable` may change them
                let names = tree::trainable_names(ob)?;
                let trains =
                    |key: &Bound<'py, PyAny>| names.as_ref().is_none_or(|n| n.contains(key).unwrap_or(false));
                let (keys, children) = items.into_iter().filter(|(key, _)| trains(key)).unzip();
                (Kind::Object(keys), children)
            }
            Node::Tensor(_) | Node::Leaf => return Ok(Met::Done(ob.clone(), NOTHING)),
        };
        self.known.insert(key, Known { _ob: ob.clone(), given: None, step: NOTHING });
        let (given, steps) = (SmallVec::new(), Numbers::new());
        Ok(Met::Below(Frame { ob: ob.clone(), kind, in_place, children, given, steps }))
    }

    /// What a container becomes when its children are done.
    fn finish(&mut self, frame: Frame<'py>) -> Walked<Met<'py>> {
        let Frame { ob, kind, in_place, given, steps, .. } = frame;
        let given = match &kind {
            _ if in_place => ob.clone(),
            Kind::List => PyList::new(self.py, given)?.into_any(),
            Kind::Tuple => PyTuple::new(self.py, given)?.into_any(),
            Kind::Named(make) => super::call(make, (PyTuple::new(self.py, given)?,))?,
            Kind::Dict(keys, _) | Kind::Object(keys) => {
                let dict = PyDict::new(self.py);
                keys.iter().zip(given).try_for_each(|(key, x)| dict.set_item(key, x))?;
                match &kind {
                    Kind::Dict(_, Some(class)) => super::call(class, (dict,))?,
                    _ => dict.into_any(),
                }
            }
        };
        let key = ob.as_ptr() as usize | usize::from(in_place);
        let step = if in_place && steps.iter().all(|&s| s == NOTHING) {
            NOTHING
        } else {
            let unbound = |keys: Children<'py>| keys.into_iter().map(Bound::unbind);
            self.plan.add(match kind {
                Kind::List => Step::List(steps),
                Kind::Tuple => Step::Tuple(steps),
                Kind::Named(make) => Step::Named(make.unbind(), steps),
                Kind::Dict(keys, class) => {
                    Step::Dict(unbound(keys).collect(), steps, class.map(|c| c.into_any().unbind()))
                }
                Kind::Object(keys) => {
                    let (keys, steps) = unbound(keys).zip(steps).filter(|&(_, step)| step != NOTHING).unzip();
                    Step::Object(keys, steps)
                }
            })
        };
        self.known.insert(key, Known { _ob: ob, given: Some(given.clone()), step });
        Ok(Met::Done(given, step))
    }

    /// A new variable with the values of `x`, and the step that gives its gradient.
    fn variable(&mut self, x: &Tensor, step: fn(usize) -> Step) -> Result<u32> {
        self.variables.push(self.scope.watch(x)?);
        Ok(self.plan.add(step(self.variables.len() - 1)))
    }

    /// The newest variable as an object of its own.
    fn newest(&self) -> Option<PyTensor> {
        self.variables.last().map(|v| PyTensor::from(v.clone()))
    }

    fn tensor(&mut self, t: &Bound<'py, PyTensor>, in_place: bool) -> Walked<Met<'py>> {
        let (ob, key) = (t.as_any(), t.as_ptr() as usize);
        if let Some(known) = self.known.get(&key) {
            let (step, given) = (known.step, known.given.clone().unwrap_or_else(|| ob.clone()));
            if !in_place {
                return Ok(Met::Done(given, step));
            }
            if let Step::Variable(i) = self.plan.steps[step as usize]
                && !given.is(ob)
            {
                self.keep_in_place(t, i);
            }
            return Ok(Met::Done(ob.clone(), step));
        }
        let x = value(t);
        if !x.dtype().is_float() {
            return Ok(Met::Done(ob.clone(), NOTHING));
        }
        if in_place && self.is_placed(t) {
            return Err(Stop::Shared);
        }
        // An earlier argument's place for it is not this argument's.
        let x = if self.is_placed(t) { x.at(self.before(t)) } else { x };
        let step = self.variable(&x, Step::Variable)?;
        let given = match self.newest() {
            Some(own) if !in_place => Bound::new(self.py, own)?.into_any(),
            _ => {
                self.keep_in_place(t, self.variables.len() - 1);
                ob.clone()
            }
        };
        self.known.insert(key, Known { _ob: ob.clone(), given: Some(given.clone()), step });
        Ok(Met::Done(given, step))
    }

    /// An array of another library: a variable of its own.
    fn array(&mut self, ob: &Bound<'py, PyAny>, array: Array) -> Walked<Met<'py>> {
        if !array.dtype().is_float() {
            return Ok(Met::Done(ob.clone(), NOTHING));
        }
        let key = ob.as_ptr() as usize;
        if let Some(Known { given: Some(given), step, .. }) = self.known.get(&key) {
            return Ok(Met::Done(given.clone(), *step));
        }
        let step = self.variable(&array.into(), Step::Variable)?;
        let given = match self.newest() {
            Some(own) => Bound::new(self.py, own)?.into_any(),
            None => ob.clone(),
        };
        self.known.insert(key, Known { _ob: ob.clone(), given: Some(given.clone()), step });
        Ok(Met::Done(given, step))
    }

    /// A number, an array, or anything else that has no children.
    fn leaf(&mut self, ob: &Bound<'py, PyAny>) -> Walked<Met<'py>> {
        if let Some(number) = self.number(ob)? {
            self.variable(&Array::scalar(number as f32)?.into(), Step::Number)?;
            let count = if ob.is_instance_of::<PyFloat>() { None } else { ob.extract::<i64>().ok() };
            let own = self.newest().map(|own| match count {
                Some(n) => own.counting(n),
                None => own,
            });
            let given = own.map(|own| Bound::new(self.py, own)).transpose()?;
            let given = given.map_or_else(|| ob.clone(), Bound::into_any);
            return Ok(Met::Done(given, self.plan.steps.len() as u32 - 1));
        }
        match super::numpy::array_like(ob)? {
            Some(array) => self.array(ob, array),
            None => Ok(Met::Done(ob.clone(), NOTHING)),
        }
    }

    /// A floating number anywhere, or an integer that is an argument itself: Flux differentiates by both.
    fn number(&self, ob: &Bound<'py, PyAny>) -> PyResult<Option<f64>> {
        if let Ok(f) = ob.cast::<PyFloat>() {
            return Ok(Some(f.value()));
        }
        let is_integer = ob.is_instance_of::<PyInt>() && !ob.is_instance_of::<PyBool>();
        if is_integer && !self.stack.is_empty() {
            return Ok(None);
        }
        let is_number = is_integer || super::numpy::is_scalar(ob, self.stack.is_empty())?;
        is_number.then(|| ob.extract::<f64>()).transpose()
    }

    /// Whether an argument of this call has the tensor watched where it is.
    fn is_placed(&self, t: &Bound<'py, PyTensor>) -> bool {
        watched(t).is_some_and(|place| self.scope.made(place))
    }

    /// The place that a tensor had before this call.
    fn before(&self, t: &Bound<'py, PyTensor>) -> Option<Place> {
        let own = t.get().get().place();
        self.restore.0.iter().find(|(known, _)| known.is(t)).and_then(|(_, before)| *before).or(own)
    }

    fn keep_in_place(&mut self, t: &Bound<'py, PyTensor>, variable: usize) {
        if let Some(place) = self.variables[variable].place() {
            watch(t, place, &mut self.restore);
        }
    }

    /// A copy of an argument in which tensors that an earlier argument has in their places are objects of their own.
    fn apart(&self, arg: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let places: ByAddress<Option<Place>> =
            self.restore.0.iter().rev().map(|(t, before)| (t.as_ptr() as usize, *before)).collect();
        let shared = places.clone();
        let own = move |args: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| -> PyResult<PyTensor> {
            let t = args.get_item(0)?.cast_into::<PyTensor>()?;
            let (x, before) = (t.get().get(), places.get(&(t.as_ptr() as usize)).copied().flatten());
            let place = before.or(x.place());
            Ok(x.at(place).into())
        };
        let is_shared = move |args: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| -> PyResult<bool> {
            Ok(shared.contains_key(&(args.get_item(0)?.as_ptr() as usize)))
        };
        let options = PyDict::new(self.py);
        options.set_item("exclude", PyCFunction::new_closure(self.py, None, None, is_shared)?)?;
        let own = PyCFunction::new_closure(self.py, None, None, own)?;
        self.py.import("oxiflux.tree")?.getattr("fmap")?.call((own, arg), Some(&options))
    }

    /// Where the walk is.
    fn path(&self) -> String {
        let parts = self.stack.iter().map(|frame| match &frame.kind {
            Kind::Object(keys) => tree::attribute(&keys[frame.steps.len()]),
            Kind::Dict(keys, _) => tree::item(&keys[frame.steps.len()]),
            _ => format!("[{}]", frame.steps.len()),
        });
        format!("argument {}{}", self.plan.arguments.len(), tree::shortened(parts))
    }
}

/// What an argument has of numbers that a gradient is not taken for.
#[cold]
fn numbers_in(ob: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let is_whole = |x: &Array| x.dtype().kind() == dtype::Kind::Integer;
    let is_number = |x: &Bound<'_, PyAny>| x.is_instance_of::<PyInt>() && !x.is_instance_of::<PyBool>();
    let array = |x: &Array| format!("an array of {}", x.dtype());
    Ok(match tree::node(ob)? {
        Node::Tensor(t) => Some(t.get().get()).filter(|x| is_whole(x.array())).map(|x| array(x.array())),
        Node::List(_) | Node::Tuple(_) => {
            let mut items = ob.try_iter()?.flatten();
            items.any(|x| is_number(&x)).then(|| "a list of integers".into())
        }
        Node::Dict(dict) => dict.values().iter().any(|x| is_number(&x)).then(|| "a dict of integers".into()),
        // Layers of this package have numbers that are options.
        Node::Object(_) if is_own(ob)? => None,
        Node::Object(dict) => {
            let is_float = |x: &Bound<'_, PyAny>| {
                let array = super::numpy::array_like(x);
                x.is_instance_of::<PyFloat>() || array.is_ok_and(|a| a.is_some_and(|a| a.dtype().is_float()))
            };
            let name = dict.iter().find(|(_, x)| is_float(x)).map(|(name, _)| name);
            name.map(|name| format!("the attribute {name} of a {}", show_class(ob)))
        }
        Node::Leaf => super::numpy::array_like(ob)?.filter(is_whole).map(|x| array(&x)),
    })
}

fn show_class(ob: &Bound<'_, PyAny>) -> String {
    ob.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string())
}

/// Whether the class of an object is this package's.
fn is_own(ob: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(ob.get_type().module()?.to_str()?.starts_with("oxiflux."))
}

#[cold]
fn nothing_to_differentiate(what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "gradient: there is nothing to differentiate by, only {what}. Integers in arrays and lists are labels and \
         indices, write x.astype(\"float32\"); numbers and arrays in an object are constants, write flux.tensor(2.0)"
    ))
}

/// Whether a container can be rebuilt: a list, tuple or dict itself, or a named tuple.
fn is_plain(ob: &Bound<'_, PyAny>) -> PyResult<bool> {
    let exact = ob.is_exact_instance_of::<PyList>()
        || ob.is_exact_instance_of::<PyTuple>()
        || ob.is_exact_instance_of::<PyDict>();
    Ok(exact || ob.is_instance_of::<PyTuple>() && ob.hasattr("_make")?)
}
