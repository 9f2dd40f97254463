//! The tape: a list of what was computed, written while a [`Scope`] is open and walked backwards by `gradient`.
//!
//! A [`Tensor`] names its place on a tape by number, so entries hold no references to each other: nothing recurses when
//! a long tape is walked or dropped. Outside a scope nothing is recorded. A scope opened inside another writes on the
//! same tape, which is what makes a gradient differentiable.

mod later;

use self::later::{Later, is_unrecorded, not_recorded};
use crate::array::Array;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result, attempt};
use crate::shape::Dims;
use smallvec::SmallVec;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A place on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    tape: u64,
    node: u32,
}

impl Place {
    /// The tape that it is on.
    #[cfg(feature = "python")]
    pub(crate) fn tape(self) -> u64 {
        self.tape
    }
    /// Stands for a line that another thread could not write: what it computed from a variable of this open tape.
    #[cfg(feature = "python")]
    pub(crate) fn elsewhere(tape: u64) -> Place {
        Place { tape, node: ELSEWHERE }
    }
}

/// An array and its place on a tape, if what computed it was recorded.
#[derive(Clone)]
pub struct Tensor {
    array: Array,
    place: Option<Place>,
}

impl From<Array> for Tensor {
    #[inline]
    fn from(array: Array) -> Self {
        Tensor { array, place: None }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.array)
    }
}

impl Tensor {
    /// The values.
    #[inline]
    pub fn array(&self) -> &Array {
        &self.array
    }
    /// The values, for an owner of the tensor.
    #[inline]
    pub fn into_array(self) -> Array {
        self.array
    }
    /// The lengths of the axes.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        self.array.shape()
    }
    /// The number of axes.
    #[inline]
    pub fn ndim(&self) -> usize {
        self.array.ndim()
    }
    /// The number of elements.
    #[inline]
    pub fn size(&self) -> usize {
        self.array.size()
    }
    /// The element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.array.dtype()
    }
    /// The only element, as a float. What is computed of it is not recorded.
    pub fn item(&self) -> Result<f64> {
        self.array.item()
    }
    /// The elements in row-major order, converted to `T`. What is computed of them is not recorded.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.array.to_vec()
    }
    /// The same values at another place of a tape, which must be one of that shape and type.
    #[inline]
    pub(crate) fn at(&self, place: Option<Place>) -> Tensor {
        Tensor { array: self.array.clone(), place }
    }
    /// Where it is on a tape.
    #[inline]
    pub fn place(&self) -> Option<Place> {
        self.place
    }
    #[inline]
    fn node_on(&self, tape: u64) -> Option<u32> {
        self.place.filter(|p| p.tape == tape).map(|p| p.node)
    }
}

/// What an operation's gradient rule looks at, kept on the tape until the walk has passed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Only the incoming gradient and the shapes.
    Nothing,
    /// The inputs.
    Inputs,
    /// The result.
    Output,
    /// The inputs and the result.
    Both,
}

/// The gradients that a rule gives: one for each input, `None` where it is not wanted or there is no dependence.
pub type Grads = SmallVec<[Option<Tensor>; 3]>;

/// An operation: its parameters, and all there is to know of it.
///
/// To add one, see `ops/mod.rs`.
pub trait Operation: Any + fmt::Debug + Send + Sync {
    /// The name, as in Python and in messages.
    fn name(&self) -> &'static str;

    /// The result for these inputs.
    fn forward(&self, inputs: &[&Array]) -> Result<Array>;

    /// Whether it only moves elements, of whatever type: such operations see numbers of 16 bits as they are, all others
    /// see them as float32.
    fn moves(&self) -> bool {
        false
    }

    /// What [`Operation::backward`] needs.
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }

    /// The gradient rule, written with tensor operations so that it is differentiable itself. A gradient may still have
    /// the broadcast shape of the result: the walk sums it back to the shape of its input.
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads>;
}

/// What a gradient rule is told beside the incoming gradient.
pub struct Context<'a> {
    kept: &'a [Tensor],
    keeps: Keeps,
    wanted: &'a [bool],
    shapes: &'a [(Dims, DType)],
}

impl Context<'_> {
    /// Input `i`, of an operation that keeps its inputs.
    pub fn input(&self, i: usize) -> &Tensor {
        debug_assert!(matches!(self.keeps, Keeps::Inputs | Keeps::Both));
        &self.kept[i]
    }
    /// The result, of an operation that keeps it.
    pub fn output(&self) -> &Tensor {
        debug_assert!(matches!(self.keeps, Keeps::Output | Keeps::Both));
        &self.kept[self.kept.len() - 1]
    }
    /// Whether the gradient of input `i` is wanted.
    pub fn wants(&self, i: usize) -> bool {
        self.wanted[i]
    }
    /// The shape of input `i`; only known of inputs whose gradient is wanted.
    pub fn shape(&self, i: usize) -> &[usize] {
        &self.shapes[i].0
    }
    /// How many inputs there are.
    pub fn inputs(&self) -> usize {
        self.wanted.len()
    }
    /// Asks `rule` for the gradient of each input that wants one.
    pub fn each(&self, mut rule: impl FnMut(usize) -> Result<Tensor>) -> Result<Grads> {
        (0..self.wanted.len()).map(|i| self.wanted[i].then(|| rule(i)).transpose()).collect()
    }
}

const UNTRACKED: u32 = u32::MAX;
const ELSEWHERE: u32 = u32::MAX - 1;

/// One line of a tape.
pub(crate) struct Entry {
    /// `None` for a variable, where the walk ends.
    pub(crate) op: Option<Box<dyn Operation>>,
    inputs: SmallVec<[u32; 4]>,
    kept: Vec<Tensor>,
    keeps: Keeps,
    pub(crate) shape: Dims,
    pub(crate) dtype: DType,
}

impl Entry {
    /// What remains of an entry that the walk has taken.
    fn spent() -> Entry {
        let (inputs, kept, shape) = (SmallVec::new(), Vec::new(), Dims::new());
        Entry { op: None, inputs, kept, keeps: Keeps::Nothing, shape, dtype: DType::F32 }
    }
}

/// A list of what was computed, in order.
pub(crate) struct Tape {
    id: u64,
    entries: RefCell<Vec<Entry>>,
}

struct Current {
    /// The tape being written, or 0: one look tells an operation that there is nothing to record.
    id: Cell<u64>,
    tape: RefCell<Option<Rc<Tape>>>,
    /// Whether layers are in training mode. It outlasts a pause that only leaves to later what would be recorded.
    training: Cell<bool>,
    /// What will be recorded later, if that is what is computed: one look tells that it is not.
    later: RefCell<Option<Rc<Later>>>,
    is_later: Cell<bool>,
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
    static CURRENT: Current = const {
        let (id, training, is_later) = (Cell::new(0), Cell::new(false), Cell::new(false));
        let later = RefCell::new(None);
        Current { id, tape: RefCell::new(None), training, later, is_later, open: RefCell::new(Vec::new()) }
    };
    /// The entries of the last tape, emptied, for the next one.
    static SPARE: Cell<Vec<Entry>> = const { Cell::new(Vec::new()) };
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

/// Whether a gradient follows what is computed from this tensor: one that is open on this thread and not paused, or one
/// of another thread.
#[inline]
pub fn is_recorded(x: &Tensor) -> bool {
    let here = |tape| {
        CURRENT.with(|c| {
            c.id.get() == tape
                || c.is_later.get() && c.later.borrow().as_ref().is_some_and(|l| l.tape == tape)
        })
    };
    x.place.is_some_and(|p| here(p.tape) || p.node != ELSEWHERE && is_anothers(p.tape))
}

/// Whether this was computed unrecorded in the middle of what an open scope records, to be computed again later.
#[cfg(feature = "python")]
pub(crate) fn is_left_out(x: &Tensor) -> bool {
    x.place.is_some_and(|p| is_unrecorded(p.node))
}

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
fn new_number() -> u64 {
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
struct Listed(Option<&'static AtomicU64>);

impl Listed {
    fn new(tape: u64) -> Listed {
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

/// Does `op` on `inputs` and records it where something on the tape goes in.
#[inline]
pub fn apply<O: Operation>(op: O, inputs: &[&Tensor]) -> Result<Tensor> {
    if inputs.iter().any(|t| t.array.dtype().is_half()) && !op.moves() {
        return in_single(inputs, |inputs| apply(op, inputs));
    }
    let arrays: SmallVec<[&Array; 4]> = inputs.iter().map(|t| &t.array).collect();
    let value = attempt(op.name(), || op.forward(&arrays))?;
    record(op, inputs, value)
}

/// Numbers of 16 bits are computed with as float32, and a result of that type is rounded to what the inputs have in
/// common. This is the only place, but for functions that [`record`] what they computed.
#[cold]
pub(crate) fn in_single(inputs: &[&Tensor], f: impl FnOnce(&[&Tensor]) -> Result<Tensor>) -> Result<Tensor> {
    let half = |x: &Tensor| x.dtype().is_half();
    let wide = inputs.iter().map(|&x| if half(x) { cast(x, DType::F32) } else { Ok(x.clone()) });
    let wide = wide.collect::<Result<SmallVec<[Tensor; 4]>>>()?;
    let y = f(&wide.iter().collect::<SmallVec<[&Tensor; 4]>>())?;
    let floats = inputs.iter().map(|x| x.dtype()).filter(|d| d.is_float());
    match floats.reduce(DType::promote) {
        Some(dtype) if y.dtype() == DType::F32 => cast(&y, dtype),
        _ => Ok(y),
    }
}

/// The same values as another element type.
pub fn cast(x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() == dtype { Ok(x.clone()) } else { apply(Cast(dtype), &[x]) }
}

#[derive(Debug)]
struct Cast(DType);

impl Operation for Cast {
    fn name(&self) -> &'static str {
        "astype"
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        x[0].cast(self.0)
    }
    fn moves(&self) -> bool {
        true
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        cx.each(|_| Ok(g.clone())) // the walk gives it the type of its input
    }
}

/// Records that `op` made `value` of `inputs`, if any of those is on the tape.
///
/// An error where the value belongs to a gradient that another thread is taking, or was computed from one there: only
/// the thread that takes a gradient can record for it, and what is not recorded would be missing without a word.
#[inline]
pub fn record<O: Operation>(op: O, inputs: &[&Tensor], value: Array) -> Result<Tensor> {
    if inputs.iter().all(|t| t.place.is_none()) || !value.dtype().is_float() {
        return Ok(value.into());
    }
    if CURRENT.with(|c| c.is_later.get())
        && let Some(later) = CURRENT.with(|c| c.later.borrow().clone())
        && later.follows(op.name(), inputs)?
        && CURRENT.with(|c| c.id.get()) == 0
    {
        let place = Place { tape: later.tape, node: later.line };
        return Ok(Tensor { array: value, place: Some(place) });
    }
    let tape = CURRENT.with(|c| c.id.get());
    if tape != 0 && inputs.iter().any(|t| t.node_on(tape).is_some()) {
        if inputs.iter().any(|t| t.node_on(tape) == Some(ELSEWHERE)) {
            return Err(from_another_thread(op.name()));
        }
        if inputs.iter().any(|t| t.node_on(tape).is_some_and(is_unrecorded)) {
            return Err(not_recorded(op.name()));
        }
        let elsewhere = |p: Place| p.node == ELSEWHERE && is_anothers(p.tape);
        if inputs.iter().filter_map(|t| t.place).any(elsewhere) {
            return Err(on_another_thread(op.name()));
        }
        if let Some(tape) = CURRENT.with(|c| c.tape.borrow().clone()) {
            return Ok(tape.write(Box::new(op), inputs, value));
        }
    }
    for place in inputs.iter().filter_map(|t| t.place) {
        if is_anothers(place.tape) {
            if place.node == ELSEWHERE {
                return Ok(Tensor { array: value, place: Some(place) });
            }
            return Err(on_another_thread(op.name()));
        }
    }
    Ok(value.into())
}

#[cold]
fn on_another_thread(op: &str) -> Error {
    Error::Value(format!(
        "{op}: another thread is taking a gradient through this tensor, and only that thread can record for it; compute \
         it there, or give this thread ignore_derivatives(x)"
    ))
}

#[cold]
fn from_another_thread(op: &str) -> Error {
    Error::Value(format!(
        "{op}: this tensor was computed on another thread from what the gradient is taken for, and is not recorded; \
         compute it on the thread that takes the gradient, or wrap it in ignore_derivatives"
    ))
}

impl Tape {
    fn write(&self, op: Box<dyn Operation>, inputs: &[&Tensor], value: Array) -> Tensor {
        let keeps = op.keeps();
        let mut kept = Vec::new();
        if matches!(keeps, Keeps::Inputs | Keeps::Both) {
            kept.reserve_exact(inputs.len() + 1);
            kept.extend(inputs.iter().map(|&t| t.clone()));
        }
        let inputs = inputs.iter().map(|t| t.node_on(self.id).unwrap_or(UNTRACKED)).collect();
        let (shape, dtype) = (Dims::from_slice(value.shape()), value.dtype());
        let mut entries = self.entries.borrow_mut();
        let y = Tensor { array: value, place: Some(Place { tape: self.id, node: entries.len() as u32 }) };
        if matches!(keeps, Keeps::Output | Keeps::Both) {
            kept.push(y.clone());
        }
        entries.push(Entry { op: Some(op), inputs, kept, keeps, shape, dtype });
        y
    }
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
            Some(_) => self.tape.write(Box::new(Same), &[x], x.array.clone()),
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
#[derive(Debug)]
struct Same;

impl Operation for Same {
    fn name(&self) -> &'static str {
        "same"
    }
    fn forward(&self, x: &[&Array]) -> Result<Array> {
        Ok(x[0].clone())
    }
    fn moves(&self) -> bool {
        true
    }
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
                c.later.replace(Some(Rc::new(Later::new(tape, variables))));
            }
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

/// What a scope recorded, ready to be walked.
pub struct Trace {
    tape: Rc<Tape>,
    first: u32,
    nested: bool,
}

/// One step of the walk: a line, and the lines its gradients go to.
pub(crate) struct Step {
    entry: Entry,
    node: usize,
    wanted: SmallVec<[bool; 4]>,
    shapes: SmallVec<[(Dims, DType); 3]>,
}

impl Trace {
    /// Whether anything else holds the same tape: an open scope, or another trace.
    #[cfg(feature = "python")]
    pub(crate) fn is_shared(&self) -> bool {
        Rc::strong_count(&self.tape) > 1
    }

    /// Looks at each operation that has not been taken.
    #[cfg(feature = "python")]
    pub(crate) fn each_operation<E>(
        &self,
        look: impl FnMut(&dyn Operation) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let entries = self.tape.entries.borrow();
        entries.iter().filter_map(|entry| entry.op.as_deref()).try_for_each(look)
    }

    /// Forgets all operations: what is walked afterwards ends at once.
    #[cfg(feature = "python")]
    pub(crate) fn forget(&self) {
        let spent = |entry: &mut Entry| (entry.op.take(), std::mem::take(&mut entry.kept));
        // Dropped when the tape is free again.
        let _old: Vec<_> = self.tape.entries.borrow_mut().iter_mut().map(spent).collect();
    }

    /// Whether an outer scope still needs what this one recorded.
    pub(crate) fn is_nested(&self) -> bool {
        self.nested
    }

    /// The line of this trace on which a tensor is, counted from its first.
    pub(crate) fn line(&self, x: &Tensor) -> Result<Option<usize>> {
        match x.node_on(self.tape.id) {
            Some(ELSEWHERE) => Err(from_another_thread("gradient")),
            Some(line) if is_unrecorded(line) => Err(not_recorded("gradient")),
            node => Ok(node.and_then(|n| n.checked_sub(self.first)).map(|n| n as usize)),
        }
    }

    /// Takes line `node` off the tape, unless it is a variable.
    pub(crate) fn take(&self, node: usize) -> Option<Step> {
        let mut entries = self.tape.entries.borrow_mut();
        let at = node + self.first as usize;
        entries[at].op.as_ref()?;
        let entry = std::mem::replace(&mut entries[at], Entry::spent());
        let parents = entry.inputs.iter().map(|&p| p != UNTRACKED && p >= self.first);
        let wanted: SmallVec<[bool; 4]> = parents.collect();
        let shapes = entry.inputs.iter().zip(&wanted).map(|(&p, &w)| match w {
            true => (entries[p as usize].shape.clone(), entries[p as usize].dtype),
            false => (Dims::new(), DType::F32),
        });
        let shapes = shapes.collect();
        // Lines below still ask for the shape of this one only through their own parents, which come earlier.
        entries[at].shape = entry.shape.clone();
        entries[at].dtype = entry.dtype;
        Some(Step { entry, node, wanted, shapes })
    }

    /// Puts a line back that will be walked again.
    pub(crate) fn put_back(&self, step: Step) {
        self.tape.entries.borrow_mut()[step.node + self.first as usize] = step.entry;
    }

    /// The line, shape and dtype to which the gradient of input `i` of a step goes.
    pub(crate) fn parent<'a>(&self, step: &'a Step, i: usize) -> Option<(usize, &'a (Dims, DType))> {
        step.wanted
            .get(i)
            .copied()
            .unwrap_or(false)
            .then(|| ((step.entry.inputs[i] - self.first) as usize, &step.shapes[i]))
    }
}

impl Step {
    /// How many numbers the gradient rule looks at, beside the incoming gradient.
    #[cfg(feature = "python")]
    pub(crate) fn size(&self) -> usize {
        self.entry.kept.iter().map(|t| t.size()).sum()
    }

    /// Applies the gradient rule.
    pub(crate) fn backward(&self, g: &Tensor) -> Result<Grads> {
        let cx = Context {
            kept: &self.entry.kept,
            keeps: self.entry.keeps,
            wanted: &self.wanted,
            shapes: &self.shapes,
        };
        match &self.entry.op {
            Some(op) if self.wanted.contains(&true) => attempt(op.name(), || op.backward(&cx, g)),
            _ => Ok(self.wanted.iter().map(|_| None).collect()),
        }
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        let mut entries = self.entries.take();
        entries.clear();
        if entries.capacity() <= 1 << 12 {
            let _ = SPARE.try_with(|s| s.set(entries));
        }
    }
}
