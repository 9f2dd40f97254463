//! What a program does beside computing: optimisers' steps, and draws from generators.

use super::guard::Found;
use crate::array::Array;
use crate::dtype::DType;
use crate::py::optim::Update;
use crate::py::random::{Generator, default_generator, is_drawn_again};
use crate::py::state::Leaf;
use crate::py::tensor::PyTensor;
use crate::random::{Draw, Drawn, Generator as Stream};
use crate::tape::{self, Tensor};
use pyo3::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;

/// Something that a program does beside computing.
pub(super) enum Action {
    /// A step of an optimiser: for each parameter the places of what is kept for it and of its tensor, and whether that is
    /// an item of a list. Then the places of all tensors that it changes.
    Update(Vec<(usize, usize, bool)>, Vec<usize>),
    /// A draw from the generator of a place, or from the one that everybody shares.
    Draw(Option<usize>, Draw),
}

impl Action {
    /// Whether another does the same.
    pub(super) fn is_like(&self, other: &Action) -> bool {
        match (self, other) {
            (Action::Update(a, b), Action::Update(c, d)) => a == c && b == d,
            (Action::Draw(a, b), Action::Draw(c, d)) => a == c && b == d,
            _ => false,
        }
    }
}

type Places = HashMap<usize, usize>;

/// The actions of what is captured on this thread.
pub(super) struct Actions {
    tensors: Places,
    leaves: Places,
    generators: Places,
    pub(super) list: Vec<Action>,
    /// What was drawn, each with its generator and the place there, since it has been known that this will be drawn again.
    drawn: Option<Vec<(Option<usize>, Stream, Draw, Array)>>,
    /// The tensors by their places as the capture began, or as a step of an optimiser has left them.
    pub(super) known: Vec<Array>,
}

thread_local! {
    static OPEN: RefCell<Option<Actions>> = const { RefCell::new(None) };
}

fn places<'a, 'py: 'a, T: 'a>(all: impl Iterator<Item = &'a Bound<'py, T>>) -> Places {
    all.enumerate().map(|(i, x)| (x.as_ptr() as usize, i)).collect()
}

impl Actions {
    pub(super) fn open(found: &Found<'_, '_>, given: Vec<Array>) {
        let actions = Actions {
            tensors: places(found.tensors.iter()),
            leaves: places(found.leaves.iter()),
            generators: places(found.generators.iter()),
            list: Vec::new(),
            drawn: None,
            known: given,
        };
        OPEN.set(Some(actions));
    }

    pub(super) fn close() -> Option<Actions> {
        OPEN.take()
    }
}

/// Does something with what is open. A finaliser may run in the middle of it, of which nothing is noted.
fn with(f: impl FnOnce(&mut Actions)) {
    OPEN.with(|open| {
        if let Ok(mut open) = open.try_borrow_mut() {
            open.as_mut().map(f);
        }
    });
}

/// To be told that what is drawn from now on will be drawn once more.
#[cold]
pub(in crate::py) fn will_be_drawn_again() {
    with(|open| {
        open.drawn.get_or_insert_default();
    });
}

/// To be told of what was drawn from a place of a generator; gives what is to be taken. What a checkpoint draws once more
/// is what it drew the first time, which a program has.
#[cold]
pub(in crate::py) fn drawn(generator: &Bound<'_, Generator>, at: Stream, draw: Draw, made: Array) -> Array {
    let shared = default_generator(generator.py()).is_ok_and(|shared| shared.is(generator));
    let mut taken = made;
    with(|open| {
        let place = open.generators.get(&(generator.as_ptr() as usize)).copied();
        if place.is_none() && !shared {
            return tape::refuse(|| "a generator is made in the function".into());
        }
        if is_drawn_again() {
            let is_it =
                |(p, s, d, _): &&(Option<usize>, Stream, Draw, Array)| (*p, *s, d) == (place, at, &draw);
            match open.drawn.iter().flatten().find(is_it) {
                Some((.., first)) => taken = first.clone(),
                None => tape::refuse(|| "what is computed once more draws other numbers than before".into()),
            }
            return;
        }
        if let Some(all) = &mut open.drawn {
            all.push((place, at, draw.clone(), taken.clone()));
        }
        open.list.push(Action::Draw(place, draw));
        tape::foreign(open.list.len() - 1, "draw", &[], &[&taken]);
    });
    taken
}

/// The place that a dropout of so many elements draws from.
#[cold]
pub(in crate::py) fn drawn_place(
    generator: &Bound<'_, Generator>,
    at: Stream,
    size: usize,
    place: Tensor,
) -> Tensor {
    drawn(generator, at, Draw::new(Drawn::Place, &[size], DType::U64), place.into_array()).into()
}

/// A step of an optimiser that is about to be done, if it can be done again.
#[cold]
pub(in crate::py) fn updating(updates: &[Update<'_>]) -> Option<Vec<(usize, usize, bool)>> {
    let mut found = None;
    with(|open| {
        let mut pairs = Vec::with_capacity(updates.len());
        for update in updates {
            let place = |map: &Places, ob: usize| map.get(&ob).copied();
            let leaf = place(&open.leaves, update.leaf.as_ptr() as usize);
            let tensor = place(&open.tensors, update.tensor.as_ptr() as usize);
            let (Some(leaf), Some(tensor)) = (leaf, tensor) else {
                tape::refuse(|| "the state of the optimiser, or the model, is made in the function".into());
                return;
            };
            let now = update.tensor.bind(update.py).get().get();
            if now.array().identity() != open.known[tensor].identity() {
                tape::refuse(|| "a parameter is assigned to before it is updated".into());
                return;
            }
            pairs.push((leaf, tensor, update.is_item));
        }
        found = Some(pairs);
    });
    found
}

/// The step has been done. `changed` are all tensors that it may have changed.
#[cold]
pub(in crate::py) fn updated(
    pairs: Vec<(usize, usize, bool)>,
    grads: &[Array],
    changed: &[Bound<'_, PyTensor>],
) {
    with(|open| {
        let mut places = Vec::new();
        let mut arrays = Vec::new();
        for tensor in changed {
            if let Some(&place) = open.tensors.get(&(tensor.as_ptr() as usize)) {
                let now = tensor.get().get().into_array();
                open.known[place] = now.clone();
                places.push(place);
                arrays.push(now);
            }
        }
        open.list.push(Action::Update(pairs, places));
        let (grads, arrays): (Vec<&Array>, Vec<&Array>) = (grads.iter().collect(), arrays.iter().collect());
        tape::foreign(open.list.len() - 1, "update", &grads, &arrays);
    });
}

/// What is kept for a parameter, and its tensor.
pub(super) fn pair<'a, 'py>(
    found: &'a Found<'_, 'py>,
    (leaf, tensor, is_item): (usize, usize, bool),
) -> (&'a Bound<'py, Leaf>, &'a Bound<'py, PyTensor>, bool) {
    (&found.leaves[leaf], &found.tensors[tensor], is_item)
}
