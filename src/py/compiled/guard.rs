//! What a program depends on, compared with what is there at each call; then the tensors, states and generators of its
//! places are found.

use super::picture::{Node, Root, maybe, text};
use crate::array::Array;
use crate::dtype::DType;
use crate::py::random::Generator;
use crate::py::state::Leaf;
use crate::py::tensor::PyTensor;
use crate::shape::{Dims, Strides};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use smallvec::SmallVec;
use std::sync::{Mutex, PoisonError};

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
    pub(super) fn parts(&self) -> (&[usize], &[isize], DType) {
        (&self.shape, &self.strides, self.dtype)
    }
    pub(super) fn fits(&self, x: &Array) -> bool {
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
    pub(super) fn meet(&mut self, ob: &Bound<'py, PyAny>) {
        let number = self.count;
        self.count += 1;
        if self.wanted.is_none_or(|wanted| wanted.get(number).is_some_and(|&is| is)) {
            self.objects.push((number, ob.clone()));
        }
    }

    /// Passes over an object that is not there, and has a number all the same.
    pub(super) fn pass(&mut self) -> bool {
        self.count += 1;
        true
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
    pub(super) roots: Vec<Root>,
    /// Which of the objects others refer to, by their numbers.
    named: Vec<bool>,
    /// The tensors of its places, at first without layouts.
    pub(super) layouts: Vec<Layout>,
    /// The addresses in its places that were last found to be of as many objects.
    distinct: Mutex<Vec<usize>>,
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
        found.tensors.reserve(self.layouts.len());
        for root in &self.roots {
            let fits = match root {
                Root::Arguments(node) => node.fits(args.as_any(), found)?,
                Root::Keywords(node) => match kwargs.filter(|k| !k.is_empty()) {
                    Some(kwargs) => node.fits(kwargs.as_any(), found)?,
                    None => matches!(node, Node::Value(_)),
                },
                Root::Fixed(..) | Root::Lookup(..) => root.is_there(py, found)?,
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
    pub(super) fn are_distinct(&self, found: &Found<'_, '_>) -> bool {
        let count = found.tensors.len() + found.leaves.len() + found.generators.len();
        if count < 2 {
            return true;
        }
        let tensors = found.tensors.iter().map(|x| x.as_ptr() as usize);
        let leaves = found.leaves.iter().map(|x| x.as_ptr() as usize);
        let all = tensors.chain(leaves).chain(found.generators.iter().map(|x| x.as_ptr() as usize));
        // Nearly always they are those of the call before.
        let mut last = self.distinct.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == count && last.iter().copied().eq(all.clone()) {
            return true;
        }
        let given: Vec<usize> = all.collect();
        let mut sorted = given.clone();
        sorted.sort_unstable();
        let are = sorted.windows(2).all(|two| two[0] != two[1]);
        if are {
            *last = given;
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

    /// What is not as it was, in words; `names` are those of the arguments by position.
    #[pyo3(signature = (args, kwargs, names, /))]
    fn difference(
        &self,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
        names: Vec<String>,
    ) -> PyResult<Option<String>> {
        self.differs(args, kwargs, &names)
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
