//! A trace in the hands of Python, whose objects go from thread to thread.

use super::custom;
use crate::tape::Trace;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// A trace that one thread at a time may walk: any thread, unless it shares its tape with a gradient that is still open.
pub(super) struct Walkable {
    trace: ManuallyDrop<Trace>,
    /// The only thread that may touch a tape that is shared.
    home: Option<ThreadId>,
    is_walked: AtomicBool,
}

// SAFETY: a trace whose tape is its alone may go to any thread, one that shares it is not touched outside its home.
unsafe impl Send for Walkable {}
// SAFETY: as above, and `is_walked` lets in one thread at a time.
unsafe impl Sync for Walkable {}

/// Traces that were dropped on another thread than their home, which frees them when it makes the next.
static ABANDONED: Mutex<Vec<Walkable>> = Mutex::new(Vec::new());

impl Walkable {
    pub(super) fn new(trace: Trace) -> Walkable {
        let here = thread::current().id();
        let mut mine = Vec::new();
        {
            let mut abandoned = ABANDONED.lock().unwrap_or_else(PoisonError::into_inner);
            mine.extend(abandoned.extract_if(.., |w| w.home == Some(here)));
        }
        // When the lock is free: what a tape keeps may run Python code as it goes.
        drop(mine);
        let home = trace.is_shared().then_some(here);
        Walkable { trace: ManuallyDrop::new(trace), home, is_walked: AtomicBool::new(false) }
    }

    /// Shows the collector what Python functions the trace holds.
    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // What is shared may be written meanwhile, without the GIL.
        match self.home {
            Some(_) => Ok(()),
            None => {
                self.trace.each_operation(|op| custom::rule_of(op).map_or(Ok(()), |rule| visit.call(rule)))
            }
        }
    }

    /// Lets go of what it shows the collector.
    pub(super) fn clear(&self) {
        if self.home.is_none() {
            self.trace.forget();
        }
    }

    fn is_away(&self) -> bool {
        self.home.is_some_and(|home| home != thread::current().id())
    }

    /// Calls `walk` with the trace.
    pub(super) fn walk<R>(&self, walk: impl FnOnce(&Trace) -> PyResult<R>) -> PyResult<R> {
        if self.is_away() {
            return Err(PyRuntimeError::new_err(
                "pullback: this function belongs to a gradient of another thread: call it on the thread that made it",
            ));
        }
        let _walked = Walked::begin(&self.is_walked).ok_or_else(|| {
            PyRuntimeError::new_err(
                "pullback: this function is being called already, here or on another thread: call it once at a time",
            )
        })?;
        walk(&self.trace)
    }
}

impl Drop for Walkable {
    fn drop(&mut self) {
        // SAFETY: taken out once, because nothing uses `self` afterwards.
        let trace = unsafe { ManuallyDrop::take(&mut self.trace) };
        let (home, is_walked) = (self.home, AtomicBool::new(false));
        if self.is_away() {
            let kept = Walkable { trace: ManuallyDrop::new(trace), home, is_walked };
            ABANDONED.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        }
    }
}

/// Ends a walk, however it ends.
struct Walked<'a>(&'a AtomicBool);

impl<'a> Walked<'a> {
    fn begin(is_walked: &'a AtomicBool) -> Option<Walked<'a>> {
        (!is_walked.swap(true, Ordering::Acquire)).then(|| Walked(is_walked))
    }
}

impl Drop for Walked<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
