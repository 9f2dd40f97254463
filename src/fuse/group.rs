//! Which steps are done together: those of one shape between which nothing else has to be done.
//!
//! Each step is on a level above those of all that it reads, but for its own group. So the steps of a group, which share a
//! level, can be done in one go, wherever they were.
//!
//! A reduction ends what is done together, but where it is of the rows of the shape: what follows from it for each row, and
//! what is then done to the elements of that row, are done while the row is at hand.

use super::Division;
use super::rows::{self, Layout};
use crate::kernels::reduce::Axis;
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a step is to those around it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Role {
    /// It computes element by element; the number of its shape, and how many elements that has.
    Each(usize, usize),
    /// The same for rows of so many elements, each as a whole.
    Rowwise(usize, usize, usize),
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
/// Shapes that are known of what a value leads to: more would take long in a program of a file that has very many.
const MOST_SHAPES: usize = 16;
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
    /// The shape, and the length of its rows, where something is done by rows.
    of: SmallVec<[usize; 4]>,
    row: Option<usize>,
}

/// Steps that are done in one go.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Together {
    pub(crate) steps: Vec<usize>,
    /// The length of the rows of the shape, where something is done by rows.
    pub(crate) row: Option<usize>,
    /// The step that is done first, whose result they are done to as its elements are finished.
    pub(crate) after: Option<usize>,
}

impl Together {
    /// All of them, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.after.into_iter().chain(self.steps.iter().copied())
    }
}

/// What is known of a value: the level of the step that makes it, and its group, if it is there while that is done.
#[derive(Clone, Copy, Default)]
struct Known {
    level: u32,
    group: Option<usize>,
    /// The one that makes it, even where that is when it has been done.
    made_by: Option<usize>,
    /// The one that makes it for each of its rows, and their length; or what it shows in the same order.
    rows: Option<(usize, usize)>,
}

/// The steps in an order in which they can be done, and those of a group as one.
pub(crate) fn grouped(steps: &[Seen<'_>], layouts: &[Layout]) -> Vec<Together> {
    let values = layouts.len();
    let mut known = vec![Known::default(); values];
    let leads = leads_to(steps, layouts);
    let (mut groups, mut group_of): (Vec<Group>, Vec<Option<usize>>) = (Vec::new(), vec![None; steps.len()]);
    // Steps after a barrier join none from before it.
    let (mut floor, mut top, mut first) = (0, 0, 0);
    for (at, step) in steps.iter().enumerate() {
        let below = |known: &[Known]| step.inputs.iter().map(|&v| known[v as usize].level).max().unwrap_or(0);
        let mut found = Known { level: below(&known).max(floor) + 1, ..Known::default() };
        match step.role {
            Role::Each(shape, size) | Role::Rowwise(shape, size, _) => {
                let whole = if let Role::Rowwise(_, _, n) = step.role { Some(n) } else { None };
                let near = || (first..groups.len()).rev().take(LOOKS);
                let leads_back = |&g: &usize| leads[step.outputs[0] as usize].contains(&groups[g].shape);
                let by_rows = near()
                    .filter(|g| whole.is_none() && leads_back(g))
                    .find_map(|g| Some((g, groups[g].row_of(g, step, layouts, &known)?)));
                if let Some((g, row)) = by_rows {
                    groups[g].row = Some(row);
                    groups[g].add(g, at, step, &known);
                    group_of[at] = Some(g);
                    found =
                        Known { level: groups[g].level, made_by: Some(g), rows: Some((g, row)), group: None };
                } else {
                    let joined = near().find_map(|g| {
                        let group = &groups[g];
                        (group.shape == shape)
                            .then(|| Some((g, group.takes(g, at, (step, size, whole), layouts, &known)?)))?
                    });
                    let (g, row) = joined.unwrap_or_else(|| {
                        let (level, of) = (found.level, layouts[step.outputs[0] as usize].0.clone());
                        let (steps, operands, axes) = (Vec::new(), Vec::new(), SmallVec::new());
                        groups.push(Group { level, shape, steps, operands, axes, of, row: None });
                        (groups.len() - 1, whole)
                    });
                    groups[g].row = row;
                    if let Some(axis) = whole.map(|n| Axis { outer: size / n, n, inner: 1 })
                        && !groups[g].axes.contains(&axis)
                    {
                        groups[g].axes.push(axis);
                    }
                    groups[g].add(g, at, step, &known);
                    group_of[at] = Some(g);
                    found = Known { level: groups[g].level, group: Some(g), made_by: Some(g), rows: None };
                }
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
                    let rows = (axis.inner == 1 && rows::are_short(axis.n)).then_some((g, axis.n));
                    found = Known { level: groups[g].level, group: None, made_by: Some(g), rows };
                }
            }
            Role::View => {
                let input = known[step.inputs[0] as usize];
                found.level = input.level + u32::from(input.made_by.is_some());
                found.rows =
                    input.rows.filter(|&(g, n)| groups[g].has_rows(n, &layouts[step.inputs[0] as usize]));
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
    // What is for each row is there while its group is done.
    let is_within = |at: usize, v: u32| {
        group_of[at].is_some_and(|g| known[v as usize].rows.is_some_and(|(of, _)| of == g))
    };
    ordered(steps, values, &groups, &group_of, &is_within)
}

/// For each value the shapes of what is computed of it, or of others of its size that are, or that show it: so many at
/// most.
fn leads_to(steps: &[Seen<'_>], layouts: &[Layout]) -> Vec<SmallVec<[usize; 2]>> {
    let mut leads: Vec<SmallVec<[usize; 2]>> = vec![SmallVec::new(); layouts.len()];
    let size_of = |v: u32| crate::shape::size(&layouts[v as usize].0);
    for step in steps.iter().rev() {
        let shape = match step.role {
            Role::Each(shape, _) | Role::Rowwise(shape, ..) => Some(shape),
            Role::View => None,
            Role::Folds(..) | Role::Other | Role::Barrier => continue,
        };
        let (size, on) = (size_of(step.outputs[0]), leads[step.outputs[0] as usize].clone());
        for &v in step.inputs {
            let goes_on = shape.is_none() || size_of(v) == size;
            for shape in shape.into_iter().chain(on.iter().copied().filter(|_| goes_on)) {
                let found = &leads[v as usize];
                if found.len() < MOST_SHAPES && !found.contains(&shape) {
                    leads[v as usize].push(shape);
                }
            }
        }
    }
    leads
}

impl Group {
    /// Whether it can be reduced in this way beside those that it is reduced in.
    fn is_reduced(&self, axis: Axis) -> bool {
        let mut axes = self.axes.clone();
        axes.push(axis);
        Division::of(&axes).is_some()
    }

    /// Whether a value has an element for each of its rows, in order.
    fn has_rows(&self, n: usize, layout: &Layout) -> bool {
        rows::is_of_rows(layout, crate::shape::size(&self.of), n)
    }

    /// Whether it can be done by rows of that length.
    fn has_row(&self, n: usize) -> bool {
        let size = crate::shape::size(&self.of);
        self.row.is_none_or(|row| row == n)
            && n > 1
            && size.is_multiple_of(n)
            && self.is_reduced(Axis { outer: size / n, n, inner: 1 })
    }

    /// Whether a step can be one of it, for each row; then their length. It reads something that is of the rows, and nothing
    /// else but such and single elements.
    fn row_of(&self, g: usize, step: &Seen<'_>, layouts: &[Layout], known: &[Known]) -> Option<usize> {
        let is_mine = |v: u32| known[v as usize].rows.filter(|&(of, _)| of == g);
        let (_, n) = step.inputs.iter().find_map(|&v| is_mine(v))?;
        let fits = |v: u32| {
            let layout = &layouts[v as usize];
            match is_mine(v) {
                Some((_, other)) => other == n && self.has_rows(n, layout),
                None => {
                    let is_one = crate::shape::size(&layout.0) == 1;
                    known[v as usize].level < self.level && (is_one || self.has_rows(n, layout))
                }
            }
        };
        (self.has_row(n)
            && self.has_rows(n, &layouts[step.outputs[0] as usize])
            && self.steps.len() < STEPS
            && self.operands.len() + step.inputs.len() <= OPERANDS
            && step.inputs.iter().all(|&v| fits(v)))
        .then_some(n)
    }

    /// Whether a step can be one of it: what it reads is of the group, or on a level below. Then the length of the rows.
    fn takes(
        &self,
        g: usize,
        at: usize,
        (step, size, whole): (&Seen<'_>, usize, Option<usize>),
        layouts: &[Layout],
        known: &[Known],
    ) -> Option<Option<usize>> {
        let is_near = size <= LARGE || self.steps.last().is_none_or(|last| at - last <= NEAR);
        let (is_here, mut row) = (|v: u32| known[v as usize].group == Some(g), self.row);
        let mut has_common = size <= SMALL;
        if let Some(n) = whole {
            row = self.has_row(n).then_some(n);
            row?;
        }
        for &v in step.inputs {
            match known[v as usize].rows {
                Some((of, n)) if of == g => {
                    if row.is_some_and(|row| row != n)
                        || !self.has_row(n)
                        || !rows::are_spread(&layouts[v as usize], &self.of, n)
                    {
                        return None;
                    }
                    (row, has_common) = (Some(n), true);
                }
                _ if is_here(v) => has_common = true,
                _ if known[v as usize].level >= self.level => return None,
                _ => has_common |= self.operands.contains(&v),
            }
        }
        let has_room = self.steps.len() < STEPS && self.operands.len() + step.inputs.len() <= OPERANDS;
        (is_near && has_room && has_common).then_some(row)
    }

    fn add(&mut self, g: usize, at: usize, step: &Seen<'_>, known: &[Known]) {
        self.steps.push(at);
        for &v in step.inputs {
            let is_here =
                known[v as usize].group == Some(g) || known[v as usize].rows.is_some_and(|(of, _)| of == g);
            if !is_here && !self.operands.contains(&v) {
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
    is_within: &dyn Fn(usize, u32) -> bool,
) -> Vec<Together> {
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
            if let Some(unit) = maker[v as usize].filter(|&unit| unit != unit_of[at] && !is_within(at, v)) {
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
    let together = |unit: usize| Together {
        steps: std::mem::take(&mut units[unit]),
        row: groups.get(unit).and_then(|group| group.row),
        after: None,
    };
    order.into_iter().map(together).collect()
}
