//! Tensors that a gradient watches where they are: in the attributes of a model, found by identity.

use super::tensor::PyTensor;
use crate::tape::{self, Place};
use pyo3::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Addresses spread well enough as they are, but for the low bits.
#[derive(Default)]
pub(super) struct Address(u64);
impl Hasher for Address {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_usize(&mut self, x: usize) {
        self.0 = (x as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
pub(super) type ByAddress<T> = HashMap<usize, T, BuildHasherDefault<Address>>;

thread_local! {
    /// Where tensors that stay in their objects are on the tape: by the address of the Python object, which `Restore`
    /// keeps alive, so that no other object is found at it.
    static WATCHED: RefCell<ByAddress<Place>> = RefCell::default();
}

/// The last tape that watched a tensor where it is, and as what: how another thread notices that it is not its own, and an
/// update that parts of a model have changed places.
#[derive(Default)]
pub(super) struct Watcher {
    tape: AtomicU64,
    node: AtomicU32,
}

impl Watcher {
    fn set(&self, place: Place) {
        self.tape.store(place.tape(), Ordering::Relaxed);
        self.node.store(place.node(), Ordering::Relaxed);
    }

    /// The last place of the tensor on a tape, if that is the tape of another place.
    pub(super) fn place_beside(&self, other: Place) -> Option<u32> {
        (self.tape.load(Ordering::Relaxed) == other.tape()).then(|| self.node.load(Ordering::Relaxed))
    }
}

/// The place on the tape of a tensor that is watched where it is.
#[inline]
pub(super) fn place_of(tensor: &Bound<'_, PyTensor>) -> Option<Place> {
    if tape::is_watching()
        && let Some(place) = watched(tensor)
    {
        return Some(place);
    }
    let last = tensor.get().watcher().tape.load(Ordering::Relaxed);
    if last != 0 && tape::is_anothers(last) { Some(Place::elsewhere(last)) } else { None }
}

/// Watches a tensor where it is, until `restore` is dropped.
pub(super) fn watch(t: &Bound<'_, PyTensor>, place: Place, restore: &mut Restore) {
    t.get().watcher().set(place);
    let before = WATCHED.with_borrow_mut(|w| w.insert(t.as_ptr() as usize, place));
    restore.0.push((t.clone().unbind(), before));
}

/// Where a tensor is watched, by whatever gradient of this thread.
pub(super) fn watched(t: &Bound<'_, PyTensor>) -> Option<Place> {
    WATCHED.with_borrow(|w| w.get(&(t.as_ptr() as usize)).copied())
}

/// Gives `WATCHED` back as it was, whatever happens in between, and keeps what is watched alive until then.
#[derive(Default)]
pub(super) struct Restore(pub(super) Vec<(Py<PyTensor>, Option<Place>)>);

impl Drop for Restore {
    fn drop(&mut self) {
        WATCHED.with_borrow_mut(|w| {
            for (tensor, before) in self.0.iter().rev() {
                match before {
                    Some(place) => {
                        tensor.get().watcher().set(*place);
                        w.insert(tensor.as_ptr() as usize, *place)
                    }
                    None => w.remove(&(tensor.as_ptr() as usize)),
                };
            }
        });
    }
}
