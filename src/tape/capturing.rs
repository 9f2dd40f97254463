//! What is captured on a thread: it starts, it is told of all that is done, and it ends.

use super::capture::{Capture, Compute, Kind};
use super::current::CURRENT;
use super::operation::Operation;
use super::parameters::Parameters;
use crate::array::{self, Array, is_noted, noted};
use crate::error::{Error, Result};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

/// A capture that is open, and the number of the step that is not done any more but is an error.
struct Open {
    capture: Capture,
    stop: Option<usize>,
}

thread_local! {
    /// The captures that are open, the outermost first: each has all that is done while it is open.
    static OPEN: RefCell<Vec<Open>> = const { RefCell::new(Vec::new()) };
}

/// Who says where the program is, for refusals.
static PLACE: OnceLock<fn() -> String> = OnceLock::new();

/// Sets who says where the program is.
#[cfg(feature = "python")]
pub(crate) fn say_where(place: fn() -> String) {
    let _ = PLACE.set(place);
}

/// Where the program is, for refusals.
pub(super) fn where_it_is() -> String {
    PLACE.get().map_or_else(String::new, |place| place())
}

/// What this thread does is captured until it is closed, or dropped, and with it what was opened since.
pub struct Capturing {
    depth: usize,
    /// It ends on the thread on which it began.
    _thread: PhantomData<*const ()>,
}

impl Capturing {
    /// Starts, with what is known: the first of it may have other values the next time, the rest not.
    pub fn open(given: &[Array], constants: &[Array]) -> Capturing {
        Capturing::start(Capture::new(given, constants), None)
    }

    /// Starts what is only to be read, of what is done with `given`. With `stop`, the operation of that number is not done but
    /// is an error, which says from where it was asked for.
    pub fn to_read(given: &[Array], stop: Option<usize>) -> Capturing {
        refuse(|| "what is done is recorded".into());
        Capturing::start(Capture::to_read(given), stop)
    }

    fn start(capture: Capture, stop: Option<usize>) -> Capturing {
        let depth = OPEN.with_borrow_mut(|open| {
            open.push(Open { capture, stop });
            open.len()
        });
        array::opened();
        now_open();
        Capturing { depth, _thread: PhantomData }
    }

    /// Ends it.
    pub fn close(self) -> Capture {
        with(Capture::take_notes);
        self.end().unwrap_or_default()
    }

    fn end(&self) -> Option<Capture> {
        let ended = OPEN.try_with(|open| {
            let mut open = open.borrow_mut();
            let first = (self.depth - 1).min(open.len());
            open.split_off(first)
        });
        // What captures hold is dropped here, where none is borrowed. A thread that ends captures nothing more.
        let ended = ended.ok()?;
        if !ended.is_empty() {
            drop(noted());
            now_open();
        }
        ended.iter().for_each(|_| array::closed());
        ended.into_iter().next().map(|open| open.capture)
    }
}

impl Drop for Capturing {
    fn drop(&mut self) {
        self.end();
    }
}

/// To be called where captures have been opened or closed.
fn now_open() {
    let found = OPEN.try_with(|open| {
        let open = open.borrow();
        (!open.is_empty(), open.iter().any(|open| !open.capture.is_record()))
    });
    let (is_written, is_captured) = found.unwrap_or_default();
    let _ = CURRENT.try_with(|c| {
        c.is_written.set(is_written);
        c.is_captured.set(is_captured);
    });
    is_noted(is_captured);
}

/// Whether what this thread computes is captured, be it only to be read.
#[inline]
pub fn is_written() -> bool {
    array::is_any_open() && CURRENT.with(|c| c.is_written.get())
}

/// Whether what this thread computes is captured to be done again.
#[inline]
pub fn is_captured() -> bool {
    array::is_any_open() && CURRENT.with(|c| c.is_captured.get())
}

/// Does the work of an operation: those that it is done with are not written beside it.
#[cold]
pub(super) fn unwritten<R>(f: impl FnOnce() -> R) -> R {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            CURRENT.with(|c| c.is_written.set(true));
            is_noted(is_captured());
        }
    }
    let _again = Again;
    CURRENT.with(|c| c.is_written.set(false));
    is_noted(false);
    f()
}

/// Does something with what is captured to be done again. Python code that runs in the middle of that, such as a finaliser,
/// is not of it: what it makes is unknown.
fn with(mut f: impl FnMut(&mut Capture)) {
    OPEN.with(|open| {
        if let Ok(mut open) = open.try_borrow_mut() {
            open.iter_mut()
                .map(|open| &mut open.capture)
                .filter(|capture| !capture.is_record())
                .for_each(&mut f);
        }
    });
}

/// Ends what is captured on this thread for good: a program could not do again what is done here.
#[cold]
pub fn refuse(reason: impl Fn() -> String) {
    with(|capture| capture.refuse(&reason));
}

/// To be told of a tensor that is handed to somebody: its values, and the lengths of its axes, follow from what is known.
#[cold]
pub fn met(x: &Array) {
    with(|capture| capture.meet(x));
}

/// To be told of an array whose values decide what is done.
#[cold]
pub fn looked_at(x: &Array) {
    x.is_looked_at();
    with(Capture::take_notes);
}

/// An array that was made of nothing but shapes and parameters.
#[inline]
pub fn made(x: Array) -> Array {
    if is_captured() {
        constant(&x);
    }
    x
}

/// To be told of an array that was made of numbers of the program alone.
#[cold]
fn constant(x: &Array) {
    with(|capture| capture.add_constant(x));
}

/// Writes down that something beside the operations made `outputs` of inputs: `f` does it again, or is an error where it
/// would be done in another way. `key` is all that `f` knows.
#[cold]
pub fn derive(name: &'static str, key: Parameters, inputs: &[&Array], outputs: &[&Array], f: Compute) {
    with(|capture| {
        let kind = || Some(Kind::Derived(name, key.clone(), f.clone()));
        capture.write(kind, name, inputs, outputs.iter().copied());
    });
}

/// Writes down what the one who captures does himself.
#[cold]
pub fn foreign(number: usize, name: &str, inputs: &[&Array], outputs: &[&Array]) {
    with(|capture| {
        capture.write(|| Some(Kind::Foreign(number)), name, inputs, outputs.iter().copied());
    });
}

/// An operation that is only named: it could not be done again.
fn named(op: &dyn Operation) -> Kind {
    let name = op.name();
    Kind::Derived(
        name,
        op.parameters(),
        Arc::new(move |_| Err(Error::Unsupported(format!("{name} cannot be done again")))),
    )
}

/// Writes down that `op` made results of inputs.
#[cold]
pub(super) fn write<'a>(
    op: &dyn Operation,
    is_beside: bool,
    inputs: &[&Array],
    outputs: impl Iterator<Item = &'a Array> + Clone,
) -> Result<()> {
    OPEN.with(|open| {
        let Ok(mut open) = open.try_borrow_mut() else { return Ok(()) };
        for Open { capture, stop } in &mut *open {
            if *stop == Some(capture.steps().len()) {
                return Err(Error::Unsupported(format!("{}: the recording stops here", op.name())));
            }
            let is_record = capture.is_record();
            let kind = || {
                let kept = op.kept().map(|op| Kind::Operation(op, is_beside));
                if is_record { kept.or_else(|| Some(named(op))) } else { kept }
            };
            capture.write(kind, op.name(), inputs, outputs.clone());
        }
        Ok(())
    })
}
