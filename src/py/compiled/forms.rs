//! How a captured function is called, as it is written to files: arguments that are not there, and what is reached without
//! them.

use super::guard::{Found, Guard, Layout};
use super::picture::{Node, Root};
use crate::array::Array;
use crate::py::programs::Form;
use crate::py::tensor::PyTensor;
use crate::tape::Tensor;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

impl Node {
    /// The form of arguments, which are not there: a tensor without elements is taken down for each of theirs. What can be no
    /// part of a file is said.
    fn form<'py>(&self, py: Python<'py>, found: &mut Found<'_, 'py>) -> PyResult<Result<Form, String>> {
        let is_of = |class: &Py<PyType>, other: Bound<'_, PyType>| class.bind(py).is(&other);
        let all = |nodes: &[Node], found: &mut Found<'_, 'py>| -> PyResult<Result<Vec<Form>, String>> {
            nodes.iter().map(|node| node.form(py, found)).collect()
        };
        let no = |what: String| Ok(Err(what));
        Ok(match self {
            Node::Value(value) => Ok(Form::Value(value.clone_ref(py))),
            Node::Tensor(slot) => {
                let stand_in = Bound::new(py, PyTensor::from(Tensor::from(Array::nothing())))?;
                found.meet(stand_in.as_any());
                found.tensors.push(stand_in);
                Ok(Form::Tensor(*slot))
            }
            Node::Same(number) => {
                let tensor = found.object(*number).and_then(|ob| ob.cast_exact::<PyTensor>().ok());
                match tensor.and_then(|x| found.tensors.iter().position(|other| other.is(x))) {
                    Some(slot) => Ok(Form::Tensor(slot)),
                    None => return no("an object twice".into()),
                }
            }
            Node::Tuple(class, nodes) if is_of(class, py.get_type::<PyTuple>()) => {
                found.pass();
                all(nodes, found)?.map(Form::Tuple)
            }
            Node::List(class, nodes) if is_of(class, py.get_type::<PyList>()) => {
                found.pass();
                all(nodes, found)?.map(Form::List)
            }
            Node::Dict(class, items) if is_of(class, py.get_type::<PyDict>()) => {
                found.pass();
                let mut forms = Vec::new();
                for (key, node) in items {
                    match node.form(py, found)? {
                        Ok(form) => forms.push((key.clone_ref(py), form)),
                        Err(what) => return no(what),
                    }
                }
                Ok(Form::Dict(forms))
            }
            Node::Tuple(class, _) | Node::List(class, _) | Node::Dict(class, _) | Node::Object(class, ..) => {
                return no(format!("a {}", class.bind(py).name()?));
            }
            Node::All(nodes) => match nodes.iter().find(|node| matches!(node, Node::Object(..))) {
                Some(node) => return node.form(py, found),
                None => return no("an object".into()),
            },
            Node::Is(ob) => return no(format!("{}", ob.bind(py).repr()?)),
            Node::Array(..) => {
                return no("an array of NumPy, whose values are a part of the program: give a tensor".into());
            }
            Node::Function(..) | Node::Method(_) => return no("a function".into()),
            Node::Leaf(..) => return no("the state of an optimiser".into()),
            Node::Generator(_) => return no("a generator".into()),
            Node::Equal(..) | Node::Keys(_) => return no("a set".into()),
        })
    }
}

impl Guard {
    /// How it is called, by position and by name, and with `found` what is reached without arguments: those that are tensors
    /// have stand-ins without elements. A method is called with the object that it is `bound` to. `None` if that is not as it was.
    pub(super) fn held<'py>(
        &self,
        py: Python<'py>,
        bound: Option<&Bound<'py, PyAny>>,
        found: &mut Found<'_, 'py>,
    ) -> PyResult<Option<Result<[Form; 2], String>>> {
        let mut forms = Vec::new();
        for root in &self.roots {
            let root = match (root, bound) {
                (Root::Arguments(Node::Tuple(_, nodes)), Some(bound)) => {
                    found.pass();
                    let Some((first, rest)) = nodes.split_first() else { return Ok(None) };
                    if !first.fits(bound, found)? {
                        return Ok(None);
                    }
                    match rest.iter().map(|node| node.form(py, found)).collect::<PyResult<Result<_, _>>>()? {
                        Ok(rest) => forms.push(Form::Tuple(rest)),
                        Err(what) => return Ok(Some(Err(what))),
                    }
                    continue;
                }
                (root, _) => root,
            };
            let fits = match root {
                Root::Arguments(node) | Root::Keywords(node) => match node.form(py, found)? {
                    Ok(form) => {
                        forms.push(form);
                        true
                    }
                    Err(what) => return Ok(Some(Err(what))),
                },
                Root::Fixed(..) | Root::Lookup(..) => root.is_there(py, found)?,
            };
            if !fits {
                return Ok(None);
            }
        }
        let same = |(layout, x): (&Layout, &Bound<'_, PyTensor>)| {
            let x = x.get().get();
            x.size() == 0 || layout.fits(x.array())
        };
        let is_same = self.layouts.len() == found.tensors.len()
            && self.layouts.iter().zip(&found.tensors).all(same)
            && self.are_distinct(found);
        Ok(match <[Form; 2]>::try_from(forms) {
            Ok(forms) if is_same => Some(Ok(forms)),
            _ => None,
        })
    }
}
