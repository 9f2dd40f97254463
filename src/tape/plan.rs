//! What of a captured program is done, in which order, and what of it together.

use super::after::{After, followed};
use super::capture::{Capture, Kind, Layout, Step};
use super::parameters::{Parameters, Value};
use super::parts::in_parts;
use crate::array::Array;
use crate::dtype::DType;
use crate::fuse::{Fusible, Program, Role, Seen, Source, Together, Values, grouped};
use crate::shape::{self, Dims};
use smallvec::SmallVec;
use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Values of so many bytes may be kept longer than they were.
const SMALL: usize = 1 << 14;

/// Values of so many elements are computed again where that is quickly done.
const LARGE: usize = 1 << 14;

/// What a line of a program does.
pub(super) enum Doing {
    /// A step.
    Step(Kind),
    /// Several, element by element.
    Fused(Box<Program>),
    /// One, and several to the elements of its result.
    After(Box<After>),
}

/// A line of a program. Values are named by the numbers of the capture.
pub(super) struct Unit {
    pub(super) doing: Doing,
    pub(super) inputs: SmallVec<[u32; 4]>,
    pub(super) outputs: SmallVec<[u32; 2]>,
}

/// What became of a step of the capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done by itself.
    Alone,
    /// It is done with others, as the line of this number.
    Fused(usize),
    /// It is done there to the elements of what the operation of that name gives, as they are finished.
    Folded(usize, &'static str),
    /// It does what another has done already.
    Merged,
    /// Nobody needs what it gives.
    Dropped,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Alone => Ok(()),
            Fate::Fused(line) => write!(f, "[in {line}]"),
            Fate::Folded(line, name) => write!(f, "[in {line}, folded into {name}]"),
            Fate::Merged => f.write_str("[done already]"),
            Fate::Dropped => f.write_str("[not needed]"),
        }
    }
}

/// The lines in order, and what became of the steps.
pub(super) struct Plan {
    pub(super) units: Vec<Unit>,
    /// The number of the value that stands for each.
    pub(super) stands: Vec<u32>,
    /// How the values are laid out: those of the capture, then those between the parts of its steps.
    pub(super) layouts: Vec<Layout>,
    pub(super) fates: Vec<Fate>,
    /// The steps that each line does.
    pub(super) steps: Vec<Vec<usize>>,
}

/// A step that is done, with the values that stand for its inputs.
pub(super) struct Doable {
    pub(super) at: usize,
    pub(super) kind: Kind,
    pub(super) inputs: SmallVec<[u32; 4]>,
    pub(super) outputs: SmallVec<[u32; 2]>,
    pub(super) fusible: Option<Fusible>,
    /// Whether it is a part of a step.
    pub(super) is_part: bool,
}

impl Plan {
    /// The plan for a capture of which these values are wanted in the end.
    pub(super) fn of(capture: &Capture, wanted: &[u32]) -> Plan {
        let mut fates = vec![Fate::Dropped; capture.steps().len()];
        let (steps, stands) = distinct(capture, wanted, &mut fates);
        let mut layouts = capture.layouts().to_vec();
        let steps = in_parts(steps, &mut layouts);
        let steps = needed(steps, wanted.iter().map(|&n| stands[n as usize]), layouts.len());
        let roles = roles(&steps, &layouts);
        let seen: Vec<Seen<'_>> = steps
            .iter()
            .zip(roles)
            .map(|(step, role)| Seen { role, inputs: &step.inputs, outputs: &step.outputs })
            .collect();
        let mut order = grouped(&seen, &layouts);
        let is_wanted = |n: u32| wanted.iter().any(|&w| stands[w as usize] == n);
        repeat(&mut order, &steps, &layouts, &is_wanted);
        let shown = shown(&steps, &layouts);
        let order = without_idle(order, &steps, &shown, &is_wanted);
        let order = followed(order, &steps, &layouts, &shown, &is_wanted);
        let mut last = vec![0; layouts.len()];
        for (at, group) in order.iter().enumerate() {
            reads(group, &steps, &shown).for_each(|n| last[n as usize] = at);
        }
        wanted.iter().for_each(|&n| last[stands[n as usize] as usize] = usize::MAX);
        let mut units = Vec::with_capacity(order.len());
        let done = order.iter().map(|group| group.all().map(|i| steps[i].at).collect()).collect();
        for (at, group) in order.iter().enumerate() {
            let seeing = Seeing { capture, layouts: &layouts, shown: &shown, last: &last, at };
            let unit = match (&group.steps[..], group.after) {
                (_, Some(first)) => after(&steps, group, &steps[first], &seeing),
                (&[one], None) if !steps[one].is_part || steps[one].is_reduction() => alone(&steps[one]),
                _ => together(&steps, group, &seeing),
            };
            let line = units.len();
            for i in group.all() {
                let fate = &mut fates[steps[i].at];
                if !matches!(fate, Fate::Fused(_) | Fate::Folded(..)) {
                    *fate = match group.after {
                        Some(first) if first != i => Fate::Folded(line, steps[first].name()),
                        None if group.steps.len() == 1 => Fate::Alone,
                        _ => Fate::Fused(line),
                    };
                }
            }
            units.push(unit);
        }
        Plan { units, stands, layouts, fates, steps: done }
    }
}

impl Doable {
    fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Operation(op, _) => op.name(),
            Kind::Derived(name, ..) => name,
            Kind::Foreign(_) => "foreign",
        }
    }
    fn is_reduction(&self) -> bool {
        matches!(self.fusible, Some(Fusible::Folds(_)))
    }
}

/// What the maker of a fused program sees of the values at a line.
struct Seeing<'a> {
    capture: &'a Capture,
    layouts: &'a [Layout],
    shown: &'a [u32],
    /// The last line that reads each.
    last: &'a [usize],
    at: usize,
}

impl Values for Seeing<'_> {
    fn layout(&self, value: u32) -> &Layout {
        &self.layouts[value as usize]
    }
    fn constant(&self, value: u32) -> Option<&Array> {
        self.capture.constant(value)
    }
    fn is_wanted(&self, value: u32) -> bool {
        self.last[value as usize] > self.at
    }
    fn shown(&self, value: u32) -> u32 {
        self.shown[value as usize]
    }
}

/// For each value the one whose elements it shows in the same order, by way of views of elements that lie in order; or
/// itself.
fn shown(steps: &[Doable], layouts: &[Layout]) -> Vec<u32> {
    let mut shown: Vec<u32> = (0..layouts.len() as u32).collect();
    for step in steps.iter().filter(|step| matches!(step.fusible, Some(Fusible::View))) {
        let input = step.inputs[0];
        let (shape, strides, _) = &layouts[input as usize];
        let (first, ..) = &layouts[shown[input as usize] as usize];
        if shape::is_row_major(shape, strides) && shape::size(shape) == shape::size(first) {
            shown[step.outputs[0] as usize] = shown[input as usize];
        }
    }
    shown
}

/// The values that steps which are done in one go read of others.
pub(super) fn reads<'a>(
    group: &'a Together,
    steps: &'a [Doable],
    shown: &'a [u32],
) -> impl Iterator<Item = u32> + 'a {
    let own: HashSet<u32> = group.all().flat_map(|i| steps[i].outputs.iter().copied()).collect();
    let read = group.all().flat_map(|i| steps[i].inputs.iter().copied());
    read.filter(move |&n| !(own.contains(&n) || group.row.is_some() && own.contains(&shown[n as usize])))
}

/// The order without views of which nobody needs what they show: those who would have seen it that way have it at hand.
fn without_idle(
    order: Vec<Together>,
    steps: &[Doable],
    shown: &[u32],
    is_wanted: &dyn Fn(u32) -> bool,
) -> Vec<Together> {
    let mut is_read = HashSet::new();
    let mut kept = Vec::with_capacity(order.len());
    for group in order.into_iter().rev() {
        let is_idle = |&i: &usize| {
            matches!(steps[i].fusible, Some(Fusible::View))
                && !steps[i].outputs.iter().any(|n| is_read.contains(n) || is_wanted(*n))
        };
        if !group.steps.iter().all(is_idle) {
            is_read.extend(reads(&group, steps, shown));
            kept.push(group);
        }
    }
    kept.reverse();
    kept
}

fn alone(step: &Doable) -> Unit {
    let kind = match (&step.kind, &step.fusible) {
        // There is nothing beside the result.
        (Kind::Operation(op, true), Some(_)) if step.outputs.len() == 1 => Kind::Operation(op.clone(), false),
        (kind, _) => kind.clone(),
    };
    Unit { doing: Doing::Step(kind), inputs: step.inputs.clone(), outputs: step.outputs.clone() }
}

fn sources<'a>(steps: &'a [Doable], group: &Together) -> Vec<Source<'a>> {
    let steps = group.steps.iter().map(|&i| &steps[i]);
    steps
        .filter_map(|step| {
            let what = step.fusible.clone()?;
            Some(Source { what, inputs: &step.inputs, output: step.outputs[0] })
        })
        .collect()
}

fn together(steps: &[Doable], group: &Together, seeing: &Seeing<'_>) -> Unit {
    let (program, inputs, outputs) = Program::new(&sources(steps, group), group.row, None, seeing);
    Unit {
        doing: Doing::Fused(Box::new(program)),
        inputs: SmallVec::from_vec(inputs),
        outputs: SmallVec::from_vec(outputs),
    }
}

/// The first step, and the others to the elements of its result: it is the last of the outputs.
fn after(steps: &[Doable], group: &Together, first: &Doable, seeing: &Seeing<'_>) -> Unit {
    let result = first.outputs[0];
    let (program, operands, mut outputs) = Program::new(&sources(steps, group), None, Some(result), seeing);
    let operand = operands.iter().position(|&v| v == result);
    let (Kind::Operation(op, _), Some(operand)) = (&first.kind, operand) else {
        unreachable!("it is an operation whose result they read");
    };
    debug_assert!(program.is_by_elements_of(operand));
    let count = first.inputs.len();
    let inputs = first.inputs.iter().copied().chain(operands.into_iter().filter(|&v| v != result)).collect();
    outputs.push(result);
    Unit {
        doing: Doing::After(Box::new(After { op: op.clone(), count, program, operand })),
        inputs,
        outputs: SmallVec::from_vec(outputs),
    }
}

/// Puts steps that are quickly done once more into the groups that read what they give, where that is large and what they
/// read is small: it need not go to memory then.
fn repeat(order: &mut Vec<Together>, steps: &[Doable], layouts: &[Layout], is_wanted: &dyn Fn(u32) -> bool) {
    let size = |n: u32| shape::size(&layouts[n as usize].0);
    let mut readers: Vec<SmallVec<[usize; 4]>> = vec![SmallVec::new(); layouts.len()];
    for (at, group) in order.iter().enumerate() {
        for &n in group.steps.iter().flat_map(|&i| &steps[i].inputs) {
            if readers[n as usize].last() != Some(&at) {
                readers[n as usize].push(at);
            }
        }
    }
    let mut is_seen = vec![false; steps.len()];
    for at in 0..order.len() {
        for i in order[at].steps.clone() {
            if std::mem::replace(&mut is_seen[i], true) {
                continue;
            }
            let Some(Fusible::Each(each)) = &steps[i].fusible else { continue };
            let n = steps[i].outputs[0];
            let is_cheap = each.is_cheap()
                && size(n) >= LARGE
                && steps[i].inputs.iter().all(|&input| size(input) * 8 <= size(n))
                && !is_wanted(n);
            let is_alike = |&i: &usize| {
                matches!(steps[i].fusible, Some(Fusible::Each(_)))
                    && layouts[steps[i].outputs[0] as usize].0 == layouts[n as usize].0
            };
            let readers = &readers[n as usize];
            let is_read_here = readers.contains(&at);
            let others = readers.iter().filter(|&&reader| reader != at);
            // The first of those that are done together is of their shape, where others may be of its rows.
            if is_cheap && others.clone().all(|&reader| order[reader].steps.first().is_some_and(is_alike)) {
                others.for_each(|&reader| order[reader].steps.insert(0, i));
                if !is_read_here {
                    order[at].steps.retain(|&step| step != i);
                }
            }
        }
    }
    order.retain(|group| !group.steps.is_empty());
}

/// The steps without those that do what another has done with the same values, and the value that stands for each.
fn distinct(capture: &Capture, wanted: &[u32], fates: &mut [Fate]) -> (Vec<Doable>, Vec<u32>) {
    let mut stands = same_numbers(capture);
    let mut known: HashMap<(TypeId, SmallVec<[u32; 4]>), Vec<(usize, Parameters)>> = HashMap::new();
    let mut steps: Vec<Doable> = Vec::with_capacity(capture.steps().len());
    let mut last = vec![0; stands.len()];
    for (at, step) in capture.steps().iter().enumerate() {
        step.inputs.iter().for_each(|&n| last[n as usize] = at);
    }
    wanted.iter().for_each(|&n| last[n as usize] = usize::MAX);
    let bytes = |n: u32| {
        let (shape, _, dtype) = &capture.layouts()[n as usize];
        shape::size(shape) * dtype.size()
    };
    // What is handed out keeps memory of its own.
    let mut is_wanted = vec![false; stands.len()];
    wanted.iter().for_each(|&n| is_wanted[n as usize] = true);
    for (at, step) in capture.steps().iter().enumerate() {
        if !step.outputs.is_empty() && step.outputs.iter().all(|&n| capture.is_constant(n)) {
            continue; // it has been computed
        }
        let inputs: SmallVec<[u32; 4]> = step.inputs.iter().map(|&n| stands[n as usize]).collect();
        if let Kind::Operation(op, _) = &step.kind {
            let key = ((&**op as &dyn Any).type_id(), inputs.clone());
            let (parameters, others) = (op.parameters(), known.entry(key).or_default());
            let same = others.iter().find(|(other, given)| {
                let other = &steps[*other];
                let both = other.outputs.iter().zip(&step.outputs);
                other.outputs.len() == step.outputs.len()
                    && have_same_bits(given, &parameters)
                    // A program of a file may say otherwise, which is noticed when both are done.
                    && both.clone().all(|(&a, &b)| capture.layouts()[a as usize] == capture.layouts()[b as usize])
                    && both.clone().all(|(&a, &b)| !(is_wanted[a as usize] && is_wanted[b as usize]))
                    // What is computed again to save memory is not kept instead.
                    && both.clone().all(|(&a, _)| last[a as usize] >= at || bytes(a) <= SMALL)
            });
            if let Some(&(same, _)) = same {
                for (&a, &b) in steps[same].outputs.iter().zip(&step.outputs) {
                    stands[b as usize] = a;
                    is_wanted[a as usize] |= is_wanted[b as usize];
                    last[a as usize] = last[a as usize].max(last[b as usize]);
                }
                fates[at] = Fate::Merged;
                continue;
            }
            others.push((steps.len(), parameters));
        }
        let fusible = fusible(step, capture.layouts());
        let (kind, outputs) = (step.kind.clone(), step.outputs.clone());
        steps.push(Doable { at, kind, inputs, outputs, fusible, is_part: false });
    }
    (steps, stands)
}

/// For each value its own number, but for numbers of the program that it has several times.
fn same_numbers(capture: &Capture) -> Vec<u32> {
    let mut first: HashMap<(DType, &[usize], &[u8]), u32> = HashMap::new();
    let layouts = capture.layouts().iter().enumerate();
    layouts
        .map(|(n, (shape, _, dtype))| {
            let n = n as u32;
            match capture.constant(n).filter(|x| x.size() == 1).and_then(Array::as_bytes) {
                Some(bytes) => *first.entry((*dtype, shape, bytes)).or_insert(n),
                None => n,
            }
        })
        .collect()
}

/// Whether parameters are the same, and have the same signs of zeros.
fn have_same_bits(a: &Parameters, b: &Parameters) -> bool {
    fn same(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Value::Fields(a), Value::Fields(b)) => have_same_bits(a, b),
            _ => a == b,
        }
    }
    a.len() == b.len() && a.iter().zip(b).all(|((n, a), (m, b))| n == m && same(a, b))
}

/// The steps without those whose results nobody needs. What may fail is done all the same: it fails where it did.
fn needed(steps: Vec<Doable>, wanted: impl Iterator<Item = u32>, values: usize) -> Vec<Doable> {
    let mut is_needed = vec![false; values];
    wanted.for_each(|n| is_needed[n as usize] = true);
    let mut kept = Vec::with_capacity(steps.len());
    for step in steps.into_iter().rev() {
        if step.fusible.is_none() || step.outputs.iter().any(|&n| is_needed[n as usize]) {
            step.inputs.iter().for_each(|&n| is_needed[n as usize] = true);
            kept.push(step);
        }
    }
    kept.reverse();
    kept
}

/// What a step is to others, if it is what the layouts of its values allow.
fn fusible(step: &Step, layouts: &[Layout]) -> Option<Fusible> {
    let Kind::Operation(op, _) = &step.kind else { return None };
    let &[output] = &step.outputs[..] else { return None };
    let types: SmallVec<[DType; 4]> = step.inputs.iter().map(|&n| layouts[n as usize].2).collect();
    op.fused(&types).filter(|what| is_possible(what, &step.inputs, output, layouts))
}

/// Whether it can be done with others for values that are laid out so.
pub(super) fn is_possible(what: &Fusible, inputs: &[u32], output: u32, layouts: &[Layout]) -> bool {
    let layout = |n: u32| &layouts[n as usize];
    match what {
        Fusible::Each(each) => each.fits(inputs.iter().map(|&n| layout(n)), layout(output)),
        Fusible::Rowwise(rowwise) => rowwise.fits(inputs.iter().map(|&n| layout(n)), layout(output)),
        Fusible::Folds(folds) => folds.axis(layout(inputs[0]), layout(output)).is_some(),
        Fusible::View => layout(inputs[0]).2 == layout(output).2,
    }
}

fn roles(steps: &[Doable], layouts: &[Layout]) -> Vec<Role> {
    let mut numbers: HashMap<&Dims, usize> = HashMap::new();
    let mut number = |shape| {
        let next = numbers.len();
        *numbers.entry(shape).or_insert(next)
    };
    let layout = |n: u32| &layouts[n as usize];
    let role = |step: &Doable| match (&step.fusible, &step.kind) {
        (Some(Fusible::Each(_)), _) => {
            let shape = &layout(step.outputs[0]).0;
            Role::Each(number(shape), shape::size(shape))
        }
        (Some(Fusible::Rowwise(_)), _) => {
            let shape = &layout(step.outputs[0]).0;
            Role::Rowwise(number(shape), shape::size(shape), shape.last().copied().unwrap_or(1))
        }
        (Some(Fusible::Folds(folds)), _) => {
            let (input, output) = (layout(step.inputs[0]), layout(step.outputs[0]));
            match folds.axis(input, output) {
                Some(axis) => Role::Folds(number(&input.0), axis),
                None => Role::Other,
            }
        }
        (Some(Fusible::View), _) => Role::View,
        (None, Kind::Foreign(_)) => Role::Barrier,
        (None, _) => Role::Other,
    };
    steps.iter().map(role).collect()
}
