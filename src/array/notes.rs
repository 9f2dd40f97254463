//! What is noted of arrays while somebody wants to know where values come from and where they go.

use super::Array;
use std::cell::{Cell, RefCell};

/// What happened to an array.
pub(crate) enum Noted {
    /// It was made of one number.
    Made(Array),
    /// Its values were looked at as numbers.
    Read(Array),
}

thread_local! {
    static IS_NOTED: Cell<bool> = const { Cell::new(false) };
    static NOTES: RefCell<Vec<Noted>> = const { RefCell::new(Vec::new()) };
}

/// Whether notes are taken on this thread from now on.
pub(crate) fn is_noted(is: bool) {
    // A thread that ends takes none.
    let _ = IS_NOTED.try_with(|noted| noted.set(is));
}

/// The notes since the last time.
pub(crate) fn noted() -> Vec<Noted> {
    NOTES.try_with(RefCell::take).unwrap_or_default()
}

#[cold]
fn note(note: Noted) {
    NOTES.with_borrow_mut(|notes| notes.push(note));
}

#[inline]
pub(super) fn made(array: &Array) {
    if IS_NOTED.get() {
        note(Noted::Made(array.clone()));
    }
}

#[inline]
pub(super) fn read(array: &Array) {
    if IS_NOTED.get() {
        note(Noted::Read(array.clone()));
    }
}
