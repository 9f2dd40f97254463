//! Tapes and the threads that write them: only the thread that takes a gradient can record for it.

use crate::error::Error;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The tapes that are being written, by whatever thread. A tape that finds no room is not listed, and what other
/// threads do with its tensors is then not noticed. Atomics, because a fork may come while another thread writes here.
static OPEN: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

/// How many are listed.
static OPEN_COUNT: AtomicUsize = AtomicUsize::new(0);

/// The low bits of a tape's number, which are those of the thread that writes it.
const THREAD: u64 = (1 << 24) - 1;

fn thread_number() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    thread_local!(static OWN: u64 = THREADS.fetch_add(1, Ordering::Relaxed) & THREAD);
    OWN.with(|own| *own)
}

/// A number for a new tape of this thread; never 0.
pub(super) fn new_number() -> u64 {
    static TAPES: AtomicU64 = AtomicU64::new(1);
    TAPES.fetch_add(1, Ordering::Relaxed) * (THREAD + 1) + thread_number()
}

/// Whether another thread is writing this tape.
#[cold]
pub(crate) fn is_anothers(tape: u64) -> bool {
    let is_listed = || OPEN.iter().any(|open| open.load(Ordering::Relaxed) == tape);
    OPEN_COUNT.load(Ordering::Relaxed) > 0 && tape & THREAD != thread_number() && is_listed()
}

/// Puts a tape on the list, from which the drop takes it.
pub(super) struct Listed(Option<&'static AtomicU64>);

impl Listed {
    pub(super) fn new(tape: u64) -> Listed {
        let (now, then) = (Ordering::Relaxed, Ordering::Relaxed);
        OPEN_COUNT.fetch_add(1, Ordering::Relaxed);
        Listed(OPEN.iter().find(|open| open.compare_exchange(0, tape, now, then).is_ok()))
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        OPEN_COUNT.fetch_sub(1, Ordering::Relaxed);
        if let Some(open) = self.0 {
            open.store(0, Ordering::Relaxed);
        }
    }
}

#[cold]
pub(super) fn on_another_thread(op: &str) -> Error {
    Error::Value(format!(
        "{op}: another thread is taking a gradient through this tensor, and only that thread can record for it; compute \
         it there, or give this thread ignore_derivatives(x)"
    ))
}

#[cold]
pub(super) fn from_another_thread(op: &str) -> Error {
    Error::Value(format!(
        "{op}: this tensor was computed on another thread from what the gradient is taken for, and is not recorded; \
         compute it on the thread that takes the gradient, or wrap it in ignore_derivatives"
    ))
}
