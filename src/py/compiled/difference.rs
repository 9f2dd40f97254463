//! Where a call is not what a picture has of another, in words: for those who want to know why a program was made anew.

use super::fields::{self, Part};
use super::guard::{Found, Guard, Layout};
use super::picture::{Function, Node, Root};
use crate::error::show;
use crate::py::attributes::dict_of;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

/// Of a value so much is told.
const LONGEST: usize = 40;

/// What differs, if something does.
type Differs = PyResult<Option<String>>;

struct Walk<'a, 'py> {
    py: Python<'py>,
    layouts: &'a [Layout],
    found: Found<'a, 'py>,
}

/// A value in a few words.
fn short(ob: &Bound<'_, PyAny>) -> String {
    let text = ob.repr().map_or_else(|_| "?".into(), |text| text.to_string());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn class_of(ob: &Bound<'_, PyAny>) -> String {
    ob.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string())
}

impl<'py> Walk<'_, 'py> {
    /// The first part of an object that is not what it was; `path` is how one gets there.
    fn differs(&mut self, node: &Node, ob: &Bound<'py, PyAny>, path: &str) -> Differs {
        let py = self.py;
        let other = |class: &Bound<'py, PyAny>| {
            let was = class.getattr("__name__").map_or_else(|_| "?".into(), |name| name.to_string());
            Ok(Some(format!("{path}: a {}, was a {was}", class_of(ob))))
        };
        let length = |now: usize, was: usize| Ok(Some(format!("{path}: {now} items, were {was}")));
        match node {
            Node::All(nodes) => {
                for node in nodes {
                    if let Some(found) = self.differs(node, ob, path)? {
                        return Ok(Some(found));
                    }
                }
                return Ok(None);
            }
            Node::Tuple(class, items) | Node::List(class, items) => {
                if !ob.get_type().is(class) {
                    return other(class.bind(py));
                }
                let now: Vec<Bound<'py, PyAny>> = match ob.cast::<PyTuple>() {
                    Ok(tuple) => tuple.iter().collect(),
                    Err(_) => ob.cast::<PyList>()?.iter().collect(),
                };
                if now.len() != items.len() {
                    return length(now.len(), items.len());
                }
                self.found.meet(ob);
                for (i, (node, x)) in items.iter().zip(&now).enumerate() {
                    if let Some(found) = self.differs(node, x, &format!("{path}[{i}]"))? {
                        return Ok(Some(found));
                    }
                }
            }
            Node::Dict(class, items) => {
                if !ob.get_type().is(class) {
                    return other(class.bind(py));
                }
                self.found.meet(ob);
                let named = |key: &Bound<'py, PyAny>| format!("{path}[{}]", short(key));
                return self.items(ob.cast::<PyDict>()?, items, path, &named);
            }
            Node::Object(class, items, slots) => {
                if !ob.get_type().is(class) {
                    return other(class.bind(py));
                }
                self.found.meet(ob);
                if let Some(dict) = dict_of(ob)? {
                    let named = |key: &Bound<'py, PyAny>| format!("{path}.{key}");
                    if let Some(found) = self.items(&dict, items, path, &named)? {
                        return Ok(Some(found));
                    }
                }
                for (name, node) in slots {
                    let name: &Bound<'py, PyString> = name.bind(py);
                    let path = format!("{path}.{name}");
                    match (ob.getattr_opt(name)?, node) {
                        (Some(x), Some(node)) => {
                            if let Some(found) = self.differs(node, &x, &path)? {
                                return Ok(Some(found));
                            }
                        }
                        (None, None) => {}
                        _ => return Ok(Some(format!("{path}: it is there in one call alone"))),
                    }
                }
            }
            Node::Function(f) => {
                self.found.meet(ob);
                return self.function(f, ob, path);
            }
            Node::Method(parts) => {
                self.found.meet(ob);
                if !crate::py::callables::is_method(ob)? {
                    return Ok(Some(format!("{path}: a {}, was a method", class_of(ob))));
                }
                for (node, name) in [(&parts.0, "__func__"), (&parts.1, "__self__")] {
                    if let Some(found) = self.differs(node, &ob.getattr(name)?, path)? {
                        return Ok(Some(found));
                    }
                }
            }
            Node::Tensor(slot) => {
                if !node.fits(ob, &mut self.found)? {
                    return Ok(Some(format!("{path}: a {}, was a tensor of its own", class_of(ob))));
                }
                if let (Some(was), Some(now)) = (self.layouts.get(*slot), self.found.tensors.get(*slot)) {
                    let found = was.difference(now.get().lock().array());
                    return Ok(found.map(|found| format!("{path}: {found}")));
                }
            }
            Node::Value(was) => {
                if !node.fits(ob, &mut self.found)? {
                    return Ok(Some(format!("{path}: {}, was {}", short(ob), short(was.bind(py)))));
                }
            }
            Node::Leaf(..) => {
                if !node.fits(ob, &mut self.found)? {
                    return Ok(Some(format!("{path}: it was frozen or thawed, or is another")));
                }
            }
            Node::Array(..) => {
                if !node.fits(ob, &mut self.found)? {
                    return Ok(Some(format!("{path}: an array of other contents")));
                }
            }
            node => {
                if !node.fits(ob, &mut self.found)? {
                    return Ok(Some(format!("{path}: it is another")));
                }
            }
        }
        Ok(None)
    }

    fn items(
        &mut self,
        dict: &Bound<'py, PyDict>,
        items: &[(Py<PyAny>, Node)],
        path: &str,
        named: &dyn Fn(&Bound<'py, PyAny>) -> String,
    ) -> Differs {
        for (i, (key, x)) in dict.iter().enumerate() {
            match items.get(i) {
                Some((name, node)) if super::comparison::is_same_value(&key, name.bind(self.py)) => {
                    if let Some(found) = self.differs(node, &x, &named(&key))? {
                        return Ok(Some(found));
                    }
                }
                _ => return Ok(Some(format!("{}: it is new, or in another place", named(&key)))),
            }
        }
        Ok(items.get(dict.len()).map(|(name, _)| match name.bind(self.py) {
            name if path.is_empty() => format!("{name}: it is gone"),
            name => format!("{}: it is gone", named(name)),
        }))
    }

    fn function(&mut self, f: &Function, ob: &Bound<'py, PyAny>, path: &str) -> Differs {
        let py = self.py;
        let code = fields::part(ob, Part::Code).ok().flatten();
        if class_of(ob) != "function" || !code.as_ref().is_some_and(|code| code.is(&f.code)) {
            return Ok(Some(format!("{path}: {}, was {}", short(ob), short(f.itself.bind(py)))));
        }
        let parts = [(Part::Defaults, &f.defaults, "default"), (Part::Keywords, &f.keywords, "default")];
        for (part, node, name) in parts {
            let now = fields::part(ob, part)?.unwrap_or_else(|| py.None().into_bound(py));
            if let Some(found) = self.differs(node, &now, &format!("{name} of {path}"))? {
                return Ok(Some(found));
            }
        }
        let names = code.map(|code| code.getattr("co_freevars")).transpose()?;
        let cells = fields::part(ob, Part::Closure)?.map(|cells| cells.cast_into::<PyTuple>()).transpose()?;
        for (i, cell) in cells.iter().flatten().enumerate() {
            let name = names.as_ref().and_then(|names| names.get_item(i).ok());
            let name = name.map_or_else(|| "?".into(), |name| name.to_string());
            let path = format!("closure {name}");
            match (fields::contents(&cell), f.cells.get(i)) {
                (Some(x), Some(Some(node))) => {
                    if let Some(found) = self.differs(node, &x, &path)? {
                        return Ok(Some(found));
                    }
                }
                (None, Some(None)) => {}
                _ => return Ok(Some(format!("{path}: it is there in one call alone"))),
            }
        }
        match (&f.attributes, fields::part(ob, Part::Attributes)?) {
            (Some(node), Some(now)) => self.differs(node, &now, &format!("attributes of {path}")),
            _ => Ok(None),
        }
    }
}

/// What a dict of names is to a reader.
fn place(dict: &Bound<'_, PyDict>, name: &Bound<'_, PyAny>) -> String {
    match dict.get_item("__name__") {
        Ok(Some(_)) => format!("global {name}"),
        _ => format!("class attribute {name}"),
    }
}

impl Guard {
    /// The first thing that is not as it was; `names` are those of the arguments by position.
    pub(super) fn differs(
        &self,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
        names: &[String],
    ) -> Differs {
        let py = args.py();
        let mut walk = Walk { py, layouts: &self.layouts, found: Found::default() };
        for root in &self.roots {
            let found = match root {
                Root::Arguments(Node::Tuple(_, nodes)) if nodes.len() == args.len() => {
                    walk.found.meet(args.as_any());
                    let mut found = None;
                    for (i, (node, x)) in nodes.iter().zip(args).enumerate() {
                        let name = names.get(i).cloned().unwrap_or_else(|| i.to_string());
                        found = walk.differs(node, &x, &format!("argument {name}"))?;
                        if found.is_some() {
                            break;
                        }
                    }
                    found
                }
                Root::Arguments(node) => walk.differs(node, args.as_any(), "arguments")?,
                Root::Keywords(node) => match (node, kwargs.filter(|k| !k.is_empty())) {
                    (Node::Dict(_, items), Some(kwargs)) => {
                        walk.found.meet(kwargs.as_any());
                        let named = |key: &Bound<'_, PyAny>| format!("argument {key}");
                        walk.items(kwargs, items, "", &named)?
                    }
                    (Node::Value(_), None) => None,
                    _ => Some("other arguments are given by name".into()),
                },
                Root::Fixed(ob, node) => walk.differs(node, ob.bind(py), &short_name(ob.bind(py)))?,
                Root::Lookup(dict, name, node) => {
                    let (dict, name) = (dict.bind(py), name.bind(py));
                    match (dict.get_item(name)?, node) {
                        (Some(x), Some(node)) => walk.differs(node, &x, &place(dict, name))?,
                        (None, None) => None,
                        _ => Some(format!("{}: it is there in one call alone", place(dict, name))),
                    }
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok((!self.are_distinct(&walk.found)).then(|| "one tensor is given twice".into()))
    }
}

/// What an object is called.
fn short_name(ob: &Bound<'_, PyAny>) -> String {
    match ob.getattr("__name__") {
        Ok(name) => name.to_string(),
        Err(_) => format!("the {}", class_of(ob)),
    }
}

impl Layout {
    /// In what an array is laid out in another way.
    fn difference(&self, x: &crate::array::Array) -> Option<String> {
        let (shape, strides, dtype) = self.parts();
        if shape != x.shape() {
            return Some(format!("shape {}, was {}", show(x.shape()), show(shape)));
        }
        if dtype != x.dtype() {
            return Some(format!("{}, was {dtype}", x.dtype()));
        }
        (strides != x.strides())
            .then(|| "its elements lie in another order, such as those of a transpose".into())
    }
}
