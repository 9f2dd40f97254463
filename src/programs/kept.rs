//! From what was captured to a program that can be written: what nobody reads is left out, and draws from generators become
//! operations of their places, which are kept like other tensors.

use super::reading::check;
use super::{Input, Parts, Program, Programs};
use crate::array::{Array, span};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::random::Draw;
use crate::shape::{Dims, Strides, show};
use crate::tape::{Capture, Captured as Step, Capturing, Kind, Layout, Tensor, Trainable};
use serde_json::json;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// What was captured, as whoever did it sees it.
pub(crate) struct Given<'a> {
    pub(crate) capture: &'a Capture,
    /// Where each of the given values comes from.
    pub(crate) inputs: &'a [Input],
    /// The values that are returned, and those that tensors take which are kept.
    pub(crate) results: &'a [u32],
    pub(crate) stores: &'a [(usize, u32)],
    /// What somebody else does by its number: draws, each from the place that is kept under that number.
    pub(crate) draws: &'a [(usize, Draw)],
    /// How it is called and what it returns.
    pub(crate) call: String,
    pub(crate) result: String,
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

    let mut values = Values { layouts: Vec::new(), numbers: HashMap::new() };
    let (mut inputs, mut arguments) = (Vec::new(), Vec::new());
    for (n, input) in given.inputs.iter().enumerate() {
        let layout = &capture.layouts()[n];
        if matches!(input, Input::Argument(_)) {
            arguments.push(layout.clone());
        }
        if is_read[n] {
            let number = values.new_value(layout.clone());
            values.numbers.insert(n as u32, number);
            inputs.push(input.clone());
        }
    }
    // The place of each generator, which every draw moves on.
    let mut places: HashMap<usize, u32> = HashMap::new();
    let place = || (Dims::from_slice(&[2]), Strides::from_slice(&[1]), DType::U64);
    for (state, _) in given.draws {
        if !places.contains_key(state) {
            places.insert(*state, values.new_value(place()));
            inputs.push(Input::State(*state));
        }
    }
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
        let mut inputs = step.inputs.iter().map(|&n| values.of(n)).collect::<Result<SmallVec<[u32; 4]>>>()?;
        let mut outputs: SmallVec<[u32; 2]> = SmallVec::new();
        for &n in &step.outputs {
            let number = values.new_value(capture.layouts()[n as usize].clone());
            values.numbers.insert(n, number);
            outputs.push(number);
        }
        let kind = match &step.kind {
            Kind::Foreign(number) => {
                let Some((state, draw)) = given.draws.get(*number) else {
                    return Err(Error::Unsupported("a step is somebody else's".into()));
                };
                let after = values.new_value(place());
                let before = places.insert(*state, after);
                inputs.extend(before);
                outputs.push(after);
                Kind::Operation(Arc::new(draw.clone()), true)
            }
            kind => kind.clone(),
        };
        done.push(Step { kind, inputs, outputs });
    }
    let results = given.results.iter().map(|&n| values.of(n)).collect::<Result<Vec<u32>>>()?;
    let mut stores = Vec::new();
    for &(state, n) in given.stores {
        stores.push((state, values.of(n)?));
    }
    let mut moved: Vec<(usize, u32)> = places.into_iter().collect();
    moved.sort_unstable();
    stores.extend(moved);
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
        draws: &[],
        call: json!({"tuple": [tuple(arguments.len()), {"value": null}]}).to_string(),
        result: tuple(numbers.len()).to_string(),
    })?;
    Ok(Programs::new(vec![Arc::new(program)], state))
}
