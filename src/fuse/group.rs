//! Which steps are done together: those of one shape between which nothing else has to be done.
//!
//! Each step is on a level above those of all that it reads, but for its own group. So the steps of a group, which share a
//! level, can be done in one go, wherever they were.

use super::Division;
use crate::kernels::reduce::Axis;
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a step is to those around it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Role {
    /// It computes element by element; the number of its shape, and how many elements that has.
    Each(usize, usize),
    /// It reduces an input of a shape of that number.
    Folds(usize, Axis),
    /// It shows the same elements in another way.
    View,
    /// Anything else.
    Other,
    /// It acts on something: what comes before it is done before it, and what comes after it after it.
    Barrier,
}

/// A step as seen from here.
pub(crate) struct Seen<'a> {
    pub(crate) role: Role,
    pub(crate) inputs: &'a [u32],
    pub(crate) outputs: &'a [u32],
}

/// Steps of a shape of so few elements are done together even where they have nothing in common: a call is what costs.
const SMALL: usize = 1 << 12;

/// Of a shape of so many elements, steps are only done together where they were near: what is computed early takes memory.
const LARGE: usize = 1 << 14;
/// What is near.
const NEAR: usize = 24;

/// Operands of a group at most.
const OPERANDS: usize = 64;
/// Steps of a group at most.
const STEPS: usize = 512;
/// Groups that a step looks at at most.
const LOOKS: usize = 24;

struct Group {
    level: u32,
    shape: usize,
    steps: Vec<usize>,
    /// What it reads of the whole shape, and all that it reads.
    operands: Vec<u32>,
    /// How it is reduced, each way once.
    axes: SmallVec<[Axis; 2]>,
}

/// What is known of a value: the level of the step that makes it, and its group, if it is there while that is done.
#[derive(Clone, Copy, Default)]
struct Known {
    level: u32,
    group: Option<usize>,
    /// The one that makes it, even where that is when it has been done.
    made_by: Option<usize>,
}

/// The steps in an order in which they can be done, and those of a group as one.
pub(crate) fn grouped(steps: &[Seen<'_>], values: usize) -> Vec<Vec<usize>> {
    let mut known = vec![Known::default(); values];
    let (mut groups, mut group_of): (Vec<Group>, Vec<Option<usize>>) = (Vec::new(), vec![None; steps.len()]);
    // Steps after a barrier join none from before it.
    let (mut floor, mut top, mut first) = (0, 0, 0);
    for (at, step) in steps.iter().enumerate() {
        let below = |known: &[Known]| step.inputs.iter().map(|&v| known[v as usize].level).max().unwrap_or(0);
        let mut found = Known { level: below(&known).max(floor) + 1, group: None, made_by: None };
        match step.role {
            Role::Each(shape, size) => {
                let joined = (first..groups.len())
                    .rev()
                    .take(LOOKS)
                    .find(|&g| groups[g].shape == shape && groups[g].takes(g, at, step, size, &known));
                let g = joined.unwrap_or_else(|| {
                    let level = found.level;
                    groups.push(Group {
                        level,
                        shape,
                        steps: Vec::new(),
                        operands: Vec::new(),
                        axes: SmallVec::new(),
                    });
                    groups.len() - 1
                });
                groups[g].add(g, at, step, &known);
                group_of[at] = Some(g);
                found = Known { level: groups[g].level, group: Some(g), made_by: Some(g) };
            }
            Role::Folds(shape, axis) => {
                let of = known[step.inputs[0] as usize].group.filter(|&g| g >= first);
                let fits = |g: &usize| {
                    let group = &groups[*g];
                    group.shape == shape && group.steps.len() < STEPS && group.is_reduced(axis)
                };
                if let Some(g) = of.filter(fits) {
                    if !groups[g].axes.contains(&axis) {
                        groups[g].axes.push(axis);
                    }
                    groups[g].steps.push(at);
                    group_of[at] = Some(g);
                    found = Known { level: groups[g].level, group: None, made_by: Some(g) };
                }
            }
            Role::View => {
                let input = known[step.inputs[0] as usize];
                found.level = input.level + u32::from(input.made_by.is_some());
            }
            Role::Other => {}
            Role::Barrier => {
                found.level = top + 1;
                (floor, first) = (found.level, groups.len());
            }
        }
        top = top.max(found.level);
        step.outputs.iter().for_each(|&v| known[v as usize] = found);
    }
    ordered(steps, values, &groups, &group_of)
}

impl Group {
    /// Whether it can be reduced in this way beside those that it is reduced in.
    fn is_reduced(&self, axis: Axis) -> bool {
        let mut axes = self.axes.clone();
        axes.push(axis);
        Division::of(&axes).is_some()
    }

    /// Whether a step can be one of it: what it reads is of the group, or on a level below.
    fn takes(&self, g: usize, at: usize, step: &Seen<'_>, size: usize, known: &[Known]) -> bool {
        let is_near = size <= LARGE || self.steps.last().is_none_or(|last| at - last <= NEAR);
        let is_here = |v: u32| known[v as usize].group == Some(g);
        let can_be = step.inputs.iter().all(|&v| is_here(v) || known[v as usize].level < self.level);
        can_be
            && is_near
            && self.steps.len() < STEPS
            && self.operands.len() + step.inputs.len() <= OPERANDS
            && (size <= SMALL || step.inputs.iter().any(|&v| is_here(v) || self.operands.contains(&v)))
    }

    fn add(&mut self, g: usize, at: usize, step: &Seen<'_>, known: &[Known]) {
        self.steps.push(at);
        for &v in step.inputs {
            if known[v as usize].group != Some(g) && !self.operands.contains(&v) {
                self.operands.push(v);
            }
        }
    }
}

/// An order of the steps, each as late as what was captured has it: what is made late takes memory for a shorter time.
fn ordered(
    steps: &[Seen<'_>],
    values: usize,
    groups: &[Group],
    group_of: &[Option<usize>],
) -> Vec<Vec<usize>> {
    // Units: the groups, then the other steps.
    let mut units: Vec<Vec<usize>> = groups.iter().map(|group| group.steps.clone()).collect();
    let mut unit_of = Vec::with_capacity(steps.len());
    for (at, group) in group_of.iter().enumerate() {
        unit_of.push(group.unwrap_or(units.len()));
        if group.is_none() {
            units.push(vec![at]);
        }
    }
    let last = |unit: &Vec<usize>| unit.last().copied().unwrap_or(0);
    let mut maker = vec![None; values];
    let mut after: Vec<SmallVec<[usize; 4]>> = vec![SmallVec::new(); units.len()];
    let mut waits = vec![0; units.len()];
    for (at, step) in steps.iter().enumerate() {
        for &v in step.inputs {
            if let Some(unit) = maker[v as usize].filter(|&unit| unit != unit_of[at]) {
                after[unit as usize].push(unit_of[at]);
                waits[unit_of[at]] += 1;
            }
        }
        step.outputs.iter().for_each(|&v| maker[v as usize] = Some(unit_of[at]));
    }
    let mut order = Vec::with_capacity(units.len());
    // Barriers part the steps, and no group has steps on both sides of one.
    let barriers = steps.iter().enumerate().filter(|(_, step)| step.role == Role::Barrier).map(|(at, _)| at);
    let mut ready: BinaryHeap<Reverse<(usize, usize)>> = BinaryHeap::new();
    let mut start = 0;
    for end in barriers.map(|at| at + 1).chain(std::iter::once(steps.len())) {
        let is_within = |unit: usize| (start..end).contains(&last(&units[unit]));
        ready.extend(
            (0..units.len())
                .filter(|&u| waits[u] == 0 && is_within(u))
                .map(|u| Reverse((last(&units[u]), u))),
        );
        while let Some(Reverse((_, unit))) = ready.pop() {
            for &next in &after[unit] {
                waits[next] -= 1;
                if waits[next] == 0 && is_within(next) {
                    ready.push(Reverse((last(&units[next]), next)));
                }
            }
            order.push(unit);
        }
        start = end;
    }
    debug_assert!(order.len() == units.len());
    order.into_iter().map(|unit| std::mem::take(&mut units[unit])).collect()
}
