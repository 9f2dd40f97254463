//! A captured program, ready to be done again: steps over numbered registers, each free again after its last use.

use super::after::After;
use super::capture::{Capture, Kind, Layout};
use super::observed::{Home, Look, Observed};
use super::operation::Operation;
use super::plan::{Doing, Fate, Plan, Unit};
use super::profile::{Begun, Pass, is_profiled};
use crate::array::Array;
use crate::error::{Error, Result, attempt};
use crate::fuse::{Given, Program};
use crate::kernels::then::Then;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A step over registers. Numbers below those of the constants are constants.
pub(super) struct Line {
    doing: Doing,
    inputs: SmallVec<[u32; 4]>,
    pub(super) outputs: SmallVec<[u32; 2]>,
    /// Registers that nobody reads after it.
    dying: SmallVec<[u32; 4]>,
    /// For each input, where somebody else does the step, whether it is among these and is read by no later input; and for
    /// each output whether somebody reads it.
    lasts: SmallVec<[bool; 4]>,
    are_read: SmallVec<[bool; 4]>,
    /// Whether the first input is among these, and is no other input, so that the result may take its memory.
    gives_up: bool,
    /// How the results are laid out, if that is only said.
    said: SmallVec<[Layout; 2]>,
    pub(super) label: Label,
}

/// What a line is to who reads the program.
pub(super) struct Label {
    name: Cow<'static, str>,
    pass: Pass,
    /// The steps of the capture.
    pub(super) steps: Vec<usize>,
    /// What goes in and comes out, by the numbers of the capture.
    pub(super) inputs: SmallVec<[u32; 4]>,
    pub(super) outputs: SmallVec<[u32; 2]>,
}

/// So many operations that are done together are named.
const NAMES: usize = 6;

impl Label {
    fn new(capture: &Capture, unit: &Unit, steps: Vec<usize>) -> Label {
        let mut names: SmallVec<[&'static str; 8]> = SmallVec::new();
        for name in steps.iter().map(|&at| capture.steps()[at].name()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let name = match names[..] {
            [one] => one.into(),
            _ if names.len() > NAMES => format!("{} + …", names[..NAMES].join(" + ")).into(),
            _ => names.join(" + ").into(),
        };
        let pass = steps.last().map_or(Pass::Forward, |&at| capture.pass(at));
        Label { name, pass, steps, inputs: unit.inputs.clone(), outputs: unit.outputs.clone() }
    }
}

/// A program over registers.
pub struct Replay {
    pub(super) constants: Vec<Array>,
    pub(super) lines: Vec<Line>,
    /// How many registers there are.
    pub(super) count: usize,
    /// Where the values that are given go; `None` for those that nobody reads.
    pub(super) given: Vec<Option<u32>>,
    /// How many elements all steps look at.
    work: usize,
    fates: Vec<Fate>,
    /// The registers of a run that is over, for the next.
    spare: Mutex<Vec<Option<Array>>>,
    /// What was seen of it, and whether something was.
    observed: Mutex<Observed>,
    is_observed: AtomicBool,
}

/// The values of a program while it runs.
pub struct Registers {
    values: Vec<Option<Array>>,
    /// The step that comes next.
    next: usize,
    look: Option<Box<Look>>,
}

/// What a program has met that it cannot do itself.
pub struct Stop {
    /// Its number.
    pub number: usize,
    /// What it is given.
    pub inputs: Vec<Array>,
}

impl Replay {
    /// The program of what was captured, and where it leaves the values of these numbers in the end: what follows from
    /// constants alone has been computed.
    pub fn of(capture: &Capture, wanted: &[u32]) -> (Replay, Vec<u32>) {
        let Plan { units, stands, layouts, fates, steps } = Plan::of(capture, wanted);
        let mut places = vec![u32::MAX; layouts.len()];
        let mut constants = Vec::new();
        let mut last = vec![0; layouts.len()];
        for (at, unit) in units.iter().enumerate() {
            unit.inputs.iter().chain(&unit.outputs).for_each(|&n| last[n as usize] = at + 1);
        }
        wanted.iter().for_each(|&n| last[stands[n as usize] as usize] = usize::MAX);
        for n in 0..layouts.len() {
            if let Some(x) = capture.constant(n as u32).filter(|_| last[n] > 0) {
                places[n] = constants.len() as u32;
                constants.push(x.clone());
            }
        }
        let first = constants.len() as u32;
        let (mut count, mut free) = (first, Vec::new());
        let mut register = |free: &mut Vec<u32>| {
            free.pop().unwrap_or_else(|| {
                count += 1;
                count - 1
            })
        };
        let mut given = Vec::with_capacity(capture.given());
        for n in 0..capture.given() {
            given.push((last[n] > 0).then(|| {
                places[n] = register(&mut free);
                places[n]
            }));
        }
        let (mut lines, mut work) = (Vec::with_capacity(units.len()), 0);
        for ((at, unit), steps) in units.into_iter().enumerate().zip(steps) {
            let label = Label::new(capture, &unit, steps);
            let Unit { doing, inputs, outputs } = unit;
            for &n in &outputs {
                places[n as usize] = register(&mut free);
            }
            let mut dying = SmallVec::new();
            for &n in inputs.iter().chain(&outputs) {
                let place = places[n as usize];
                if last[n as usize] == at + 1 && place >= first && !dying.contains(&place) {
                    dying.push(place);
                }
            }
            free.extend(dying.iter().copied());
            work += inputs.iter().map(|&n| crate::shape::size(&layouts[n as usize].0)).sum::<usize>();
            let is_said = capture.is_read() && matches!(doing, Doing::Step(_));
            let said = outputs.iter().filter(|_| is_said).map(|&n| layouts[n as usize].clone()).collect();
            let inputs: SmallVec<[u32; 4]> = inputs.iter().map(|&n| places[n as usize]).collect();
            let outputs: SmallVec<[u32; 2]> = outputs.iter().map(|&n| places[n as usize]).collect();
            let (mut lasts, mut are_read) = (SmallVec::new(), SmallVec::new());
            if matches!(doing, Doing::Step(Kind::Foreign(_))) {
                let dying: HashSet<u32> = dying.iter().copied().collect();
                are_read = outputs.iter().map(|place| !dying.contains(place)).collect();
                let mut seen = HashSet::new();
                let is_last = |place: &u32| seen.insert(*place) && dying.contains(place);
                lasts = inputs.iter().rev().map(is_last).collect();
                lasts.reverse();
            }
            let gives_up = inputs.first().is_some_and(|x| dying.contains(x) && !inputs[1..].contains(x));
            lines.push(Line { doing, inputs, outputs, dying, lasts, are_read, gives_up, said, label });
        }
        let found = wanted.iter().map(|&n| places[stands[n as usize] as usize]).collect();
        let (spare, observed, is_observed) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        let count = (count - first) as usize;
        (Replay { constants, lines, count, given, work, fates, spare, observed, is_observed }, found)
    }

    /// What became of a step of the capture.
    pub fn fate(&self, step: usize) -> Fate {
        self.fates.get(step).cloned().unwrap_or(Fate::Alone)
    }

    /// How many elements all steps look at.
    pub fn work(&self) -> usize {
        self.work
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The bytes of its constants.
    pub fn bytes(&self) -> usize {
        self.constants.iter().map(|x| x.size() * x.dtype().size()).sum()
    }

    /// The values at the start: `given` has those of these numbers that somebody reads.
    pub fn start(&self, given: impl Fn(usize) -> Array) -> Registers {
        let mut values =
            self.spare.try_lock().map_or_else(|_| Vec::new(), |mut spare| std::mem::take(&mut *spare));
        values.resize(self.count, None);
        for (number, place) in self.given.iter().enumerate() {
            if let Some(place) = place {
                values[*place as usize - self.constants.len()] = Some(given(number));
            }
        }
        let is_looked_at = is_profiled() || !self.is_observed.load(Ordering::Relaxed);
        let look = is_looked_at
            .then(|| Box::new(Look::new(self.lines.len(), values.iter().flatten().chain(&self.constants))));
        Registers { values, next: 0, look }
    }

    /// A value, as [`Replay::of`] said where it is.
    pub fn value<'a>(&'a self, registers: &'a Registers, place: u32) -> &'a Array {
        match self.constants.get(place as usize) {
            Some(x) => x,
            None => registers.values[place as usize - self.constants.len()].as_ref().expect("it is kept"),
        }
    }

    /// The same for one who wants it no more.
    pub fn take(&self, registers: &mut Registers, place: u32) -> Array {
        match self.constants.get(place as usize) {
            Some(x) => x.clone(),
            None => registers.values[place as usize - self.constants.len()].take().expect("it is kept"),
        }
    }

    /// To be told that nobody wants anything of a run any more.
    pub fn close(&self, mut registers: Registers) {
        registers.values.iter_mut().for_each(|value| *value = None);
        if let Ok(mut spare) = self.spare.try_lock() {
            *spare = registers.values;
        }
    }

    /// Goes on to the next step that somebody else has to do, or to the end.
    pub fn run(&self, registers: &mut Registers) -> Result<Option<Stop>> {
        if let (Some(look), Some(last)) = (&mut registers.look, registers.next.checked_sub(1)) {
            look.goes_on(last);
        }
        while let Some(line) = self.lines.get(registers.next) {
            if let Doing::Step(Kind::Foreign(number)) = line.doing {
                let inputs = self.handed(line, registers);
                self.end(line, registers);
                registers.next += 1;
                if let Some(look) = &mut registers.look {
                    look.wait();
                }
                return Ok(Some(Stop { number, inputs }));
            }
            match registers.look.take() {
                None => self.line(line, registers)?,
                Some(mut look) => {
                    self.line_looked_at(line, registers, &mut look)?;
                    registers.look = Some(look);
                }
            }
            registers.next += 1;
        }
        if let Some(look) = registers.look.take() {
            self.observed().take(*look);
            self.is_observed.store(true, Ordering::Relaxed);
        }
        Ok(None)
    }

    /// Does a line, and looks at what that takes.
    #[cold]
    fn line_looked_at(&self, line: &Line, registers: &mut Registers, look: &mut Look) -> Result<()> {
        // Blocks alone: what is held beside the registers would not be written in place.
        let before: Vec<(usize, usize)> = registers.values.iter().flatten().map(Array::block).collect();
        let given: SmallVec<[(usize, usize); 4]> =
            line.inputs.iter().map(|&n| self.value(registers, n).block()).collect();
        let begun = match look.is_timed() {
            true => {
                let inputs = line.inputs.iter().map(|&n| self.value(registers, n));
                Begun::of(line.label.name.clone(), line.label.pass, inputs)
            }
            false => None,
        };
        let start = Instant::now();
        self.line(line, registers)?;
        let took = start.elapsed();
        let first = self.constants.len();
        let made = line.outputs.iter().map(|&place| registers.values[place as usize - first].as_ref());
        if let Some(begun) = begun {
            match &line.doing {
                Doing::Step(Kind::Operation(op, _)) => begun.done(&**op, made.clone().flatten()),
                Doing::After(after) => {
                    let result = after.program.shape();
                    begun.followed(&*after.op, after.count, result, made.clone().flatten());
                }
                _ => begun.together(made.clone().flatten()),
            }
        }
        let moves = matches!(&line.doing, Doing::Step(Kind::Operation(op, _)) if op.moves());
        let home = |x: &Array| match given.iter().position(|&(block, _)| block == x.block().0) {
            None => Home::Own,
            Some(input) if moves => Home::View(input),
            Some(input) => Home::Over(input),
        };
        let homes = made.clone().map(|x| x.map_or(Home::Own, home)).collect();
        look.line(registers.next, took, before.into_iter().chain(made.flatten().map(Array::block)), homes);
        Ok(())
    }

    pub(super) fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody else is given: what nobody reads after him, and he but once, is his.
    fn handed(&self, line: &Line, registers: &mut Registers) -> Vec<Array> {
        let first = self.constants.len();
        let mut inputs = Vec::with_capacity(line.inputs.len());
        for (&place, &is_last) in line.inputs.iter().zip(&line.lasts) {
            let own = if is_last { registers.values[place as usize - first].take() } else { None };
            inputs.push(own.unwrap_or_else(|| self.value(registers, place).clone()));
        }
        inputs
    }

    /// Takes what somebody else has made in the step that the program has stopped at: each that is read.
    pub fn give(&self, registers: &mut Registers, made: impl Fn(usize) -> Array) {
        let Some(line) = registers.next.checked_sub(1).and_then(|at| self.lines.get(at)) else { return };
        for (i, (&place, &is_read)) in line.outputs.iter().zip(&line.are_read).enumerate() {
            if is_read {
                let x = made(i);
                if let Some(look) = &mut registers.look {
                    look.is_given(&x);
                }
                registers.values[place as usize - self.constants.len()] = Some(x);
            }
        }
    }

    /// Frees what nobody reads after a step.
    fn end(&self, line: &Line, registers: &mut Registers) {
        for &place in &line.dying {
            registers.values[place as usize - self.constants.len()] = None;
        }
    }

    fn line(&self, line: &Line, registers: &mut Registers) -> Result<()> {
        let first = self.constants.len();
        let kind = match &line.doing {
            Doing::Step(kind) => kind,
            Doing::Fused(program) => return self.fused(line, program, registers),
            Doing::After(after) => return self.after(line, after, registers),
        };
        // Nearly all have one result, which is not carried about.
        let y = match kind {
            Kind::Operation(op, false) if line.gives_up => {
                let x = registers.values[line.inputs[0] as usize - first].take().expect("it was given");
                self.in_place(op, x, &line.inputs[1..], registers)?
            }
            Kind::Operation(op, false) => {
                let inputs = self.inputs(line, registers);
                attempt(op.name(), || op.forward(&inputs))?
            }
            kind => return self.several(line, kind, registers),
        };
        if !line.said.is_empty() && !are_laid(std::slice::from_ref(&y), &line.said) {
            return Err(not_said(kind, &[y]));
        }
        if let Some(&place) = line.outputs.first() {
            registers.values[place as usize - first] = Some(y);
        }
        self.end(line, registers);
        Ok(())
    }

    fn inputs<'a>(&'a self, line: &Line, registers: &'a Registers) -> SmallVec<[&'a Array; 4]> {
        line.inputs.iter().map(|&n| self.value(registers, n)).collect()
    }

    /// A step that may have several results.
    fn several(&self, line: &Line, kind: &Kind, registers: &mut Registers) -> Result<()> {
        let inputs = self.inputs(line, registers);
        let mut made: SmallVec<[Array; 2]> = SmallVec::new();
        match kind {
            Kind::Operation(op, _) => {
                let (y, beside) = attempt(op.name(), || op.forward_beside(&inputs))?;
                made.push(y);
                made.extend(beside);
            }
            Kind::Derived(name, _, f) => made.extend(attempt(name, || f(&inputs))?),
            Kind::Foreign(_) => {}
        }
        drop(inputs);
        if !line.said.is_empty() && !are_laid(&made, &line.said) {
            return Err(not_said(kind, &made));
        }
        for (&place, x) in line.outputs.iter().zip(made) {
            registers.values[place as usize - self.constants.len()] = Some(x);
        }
        self.end(line, registers);
        Ok(())
    }

    /// Several steps at once, in the memory of what nobody reads after them where that can be done.
    fn fused(&self, line: &Line, program: &Program, registers: &mut Registers) -> Result<()> {
        let first = self.constants.len();
        let mut left: SmallVec<[(usize, Array); 2]> = SmallVec::new();
        for at in program.takes() {
            let place = line.inputs[at];
            if line.dying.contains(&place)
                && let Some(x) = registers.values[place as usize - first].take()
            {
                left.push((at, x));
            }
        }
        let mut given: SmallVec<[Given<'_>; 8]> = SmallVec::new();
        for (at, &place) in line.inputs.iter().enumerate() {
            given.push(match left.iter().position(|(left, _)| *left == at) {
                Some(i) => Given::Left(left.swap_remove(i).1),
                None => Given::Lent(self.value(registers, place)),
            });
        }
        let made = attempt("fused", || program.run(&mut given))?;
        drop(given);
        for (&place, x) in line.outputs.iter().zip(made) {
            registers.values[place as usize - first] = Some(x);
        }
        self.end(line, registers);
        Ok(())
    }

    /// A step, and others to the elements of its result.
    fn after(&self, line: &Line, after: &After, registers: &mut Registers) -> Result<()> {
        let After { op, count, program, operand } = after;
        let values: SmallVec<[&Array; 8]> = line.inputs.iter().map(|&n| self.value(registers, n)).collect();
        let (inputs, others) = values.split_at(*count);
        let mut given: SmallVec<[Given<'_>; 8]> = others.iter().map(|&x| Given::Lent(x)).collect();
        given.insert(*operand, Given::Left(Array::nothing()));
        let make = |out: &mut Array, then: &dyn Then| op.forward_then(inputs, out, then);
        let (result, made) = attempt(op.name(), || program.run_after(*operand, &mut given, make))?;
        drop((given, values));
        let first = self.constants.len();
        for (&place, x) in line.outputs.iter().zip(made.into_iter().map(Some).chain([result])) {
            registers.values[place as usize - first] = x;
        }
        self.end(line, registers);
        Ok(())
    }

    fn in_place(
        &self,
        op: &Arc<dyn Operation>,
        first: Array,
        rest: &[u32],
        registers: &Registers,
    ) -> Result<Array> {
        let rest: SmallVec<[&Array; 4]> = rest.iter().map(|&n| self.value(registers, n)).collect();
        attempt(op.name(), || op.forward_into(first, &rest))
    }
}

/// Whether an array is laid out so. It does not matter how far apart the elements of an axis of one are.
pub fn is_laid((x, layout): (&Array, &Layout)) -> bool {
    let (shape, strides, dtype) = layout;
    let mut strides = x.strides().iter().zip(strides).zip(&shape[..]);
    x.shape() == &shape[..]
        && x.dtype() == *dtype
        && (x.size() == 0 || strides.all(|((a, b), &n)| n == 1 || a == b))
}

fn are_laid(made: &[Array], said: &[Layout]) -> bool {
    made.len() == said.len() && made.iter().zip(said).all(is_laid)
}

/// The error of a step that gives something else than is said of it.
#[cold]
fn not_said(kind: &Kind, made: &[Array]) -> Error {
    let name = match kind {
        Kind::Operation(op, _) => op.name(),
        Kind::Derived(name, ..) => name,
        Kind::Foreign(_) => "foreign",
    };
    let made: Vec<String> =
        made.iter().map(|x| format!("{} {}", x.dtype(), crate::shape::show(x.shape()))).collect();
    Error::Value(format!("program: a step {name} gives {}, which is not what the file says", made.join(", ")))
}
