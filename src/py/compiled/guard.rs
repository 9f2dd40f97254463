//! What a program depends on: a picture of all that a function can reach, compared with what is there at each call.
//!
//! The picture owns what it compares by identity, so that no address comes to be another object's. A comparison runs no
//! Python code: values are compared where their classes are Python's own. It is long, since what is taken of an object and
//! what is compared of it stand beside each other.

use super::fields::{self, Part};
use crate::array::Array;
use crate::dtype::DType;
use crate::py::attributes::dict_of;
use crate::py::numpy;
use crate::py::once::intern;
use crate::py::random::Generator;
use crate::py::state::Leaf;
use crate::py::tensor::PyTensor;
use crate::shape::{Dims, Strides};
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};
use smallvec::SmallVec;
use std::sync::{Mutex, PoisonError};

/// A part of the picture. Those that others may refer to have a number.
enum Node {
    /// A number, a text or None: equal in class and to the bit.
    Value(Py<PyAny>),
    /// This very object.
    Is(Py<PyAny>),
    /// The object that has this number.
    Same(usize),
    /// A set, a range and the like, of values.
    Equal(Py<PyType>, Py<PyAny>),
    /// A tensor in a place of its own.
    Tensor(usize),
    /// An array of NumPy's with the bytes of this copy.
    Array(Py<PyAny>, Py<PyAny>),
    Tuple(Py<PyType>, Vec<Node>),
    List(Py<PyType>, Vec<Node>),
    Dict(Py<PyType>, Vec<(Py<PyAny>, Node)>),
    /// An object: its class, its attributes in order, and those in slots.
    Object(Py<PyType>, Vec<(Py<PyAny>, Node)>, Vec<(Py<PyString>, Option<Node>)>),
    Function(Box<Function>),
    Method(Box<(Node, Node)>),
    /// What an optimiser keeps for a parameter, and whether it is frozen.
    Leaf(usize, bool),
    /// A generator in a place of its own.
    Generator(usize),
    /// A dict with these keys in this order, whatever it holds.
    Keys(Vec<Py<PyAny>>),
    /// Several pictures of one object.
    All(Vec<Node>),
}

struct Function {
    /// The function itself: of this one what cannot change is not looked at.
    itself: Py<PyAny>,
    code: Py<PyAny>,
    globals: Py<PyAny>,
    defaults: Node,
    keywords: Node,
    cells: Vec<Option<Node>>,
    attributes: Option<Node>,
}

/// Where a comparison begins.
enum Root {
    /// The arguments by position, or by name.
    Arguments(Node),
    Keywords(Node),
    /// An object that the picture owns.
    Fixed(Py<PyAny>, Node),
    /// What a dict has by a name, or that it has nothing.
    Lookup(Py<PyDict>, Py<PyAny>, Option<Node>),
}

/// How a tensor is laid out.
#[derive(PartialEq)]
pub(super) struct Layout {
    shape: Dims,
    strides: Strides,
    dtype: DType,
}

impl Layout {
    fn of(x: &Array) -> Layout {
        let (_, shape, strides, dtype) = x.identity();
        Layout { shape, strides, dtype }
    }
    fn fits(&self, x: &Array) -> bool {
        self.dtype == x.dtype() && self.shape[..] == *x.shape() && self.strides[..] == *x.strides()
    }
}

/// What was found in the places of a picture. Few things take no memory of their own.
#[derive(Default)]
pub(super) struct Found<'a, 'py> {
    /// Objects with their numbers, in order: all, or those that are wanted.
    pub(super) objects: SmallVec<[(usize, Bound<'py, PyAny>); 4]>,
    /// Which objects are wanted, unless all are.
    wanted: Option<&'a [bool]>,
    /// How many have been met.
    count: usize,
    pub(super) tensors: SmallVec<[Bound<'py, PyTensor>; 8]>,
    pub(super) leaves: SmallVec<[Bound<'py, Leaf>; 4]>,
    /// NumPy's.
    pub(super) arrays: SmallVec<[Bound<'py, PyAny>; 1]>,
    pub(super) generators: SmallVec<[Bound<'py, Generator>; 1]>,
}

impl<'a, 'py> Found<'a, 'py> {
    /// Nothing yet; of the objects those will be kept whose numbers are wanted.
    pub(super) fn wanting(wanted: &'a [bool]) -> Found<'a, 'py> {
        Found { wanted: Some(wanted), ..Found::default() }
    }

    /// Takes down an object, which gets the next number.
    fn meet(&mut self, ob: &Bound<'py, PyAny>) {
        let number = self.count;
        self.count += 1;
        if self.wanted.is_none_or(|wanted| wanted.get(number).is_some_and(|&is| is)) {
            self.objects.push((number, ob.clone()));
        }
    }

    /// An object that is kept.
    pub(super) fn object(&self, number: usize) -> Option<&Bound<'py, PyAny>> {
        let at = self.objects.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.objects[at].1)
    }
}

/// The picture of what a function can reach.
#[pyclass(frozen, module = "oxiflux._core")]
pub(super) struct Guard {
    roots: Vec<Root>,
    /// Which of the objects others refer to, by their numbers.
    named: Vec<bool>,
    /// The tensors of its places, at first without layouts.
    layouts: Vec<Layout>,
    /// The addresses in its places that were last found to be of as many objects.
    distinct: Mutex<Vec<usize>>,
}

type Parts<'py> = Bound<'py, PyTuple>;

fn text<'py>(parts: &Parts<'py>) -> PyResult<String> {
    parts.get_item(0)?.extract()
}

fn class(ob: &Bound<'_, PyAny>) -> PyResult<Py<PyType>> {
    Ok(ob.cast::<PyType>()?.clone().unbind())
}

fn nodes(ob: &Bound<'_, PyAny>) -> PyResult<Vec<Node>> {
    ob.try_iter()?.map(|x| Node::read(&x?)).collect()
}

fn pairs(keys: &Bound<'_, PyAny>, values: &Bound<'_, PyAny>) -> PyResult<Vec<(Py<PyAny>, Node)>> {
    let keys = keys.try_iter()?.map(|k| Ok(k?.unbind())).collect::<PyResult<Vec<_>>>()?;
    Ok(keys.into_iter().zip(nodes(values)?).collect())
}

fn maybe(ob: &Bound<'_, PyAny>) -> PyResult<Option<Node>> {
    if ob.is_none() { Ok(None) } else { Node::read(ob).map(Some) }
}

impl Node {
    /// A picture as Python describes it: a tuple that begins with what it is of.
    fn read(ob: &Bound<'_, PyAny>) -> PyResult<Node> {
        let parts = ob.cast::<PyTuple>()?;
        let item = |i: usize| parts.get_item(i);
        Ok(match text(parts)?.as_str() {
            "value" => Node::Value(item(1)?.unbind()),
            "is" => Node::Is(item(1)?.unbind()),
            "same" => Node::Same(item(1)?.extract()?),
            "equal" => Node::Equal(class(&item(1)?)?, item(2)?.unbind()),
            "tensor" => Node::Tensor(item(1)?.extract()?),
            "array" => Node::Array(item(1)?.unbind(), item(2)?.unbind()),
            "tuple" => Node::Tuple(class(&item(1)?)?, nodes(&item(2)?)?),
            "list" => Node::List(class(&item(1)?)?, nodes(&item(2)?)?),
            "dict" => Node::Dict(class(&item(1)?)?, pairs(&item(2)?, &item(3)?)?),
            "object" => {
                let slots = item(4)?.try_iter()?.zip(item(5)?.try_iter()?);
                let slots = slots
                    .map(|(name, node)| Ok((name?.cast_into::<PyString>()?.unbind(), maybe(&node?)?)))
                    .collect::<PyResult<Vec<_>>>()?;
                Node::Object(class(&item(1)?)?, pairs(&item(2)?, &item(3)?)?, slots)
            }
            "function" => Node::Function(Box::new(Function {
                itself: item(7)?.unbind(),
                code: item(1)?.unbind(),
                globals: item(2)?.unbind(),
                defaults: Node::read(&item(3)?)?,
                keywords: Node::read(&item(4)?)?,
                cells: item(5)?.try_iter()?.map(|x| maybe(&x?)).collect::<PyResult<_>>()?,
                attributes: maybe(&item(6)?)?,
            })),
            "method" => Node::Method(Box::new((Node::read(&item(1)?)?, Node::read(&item(2)?)?))),
            "leaf" => Node::Leaf(item(1)?.extract()?, item(2)?.extract()?),
            "generator" => Node::Generator(item(1)?.extract()?),
            "keys" => Node::Keys(item(1)?.try_iter()?.map(|k| Ok(k?.unbind())).collect::<PyResult<_>>()?),
            "all" => Node::All(nodes(&item(1)?)?),
            other => return Err(PyValueError::new_err(format!("guard: there is no {other}"))),
        })
    }

    /// Whether the object is as it was.
    fn fits<'py>(&self, ob: &Bound<'py, PyAny>, found: &mut Found<'_, 'py>) -> PyResult<bool> {
        let py = ob.py();
        let is_of = |class: &Py<PyType>| ob.get_type_ptr().cast() == class.as_ptr();
        match self {
            Node::Value(value) => return Ok(is_same_value(ob, value.bind(py))),
            Node::Is(other) => return Ok(ob.is(other)),
            Node::Same(number) => {
                return Ok(found.object(*number).is_some_and(|x| x.is(ob)));
            }
            Node::Equal(class, value) => return Ok(is_of(class) && ob.eq(value)?),
            Node::Keys(names) => {
                let Ok(dict) = ob.cast::<PyDict>() else { return Ok(false) };
                let same = |((key, _), name): ((Bound<'_, PyAny>, _), &Py<PyAny>)| {
                    is_same_value(&key, name.bind(py))
                };
                return Ok(dict.len() == names.len() && dict.iter().zip(names).all(same));
            }
            Node::All(nodes) => {
                for node in nodes {
                    if !node.fits(ob, found)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
            _ => found.meet(ob),
        }
        match self {
            Node::Tensor(slot) => {
                let Ok(tensor) = ob.cast_exact::<PyTensor>() else { return Ok(false) };
                if *slot != found.tensors.len() {
                    return Ok(false);
                }
                found.tensors.push(tensor.clone());
            }
            Node::Leaf(slot, frozen) => {
                let Ok(leaf) = ob.cast_exact::<Leaf>() else { return Ok(false) };
                if *slot != found.leaves.len() || leaf.get().held().frozen != *frozen {
                    return Ok(false);
                }
                found.leaves.push(leaf.clone());
            }
            Node::Generator(slot) => {
                let Ok(generator) = ob.cast_exact::<Generator>() else { return Ok(false) };
                if *slot != found.generators.len() {
                    return Ok(false);
                }
                found.generators.push(generator.clone());
            }
            Node::Array(like, copy) => {
                let (like, ob_type) = (like.bind(py), ob.get_type());
                if !ob_type.is(like.get_type()) {
                    return Ok(false);
                }
                for name in ["dtype", "shape", "strides"] {
                    if !ob.getattr(name)?.eq(like.getattr(name)?)? {
                        return Ok(false);
                    }
                }
                found.arrays.push(ob.clone());
                return Ok(numpy::have_same_bytes(ob, copy.bind(py))? == Some(true));
            }
            Node::Tuple(class, items) => {
                let Ok(tuple) = ob.cast::<PyTuple>() else { return Ok(false) };
                if !is_of(class) || tuple.len() != items.len() {
                    return Ok(false);
                }
                for (i, node) in items.iter().enumerate() {
                    if !node.fits(&tuple.get_item(i)?, found)? {
                        return Ok(false);
                    }
                }
            }
            Node::List(class, items) => {
                let Ok(list) = ob.cast::<PyList>() else { return Ok(false) };
                if !is_of(class) || list.len() != items.len() {
                    return Ok(false);
                }
                for (i, node) in items.iter().enumerate() {
                    if !node.fits(&list.get_item(i)?, found)? {
                        return Ok(false);
                    }
                }
            }
            Node::Dict(class, items) => {
                let Ok(dict) = ob.cast::<PyDict>() else { return Ok(false) };
                return Ok(is_of(class) && fits_items(dict, items, found)?);
            }
            Node::Object(class, items, slots) => {
                if !is_of(class) {
                    return Ok(false);
                }
                match dict_of(ob)? {
                    Some(dict) if !fits_items(&dict, items, found)? => return Ok(false),
                    None if !items.is_empty() => return Ok(false),
                    _ => {}
                }
                for (name, node) in slots {
                    let same = match (ob.getattr_opt(name.bind(py))?, node) {
                        (Some(x), Some(node)) => node.fits(&x, found)?,
                        (None, None) => true,
                        _ => false,
                    };
                    if !same {
                        return Ok(false);
                    }
                }
            }
            Node::Function(f) => return f.fits(ob, found),
            Node::Method(parts) => {
                let same_class = crate::py::callables::is_method(ob)?;
                return Ok(same_class
                    && parts.0.fits(&ob.getattr(intern!(py, "__func__"))?, found)?
                    && parts.1.fits(&ob.getattr(intern!(py, "__self__"))?, found)?);
            }
            _ => {}
        }
        Ok(true)
    }
}

impl Node {
    /// [`Node::fits`] for what may be missing, as None.
    fn fits_part<'py>(
        &self,
        part: Option<Bound<'py, PyAny>>,
        py: Python<'py>,
        found: &mut Found<'_, 'py>,
    ) -> PyResult<bool> {
        match part {
            Some(part) => self.fits(&part, found),
            None => Ok(matches!(self, Node::Value(value) if value.is_none(py))),
        }
    }

    /// Marks the objects that parts of it refer to.
    fn names(&self, named: &mut [bool]) {
        let mut all = |nodes: &[Node]| nodes.iter().for_each(|node| node.names(named));
        match self {
            Node::Same(number) => {
                if let Some(is) = named.get_mut(*number) {
                    *is = true;
                }
            }
            Node::All(nodes) | Node::Tuple(_, nodes) | Node::List(_, nodes) => all(nodes),
            Node::Dict(_, parts) => parts.iter().for_each(|(_, node)| node.names(named)),
            Node::Object(_, parts, slots) => {
                parts.iter().for_each(|(_, node)| node.names(named));
                slots.iter().filter_map(|(_, node)| node.as_ref()).for_each(|node| node.names(named));
            }
            Node::Function(f) => {
                f.defaults.names(named);
                f.keywords.names(named);
                f.cells.iter().chain([&f.attributes]).flatten().for_each(|node| node.names(named));
            }
            Node::Method(parts) => {
                parts.0.names(named);
                parts.1.names(named);
            }
            _ => {}
        }
    }

    /// Shows the garbage collector what is held.
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let all = |nodes: &[Node]| nodes.iter().try_for_each(|node| node.visit(visit));
        let items = |items: &[(Py<PyAny>, Node)]| items.iter().try_for_each(|(_, node)| node.visit(visit));
        match self {
            Node::Is(ob) => visit.call(ob),
            Node::Array(ob, copy) => {
                visit.call(ob)?;
                visit.call(copy)
            }
            Node::Equal(class, _) => visit.call(class),
            Node::All(nodes) => all(nodes),
            Node::Tuple(class, nodes) | Node::List(class, nodes) => {
                visit.call(class)?;
                all(nodes)
            }
            Node::Dict(class, parts) => {
                visit.call(class)?;
                items(parts)
            }
            Node::Object(class, parts, slots) => {
                visit.call(class)?;
                items(parts)?;
                slots.iter().filter_map(|(_, node)| node.as_ref()).try_for_each(|node| node.visit(visit))
            }
            Node::Function(f) => {
                visit.call(&f.itself)?;
                visit.call(&f.code)?;
                visit.call(&f.globals)?;
                f.defaults.visit(visit)?;
                f.keywords.visit(visit)?;
                f.cells.iter().chain([&f.attributes]).flatten().try_for_each(|node| node.visit(visit))
            }
            Node::Method(parts) => {
                parts.0.visit(visit)?;
                parts.1.visit(visit)
            }
            _ => Ok(()),
        }
    }
}

impl Root {
    fn node(&self) -> Option<&Node> {
        match self {
            Root::Arguments(node) | Root::Keywords(node) | Root::Fixed(_, node) => Some(node),
            Root::Lookup(_, _, node) => node.as_ref(),
        }
    }
}

impl Function {
    fn fits<'py>(&self, ob: &Bound<'py, PyAny>, found: &mut Found<'_, 'py>) -> PyResult<bool> {
        let py = ob.py();
        let (itself, part) = (self.itself.bind(py), |of| fields::part(ob, of));
        let is = |part: Option<Bound<'py, PyAny>>, other: &Py<PyAny>| part.is_some_and(|part| part.is(other));
        if !ob.is(itself)
            && (ob.get_type_ptr() != itself.get_type_ptr() || !is(part(Part::Globals)?, &self.globals))
        {
            return Ok(false);
        }
        if !is(part(Part::Code)?, &self.code)
            || !self.defaults.fits_part(part(Part::Defaults)?, py, found)?
            || !self.keywords.fits_part(part(Part::Keywords)?, py, found)?
        {
            return Ok(false);
        }
        if !self.cells.is_empty() {
            let Some(closure) = part(Part::Closure)? else { return Ok(false) };
            let Ok(closure) = closure.cast::<PyTuple>() else { return Ok(false) };
            if closure.len() != self.cells.len() {
                return Ok(false);
            }
            for (cell, node) in closure.iter_borrowed().zip(&self.cells) {
                let same = match (fields::contents(&cell), node) {
                    (Some(x), Some(node)) => node.fits(&x, found)?,
                    (None, None) => true,
                    _ => false,
                };
                if !same {
                    return Ok(false);
                }
            }
        }
        match &self.attributes {
            Some(node) => match part(Part::Attributes)? {
                Some(attributes) => node.fits(&attributes, found),
                None => node.fits(PyDict::new(py).as_any(), found),
            },
            None => Ok(true),
        }
    }
}

/// Whether a dict has these keys in this order, and what fits there.
fn fits_items<'py>(
    dict: &Bound<'py, PyDict>,
    items: &[(Py<PyAny>, Node)],
    found: &mut Found<'_, 'py>,
) -> PyResult<bool> {
    if dict.len() != items.len() {
        return Ok(false);
    }
    for ((key, value), (name, node)) in dict.iter().zip(items) {
        if !is_same_value(&key, name.bind(dict.py())) || !node.fits(&value, found)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a value is another's equal in class and to the bit; anything else is equal to itself alone.
pub(super) fn is_same_value(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> bool {
    if a.is(b) {
        return true;
    }
    if a.get_type_ptr() != b.get_type_ptr() {
        return false;
    }
    if let (Ok(a), Ok(b)) = (a.cast_exact::<PyFloat>(), b.cast_exact::<PyFloat>()) {
        return a.value().to_bits() == b.value().to_bits();
    }
    let is_plain = a.is_exact_instance_of::<PyInt>()
        || a.is_exact_instance_of::<PyString>()
        || a.is_exact_instance_of::<PyBytes>();
    is_plain && a.eq(b).unwrap_or(false)
}

impl Guard {
    /// Whether all is as it was; then `found` is what is in the places of the picture.
    pub(super) fn look<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
        found: &mut Found<'_, 'py>,
    ) -> PyResult<bool> {
        let py = args.py();
        for root in &self.roots {
            let fits = match root {
                Root::Arguments(node) => node.fits(args.as_any(), found)?,
                Root::Keywords(node) => match kwargs.filter(|k| !k.is_empty()) {
                    Some(kwargs) => node.fits(kwargs.as_any(), found)?,
                    None => matches!(node, Node::Value(_)),
                },
                Root::Fixed(ob, node) => node.fits(ob.bind(py), found)?,
                Root::Lookup(dict, name, node) => match (dict.bind(py).get_item(name)?, node) {
                    (Some(x), Some(node)) => node.fits(&x, found)?,
                    (None, None) => true,
                    _ => false,
                },
            };
            if !fits {
                return Ok(false);
            }
        }
        let same = |(layout, x): (&Layout, &Bound<'_, PyTensor>)| layout.fits(x.get().lock().array());
        Ok(self.layouts.len() == found.tensors.len()
            && self.layouts.iter().zip(&found.tensors).all(same)
            && self.are_distinct(found))
    }

    /// Whether no two places hold one object: two places of one are one in the picture.
    fn are_distinct(&self, found: &Found<'_, '_>) -> bool {
        if found.tensors.len() + found.leaves.len() + found.generators.len() < 2 {
            return true;
        }
        let tensors = found.tensors.iter().map(|x| x.as_ptr() as usize);
        let leaves = found.leaves.iter().map(|x| x.as_ptr() as usize);
        let generators = found.generators.iter().map(|x| x.as_ptr() as usize);
        let mut all: SmallVec<[usize; 32]> = tensors.chain(leaves).chain(generators).collect();
        // Nearly always they are those of the call before.
        let mut last = self.distinct.lock().unwrap_or_else(PoisonError::into_inner);
        if last[..] == all[..] {
            return true;
        }
        let given = all.clone();
        all.sort_unstable();
        let are = all.windows(2).all(|two| two[0] != two[1]);
        if are {
            *last = given.into_vec();
        }
        are
    }

    /// Which objects are to be kept for a result that has these.
    pub(super) fn wanted(&self, results: &[usize]) -> Vec<bool> {
        let mut wanted = self.named.clone();
        for &number in results {
            if number >= wanted.len() {
                wanted.resize(number + 1, false);
            }
            wanted[number] = true;
        }
        wanted
    }
}

#[pymethods]
impl Guard {
    /// The picture that these roots describe; `tensors` are those of its places.
    #[new]
    fn new(roots: &Bound<'_, PyAny>, tensors: Vec<Bound<'_, PyTensor>>, count: usize) -> PyResult<Self> {
        let read = |root: Bound<'_, PyAny>| {
            let parts = root.cast::<PyTuple>()?;
            Ok(match text(parts)?.as_str() {
                "args" => Root::Arguments(Node::read(&parts.get_item(1)?)?),
                "kwargs" => Root::Keywords(Node::read(&parts.get_item(1)?)?),
                "fixed" => Root::Fixed(parts.get_item(1)?.unbind(), Node::read(&parts.get_item(2)?)?),
                _ => Root::Lookup(
                    parts.get_item(1)?.cast_into::<PyDict>()?.unbind(),
                    parts.get_item(2)?.unbind(),
                    maybe(&parts.get_item(3)?)?,
                ),
            })
        };
        let roots: Vec<Root> = roots.try_iter()?.map(|root| read(root?)).collect::<PyResult<_>>()?;
        let layouts = tensors.iter().map(|x| Layout::of(x.get().lock().array())).collect();
        let mut named = vec![false; count];
        roots.iter().filter_map(Root::node).for_each(|node| node.names(&mut named));
        Ok(Guard { roots, named, layouts, distinct: Mutex::default() })
    }

    /// Whether all is as it was.
    fn fits(&self, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<bool> {
        self.look(args, kwargs, &mut Found::wanting(&self.named))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.roots.iter().try_for_each(|root| match root {
            Root::Arguments(node) | Root::Keywords(node) => node.visit(&visit),
            Root::Fixed(ob, node) => {
                visit.call(ob)?;
                node.visit(&visit)
            }
            Root::Lookup(dict, _, node) => {
                visit.call(dict)?;
                node.iter().try_for_each(|node| node.visit(&visit))
            }
        })
    }
}
