//! What a thread does with what it computes: it records it, lets it be, or leaves it to later.

use super::known::{Known, readers};
use super::later::{Later, Who, is_unrecorded, not_recorded};
use super::operation::{Context, Differentiable, Grads, Operation};
use super::parameters::parameters;
use super::threads::{Listed, from_another_thread, is_anothers, new_number};
use super::trace::Trace;
use super::{ELSEWHERE, Entry, Place, Tape, Tensor};
use crate::array::Array;
use crate::error::Result;
use crate::shape::Dims;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What this thread does with what it computes.
pub(super) struct Current {
    /// The tape being written, or 0: one look tells an operation that there is nothing to record.
    pub(super) id: Cell<u64>,
    pub(super) tape: RefCell<Option<Rc<Tape>>>,
    /// Whether layers are in training mode. It outlasts a pause that only leaves to later what would be recorded.
    training: Cell<bool>,
    /// What will be recorded later, if that is what is computed: one look tells that it is not.
    pub(super) later: RefCell<Option<Rc<Later>>>,
    pub(super) is_later: Cell<bool>,
    /// Whether what is done is written down as a program.
    pub(super) is_written: Cell<bool>,
    /// Whether it is captured, which is written too.
    pub(super) is_captured: Cell<bool>,
    /// What is open, and what was going on before each: they may be closed in any order.
    open: RefCell<Vec<(u64, Before)>>,
}

/// What goes on again when a scope or a pause ends.
struct Before {
    id: u64,
    tape: Option<Rc<Tape>>,
    training: bool,
    later: Option<Rc<Later>>,
}

/// A scope or a pause that is open on the thread that opened it. Dropped on another thread it does nothing, and stays open.
pub(crate) struct Open {
    number: u64,
}

impl Open {
    /// Remembers what goes on now.
    fn new() -> Open {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        CURRENT.with(|c| {
            let (tape, later) = (c.tape.borrow().clone(), c.later.borrow().clone());
            let before = Before { id: c.id.get(), tape, training: c.training.get(), later };
            c.open.borrow_mut().push((number, before));
        });
        Open { number }
    }
}

impl Drop for Open {
    /// What was before goes on again. If another was opened since and is still open, it goes on, and what was before
    /// this one comes after that.
    fn drop(&mut self) {
        // A thread that ends has nothing left to restore.
        let _ = CURRENT.try_with(|c| {
            let mut open = c.open.borrow_mut();
            let Some(at) = open.iter().rposition(|(number, _)| *number == self.number) else { return };
            let (_, before) = open.remove(at);
            let ended = match open.get_mut(at) {
                Some((_, later)) => std::mem::replace(later, before).tape,
                None => {
                    c.id.set(before.id);
                    c.training.set(before.training);
                    c.is_later.set(before.later.is_some());
                    c.later.replace(before.later);
                    c.tape.replace(before.tape)
                }
            };
            // What a tape keeps may look at the tape when it is dropped.
            drop(open);
            drop(ended);
        });
    }
}

thread_local! {
    pub(super) static CURRENT: Current = const {
        Current {
            id: Cell::new(0),
            tape: RefCell::new(None),
            training: Cell::new(false),
            later: RefCell::new(None),
            is_later: Cell::new(false),
            is_written: Cell::new(false),
            is_captured: Cell::new(false),
            open: RefCell::new(Vec::new()),
        }
    };
    /// The entries of the last tape, emptied, for the next one.
    pub(super) static SPARE: Cell<Vec<Entry>> = const { Cell::new(Vec::new()) };
}

/// Whether a scope is open on this thread and not paused.
#[inline]
pub fn is_recording() -> bool {
    CURRENT.with(|c| c.id.get() != 0)
}

/// Whether it matters which tensors are watched: they are recorded, or will be later.
#[cfg(feature = "python")]
#[inline]
pub(crate) fn is_watching() -> bool {
    CURRENT.with(|c| c.id.get() != 0 || c.is_later.get())
}

/// Whether layers that behave differently in training do so: a scope is open on this thread and not paused by
/// [`Paused::new`].
#[inline]
pub fn is_training() -> bool {
    CURRENT.with(|c| c.training.get())
}

/// Whether nothing follows what is computed on this thread: no gradient, now or later, no program, no training mode.
#[cfg(feature = "python")]
pub(crate) fn is_plain() -> bool {
    CURRENT.with(|c| c.id.get() == 0 && !c.is_later.get() && !c.training.get() && !c.is_written.get())
}

/// Whether a gradient follows what is computed from this tensor: one that is open on this thread and not paused, or one
/// of another thread.
#[inline]
pub fn is_recorded(x: &Tensor) -> bool {
    let here = |p: Place| {
        CURRENT.with(|c| {
            c.id.get() == p.tape || c.is_later.get() && c.later.borrow().as_ref().is_some_and(|l| l.has(p))
        })
    };
    x.place.is_some_and(|p| here(p) || p.node != ELSEWHERE && is_anothers(p.tape))
}

/// Whether this was computed unrecorded in the middle of what an open scope records, to be computed again later.
#[cfg(feature = "python")]
pub(crate) fn is_left_out(x: &Tensor) -> bool {
    x.place.is_some_and(|p| is_unrecorded(p.node))
}

/// Recording on this thread, from [`Scope::enter`] to [`Scope::close`] or the drop. Scopes may be closed in any order:
/// each records until it is closed itself.
pub struct Scope {
    tape: Rc<Tape>,
    first: u32,
    nested: bool,
    listed: Option<Listed>,
    open: Open,
}

impl Scope {
    /// Starts recording: on the tape that is being written, if there is one.
    pub fn enter() -> Scope {
        let open = Open::new();
        CURRENT.with(|c| {
            c.training.set(true);
            let mut current = c.tape.borrow_mut();
            if let (1.., Some(tape)) = (c.id.get(), &*current) {
                let first = tape.entries.borrow().len() as u32;
                return Scope { tape: tape.clone(), first, nested: true, listed: None, open };
            }
            let id = new_number();
            let tape = Rc::new(Tape { id, entries: RefCell::new(SPARE.take()) });
            c.id.set(id);
            *current = Some(tape.clone());
            Scope { tape, first: 0, nested: false, listed: Some(Listed::new(id)), open }
        })
    }

    /// The same values as a variable of this scope: what the gradient is taken for.
    pub fn watch(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match x.node_on(self.tape.id) {
            Some(ELSEWHERE) => return Err(from_another_thread("gradient")),
            Some(line) if is_unrecorded(line) => return Err(not_recorded("gradient")),
            // On the tape already, by an outer scope: a line of its own keeps the two derivatives apart.
            Some(_) => self.tape.write(Box::new(Same), &[x], x.array.clone(), Vec::new()),
            None => {
                let mut entries = self.tape.entries.borrow_mut();
                let place = Place { tape: self.tape.id, node: entries.len() as u32 };
                let (shape, dtype) = (Dims::from_slice(x.array.shape()), x.array.dtype());
                entries.push(Entry { shape, dtype, ..Entry::spent() });
                x.at(Some(place))
            }
        })
    }

    /// Whether a place was made since this scope was entered.
    #[cfg(feature = "python")]
    pub(crate) fn made(&self, place: Place) -> bool {
        place.tape == self.tape.id && place.node >= self.first
    }

    /// Stops recording, and hands over what was recorded.
    pub fn close(self) -> Trace {
        let Scope { tape, first, nested, listed, open } = self;
        drop((listed, open));
        Trace { tape, first, nested }
    }
}

/// The identity, which a nested scope puts between an outer variable and its own.
#[derive(Clone, Debug)]
struct Same;

impl Operation for Same {
    fn name(&self) -> &'static str {
        "same"
    }
    parameters! {}
    fn check(&self, x: &Known<'_>) -> Result<()> {
        x.count(1)
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(x[0].clone())
    }
    fn moves(&self) -> bool {
        true
    }
}

impl Differentiable for Same {
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|_| Ok(g.clone()))
    }
}

/// Nothing is recorded while it lives.
pub struct Paused {
    _open: Open,
    /// It ends on the thread on which it began.
    _thread: PhantomData<*const ()>,
}

impl Paused {
    /// Stops recording on this thread until the drop, and training with it.
    pub fn new() -> Paused {
        let open = Open::new();
        CURRENT.with(|c| {
            c.id.set(0);
            c.training.set(false);
            c.is_later.set(false);
            c.later.replace(None)
        });
        Paused { _open: open, _thread: PhantomData }
    }
    /// Stops recording, in the middle of what remains training, of what will be recorded later with these tensors as
    /// its variables. Another tensor that the open scope follows is then an error.
    pub fn until_later(variables: &[Tensor]) -> Paused {
        let open = Open::new();
        CURRENT.with(|c| {
            let tape = c.id.replace(0);
            if tape != 0 {
                c.is_later.set(true);
                c.later.replace(Some(Rc::new(Later::new(Who::Checkpoint, tape, variables))));
            }
        });
        Paused { _open: open, _thread: PhantomData }
    }
    /// The same as [`Paused::new`] for a function that brings the gradient of these tensors along: to use another one
    /// that the open scope follows is an error.
    pub fn for_custom(variables: &[Tensor]) -> Paused {
        let open = Open::new();
        CURRENT.with(|c| {
            let around = c.later.borrow().as_ref().map_or(0, |later| later.tape);
            let tape = match c.id.replace(0) {
                0 => around,
                tape => tape,
            };
            c.training.set(false);
            let own = (tape != 0).then(|| Rc::new(Later::new(Who::Custom, tape, variables)));
            c.is_later.set(own.is_some());
            c.later.replace(own)
        });
        Paused { _open: open, _thread: PhantomData }
    }
    /// The same for an owner that may be dropped on another thread.
    #[cfg(feature = "python")]
    pub(crate) fn into_open(self) -> Open {
        self._open
    }
}

impl Default for Paused {
    fn default() -> Self {
        Paused::new()
    }
}

readers! { "same" => Same }
