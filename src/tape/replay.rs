//! A captured program, ready to be done again: steps over numbered registers, each free again after its last use.

use super::capture::{Capture, Kind, Layout};
use super::operation::Operation;
use super::plan::{Doing, Fate, Plan, Unit};
use crate::array::Array;
use crate::error::{Error, Result, attempt};
use crate::fuse::{Given, Program};
use smallvec::SmallVec;
use std::collections::HashSet;
use std::sync::Arc;

/// A step over registers. Numbers below those of the constants are constants.
struct Line {
    doing: Doing,
    inputs: SmallVec<[u32; 4]>,
    outputs: SmallVec<[u32; 2]>,
    /// Registers that nobody reads after it.
    dying: SmallVec<[u32; 4]>,
    /// For each input, where somebody else does the step, whether it is among these and is read by no later input.
    lasts: SmallVec<[bool; 4]>,
    /// Whether the first input is among these, and is no other input, so that the result may take its memory.
    gives_up: bool,
    /// How the results are laid out, if that is only said.
    said: SmallVec<[Layout; 2]>,
}

/// A program over registers.
pub struct Replay {
    constants: Vec<Array>,
    lines: Vec<Line>,
    /// How many registers there are.
    count: usize,
    /// Where the values that are given go; `None` for those that nobody reads.
    given: Vec<Option<u32>>,
    /// How many elements all steps look at.
    work: usize,
    fates: Vec<Fate>,
}

/// The values of a program while it runs.
pub struct Registers {
    values: Vec<Option<Array>>,
    /// The step that comes next.
    next: usize,
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
        let Plan { units, stands, layouts, fates } = Plan::of(capture, wanted);
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
        for (at, Unit { doing, inputs, outputs }) in units.into_iter().enumerate() {
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
            let outputs = outputs.iter().map(|&n| places[n as usize]).collect();
            let mut lasts = SmallVec::new();
            if matches!(doing, Doing::Step(Kind::Foreign(_))) {
                let dying: HashSet<u32> = dying.iter().copied().collect();
                let mut seen = HashSet::new();
                let is_last = |place: &u32| seen.insert(*place) && dying.contains(place);
                lasts = inputs.iter().rev().map(is_last).collect();
                lasts.reverse();
            }
            let gives_up = inputs.first().is_some_and(|x| dying.contains(x) && !inputs[1..].contains(x));
            lines.push(Line { doing, inputs, outputs, dying, lasts, gives_up, said });
        }
        let found = wanted.iter().map(|&n| places[stands[n as usize] as usize]).collect();
        (Replay { constants, lines, count: (count - first) as usize, given, work, fates }, found)
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
        let mut values = vec![None; self.count];
        for (number, place) in self.given.iter().enumerate() {
            if let Some(place) = place {
                values[*place as usize - self.constants.len()] = Some(given(number));
            }
        }
        Registers { values, next: 0 }
    }

    /// A value, as [`Replay::of`] said where it is.
    pub fn value<'a>(&'a self, registers: &'a Registers, place: u32) -> &'a Array {
        match self.constants.get(place as usize) {
            Some(x) => x,
            None => registers.values[place as usize - self.constants.len()].as_ref().expect("it is kept"),
        }
    }

    /// Goes on to the next step that somebody else has to do, or to the end.
    pub fn run(&self, registers: &mut Registers) -> Result<Option<Stop>> {
        while let Some(line) = self.lines.get(registers.next) {
            if let Doing::Step(Kind::Foreign(number)) = line.doing {
                let inputs = self.handed(line, registers);
                self.end(line, registers);
                registers.next += 1;
                return Ok(Some(Stop { number, inputs }));
            }
            self.line(line, registers)?;
            registers.next += 1;
        }
        Ok(None)
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
        for (i, &place) in line.outputs.iter().enumerate() {
            if !line.dying.contains(&place) {
                registers.values[place as usize - self.constants.len()] = Some(made(i));
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
        let mut made: SmallVec<[Array; 2]> = SmallVec::new();
        let kind = match &line.doing {
            Doing::Step(kind) => kind,
            Doing::Fused(program) => return self.fused(line, program, registers),
        };
        match kind {
            Kind::Operation(op, false) if line.gives_up => {
                let x = registers.values[line.inputs[0] as usize - first].take().expect("it was given");
                made.push(self.in_place(op, x, &line.inputs[1..], registers)?);
            }
            kind => {
                let inputs: SmallVec<[&Array; 4]> =
                    line.inputs.iter().map(|&n| self.value(registers, n)).collect();
                match kind {
                    Kind::Operation(op, false) => made.push(attempt(op.name(), || op.forward(&inputs))?),
                    Kind::Operation(op, true) => {
                        let (y, beside) = attempt(op.name(), || op.forward_beside(&inputs))?;
                        made.push(y);
                        made.extend(beside);
                    }
                    Kind::Derived(name, _, f) => made.extend(attempt(name, || f(&inputs))?),
                    Kind::Foreign(_) => {}
                }
            }
        }
        if !line.said.is_empty()
            && !(made.len() == line.said.len() && made.iter().zip(&line.said).all(is_laid))
        {
            return Err(not_said(kind, &made));
        }
        for (&place, x) in line.outputs.iter().zip(made) {
            registers.values[place as usize - first] = Some(x);
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
