//! Programs in files: what was captured of a function, with the tensors that it reads, done again without the code that made it.
//!
//! Python writes such a file, `flux.save("digits.program", predict)`, and so does [`save`] of what was [`captured`]. It holds
//! numbers and names of operations and never code; [`load`] believes nothing of it.
//!
//! ```no_run
//! use oxiflux::{DType, Tensor, programs};
//! # use oxiflux::array::Array;
//! let digits = programs::load("digits.program".as_ref())?;
//! let image: Tensor = Array::filled("image", &[1, 64], 0.0, DType::F32)?.into();
//! let logits = digits.call(&[image])?.remove(0);
//! # Ok::<(), oxiflux::Error>(())
//! ```

mod text;
mod writing;
mod looks;
mod reading;
mod kept;

pub use kept::captured;
#[cfg(feature = "python")]
pub(crate) use kept::{Beside, Given, Source, Target, kept};
pub use reading::load;
#[cfg(feature = "python")]
pub(crate) use reading::read;
pub use writing::save;
#[cfg(feature = "python")]
pub(crate) use writing::write;

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result, attempt};
use crate::shape::show;
use crate::tape::{self, Capture, Kind, Layout, Replay, Tensor, is_laid, is_written};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a program takes a value from that it is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The argument of this number.
    Argument(usize),
    /// The tensor of this number among those that are kept.
    State(usize),
}

/// One program: for arguments of some shapes and types.
pub struct Program {
    capture: Capture,
    inputs: Vec<Input>,
    /// The values that it gives in the end: its results, and then what becomes of tensors that are kept.
    wanted: Vec<u32>,
    stores: Vec<usize>,
    /// The arguments, each with its layout: those that nobody reads, too.
    arguments: Vec<Layout>,
    /// How it is called and what it returns, for those who have more than lists of tensors.
    pub(crate) call: String,
    pub(crate) result: String,
    replay: Replay,
    places: Vec<u32>,
}

/// What a program is made of, once it has been checked.
struct Parts {
    capture: Capture,
    inputs: Vec<Input>,
    arguments: Vec<Layout>,
    results: Vec<u32>,
    /// Tensors that are kept, with the values that they take.
    stores: Vec<(usize, u32)>,
    call: String,
    result: String,
}

impl Program {
    fn new(parts: Parts) -> Program {
        let Parts { capture, inputs, arguments, results, stores, call, result } = parts;
        let (stores, values): (Vec<usize>, Vec<u32>) = stores.into_iter().unzip();
        let wanted: Vec<u32> = results.into_iter().chain(values).collect();
        let (replay, places) = Replay::of(&capture, &wanted);
        Program { capture, inputs, wanted, stores, arguments, call, result, replay, places }
    }

    /// How many arguments it takes.
    pub fn arguments(&self) -> usize {
        self.arguments.len()
    }

    /// The shape and the element type of an argument.
    pub fn argument(&self, number: usize) -> (&[usize], DType) {
        let (shape, _, dtype) = &self.arguments[number];
        (shape, *dtype)
    }

    /// How many tensors it returns.
    pub fn results(&self) -> usize {
        self.wanted.len() - self.stores.len()
    }

    /// The shape and the element type of a result.
    pub fn result(&self, number: usize) -> (&[usize], DType) {
        let (shape, _, dtype) = &self.capture.layouts()[self.wanted[number] as usize];
        (shape, *dtype)
    }

    /// Whether these are its arguments, of its shapes and types.
    pub fn fits(&self, arguments: &[Array]) -> bool {
        let fits = |(x, layout): (&Array, &Layout)| x.shape() == &layout.0[..] && x.dtype() == layout.2;
        self.arguments.len() == arguments.len() && arguments.iter().zip(&self.arguments).all(fits)
    }

    /// Its steps as text, a line for each.
    pub fn shown(&self) -> String {
        let mut text =
            self.capture.shown(&|_| String::new(), &|n| self.replay.home(n), &|step| self.replay.note(step));
        for (&to, &value) in self.stores.iter().zip(&self.wanted[self.results()..]) {
            text += &format!("kept {to} := %{value}\n");
        }
        text
    }

    /// How much there is to do, in elements.
    #[cfg(feature = "python")]
    pub(crate) fn work(&self) -> usize {
        self.replay.work()
    }

    /// The results for these arguments and tensors that are kept, and what becomes of some of those.
    pub(crate) fn run(
        &self,
        arguments: &[Array],
        state: &[Array],
    ) -> Result<(Vec<Array>, Vec<(usize, Array)>)> {
        if !self.fits(arguments) {
            return Err(Error::Shape(format!(
                "program: {} is called as {}",
                called(arguments),
                self.signature()
            )));
        }
        let given = self.inputs.iter().zip(self.capture.layouts());
        let given = given.map(|(input, layout)| {
            let x = match *input {
                Input::Argument(i) => arguments.get(i),
                Input::State(i) => state.get(i),
            };
            let fits = |x: &&Array| x.shape() == &layout.0[..] && x.dtype() == layout.2;
            match x.filter(fits) {
                Some(x) => x.laid(&layout.1),
                None => {
                    Err(Error::Value(format!("program: {input:?} is not a {} {}", layout.2, show(&layout.0))))
                }
            }
        });
        let given = given.collect::<Result<Vec<Array>>>()?;
        let mut made = if is_written() { self.again(given)? } else { self.replayed(given)? };
        let states = made.split_off(self.results());
        Ok((made, self.stores.iter().copied().zip(states).collect()))
    }

    fn replayed(&self, given: Vec<Array>) -> Result<Vec<Array>> {
        let mut registers = self.replay.start(|n| given[n].clone());
        drop(given);
        match self.replay.run(&mut registers)? {
            None => {
                Ok(self.places.iter().map(|&place| self.replay.value(&registers, place).clone()).collect())
            }
            Some(_) => Err(Error::Unsupported("program: a step is somebody else's".into())),
        }
    }

    /// The same step by step, where it becomes a part of what is captured or recorded.
    fn again(&self, given: Vec<Array>) -> Result<Vec<Array>> {
        let mut values: Vec<Option<Array>> = given.into_iter().map(Some).collect();
        let constants = (values.len()..self.capture.layouts().len()).map(|n| self.capture.constant(n as u32));
        values.extend(constants.map(|x| x.map(|x| tape::made(x.clone()))));
        let missing = || Error::Value("program: a value is missing".into());
        for step in self.capture.steps() {
            let inputs = step.inputs.iter().map(|&n| values[n as usize].clone().ok_or_else(missing));
            let inputs = inputs.collect::<Result<Vec<Array>>>()?;
            let inputs: Vec<&Array> = inputs.iter().collect();
            let made = match &step.kind {
                Kind::Operation(op, is_beside) => tape::again(&**op, *is_beside, &inputs)?,
                Kind::Derived(name, key, f) => {
                    let made = attempt(name, || f(&inputs))?;
                    if tape::is_captured() {
                        tape::derive(name, key.clone(), &inputs, &made.iter().collect::<Vec<_>>(), f.clone());
                    }
                    made
                }
                Kind::Foreign(_) => {
                    return Err(Error::Unsupported("program: a step is somebody else's".into()));
                }
            };
            let layouts = step.outputs.iter().map(|&n| &self.capture.layouts()[n as usize]);
            if made.len() != step.outputs.len() || !made.iter().zip(layouts).all(is_laid) {
                return Err(Error::Value(format!(
                    "program: a step {} gives what the file does not say",
                    step.name()
                )));
            }
            for (&n, x) in step.outputs.iter().zip(made) {
                values[n as usize] = Some(x);
            }
        }
        self.wanted.iter().map(|&n| values[n as usize].clone().ok_or_else(missing)).collect()
    }

    /// What it takes, as text.
    pub(crate) fn signature(&self) -> String {
        let each = self.arguments.iter().map(|(shape, _, dtype)| format!("{dtype} {}", show(shape)));
        format!("({})", each.collect::<Vec<_>>().join(", "))
    }
}

/// What is given, as text.
fn called(arguments: &[Array]) -> String {
    let each = arguments.iter().map(|x| format!("{} {}", x.dtype(), show(x.shape())));
    format!("({})", each.collect::<Vec<_>>().join(", "))
}

/// The programs of a function and the tensors that they keep: its parameters, and what changes from call to call.
pub struct Programs {
    programs: Vec<Arc<Program>>,
    names: Vec<String>,
    state: Mutex<Vec<Array>>,
}

/// The names of what it keeps, and what its programs do.
impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Programs of {:?}", self.names)?;
        self.programs.iter().try_for_each(|program| f.write_str(&program.shown()))
    }
}

impl Programs {
    /// Programs that keep these tensors.
    pub(crate) fn new(programs: Vec<Arc<Program>>, state: Vec<(String, Array)>) -> Programs {
        let (names, state) = state.into_iter().unzip();
        Programs { programs, names, state: Mutex::new(state) }
    }

    /// The programs, each for arguments of other shapes or types.
    pub fn programs(&self) -> &[Arc<Program>] {
        &self.programs
    }

    /// The tensors that are kept, by name.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let state = self.locked();
        self.names.iter().cloned().zip(state.iter().cloned().map(Tensor::from)).collect()
    }

    /// Gives the tensor of that name that is kept other values, of the same shape and type: a learning rate, say.
    pub fn set(&self, name: &str, value: &Tensor) -> Result<()> {
        let Some(at) = self.names.iter().position(|other| other == name) else {
            return Err(Error::Value(format!("program: there is no {name:?} among {:?}", self.names)));
        };
        let (mut state, value) = (self.locked(), value.array());
        let now = &state[at];
        if (now.shape(), now.dtype()) != (value.shape(), value.dtype()) {
            let (now, given) = (called(std::slice::from_ref(now)), called(std::slice::from_ref(value)));
            return Err(Error::Shape(format!("program: {name} is {now}, and is to become {given}")));
        }
        state[at] = value.copy()?;
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Array>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The results for these arguments, by the first program that takes such. Threads may call at once; of what a call changes
    /// of the tensors that are kept, such as the place of a generator, the last stays. Within a gradient that follows an
    /// argument it is an error.
    pub fn call(&self, arguments: &[Tensor]) -> Result<Vec<Tensor>> {
        if arguments.iter().any(tape::is_recorded) {
            return Err(no_gradient());
        }
        let arguments: Vec<Array> = arguments.iter().map(|x| x.array().clone()).collect();
        let Some(program) = self.programs.iter().find(|program| program.fits(&arguments)) else {
            let known: Vec<String> = self.programs.iter().map(|program| program.signature()).collect();
            return Err(Error::Shape(format!(
                "program: there is none for {}, but for {}",
                called(&arguments),
                known.join(", ")
            )));
        };
        let state = self.locked().clone();
        let (results, changed) = program.run(&arguments, &state)?;
        if !changed.is_empty() {
            let mut state = self.locked();
            changed.into_iter().for_each(|(i, x)| state[i] = x);
        }
        Ok(results.into_iter().map(Tensor::from).collect())
    }
}

/// The error of who asks for a gradient.
pub(crate) fn no_gradient() -> Error {
    Error::Unsupported(
        "program: a gradient is being taken through an argument, and a program that was saved has none; save the function \
         that takes the gradient, or call it in ignore_derivatives where it counts as a constant"
            .into(),
    )
}
