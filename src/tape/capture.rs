//! What a thread computes, kept as data: a [`Capture`] is the flat list of the operations that went through the door while it
//! was open, whether or not a gradient follows them.
//!
//! It knows where each array comes from: it was given, it follows from numbers of the program alone, or a step made it. If
//! it is to be done again, an array from elsewhere ends it, and so does a look at values that may be others the next time:
//! what is forgotten here costs speed and is never a wrong result. One that is only to be read has such arrays as values of
//! their own, and holds all that it has met.

use super::capturing::where_it_is;
use super::operation::Operation;
use super::parameters::Parameters;
use super::profile::{self, Pass};
use crate::array::{Array, Noted, noted};
use crate::dtype::DType;
use crate::error::Result;
use crate::memory::Telling;
use crate::shape::{Dims, Strides};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// What computes arrays of arrays, or finds that it must not.
pub type Compute = Arc<dyn Fn(&[&Array]) -> Result<Vec<Array>> + Send + Sync>;

/// What a step does.
#[derive(Clone)]
pub enum Kind {
    /// An operation; with what it gives beside its result, if that is wanted.
    Operation(Arc<dyn Operation>, bool),
    /// What is computed beside the operations, and checks of values.
    Derived(&'static str, Parameters, Compute),
    /// What the one who captures does himself, by a number of his.
    Foreign(usize),
}

/// Something that was done. Values are named by their numbers.
#[derive(Clone)]
pub struct Step {
    /// What was done.
    pub kind: Kind,
    /// What it was given.
    pub inputs: SmallVec<[u32; 4]>,
    /// What it gave.
    pub outputs: SmallVec<[u32; 2]>,
}

impl Step {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Operation(op, _) => op.name(),
            Kind::Derived(name, ..) => name,
            Kind::Foreign(_) => "foreign",
        }
    }

    /// Whether another does the same with the same values.
    fn is_like(&self, other: &Step) -> bool {
        let alike = match (&self.kind, &other.kind) {
            (Kind::Operation(a, beside), Kind::Operation(b, other)) => {
                a.name() == b.name() && beside == other && a.parameters() == b.parameters()
            }
            (Kind::Derived(a, given, _), Kind::Derived(b, other, _)) => a == b && given == other,
            (Kind::Foreign(a), Kind::Foreign(b)) => a == b,
            _ => false,
        };
        alike && self.inputs == other.inputs && self.outputs == other.outputs
    }
}

/// Where the elements of a value begin.
#[derive(PartialEq, Eq, Hash)]
enum Start {
    /// At this address, of memory that the capture holds.
    At(usize),
    /// In the block of this number, which no other will ever have.
    In(u64, usize),
}

/// Two arrays with the same one have the same elements: of what a capture has met, nobody writes into the memory.
type Identity = (Start, Dims, Strides, DType);

/// What was done while it was open.
#[derive(Default)]
pub struct Capture {
    steps: Vec<Step>,
    /// What each is done for.
    passes: Vec<Pass>,
    /// How the values are laid out.
    layouts: Vec<Layout>,
    /// Which of the values follow from numbers of the program alone.
    is_constant: Vec<bool>,
    /// These, and until it has settled what was given and all that nothing but its address tells from others: a value that
    /// is known by the number of its block may go.
    held: Vec<Option<Array>>,
    numbers: HashMap<Identity, u32>,
    given: usize,
    refusal: Option<String>,
    telling: Option<Telling>,
    /// Whether a file says all this.
    is_read: bool,
    /// Whether it is only to be read, and holds all values.
    is_record: bool,
}

/// How an array is laid out.
pub type Layout = (Dims, Strides, DType);

impl Capture {
    /// One that is to be done again, with what is known: the first of it may have other values the next time, the rest not.
    pub(super) fn new(given: &[Array], constants: &[Array]) -> Capture {
        let telling = Some(Telling::new());
        let mut capture = Capture { given: given.len(), telling, ..Capture::default() };
        for x in given {
            capture.add(x, false);
        }
        for x in constants {
            capture.add(x, true);
        }
        capture
    }
    /// One that is only to be read, of what is done with `given`.
    pub(super) fn to_read(given: &[Array]) -> Capture {
        let mut capture = Capture { given: given.len(), is_record: true, ..Capture::default() };
        for x in given {
            capture.add(x, false);
        }
        capture
    }
    /// What a file says was done: the values are laid out so, of which the first are given and some are constants.
    pub fn read(
        steps: Vec<Step>,
        layouts: Vec<Layout>,
        constants: Vec<Option<Array>>,
        given: usize,
    ) -> Capture {
        let is_constant = constants.iter().map(Option::is_some).collect();
        Capture { steps, layouts, held: constants, is_constant, given, is_read: true, ..Capture::default() }
    }
    /// Whether it was read from a file, so that results may be laid out in another way than it says.
    pub(super) fn is_read(&self) -> bool {
        self.is_read
    }
    /// Whether it is only to be read.
    pub(super) fn is_record(&self) -> bool {
        self.is_record
    }
    /// What was done, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
    /// How the values are laid out, by their numbers: the first were given.
    pub fn layouts(&self) -> &[Layout] {
        &self.layouts
    }
    /// What the step of that number is done for.
    pub fn pass(&self, step: usize) -> Pass {
        self.passes.get(step).copied().unwrap_or_default()
    }
    /// A value that follows from numbers of the program alone.
    pub fn constant(&self, number: u32) -> Option<&Array> {
        self.held.get(number as usize)?.as_ref().filter(|_| self.is_constant[number as usize])
    }
    /// The values by their numbers, of a capture that is only to be read.
    pub fn values(&self) -> impl Iterator<Item = &Array> {
        self.held.iter().flatten()
    }
    /// How many values were given.
    pub fn given(&self) -> usize {
        self.given
    }
    /// Whether a value follows from numbers of the program alone.
    pub fn is_constant(&self, number: u32) -> bool {
        self.is_constant[number as usize]
    }
    /// Why it is none, if it is none.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
    /// The number of a value, if it is known.
    pub fn number(&self, value: &Array) -> Option<u32> {
        let (address, shape, strides, dtype) = value.identity();
        let mut identity = (Start::At(address), shape, strides, dtype);
        if let Some((block, offset)) = value.told() {
            identity.0 = Start::In(block, offset);
            if let Some(&number) = self.numbers.get(&identity) {
                return Some(number);
            }
            identity.0 = Start::At(address);
        }
        self.numbers.get(&identity).copied()
    }

    /// The number of a value: a new one, if it is not known.
    pub fn number_of(&mut self, value: &Array) -> u32 {
        self.number(value).unwrap_or_else(|| self.add(value, false))
    }

    /// Lets go of all values but the constants. Of memory that is somebody else's, and may be written, these are copies.
    pub fn settle(&mut self) -> Result<()> {
        self.numbers.clear();
        for (held, &is_constant) in self.held.iter_mut().zip(&self.is_constant) {
            *held = match held.take().filter(|_| is_constant) {
                Some(x) if x.is_foreign() => Some(x.copy()?),
                x => x,
            };
        }
        self.telling = None;
        Ok(())
    }

    /// Whether another did the same: the same steps with constants of the same bits. Both have settled.
    pub fn is_like(&self, other: &Capture) -> bool {
        let same = |(a, b): (&Option<Array>, &Option<Array>)| match (a, b) {
            (Some(a), Some(b)) => have_same_bits(a, b),
            (None, None) => true,
            _ => false,
        };
        self.given == other.given
            && self.layouts == other.layouts
            && self.steps.len() == other.steps.len()
            && self.steps.iter().zip(&other.steps).all(|(a, b)| a.is_like(b))
            && self.held.iter().zip(&other.held).all(same)
    }

    /// Adds what was made of numbers of the program alone.
    pub(super) fn add_constant(&mut self, value: &Array) {
        let is_known = || self.number(value).is_some_and(|n| self.is_constant[n as usize]);
        if self.refusal.is_none() && !is_known() {
            self.add(value, true);
        }
    }

    /// To be told of a value that is handed to somebody: it must be known.
    pub(super) fn meet(&mut self, value: &Array) {
        self.take_notes();
        if self.refusal.is_none() && self.number(value).is_none() {
            let shape = crate::shape::show(value.shape());
            self.refuse(|| format!("it is not known what made a tensor of shape {shape}"));
        }
    }

    fn add(&mut self, value: &Array, is_constant: bool) -> u32 {
        let number = self.layouts.len() as u32;
        let (address, shape, strides, dtype) = value.identity();
        let identity = |start| (start, shape.clone(), strides.clone(), dtype);
        let told = value.told();
        if let Some((block, offset)) = told {
            self.numbers.insert(identity(Start::In(block, offset)), number);
        }
        let is_held = is_constant || self.is_record || self.layouts.len() < self.given || told.is_none();
        if is_held {
            self.numbers.insert(identity(Start::At(address)), number);
        }
        value.is_to_stay();
        self.held.push(is_held.then(|| value.clone()));
        self.layouts.push((shape, strides, dtype));
        self.is_constant.push(is_constant);
        number
    }

    #[cold]
    pub(super) fn refuse(&mut self, reason: impl FnOnce() -> String) {
        if self.refusal.is_none() {
            self.refusal = Some(reason() + &where_it_is());
            // Nothing of it is wanted any more.
            let (refusal, telling) = (self.refusal.take(), self.telling.take());
            *self = Capture { refusal, telling, ..Capture::default() };
        }
    }

    /// Takes what has been noted of arrays since the last time.
    pub(super) fn take_notes(&mut self) {
        if self.is_record {
            return;
        }
        for note in noted() {
            match note {
                Noted::Made(x) if self.refusal.is_none() => drop(self.add(&x, true)),
                Noted::Read(x) => {
                    if self.number(&x).is_none_or(|n| !self.is_constant(n)) {
                        self.refuse(|| "a value is looked at, on which what follows may depend".into());
                    }
                }
                Noted::Made(_) => {}
            }
        }
    }

    pub(super) fn write<'a>(
        &mut self,
        kind: impl FnOnce() -> Option<Kind>,
        name: &str,
        inputs: &[&Array],
        outputs: impl Iterator<Item = &'a Array>,
    ) {
        self.take_notes();
        if self.refusal.is_some() {
            return;
        }
        let mut numbers = SmallVec::new();
        for x in inputs {
            match self.number(x) {
                Some(n) => numbers.push(n),
                None if self.is_record => numbers.push(self.add(x, false)),
                None => {
                    let shape = crate::shape::show(x.shape());
                    return self.refuse(|| {
                        format!(
                            "{name} is given a tensor of shape {shape} of which it is not known what made it"
                        )
                    });
                }
            }
        }
        let Some(kind) = kind() else {
            return self.refuse(|| format!("{name} cannot be done again"));
        };
        let is_constant = matches!(kind, Kind::Operation(..)) && numbers.iter().all(|&n| self.is_constant(n));
        let outputs = outputs.map(|y| self.add(y, is_constant)).collect();
        self.steps.push(Step { kind, inputs: numbers, outputs });
        self.passes.push(profile::pass());
    }
}

fn have_same_bits(a: &Array, b: &Array) -> bool {
    match (a.contiguous(), b.contiguous()) {
        (Ok(a), Ok(b)) => a.as_bytes() == b.as_bytes(),
        _ => false,
    }
}
