//! From what was captured to a program that can be written: what nobody reads is left out, and what was done beside computing,
//! such as draws from generators and steps of optimisers, become steps of tensors that are kept.

use super::reading::check;
use super::{Input, Parts, Program, Programs};
use crate::array::{Array, span};
use crate::error::{Error, Result};
use crate::shape::show;
use crate::tape::{Capture, Captured as Step, Capturing, Kind, Layout, Tensor, Trainable};
use serde_json::json;
use smallvec::SmallVec;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// What was captured, as whoever did it sees it.
pub(crate) struct Given<'a> {
    pub(crate) capture: &'a Capture,
    /// Where each of the given values comes from.
    pub(crate) inputs: &'a [Input],
    /// The values that are returned, and those that tensors take which are kept.
    pub(crate) results: &'a [u32],
    pub(crate) stores: &'a [(usize, u32)],
    /// What somebody else does, by its number.
    pub(crate) besides: &'a [Beside],
    /// How the tensors that are kept are laid out.
    pub(crate) kept: &'a [Layout],
    /// How it is called and what it returns.
    pub(crate) call: String,
    pub(crate) result: String,
}

/// What somebody else does in a capture, as a step that takes and changes tensors that are kept.
pub(crate) struct Beside {
    pub(crate) kind: Kind,
    pub(crate) inputs: Vec<Source>,
    pub(crate) outputs: Vec<Target>,
}

/// What such a step takes.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "python"), allow(dead_code))]
pub(crate) enum Source {
    /// What it was given in the capture, by number.
    Given(usize),
    /// A tensor that is kept.
    Kept(usize),
}

/// What becomes of a result of such a step.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "python"), allow(dead_code))]
pub(crate) enum Target {
    /// It is what it gave in the capture, by number.
    Given(usize),
    /// A tensor that is kept takes it, which nobody else reads.
    Kept(usize),
    /// Both.
    Both(usize, usize),
}

impl Beside {
    /// The tensors that it takes or changes of those that are kept.
    fn kept(&self) -> impl Iterator<Item = usize> {
        let source = |source: &Source| match *source {
            Source::Given(_) => None,
            Source::Kept(state) => Some(state),
        };
        let target = |target: &Target| match *target {
            Target::Given(_) => None,
            Target::Kept(state) | Target::Both(_, state) => Some(state),
        };
        self.inputs.iter().filter_map(source).chain(self.outputs.iter().filter_map(target))
    }
}

/// The values of the program by those of the capture.
struct Values {
    layouts: Vec<Layout>,
    numbers: HashMap<u32, u32>,
}

impl Values {
    fn new_value(&mut self, layout: Layout) -> u32 {
        self.layouts.push(layout);
        self.layouts.len() as u32 - 1
    }
    fn of(&self, n: u32) -> Result<u32> {
        self.numbers.get(&n).copied().ok_or_else(|| Error::Value("a value is not known".into()))
    }
}

/// The program of what was captured.
pub(crate) fn kept(given: Given<'_>) -> Result<Program> {
    let capture = given.capture;
    let is_done =
        |step: &&Step| step.outputs.is_empty() || !step.outputs.iter().all(|&n| capture.is_constant(n));
    let steps: Vec<&Step> = capture.steps().iter().filter(is_done).collect();
    let wanted = given.results.iter().chain(given.stores.iter().map(|(_, n)| n));
    let mut is_read = vec![false; capture.layouts().len()];
    steps.iter().flat_map(|step| &step.inputs).chain(wanted).for_each(|&n| is_read[n as usize] = true);

    let changed: HashSet<usize> = given.besides.iter().flat_map(Beside::kept).collect();
    for (n, input) in given.inputs.iter().enumerate() {
        is_read[n] |= matches!(input, Input::State(state) if changed.contains(state));
    }

    let mut values = Values { layouts: Vec::new(), numbers: HashMap::new() };
    let (mut inputs, mut arguments) = (Vec::new(), Vec::new());
    // The values that tensors have which are kept.
    let mut now: HashMap<usize, u32> = HashMap::new();
    for (n, input) in given.inputs.iter().enumerate() {
        let layout = &capture.layouts()[n];
        if matches!(input, Input::Argument(_)) {
            arguments.push(layout.clone());
        }
        if is_read[n] {
            let number = values.new_value(layout.clone());
            values.numbers.insert(n as u32, number);
            inputs.push(input.clone());
            if let Input::State(state) = *input {
                now.insert(state, number);
            }
        }
    }
    for state in given.besides.iter().flat_map(Beside::kept) {
        if let Entry::Vacant(unknown) = now.entry(state) {
            unknown.insert(values.new_value(given.kept[state].clone()));
            inputs.push(Input::State(state));
        }
    }
    let mut moved: BTreeSet<usize> = BTreeSet::new();
    let count = inputs.len();
    let mut constants = vec![None; count];
    for n in (0..capture.layouts().len() as u32).filter(|&n| is_read[n as usize]) {
        if let Some(x) = capture.constant(n) {
            let number = values.new_value(capture.layouts()[n as usize].clone());
            values.numbers.insert(n, number);
            constants.push(Some(x.clone()));
        }
    }
    let mut done = Vec::new();
    for step in steps {
        let (kind, inputs, outputs) = match &step.kind {
            Kind::Foreign(number) => {
                let Some(beside) = given.besides.get(*number) else {
                    return Err(Error::Unsupported("a step is somebody else's".into()));
                };
                let (mut inputs, mut outputs) = (SmallVec::new(), SmallVec::new());
                for source in &beside.inputs {
                    inputs.push(match *source {
                        Source::Given(i) => values.of(step.inputs[i])?,
                        Source::Kept(state) => now[&state],
                    });
                }
                for target in &beside.outputs {
                    let of = |i: usize| &capture.layouts()[step.outputs[i] as usize];
                    let (made, state, layout) = match *target {
                        Target::Given(i) => (Some(step.outputs[i]), None, of(i)),
                        Target::Kept(state) => (None, Some(state), &given.kept[state]),
                        Target::Both(i, state) => (Some(step.outputs[i]), Some(state), of(i)),
                    };
                    let number = values.new_value(layout.clone());
                    if let Some(n) = made {
                        values.numbers.insert(n, number);
                    }
                    if let Some(state) = state {
                        now.insert(state, number);
                        moved.insert(state);
                    }
                    outputs.push(number);
                }
                (beside.kind.clone(), inputs, outputs)
            }
            kind => {
                let inputs = step.inputs.iter().map(|&n| values.of(n)).collect::<Result<_>>()?;
                let outputs = step.outputs.iter().map(|&n| {
                    let number = values.new_value(capture.layouts()[n as usize].clone());
                    values.numbers.insert(n, number);
                    number
                });
                (kind.clone(), inputs, outputs.collect())
            }
        };
        done.push(Step { kind, inputs, outputs });
    }
    let results = given.results.iter().map(|&n| values.of(n)).collect::<Result<Vec<u32>>>()?;
    let mut stores = Vec::new();
    for &(state, n) in given.stores {
        stores.push((state, values.of(n)?));
        moved.remove(&state);
    }
    stores.extend(moved.into_iter().map(|state| (state, now[&state])));
    constants.resize(values.layouts.len(), None);
    let all = values.layouts.iter().zip(&constants).enumerate();
    for (_, ((shape, strides, _), _)) in all.filter(|(n, (_, constant))| *n < count || constant.is_some()) {
        if span(shape, strides).is_none() {
            let shape = show(shape);
            return Err(Error::Unsupported(format!(
                "elements of a tensor of shape {shape} are too far apart: copy it"
            )));
        }
    }
    let capture = Capture::read(done, values.layouts, constants, count);
    check(&capture)?;
    let Given { call, result, .. } = given;
    Ok(Program::new(Parts { capture, inputs, arguments, results, stores, call, result }))
}

/// What `f` does with a model and arguments like these, as a program for arguments of their shapes and types, which keeps the
/// parameters of the model. What cannot be done again, such as a look at a value, is an error.
///
/// ```
/// use oxiflux::{DType, Dense, Generator, Layer, Tensor, programs};
/// let model = Dense::new(3, 2, "tanh", &mut Generator::new(0))?;
/// let x = Tensor::ones(&[4, 3], DType::F32)?;
/// let program = programs::captured(&model, &[x.clone()], |model, x| Ok(vec![model.call(&x[0])?]))?;
/// assert_eq!(program.call(&[x.clone()])?[0].to_vec::<f32>()?, model.call(&x)?.to_vec::<f32>()?);
/// # Ok::<(), oxiflux::Error>(())
/// ```
pub fn captured<M: Trainable + Clone>(
    model: &M,
    arguments: &[Tensor],
    f: impl FnOnce(&M, &[Tensor]) -> Result<Vec<Tensor>>,
) -> Result<Programs> {
    let mut model = model.clone();
    // Arrays are told by where they are: each is a copy of its own.
    let own = |x: &Tensor| x.array().copy().map(Tensor::from);
    let arguments = arguments.iter().map(own).collect::<Result<Vec<_>>>()?;
    let mut state = Vec::new();
    for (i, parameter) in model.parameters().into_iter().enumerate() {
        *parameter = own(parameter)?;
        state.push((i.to_string(), parameter.array().clone()));
    }
    let given: Vec<Array> = arguments
        .iter()
        .chain(model.parameters().into_iter().map(|x| &*x))
        .map(|x| x.array().clone())
        .collect();
    let capturing = Capturing::open(&given, &[]);
    let results = f(&model, &arguments);
    let mut capture = capturing.close();
    let results = results?;
    let refused = |why: &str| Error::Unsupported(format!("captured: {why}"));
    if let Some(why) = capture.refusal() {
        return Err(refused(why));
    }
    let numbers = results.iter().map(|y| capture.number(y.array()));
    let Some(numbers) = numbers.collect::<Option<Vec<u32>>>() else {
        return Err(refused("it is not known what made a result"));
    };
    capture.settle()?;
    let inputs: Vec<Input> =
        (0..arguments.len()).map(Input::Argument).chain((0..state.len()).map(Input::State)).collect();
    let tuple = |n: usize| json!({"tuple": (0..n).map(|i| json!({"tensor": i})).collect::<Vec<_>>()});
    let program = kept(Given {
        capture: &capture,
        inputs: &inputs,
        results: &numbers,
        stores: &[],
        besides: &[],
        kept: &[],
        call: json!({"tuple": [tuple(arguments.len()), {"value": null}]}).to_string(),
        result: tuple(numbers.len()).to_string(),
    })?;
    Ok(Programs::new(vec![Arc::new(program)], state))
}
