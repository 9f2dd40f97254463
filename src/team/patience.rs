//! Long work looks now and then whether it is still wanted, and is broken off by unwinding if it is not.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long work goes on before it asks whether it is wanted.
const PATIENCE: Duration = Duration::from_millis(100);

/// What work that is no longer wanted unwinds with, and what [`patient`] gives instead of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwanted;

/// Whom to ask, and when that was done last.
#[derive(Clone, Copy)]
struct Asker {
    is_wanted: fn() -> bool,
    last: Instant,
}

thread_local! {
    /// Whom work on this thread asks.
    static ASKER: Cell<Option<Asker>> = const { Cell::new(None) };
    /// Whether this thread does chunks of another's region.
    static SERVES: Cell<bool> = const { Cell::new(false) };
}

/// Whether the region that the team works on is no longer wanted.
static BROKEN_OFF: AtomicBool = AtomicBool::new(false);

/// Does `work`, which asks `is_wanted` about ten times a second and is broken off where the answer is no: its memory may
/// then be half written, and nobody may have kept any of it.
///
/// # Errors
/// [`Unwanted`] if it was broken off.
pub fn patient<R>(is_wanted: fn() -> bool, work: impl FnOnce() -> R) -> Result<R, Unwanted> {
    let outer = ASKER.replace(Some(Asker { is_wanted, last: Instant::now() }));
    let result = catch_unwind(AssertUnwindSafe(work));
    ASKER.set(outer);
    result.map_err(|payload| if payload.is::<Unwanted>() { Unwanted } else { resume_unwind(payload) })
}

/// Does `work`, which cannot be broken off, also inside [`patient`].
pub fn unbroken<R>(work: impl FnOnce() -> R) -> R {
    /// Puts back whom to ask, however the work ends.
    struct Back(Option<Asker>);
    impl Drop for Back {
        fn drop(&mut self) {
            ASKER.set(self.0);
        }
    }
    let _back = Back(ASKER.take());
    work()
}

/// A moment of long work in which it may be broken off.
///
/// # Panics
/// By unwinding with [`Unwanted`], inside [`patient`] alone, which catches it.
#[inline]
pub fn look() {
    match ASKER.get() {
        Some(asker) if asker.last.elapsed() >= PATIENCE => ask(asker),
        None if SERVES.get() && BROKEN_OFF.load(Ordering::Relaxed) => resume_unwind(Box::new(Unwanted)),
        _ => {}
    }
}

#[cold]
fn ask(asker: Asker) {
    // What the answer takes may itself be work of ours.
    ASKER.set(None);
    let wanted = (asker.is_wanted)();
    ASKER.set(Some(Asker { last: Instant::now(), ..asker }));
    if !wanted {
        resume_unwind(Box::new(Unwanted));
    }
}

/// Marks this thread as one that serves, and gives back what it was.
pub(super) fn serve(serves: bool) -> bool {
    SERVES.replace(serves)
}

/// Tells the other threads of a region what a chunk of it has unwound with; says whether the region is broken off.
pub(super) fn tell(payload: &(dyn Any + Send)) -> bool {
    let broken_off = payload.is::<Unwanted>();
    if broken_off {
        BROKEN_OFF.store(true, Ordering::Relaxed);
    }
    broken_off
}

/// A new region is wanted.
pub(super) fn begin() {
    if BROKEN_OFF.load(Ordering::Relaxed) {
        BROKEN_OFF.store(false, Ordering::Relaxed);
    }
}
