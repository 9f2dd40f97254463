//! What operations cost, while somebody asks: what each is given and gives, what it is done for and how long it takes, on
//! whatever thread.

use super::operation::Operation;
use crate::array::Array;
use crate::dtype::DType;
use crate::memory;
use crate::shape::{self, Dims};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Instant;

/// What something is done for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pass {
    /// For its value.
    #[default]
    Forward,
    /// For a gradient.
    Backward,
    /// For a step of an optimiser.
    Update,
}

impl Pass {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Pass::Forward => "forward",
            Pass::Backward => "backward",
            Pass::Update => "update",
        }
    }
}

/// Shapes and types.
pub type Shapes = SmallVec<[(Dims, DType); 3]>;

/// Something that was done.
#[derive(Clone, Debug)]
pub struct Event {
    /// What: the name of an operation, or those of several that were done together.
    pub name: Cow<'static, str>,
    /// What for.
    pub pass: Pass,
    /// What it was given.
    pub inputs: Shapes,
    /// What it gave.
    pub outputs: Shapes,
    /// The bytes of all that.
    pub bytes: usize,
    /// The products and sums of numbers that it takes, where they are easily counted; else 0.
    pub flops: u64,
    /// When it began, in nanoseconds from the start of the profile.
    pub start: u64,
    /// How long it took, in nanoseconds.
    pub nanos: u64,
    /// The number of the thread.
    pub thread: u64,
}

/// What was done while a profile was open.
#[derive(Debug, Default)]
pub struct Profiled {
    /// All that was done, as it ended.
    pub events: Vec<Event>,
    /// The threads by their numbers, and their names.
    pub threads: Vec<(u64, String)>,
    /// How many operations found no room.
    pub lost: usize,
    /// The most bytes that tensors held at a time.
    pub peak: usize,
}

/// So many operations are kept.
const MOST: usize = 1 << 19;
/// So many times a thread looks for its turn to write: a child forked while another thread wrote would wait for ever.
const LOOKS: usize = 1 << 20;

struct Open {
    began: Instant,
    found: Profiled,
}

static IS_OPEN: AtomicBool = AtomicBool::new(false);
static HELD: Mutex<Option<Open>> = Mutex::new(None);
/// Counts the profiles.
static NUMBER: AtomicU64 = AtomicU64::new(0);
/// Who knows the name of a thread.
static NAME: OnceLock<fn() -> String> = OnceLock::new();

thread_local! {
    static PASS: Cell<Pass> = const { Cell::new(Pass::Forward) };
    /// Whether this thread is in the middle of something that is timed: what it does for that is not told apart.
    static IS_TIMED: Cell<bool> = const { Cell::new(false) };
    /// The number of this thread, and the last profile that has its name.
    static THREAD: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Sets who knows the name of a thread.
#[cfg(feature = "python")]
pub(crate) fn name_threads(name: fn() -> String) {
    let _ = NAME.set(name);
}

/// Whether a profile is open.
#[inline]
pub fn is_profiled() -> bool {
    IS_OPEN.load(Ordering::Relaxed)
}

/// The number of the profile that is open, or was the last.
pub(super) fn number() -> u64 {
    NUMBER.load(Ordering::Relaxed)
}

fn held() -> Option<MutexGuard<'static, Option<Open>>> {
    (0..LOOKS).find_map(|_| {
        let held = HELD.try_lock().ok();
        if held.is_none() {
            std::hint::spin_loop();
        }
        held
    })
}

/// A profile that is open until it is closed, or dropped.
pub struct Profile {
    began: Instant,
}

impl Profile {
    /// Starts one; `None` while another is open.
    pub fn open() -> Option<Profile> {
        let mut held = held()?;
        if held.is_some() {
            return None;
        }
        memory::forget_peak();
        let began = Instant::now();
        *held = Some(Open { began, found: Profiled::default() });
        NUMBER.fetch_add(1, Ordering::Relaxed);
        IS_OPEN.store(true, Ordering::Relaxed);
        drop(held);
        thread();
        Some(Profile { began })
    }

    /// Nanoseconds since it began.
    pub fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// The number of this thread in it.
    pub fn thread(&self) -> u64 {
        thread()
    }

    /// Ends it.
    pub fn close(self) -> Profiled {
        let found = end();
        std::mem::forget(self); // the next one is somebody else's
        found
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        end();
    }
}

fn end() -> Profiled {
    IS_OPEN.store(false, Ordering::Relaxed);
    let open = held().and_then(|mut held| held.take());
    open.map_or_else(Profiled::default, |open| Profiled { peak: memory::peak(), ..open.found })
}

/// The number of this thread, of which the open profile has the name.
fn thread() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    let (mut own, named) = THREAD.get();
    if named == number() {
        return own;
    }
    if own == 0 {
        own = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    let name = NAME.get().map_or_else(String::new, |name| name());
    if let Some(mut held) = held()
        && let Some(open) = &mut *held
    {
        open.found.threads.push((own, name));
    }
    THREAD.set((own, number()));
    own
}

/// While it lives, this thread does what it does for something else than before.
pub struct During(Pass);

impl During {
    /// Begins.
    pub fn new(pass: Pass) -> During {
        During(PASS.replace(pass))
    }
}

impl Drop for During {
    fn drop(&mut self) {
        PASS.set(self.0);
    }
}

/// What this thread does things for.
pub(super) fn pass() -> Pass {
    PASS.get()
}

/// Something that is being done.
pub struct Begun {
    name: Cow<'static, str>,
    pass: Pass,
    inputs: Shapes,
    /// Where the blocks of the inputs begin.
    blocks: SmallVec<[usize; 4]>,
    thread: u64,
    start: Instant,
}

fn shapes<'a>(arrays: impl Iterator<Item = &'a Array>) -> Shapes {
    arrays.map(|x| (Dims::from_slice(x.shape()), x.dtype())).collect()
}

fn bytes(shapes: &Shapes) -> usize {
    shapes.iter().map(|(shape, dtype)| shape::size(shape) * dtype.size()).sum()
}

impl Begun {
    /// To be called before something is done; `None` while nobody asks.
    #[inline]
    pub(super) fn on<'a>(
        name: impl FnOnce() -> Cow<'static, str>,
        inputs: impl Iterator<Item = &'a Array> + Clone,
    ) -> Option<Begun> {
        if is_profiled() { Begun::of(name(), pass(), inputs) } else { None }
    }

    /// The same for what is done for something else than this thread does things for now.
    pub(super) fn of<'a>(
        name: Cow<'static, str>,
        pass: Pass,
        inputs: impl Iterator<Item = &'a Array> + Clone,
    ) -> Option<Begun> {
        let blocks = inputs.clone().map(|x| x.block().0).collect();
        let mut begun = Begun::now(name, pass, shapes(inputs))?;
        (begun.blocks, begun.start) = (blocks, Instant::now());
        Some(begun)
    }

    /// The same for what is no operation.
    #[cold]
    pub fn now(name: Cow<'static, str>, pass: Pass, inputs: Shapes) -> Option<Begun> {
        if !is_profiled() || IS_TIMED.replace(true) {
            return None;
        }
        let blocks = SmallVec::new();
        Some(Begun { name, pass, inputs, blocks, thread: thread(), start: Instant::now() })
    }

    /// To be called when an operation has been done.
    pub(super) fn done<'a>(self, op: &dyn Operation, outputs: impl Iterator<Item = &'a Array> + Clone) {
        let nanos = self.elapsed();
        // The same elements, seen in another way.
        let is_view = op.moves() && outputs.clone().all(|y| self.blocks.contains(&y.block().0));
        let outputs = shapes(outputs);
        let flops = outputs.first().map_or(0, |(shape, _)| {
            let inputs: SmallVec<[&[usize]; 4]> = self.inputs.iter().map(|(shape, _)| &shape[..]).collect();
            op.flops(&inputs, shape)
        });
        let bytes = if is_view { 0 } else { bytes(&self.inputs) + bytes(&outputs) };
        self.keep(nanos, outputs, bytes, flops);
    }

    /// To be called when an operation on the first inputs has been done, which gives a result of that shape, and others to
    /// its elements.
    pub(super) fn followed<'a>(
        self,
        op: &dyn Operation,
        inputs: usize,
        result: &[usize],
        outputs: impl Iterator<Item = &'a Array>,
    ) {
        let (nanos, outputs) = (self.elapsed(), shapes(outputs));
        let given: Vec<&[usize]> = self.inputs[..inputs].iter().map(|(shape, _)| &shape[..]).collect();
        let (bytes, flops) = (bytes(&self.inputs) + bytes(&outputs), op.flops(&given, result));
        self.keep(nanos, outputs, bytes, flops);
    }

    /// To be called when several have been done together.
    pub(super) fn together<'a>(self, outputs: impl Iterator<Item = &'a Array>) {
        let (nanos, outputs) = (self.elapsed(), shapes(outputs));
        let bytes = bytes(&self.inputs) + bytes(&outputs);
        self.keep(nanos, outputs, bytes, 0);
    }

    /// To be called when that has been done.
    pub fn moved(self, bytes: usize) {
        let nanos = self.elapsed();
        self.keep(nanos, Shapes::new(), bytes, 0);
    }

    fn elapsed(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn keep(mut self, nanos: u64, outputs: Shapes, bytes: usize, flops: u64) {
        let Some(mut held) = held() else { return };
        let Some(open) = &mut *held else { return };
        if open.found.events.len() >= MOST {
            open.found.lost += 1;
            return;
        }
        let start = self.start.saturating_duration_since(open.began).as_nanos() as u64;
        let (name, inputs) = (std::mem::take(&mut self.name), std::mem::take(&mut self.inputs));
        let (pass, thread) = (self.pass, self.thread);
        open.found.events.push(Event { name, pass, inputs, outputs, bytes, flops, start, nanos, thread });
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        IS_TIMED.set(false);
    }
}
