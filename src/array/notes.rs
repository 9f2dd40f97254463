//! What is noted of arrays while somebody wants to know where values come from and where they go.

use super::Array;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many captures and recordings are open, on whatever threads. Nearly always there is none, which this tells sooner
/// than a word of the thread's own, for which a library has to call.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// To be called when one is opened.
pub(crate) fn opened() {
    OPEN.fetch_add(1, Ordering::Relaxed);
}

/// To be called when one has ended.
pub(crate) fn closed() {
    OPEN.fetch_sub(1, Ordering::Relaxed);
}

/// Whether one is open on any thread. A thread sees its own at once.
#[inline]
pub(crate) fn is_any_open() -> bool {
    OPEN.load(Ordering::Relaxed) != 0
}

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
    if is_any_open() && IS_NOTED.get() {
        note(Noted::Made(array.clone()));
    }
}

#[inline]
pub(super) fn read(array: &Array) {
    if is_any_open() && IS_NOTED.get() {
        note(Noted::Read(array.clone()));
    }
}
