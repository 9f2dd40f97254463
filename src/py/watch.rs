//! The arguments of a gradient, walked: what the function gets, and the shape in which its gradients come back.
//!
//! Tensors that are arguments, or sit in lists, tuples and dicts among the arguments, reach the function as variables of
//! their own. Tensors that sit in objects stay where they are and are looked up by identity while the gradient is open:
//! the function is called with the very model, and a closure that has captured it works too.

use super::operand::value;
use super::tensor::PyTensor;
use super::tree::{self, Node};
use crate::array::Array;
use crate::tape::{self, Place, Scope, Tensor};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PyTuple};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Addresses spread well enough as they are, but for the low bits.
#[derive(Default)]
pub(super) struct Address(u64);
impl Hasher for Address {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_usize(&mut self, x: usize) {
        self.0 = (x as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
pub(super) type ByAddress<T> = HashMap<usize, T, BuildHasherDefault<Address>>;

thread_local! {
    /// Where tensors that stay in their objects are on the tape: by the address of the Python object.
    static WATCHED: RefCell<ByAddress<Place>> = RefCell::default();
}

/// The place on the tape of a tensor that is watched where it is.
#[inline]
pub(super) fn place_of(address: usize) -> Option<Place> {
    if !tape::is_recording() {
        return None;
    }
    WATCHED.with_borrow(|w| w.get(&address).copied())
}

/// The shape of a gradient: that of its argument.
pub(super) enum Plan {
    Nothing,
    Variable(usize),
    Number(usize),
    List(Vec<Plan>),
    Tuple(Vec<Plan>),
    Dict(Vec<(Py<PyAny>, Plan)>),
    Object(Vec<(Py<PyAny>, Plan)>),
}

/// The walk over the arguments.
pub(super) struct Watch<'py, 's> {
    py: Python<'py>,
    scope: &'s Scope,
    pub(super) variables: Vec<Tensor>,
    known: ByAddress<(usize, Option<Bound<'py, PyAny>>)>,
    pub(super) before: Vec<(usize, Option<Place>)>,
    /// Objects on the way down, so that one that holds itself does not recurse for ever.
    path: Vec<usize>,
}

impl<'py, 's> Watch<'py, 's> {
    pub(super) fn new(py: Python<'py>, scope: &'s Scope) -> Self {
        let (variables, before, path) = (Vec::new(), Vec::new(), Vec::new());
        Watch { py, scope, variables, known: HashMap::default(), before, path }
    }

    fn variable(&mut self, x: &Tensor) -> usize {
        self.variables.push(self.scope.watch(x));
        self.variables.len() - 1
    }

    /// An argument, or what a container among the arguments holds: what the function gets instead, and the plan.
    fn argument(&mut self, ob: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Plan)> {
        let same = |plan| Ok((ob.clone(), plan));
        Ok(match tree::node(ob)? {
            Node::Tensor(t) => {
                let x = value(&t);
                if !x.dtype().is_float() {
                    return same(Plan::Nothing);
                }
                let address = ob.as_ptr() as usize;
                if let Some((i, alias)) = self.known.get(&address) {
                    return Ok((alias.clone().unwrap_or_else(|| ob.clone()), Plan::Variable(*i)));
                }
                let i = self.variable(&x);
                let alias = Bound::new(self.py, PyTensor::from(self.variables[i].clone()))?.into_any();
                self.known.insert(address, (i, Some(alias.clone())));
                (alias, Plan::Variable(i))
            }
            // Subclasses are objects with a mind of their own, such as `Params`: they go in as they are.
            Node::List(_) | Node::Dict(_) | Node::Tuple(_) if !is_plain(ob)? => {
                (ob.clone(), self.inside(ob)?)
            }
            Node::List(list) => {
                let (items, plans) = self.arguments(list.iter())?;
                (PyList::new(self.py, items)?.into_any(), Plan::List(plans))
            }
            Node::Tuple(tuple) => {
                let (items, plans) = self.arguments(tuple.iter())?;
                let rebuilt = PyTuple::new(self.py, items)?;
                // A named tuple keeps its class.
                let rebuilt = match ob.getattr_opt("_make")? {
                    Some(make) => make.call1((rebuilt,))?,
                    None => rebuilt.into_any(),
                };
                (rebuilt, Plan::Tuple(plans))
            }
            Node::Dict(dict) => {
                let rebuilt = PyDict::new(self.py);
                let mut plans = Vec::with_capacity(dict.len());
                for (key, item) in dict.iter() {
                    let (item, plan) = self.argument(&item)?;
                    rebuilt.set_item(&key, item)?;
                    plans.push((key.unbind(), plan));
                }
                (rebuilt.into_any(), Plan::Dict(plans))
            }
            Node::Object(_) => {
                if let Some(array) = super::numpy::view(ob)? {
                    if !array.dtype().is_float() {
                        return same(Plan::Nothing);
                    }
                    let i = self.variable(&array.into());
                    return Ok((
                        Bound::new(self.py, PyTensor::from(self.variables[i].clone()))?.into_any(),
                        Plan::Variable(i),
                    ));
                }
                let plan = self.inside(ob)?;
                (ob.clone(), plan)
            }
            Node::Leaf => {
                if let Ok(f) = ob.cast::<PyFloat>() {
                    let i = self.variable(&Array::scalar(f.value() as f32)?.into());
                    return Ok((
                        Bound::new(self.py, PyTensor::from(self.variables[i].clone()))?.into_any(),
                        Plan::Number(i),
                    ));
                }
                if let Some(array) = super::numpy::view(ob)?.filter(|a| a.dtype().is_float()) {
                    let i = self.variable(&array.into());
                    return Ok((
                        Bound::new(self.py, PyTensor::from(self.variables[i].clone()))?.into_any(),
                        Plan::Variable(i),
                    ));
                }
                return same(Plan::Nothing);
            }
        })
    }

    pub(super) fn arguments(
        &mut self,
        items: impl Iterator<Item = Bound<'py, PyAny>>,
    ) -> PyResult<(Vec<Bound<'py, PyAny>>, Vec<Plan>)> {
        let (mut rebuilt, mut plans) = (Vec::new(), Vec::new());
        for item in items {
            let (item, plan) = self.argument(&item)?;
            rebuilt.push(item);
            plans.push(plan);
        }
        Ok((rebuilt, plans))
    }

    /// What an object holds: tensors are watched where they are.
    fn inside(&mut self, ob: &Bound<'py, PyAny>) -> PyResult<Plan> {
        let node = tree::node(ob)?;
        if let Node::Tensor(t) = &node {
            let address = ob.as_ptr() as usize;
            if let Some((i, alias)) = self.known.get(&address) {
                let (i, place) = (*i, self.variables[*i].place());
                if alias.is_some() {
                    self.watch_in_place(address, place);
                }
                return Ok(Plan::Variable(i));
            }
            let x = value(t);
            if !x.dtype().is_float() {
                return Ok(Plan::Nothing);
            }
            let i = self.variable(&x);
            self.watch_in_place(address, self.variables[i].place());
            self.known.insert(address, (i, None));
            return Ok(Plan::Variable(i));
        }
        if matches!(node, Node::Leaf) || self.path.contains(&(ob.as_ptr() as usize)) {
            return Ok(Plan::Nothing);
        }
        self.path.push(ob.as_ptr() as usize);
        let plan = match node {
            Node::List(list) => Plan::List(list.iter().map(|x| self.inside(&x)).collect::<PyResult<_>>()?),
            Node::Tuple(tuple) => {
                Plan::Tuple(tuple.iter().map(|x| self.inside(&x)).collect::<PyResult<_>>()?)
            }
            Node::Dict(dict) => Plan::Dict(
                dict.iter().map(|(k, x)| Ok((k.unbind(), self.inside(&x)?))).collect::<PyResult<_>>()?,
            ),
            Node::Object(dict) => {
                let names = tree::trainable_names(ob)?;
                let mut plans = Vec::with_capacity(dict.len());
                for (key, child) in dict.iter() {
                    if names.as_ref().is_some_and(|n| !n.contains(&key).unwrap_or(false)) {
                        continue;
                    }
                    match self.inside(&child)? {
                        Plan::Nothing => {}
                        plan => plans.push((key.unbind(), plan)),
                    }
                }
                Plan::Object(plans)
            }
            _ => Plan::Nothing,
        };
        self.path.pop();
        Ok(if plan.is_empty() { Plan::Nothing } else { plan })
    }

    fn watch_in_place(&mut self, address: usize, place: Option<Place>) {
        if let Some(place) = place {
            let before = WATCHED.with_borrow_mut(|w| w.insert(address, place));
            self.before.push((address, before));
        }
    }
}

/// Whether a container can be rebuilt: a list, tuple or dict itself, or a named tuple.
fn is_plain(ob: &Bound<'_, PyAny>) -> PyResult<bool> {
    let exact = ob.is_exact_instance_of::<PyList>()
        || ob.is_exact_instance_of::<PyTuple>()
        || ob.is_exact_instance_of::<PyDict>();
    Ok(exact || ob.hasattr("_make")?)
}

/// Gives `WATCHED` back as it was, whatever happens in between.
pub(super) struct Restore(pub(super) Vec<(usize, Option<Place>)>);

impl Drop for Restore {
    fn drop(&mut self) {
        WATCHED.with_borrow_mut(|w| {
            for (address, before) in self.0.drain(..).rev() {
                match before {
                    Some(place) => w.insert(address, place),
                    None => w.remove(&address),
                };
            }
        });
    }
}

impl Plan {
    fn is_empty(&self) -> bool {
        match self {
            Plan::Nothing => true,
            Plan::Variable(_) | Plan::Number(_) => false,
            Plan::List(items) | Plan::Tuple(items) => items.iter().all(Plan::is_empty),
            Plan::Dict(items) | Plan::Object(items) => items.iter().all(|(_, p)| p.is_empty()),
        }
    }

    /// The gradients in the shape of the argument.
    fn build<'py>(
        &self,
        py: Python<'py>,
        grads: &[Option<Bound<'py, PyTensor>>],
    ) -> PyResult<Bound<'py, PyAny>> {
        let none = || Ok(py.None().into_bound(py));
        Ok(match self {
            Plan::Nothing => return none(),
            Plan::Variable(i) => match &grads[*i] {
                Some(g) => g.clone().into_any(),
                None => return none(),
            },
            Plan::Number(i) => match &grads[*i] {
                Some(g) => g.call_method0("item")?,
                None => return none(),
            },
            Plan::List(items) => PyList::new(py, build_all(items, py, grads)?)?.into_any(),
            Plan::Tuple(items) => PyTuple::new(py, build_all(items, py, grads)?)?.into_any(),
            Plan::Dict(items) => named(items, py, grads)?.into_any(),
            Plan::Object(items) => namespace(py)?.call((), Some(&named(items, py, grads)?))?,
        })
    }
}

pub(super) fn build_all<'py>(
    items: &[Plan],
    py: Python<'py>,
    grads: &[Option<Bound<'py, PyTensor>>],
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    items.iter().map(|p| p.build(py, grads)).collect()
}

fn named<'py>(
    items: &[(Py<PyAny>, Plan)],
    py: Python<'py>,
    grads: &[Option<Bound<'py, PyTensor>>],
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, plan) in items {
        dict.set_item(key, plan.build(py, grads)?)?;
    }
    Ok(dict)
}

/// `types.SimpleNamespace`.
pub(super) fn namespace(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: pyo3::sync::PyOnceLock<Py<PyAny>> = pyo3::sync::PyOnceLock::new();
    CLASS
        .get_or_try_init(py, || Ok(py.import("types")?.getattr("SimpleNamespace")?.unbind()))
        .map(|c| c.bind(py))
}
