//! What a child process finds: `fork` copies one thread, and memory as it is at that moment.
//!
//! A change that leaves memory of the program between two states is made inside [`whole`], for which a fork waits. Such
//! a change must not wait for the GIL, which a thread that forks holds.

use crate::team;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by the one thread that is in [`whole`], or that forks.
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    /// What a thread that forks holds from just before to just after, in the parent and in the child: the turn, and the
    /// making of teams, which is after the turn because who has that may make one.
    static FORKING: Cell<Option<[MutexGuard<'static, ()>; 2]>> = const { Cell::new(None) };
}

/// Makes a change that a child process gets as a whole or not at all. Only one thread at a time makes one.
pub(crate) fn whole<R>(change: impl FnOnce() -> R) -> R {
    watch();
    let _turn = turn();
    // Asking whether it is wanted would take the GIL.
    team::unbroken(change)
}

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks after forks from now on: before any thread can make a change.
#[cfg(unix)]
pub(crate) fn watch() {
    extern "C" fn before() {
        let _ = FORKING.try_with(|forking| {
            let turn = turn();
            forking.set(Some([turn, team::making()]));
        });
    }
    extern "C" fn after() {
        let _ = FORKING.try_with(Cell::take);
    }
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if !WATCHED.swap(true, Ordering::AcqRel) {
        // SAFETY: the handlers wait for locks whose holders wait for no thread that forks, and let go of them on the
        // thread that took them, which is the one that the child has.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    }
}

#[cfg(not(unix))]
pub(crate) fn watch() {}
