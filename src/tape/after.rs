//! Operations to whose elements something is done as soon as they are finished: a bias, a function, or what else is done
//! element by element to a product or a convolution need not go through memory once more.

use super::capture::{Kind, Layout};
use super::operation::Operation;
use super::plan::{Doable, reads};
use crate::fuse::{Fusible, Program, Together};
use crate::shape;
use smallvec::SmallVec;
use std::sync::Arc;

/// Results of up to so many bytes are in the second-level cache when they are finished: what follows finds them there all the
/// same, and alone it is divided as suits it best.
const CACHED: usize = 1 << 21;
/// Of so few bytes that a line of a program less is what counts.
const LITTLE: usize = 1 << 13;

/// An operation, and what is done to its result.
pub(super) struct After {
    pub(super) op: Arc<dyn Operation>,
    /// How many of the inputs are those of the operation.
    pub(super) count: usize,
    pub(super) program: Program,
    /// Which of its operands is the result.
    pub(super) operand: usize,
}

/// What is known of the steps, and of the order in which they are done.
struct Following<'a> {
    steps: &'a [Doable],
    layouts: &'a [Layout],
    shown: &'a [u32],
    is_wanted: &'a dyn Fn(u32) -> bool,
    slots: Vec<Option<Together>>,
    /// For each value where it is made, unless it is there from the start, and where it is read.
    made_at: Vec<Option<usize>>,
    read_at: Vec<SmallVec<[usize; 4]>>,
    /// How many barriers are before each slot.
    barriers: Vec<usize>,
}

/// The same order, where what is done to each element of a result is done with the operation that gives it. One of both is
/// done later, or earlier, than it was if that is the same and takes no more memory.
pub(super) fn followed(
    order: Vec<Together>,
    steps: &[Doable],
    layouts: &[Layout],
    shown: &[u32],
    is_wanted: &dyn Fn(u32) -> bool,
) -> Vec<Together> {
    let mut made_at = vec![None; layouts.len()];
    let mut read_at: Vec<SmallVec<[usize; 4]>> = vec![SmallVec::new(); layouts.len()];
    let (mut barriers, mut count) = (Vec::with_capacity(order.len()), 0);
    for (slot, group) in order.iter().enumerate() {
        reads(group, steps, shown).for_each(|v| read_at[v as usize].push(slot));
        let outputs = group.steps.iter().flat_map(|&i| &steps[i].outputs);
        outputs.for_each(|&v| made_at[v as usize] = Some(slot));
        count += usize::from(group.steps.iter().any(|&i| matches!(steps[i].kind, Kind::Foreign(_))));
        barriers.push(count);
    }
    let slots = order.into_iter().map(Some).collect();
    let mut all = Following { steps, layouts, shown, is_wanted, slots, made_at, read_at, barriers };
    (0..all.slots.len()).for_each(|slot| all.follow(slot));
    all.slots.into_iter().flatten().collect()
}

impl Following<'_> {
    /// Puts what is done there and the operation before it into one slot, if there is such an operation.
    fn follow(&mut self, slot: usize) {
        let Some(group) = self.slots[slot].as_ref().filter(|group| self.is_by_elements(group)) else {
            return;
        };
        let mut before: SmallVec<[(usize, u32); 4]> = reads(group, self.steps, self.shown)
            .filter_map(|v| Some((self.made_at[v as usize]?, v)))
            .filter(|&(at, v)| at < slot && self.is_followed(at, v, group))
            .collect();
        before.sort_unstable();
        for (at, v) in before.into_iter().rev() {
            let (from, to) = match () {
                () if self.can_be_later(at, slot, v) => (at, slot),
                () if self.can_be_earlier(at, slot, v) => (slot, at),
                () => continue,
            };
            let [first, second] = [at, slot].map(|slot| self.slots[slot].take());
            let (Some(first), Some(second)) = (first, second) else { return };
            let moved = if from == at { &first } else { &second };
            for v in reads(moved, self.steps, self.shown) {
                self.read_at[v as usize].iter_mut().filter(|at| **at == from).for_each(|at| *at = to);
            }
            for &v in moved.steps.iter().flat_map(|&i| &self.steps[i].outputs) {
                self.made_at[v as usize] = Some(to);
            }
            self.slots[to] = Some(Together { after: Some(first.steps[0]), ..second });
            return;
        }
    }

    fn bytes(&self, v: u32) -> usize {
        let (shape, _, dtype) = &self.layouts[v as usize];
        shape::size(shape) * dtype.size()
    }

    /// Whether nobody reads a value after a slot.
    fn dies(&self, v: u32, slot: usize) -> bool {
        !(self.is_wanted)(v) && self.read_at[v as usize].iter().all(|&at| at <= slot)
    }

    fn is_by_elements(&self, group: &Together) -> bool {
        let is_each = |&i: &usize| matches!(self.steps[i].fusible, Some(Fusible::Each(_)));
        group.row.is_none() && group.after.is_none() && group.steps.iter().all(is_each)
    }

    /// Whether what is done there gives this value, and tells of its elements to those who do that to each.
    fn is_followed(&self, at: usize, v: u32, group: &Together) -> bool {
        let Some(Together { steps, after: None, .. }) = &self.slots[at] else { return false };
        let &[only] = &steps[..] else { return false };
        let step = &self.steps[only];
        let Kind::Operation(op, _) = &step.kind else { return false };
        let (layout, inputs) = (&self.layouts[v as usize], &step.inputs);
        let inputs: SmallVec<[&Layout; 4]> = inputs.iter().map(|&n| &self.layouts[n as usize]).collect();
        step.fusible.is_none()
            && step.outputs.len() == 1
            && (self.bytes(v) > CACHED || self.bytes(v) <= LITTLE && group.steps.len() > 1)
            && self.layouts[self.steps[group.steps[0]].outputs[0] as usize].0 == layout.0
            && shape::is_row_major(&layout.0, &layout.1)
            && op.tells(&inputs)
    }

    /// Whether the operation that gives the value can be done in the later slot.
    fn can_be_later(&self, at: usize, slot: usize, v: u32) -> bool {
        let inputs = self.slots[at].iter().flat_map(|group| reads(group, self.steps, self.shown));
        let dying: usize = inputs.filter(|&v| self.dies(v, at)).map(|v| self.bytes(v)).sum();
        self.barriers[at] == self.barriers[slot]
            && self.read_at[v as usize].iter().all(|&reader| reader >= slot)
            && (slot == at + 1 || dying <= self.bytes(v))
    }

    /// Whether what is done to the value can be done in the earlier slot.
    fn can_be_earlier(&self, at: usize, slot: usize, v: u32) -> bool {
        let Some(group) = &self.slots[slot] else { return false };
        let mut others = reads(group, self.steps, self.shown).filter(|&other| other != v);
        let is_kept = |&&v: &&u32| (self.is_wanted)(v) || !self.read_at[v as usize].is_empty();
        let results = group.steps.iter().flat_map(|&i| &self.steps[i].outputs).filter(is_kept);
        self.barriers[at] == self.barriers[slot]
            && others.all(|other| self.made_at[other as usize].is_none_or(|made| made < at))
            && self.dies(v, slot)
            && results.map(|&v| self.bytes(v)).sum::<usize>() <= self.bytes(v)
    }
}
