//! From a file to programs. Nothing in it is believed: values are numbered before they are read, each once; every operation
//! looks at what it relies on; numbers that become addresses are looked at again in every call; and a step that gives
//! something else than is said of it ends the call.

use super::looks::look;
use super::text::{numbers, read_fields, read_layout};
use super::writing::{KEY, VERSION, checksum};
use super::{Input, Parts, Program, Programs};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::files::{self, Notes};
use crate::ops;
use crate::shape;
use crate::tape::{Capture, Captured as Step, Kind, Known, Layout, Operation, Parameter, Parameters};
use serde_json::Value as Json;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// The most programs, and values and steps of one, that there are in a file, and the most elements of all values.
const MOST_PROGRAMS: usize = 64;
const MOST_VALUES: usize = 1 << 18;
const MOST_ELEMENTS: usize = 1 << 56;

/// Reads what [`save`](super::save) wrote, or `flux.save` of Python.
///
/// No code of a file is run. One that is cut off, changed or made to do harm is an error, before memory is taken that is much
/// larger than the file.
pub fn load(path: &Path) -> Result<Programs> {
    let (tensors, notes) = files::read(path)?;
    let invalid = |why: &dyn std::fmt::Display| {
        Error::Value(format!("load: the program in {} is not valid: {why}", path.display()))
    };
    match read(tensors, &notes) {
        Ok(Some(programs)) => Ok(programs),
        Ok(None) => Err(Error::Value(format!("load: there is no program in {}", path.display()))),
        Err(e @ Error::Memory { .. } | e @ Error::Exhausted { .. }) => Err(e),
        Err(e) => Err(invalid(&e)),
    }
}

/// The programs of a file of these tensors and notes, if it has such.
pub(crate) fn read(tensors: Vec<(String, Array)>, notes: &Notes) -> Result<Option<Programs>> {
    let Some(text) = notes.get(KEY) else { return Ok(None) };
    let mut description: Json = serde_json::from_str(text).map_err(|e| Error::Value(e.to_string()))?;
    if description["version"] != VERSION {
        return wrong(format!("it is of version {} and not {VERSION}", description["version"]));
    }
    let crc = description.as_object_mut().and_then(|all| all.remove("crc32"));
    if crc != Some(Json::from(checksum(&description, &tensors)?)) {
        return wrong("the file has been changed or damaged: its checksum is another");
    }
    let mut tensors: BTreeMap<String, Array> = tensors.into_iter().collect();
    let names = list(&description, "state")?.iter().map(|name| name.as_str().map(String::from));
    let Some(names) = names.collect::<Option<Vec<String>>>() else { return wrong("a name is no text") };
    let mut state = Vec::new();
    for name in names {
        match tensors.remove(&format!("state.{name}")) {
            Some(x) => state.push((name, x)),
            None => return wrong(format!("there is no tensor of the name {name:?}, or it is there twice")),
        }
    }
    let all = list(&description, "programs")?;
    if !(1..=MOST_PROGRAMS).contains(&all.len()) {
        return wrong(format!("there are {} programs", all.len()));
    }
    let mut programs = Vec::new();
    for one in all {
        programs.push(Arc::new(Program::new(program(one, &state, &mut tensors)?)));
    }
    match tensors.first_key_value() {
        Some((name, _)) => wrong(format!("nothing refers to the tensor {name:?}")),
        None => Ok(Some(Programs::new(programs, state))),
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::Value(what.into()))
}

fn list<'a>(json: &'a Json, name: &str) -> Result<&'a Vec<Json>> {
    json.get(name).and_then(Json::as_array).ok_or_else(|| Error::Value(format!("{name} is no list")))
}

fn text(json: &Json, name: &str) -> Result<String> {
    let text = json.get(name).and_then(Json::as_str).map(String::from);
    text.ok_or_else(|| Error::Value(format!("{name} is no text")))
}

/// The values of a program while it is read.
struct Values {
    layouts: Vec<Layout>,
    constants: Vec<Option<Array>>,
    is_there: Vec<bool>,
}

impl Values {
    fn layout(&self, n: usize) -> Result<&Layout> {
        match self.is_there.get(n) {
            Some(true) => Ok(&self.layouts[n]),
            _ => wrong(format!("the value {n} is not there yet")),
        }
    }

    /// A value comes to be.
    fn add(&mut self, n: usize) -> Result<()> {
        match self.is_there.get_mut(n) {
            Some(is @ false) => {
                *is = true;
                Ok(())
            }
            _ => wrong(format!("the value {n} is not to come, or is there already")),
        }
    }

    /// Values that are there, by their numbers.
    fn these(&self, json: Option<&Json>) -> Result<SmallVec<[u32; 4]>> {
        let Some(all) = json.and_then(numbers) else { return wrong("values are no list of numbers") };
        all.into_iter().map(|n| self.layout(n).map(|_| n as u32)).collect()
    }

    fn known(&self, these: &[u32]) -> Known<'_> {
        let one = |&n: &u32| (&self.layouts[n as usize], self.constants[n as usize].as_ref());
        Known::new(these.iter().map(one).collect())
    }
}

fn program(json: &Json, state: &[(String, Array)], tensors: &mut BTreeMap<String, Array>) -> Result<Parts> {
    let layouts = list(json, "values")?;
    if layouts.len() > MOST_VALUES {
        return wrong(format!("{} values are more than {MOST_VALUES}", layouts.len()));
    }
    let layouts = layouts.iter().map(read_layout).collect::<Result<Vec<Layout>>>()?;
    let size = |all: usize, (shape, ..): &Layout| all.saturating_add(shape::size(shape));
    if layouts.iter().fold(0, size) > MOST_ELEMENTS {
        return wrong("its values are too large");
    }
    let arguments = list(json, "arguments")?.iter().map(read_layout).collect::<Result<Vec<Layout>>>()?;
    let count = layouts.len();
    let mut values = Values { layouts, constants: vec![None; count], is_there: vec![false; count] };
    let inputs = list(json, "inputs")?.iter().map(input).collect::<Result<Vec<Input>>>()?;
    let fits = |(shape, dtype): (&[usize], _), layout: &Layout| shape == &layout.0[..] && dtype == layout.2;
    for (n, input) in inputs.iter().enumerate() {
        values.add(n)?;
        let is_it = match *input {
            Input::Argument(i) => arguments.get(i).is_some_and(|given| *given == values.layouts[n]),
            Input::State(i) => {
                state.get(i).is_some_and(|(_, x)| fits((x.shape(), x.dtype()), &values.layouts[n]))
            }
        };
        if !is_it {
            return wrong(format!("the value {n} is not laid out as what is given for it"));
        }
    }
    let mut given = HashSet::new();
    if let Some(twice) = inputs.iter().find(|input| !given.insert(*input)) {
        return wrong(format!("{twice:?} is given twice"));
    }
    for constant in list(json, "constants")? {
        let (Some(n), Some(name)) = (constant[0].as_u64(), constant[1].as_str()) else {
            return wrong(format!("{constant} is no constant"));
        };
        let n = n as usize;
        values.add(n)?;
        match tensors.remove(name).filter(|x| fits((x.shape(), x.dtype()), &values.layouts[n])) {
            Some(x) => values.constants[n] = Some(x.laid(&values.layouts[n].1)?),
            None => return wrong(format!("there is no tensor {name:?} for the value {n}")),
        }
    }
    let mut steps = Vec::new();
    let mut limits = Limits::default();
    let all = list(json, "steps")?;
    if all.len() > MOST_VALUES {
        return wrong(format!("{} steps are more than {MOST_VALUES}", all.len()));
    }
    for (at, step) in all.iter().enumerate() {
        let named = |e: Error| match e {
            e @ (Error::Memory { .. } | Error::Exhausted { .. }) => e,
            e => Error::Value(format!(
                "step {at}, {}: {e}",
                step.get("do").or(step.get("look")).unwrap_or(&Json::Null)
            )),
        };
        read_step(step, &mut values, &mut steps, &mut limits).map_err(named)?;
    }
    if let Some(n) = values.is_there.iter().position(|is| !is) {
        return wrong(format!("nothing makes the value {n}"));
    }
    let results = values.these(json.get("results"))?.into_vec();
    let mut stores = Vec::new();
    for store in list(json, "stores")? {
        let Some(&[to, value]) = numbers(store).as_deref() else {
            return wrong(format!("{store} is no assignment"));
        };
        let layout = values.layout(value)?;
        let is_kept = state.get(to).is_some_and(|(_, x)| fits((x.shape(), x.dtype()), layout));
        if !is_kept || stores.iter().any(|(other, _)| *other == to) {
            return wrong(format!(
                "the tensor {to} that is kept cannot take the value {value}, or takes two"
            ));
        }
        stores.push((to, value as u32));
    }
    let Values { layouts, constants, .. } = values;
    let capture = Capture::read(steps, layouts, constants, inputs.len());
    let (call, result) = (text(json, "call")?, text(json, "result")?);
    Ok(Parts { capture, inputs, arguments, results, stores, call, result })
}

fn input(json: &Json) -> Result<Input> {
    let number = json[1].as_u64().and_then(|n| usize::try_from(n).ok());
    match (json[0].as_str(), number) {
        (Some("argument"), Some(i)) => Ok(Input::Argument(i)),
        (Some("state"), Some(i)) => Ok(Input::State(i)),
        _ => wrong(format!("{json} is given by nobody")),
    }
}

/// The values whose numbers are known to be below some number.
type Limits = HashSet<(u32, usize)>;

fn read_step(json: &Json, values: &mut Values, steps: &mut Vec<Step>, limits: &mut Limits) -> Result<()> {
    let inputs = values.these(json.get("of"))?;
    let Some(outputs) = json.get("to").and_then(numbers) else {
        return wrong("results are no list of numbers");
    };
    let Some(parameters) = json.get("with").and_then(|with| read_fields(with, 0)) else {
        return wrong("its parameters are none");
    };
    let known = values.known(&inputs);
    let kind = if let Some(name) = json.get("look").and_then(Json::as_str) {
        let (name, f, count) = look(name, &parameters, &known)?;
        if count != outputs.len() {
            return wrong(format!("it has {count} results, not {}", outputs.len()));
        }
        if let ("below", Some(n)) = (name, crate::tape::parameter(&parameters, "n")) {
            limits.insert((inputs[0], n));
        }
        Kind::Derived(name, parameters, f)
    } else {
        let (op, limited) = operation(json, &parameters, known)?;
        for (i, n) in limited {
            // Numbers that become addresses are looked at in every call, whatever the file has.
            if limits.insert((inputs[i], n)) {
                let inputs = SmallVec::from_slice(&[inputs[i]]);
                let parameters: Parameters = vec![("n".into(), n.value())];
                let kind = Kind::Derived("below", parameters, ops::below(n));
                steps.push(Step { kind, inputs, outputs: SmallVec::new() });
            }
        }
        Kind::Operation(op, json.get("beside") == Some(&Json::Bool(true)))
    };
    for &n in &outputs {
        values.add(n)?;
    }
    let outputs: SmallVec<[u32; 2]> = outputs.into_iter().map(|n| n as u32).collect();
    if outputs.is_empty() && matches!(kind, Kind::Operation(..)) {
        return wrong("it has no result");
    }
    steps.push(Step { kind, inputs, outputs });
    Ok(())
}

/// The operation of a step, and which of its inputs have to be below which number.
fn operation(
    json: &Json,
    parameters: &Parameters,
    known: Known<'_>,
) -> Result<(Arc<dyn Operation>, Vec<(usize, usize)>)> {
    let Some(name) = json.get("do").and_then(Json::as_str) else { return wrong("it has no name") };
    let Some(reader) = ops::readers().find(|reader| reader.name == name) else {
        return wrong("there is no such operation: another version may have it");
    };
    let Some(op) = (reader.read)(parameters) else { return wrong("it has no such parameters") };
    op.check(&known)?;
    Ok((op, known.limits()))
}

/// Looks at a capture as at one that comes from a file: what could not be done again is an error of the function itself.
pub(super) fn check(capture: &Capture) -> Result<()> {
    for step in capture.steps() {
        let Kind::Operation(op, _) = &step.kind else { continue };
        super::writing::name_of(&**op)?;
        let one = |&n: &u32| (&capture.layouts()[n as usize], capture.constant(n));
        let known = Known::new(step.inputs.iter().map(one).collect());
        op.check(&known)
            .map_err(|e| Error::Unsupported(format!("{} cannot be written to a file: {e}", op.name())))?;
    }
    Ok(())
}
