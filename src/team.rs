//! The threads: a fork-join on rayon's workers that is quick enough for five microseconds of work.
//!
//! A worker is lent to the team by spawning [`Shared::serve`] on rayon's pool. It looks for chunks for a short while
//! after the last one it saw, then returns to rayon, which puts it to sleep; the next region lends it again. The caller
//! takes part and waits only for chunks that somebody holds, so a worker that is late, or never comes, costs nothing.

mod patience;
mod affinity;
mod share;

use affinity::Affinity;
pub use patience::{Unwanted, look, patient, unbroken};
pub(crate) use share::{Fill, Pieces, Share, Tile, Tiles, each, fill};
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Serial work below this many nanoseconds is not worth sharing: a hot fork-join costs about a tenth of it.
pub const WORTH_SHARING: usize = 5_000;

/// How long an idle worker looks for the next region. Longer than the Python between two operations of a training step.
const LOOK: Duration = Duration::from_micros(200);

/// The same with more threads than processors, where each look is taken from a thread that has work.
const LOOK_CROWDED: Duration = Duration::from_micros(5);

/// Looks between two readings of the clock.
const LOOKS_PER_CLOCK: u32 = 32;

/// The most threads: what is asked for beyond would cost more than it could ever give.
pub const MOST_THREADS: usize = 1024;

/// Serial work above this many nanoseconds can be broken off ([`patient`]) before it is done.
const LONG: usize = 200_000;

/// The number of threads asked for; zero until first asked.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Held by the one caller that has the team; it alone may read or replace `TEAM`.
static LED: AtomicBool = AtomicBool::new(false);

/// The team, built by the first caller that leads it; null before that and in a forked child.
static TEAM: AtomicPtr<Team> = AtomicPtr::new(std::ptr::null_mut());

/// Held while a team is made or unmade.
static MAKING: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread is inside a task, where a nested region runs serially.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// The number of threads that regions use: `OXIFLUX_NUM_THREADS`, else `OMP_NUM_THREADS`, else the processors that this
/// process may use, unless [`set_threads`] has said otherwise.
#[inline]
pub fn threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => default_threads(),
        n => n,
    }
}

/// Sets the number of threads, from one to [`MOST_THREADS`], for the regions that start from now on.
pub fn set_threads(n: usize) {
    THREADS.store(n.clamp(1, MOST_THREADS), Ordering::Relaxed);
}

#[cold]
fn default_threads() -> usize {
    let asked = ["OXIFLUX_NUM_THREADS", "OMP_NUM_THREADS"].iter().find_map(|name| {
        // OMP_NUM_THREADS may list one number for each level of nesting.
        let n = std::env::var(name).ok()?.split(',').next()?.trim().parse().ok()?;
        (n > 0).then_some(n)
    });
    let n = asked.unwrap_or_else(processors).min(MOST_THREADS);
    match THREADS.compare_exchange(0, n, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => n,
        Err(set) => set,
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// Runs `task(i)` once for every `i` in `0..chunks`, on the caller and the team, and returns when all are done.
///
/// `nanos` estimates the serial time of the whole. Below [`WORTH_SHARING`], with one chunk or one thread, inside another
/// task, or while another caller has the team, the chunks run in order on the caller. Results must not depend on who
/// runs what: callers choose `chunks` from sizes alone.
///
/// # Panics
/// With the payload of a task that panicked, once the region is complete; the team stays usable.
#[inline]
pub fn run(chunks: usize, nanos: usize, task: impl Fn(usize) + Sync) {
    if chunks <= 1 || nanos < WORTH_SHARING || threads() == 1 || IN_TASK.get() {
        let task: &dyn Task = &task; // so that it is compiled once, and not here as well
        return if nanos < LONG { (0..chunks).for_each(|i| task.run(i)) } else { run_serially(chunks, task) };
    }
    run_shared(chunks, nanos, &task);
}

/// A task of any kind, so that there is one of what follows for all. The vtable of a `dyn Fn` would have each task's code
/// twice.
trait Task: Sync {
    fn run(&self, chunk: usize);
}

impl<F: Fn(usize) + Sync> Task for F {
    fn run(&self, chunk: usize) {
        self(chunk);
    }
}

fn run_serially(chunks: usize, task: &dyn Task) {
    for i in 0..chunks {
        look();
        task.run(i);
    }
}

fn run_shared(chunks: usize, nanos: usize, task: &dyn Task) {
    let Ok(count) = u32::try_from(chunks) else { return run_serially(chunks, task) };
    let Some(lead) = Lead::take() else { return run_serially(chunks, task) };
    let Some(team) = lead.team() else { return run_serially(chunks, task) };
    // SAFETY: `lead` makes this the only region of the team until it is dropped, which is after `region` returns.
    let panic = unsafe { team.region(count, nanos >= LONG, &|i| task.run(i)) };
    drop(lead);
    if let Some(payload) = panic {
        resume_unwind(payload);
    }
}

/// The right to use the team; given back when dropped.
struct Lead;

impl Lead {
    fn take() -> Option<Lead> {
        let free = !LED.load(Ordering::Relaxed)
            && LED.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        // Lazily, because a `Lead` that is dropped gives the lead back.
        free.then(|| Lead)
    }

    /// The team with the threads that are asked for now; none if the system gives no threads.
    fn team(&self) -> Option<&Team> {
        let size = threads();
        let now = TEAM.load(Ordering::Acquire);
        // SAFETY: `TEAM` is null or came from `Box::into_raw` below. Only the holder of the lead frees it, and the
        // reference cannot outlive `self`.
        if let Some(team) = unsafe { now.as_ref() }
            && team.size == size
        {
            return team.pool.as_ref().map(|_| team);
        }
        on_fork();
        let _making = making();
        let fresh = Box::into_raw(Box::new(Team::new(size)));
        TEAM.store(fresh, Ordering::Release);
        if !now.is_null() {
            // SAFETY: made by `Box::into_raw`, replaced above, and no other caller holds the lead. Workers hold the
            // part that they share by its own `Arc`.
            drop(unsafe { Box::from_raw(now) });
        }
        // SAFETY: `fresh` came from `Box::into_raw` above and stays valid while `self`, who has the lead, lives.
        let team = unsafe { &*fresh };
        team.pool.as_ref().map(|_| team)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        LED.store(false, Ordering::Release);
    }
}

/// Waits until no team is being made, and keeps it so: in a child that is forked meanwhile, what rayon and its threads
/// set up once for all would stay half made, and whoever asks for it would wait for ever.
pub(crate) fn making() -> MutexGuard<'static, ()> {
    MAKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A forked child has none of the parent's threads, and perhaps a region that will never end: it starts anew. The
/// parent's team is left allocated, because its threads cannot be joined here.
#[cfg(unix)]
pub(crate) fn on_fork() {
    extern "C" fn in_child() {
        TEAM.store(std::ptr::null_mut(), Ordering::Release);
        LED.store(false, Ordering::Release);
    }
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, Ordering::AcqRel) {
        // SAFETY: the handler only stores to two atomics, which is safe at any point of a fork.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    }
}

#[cfg(not(unix))]
pub(crate) fn on_fork() {}

struct Team {
    size: usize,
    pool: Option<rayon::ThreadPool>,
    shared: Arc<Shared>,
}

/// What the leader and the workers share, each part that is written by different threads on its own cache lines.
struct Shared {
    open: Line<AtomicU64>,
    unfinished: Line<AtomicUsize>,
    serving: Line<AtomicUsize>,
    region: UnsafeCell<Region>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    closed: AtomicBool,
    look: Duration,
    crowded: bool,
    affinity: Affinity,
}

#[repr(align(128))]
struct Line<T>(T);

/// The chunks that nobody has claimed yet, `first..end`, as one word.
///
/// The leader claims from the front and the workers from the back, so with equal speeds each half of the data stays in
/// the cache of the same core from one region to the next.
#[derive(Clone, Copy)]
struct Open {
    first: u32,
    end: u32,
}

impl Open {
    fn word(self) -> u64 {
        u64::from(self.first) | u64::from(self.end) << 32
    }

    fn from_word(word: u64) -> Self {
        Self { first: word as u32, end: (word >> 32) as u32 }
    }
}

/// Which end of the open chunks a thread claims from.
#[derive(Clone, Copy)]
enum End {
    Front,
    Back,
}

/// The task of the running region, with its type erased.
#[derive(Clone, Copy)]
struct Region {
    task: *const (),
    call: unsafe fn(*const (), usize),
}

// SAFETY: `region` is the only part that is not Sync. It is written by the leader while no chunk is open or held, and
// read only by threads that hold a chunk. The write happens before the chunks are opened (release store of `open`), each
// claim acquires that, and the leader ends a region only when it has acquired the release of every held chunk through
// `unfinished`; so no read is concurrent with a write. The tasks are `Sync`, so any thread may call them.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `region`, the only part that is not Send, is dereferenced only inside the region that set it.
unsafe impl Send for Shared {}

impl Team {
    fn new(size: usize) -> Self {
        let crowded = size > processors();
        let shared = Arc::new(Shared {
            open: Line(AtomicU64::new(0)),
            unfinished: Line(AtomicUsize::new(0)),
            serving: Line(AtomicUsize::new(0)),
            region: UnsafeCell::new(Region { task: std::ptr::null(), call: |_, _| {} }),
            panic: Mutex::new(None),
            closed: AtomicBool::new(false),
            look: if crowded { LOOK_CROWDED } else { LOOK },
            crowded,
            affinity: Affinity::default(),
        });
        let starting = Arc::clone(&shared);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(size.saturating_sub(1).max(1))
            .thread_name(|i| format!("oxiflux-{i}"))
            .start_handler(move |_| starting.affinity.enter())
            .build()
            .ok()
            .filter(|_| size > 1);
        if pool.is_some() && !crowded {
            shared.affinity.await_workers(size - 1);
        }
        Self { size, pool, shared }
    }

    /// Runs one region and hands back the payload of a task that panicked.
    ///
    /// # Safety
    /// No other region of this team may run meanwhile.
    unsafe fn region<F: Fn(usize) + Sync>(
        &self,
        chunks: u32,
        is_long: bool,
        task: &F,
    ) -> Option<Box<dyn Any + Send>> {
        /// # Safety
        /// `task` must point to a live `F`.
        unsafe fn call<F: Fn(usize)>(task: *const (), chunk: usize) {
            // SAFETY: `task` points to a live `F`, as this function asks.
            unsafe { (*task.cast::<F>())(chunk) }
        }
        let shared = &*self.shared;
        patience::begin();
        // SAFETY: the last region is over: no chunk is open or held, so nobody reads `region` (see `Sync`).
        unsafe { *shared.region.get() = Region { task: std::ptr::from_ref(task).cast(), call: call::<F> } };
        shared.unfinished.0.store(chunks as usize, Ordering::Relaxed);
        shared.open.0.store(Open { first: 0, end: chunks }.word(), Ordering::SeqCst);
        self.lend((chunks as usize - 1).min(self.size - 1));
        IN_TASK.set(true);
        shared.work(End::Front, is_long);
        shared.wait();
        IN_TASK.set(false);
        shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Sees to it that `wanted` workers serve or are about to.
    #[inline]
    fn lend(&self, wanted: usize) {
        // Each time, because a caller that has moved onto the processor of a serving worker would keep it from running.
        if !self.shared.crowded {
            self.shared.affinity.avoid_caller();
        }
        // Only the leader adds and a leaving worker subtracts, so `serving` cannot pass the number of workers. A worker
        // that leaves just now looks once more after it has said so; missing it would only cost its help.
        let serving = self.shared.serving.0.load(Ordering::SeqCst);
        if let Some(pool) = &self.pool
            && serving < wanted
        {
            self.shared.serving.0.fetch_add(wanted - serving, Ordering::SeqCst);
            for _ in serving..wanted {
                let shared = Arc::clone(&self.shared);
                pool.spawn(move || shared.serve());
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Claims one chunk, whose task the claimer must run and then count off `unfinished`.
    #[inline]
    fn claim(&self, end: End) -> Option<usize> {
        let mut word = self.open.0.load(Ordering::Relaxed);
        loop {
            let Open { first, end: last } = Open::from_word(word);
            if first == last {
                return None;
            }
            let (chunk, rest) = match end {
                End::Front => (first, Open { first: first + 1, end: last }),
                End::Back => (last - 1, Open { first, end: last - 1 }),
            };
            // A word that comes back with a later region is no danger: what is claimed belongs to the region that is
            // open at the moment of the exchange, and its task is read only afterwards.
            match self.open.0.compare_exchange_weak(word, rest.word(), Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(chunk as usize),
                Err(now) => word = now,
            }
        }
    }

    /// Runs chunks until none is open; says whether there were any. Between those of a long region it looks whether that is
    /// still wanted.
    fn work(&self, end: End, is_long: bool) -> bool {
        let mut done = 0;
        while let Some(chunk) = self.claim(end) {
            // SAFETY: this thread holds a chunk, so the region is running and `region` is not written.
            let Region { task, call } = unsafe { *self.region.get() };
            let done_well = catch_unwind(AssertUnwindSafe(|| {
                if is_long {
                    look();
                }
                // SAFETY: `task` outlives the region, which cannot end before this chunk is counted off below.
                unsafe { call(task, chunk) }
            }));
            if let Err(payload) = done_well {
                if patience::tell(&*payload) {
                    done += self.close();
                }
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
            }
            done += 1;
        }
        if done > 0 {
            self.unfinished.0.fetch_sub(done, Ordering::Release);
        }
        done > 0
    }

    /// Claims what is still open, to leave it undone; says how many chunks that were.
    fn close(&self) -> usize {
        let Open { first, end } =
            Open::from_word(self.open.0.swap(Open { first: 0, end: 0 }.word(), Ordering::Acquire));
        (end - first) as usize
    }

    /// Waits for the chunks that workers hold.
    fn wait(&self) {
        let patience = if self.crowded { 16 } else { 4096 };
        let mut looks = 0;
        while self.unfinished.0.load(Ordering::Acquire) != 0 {
            looks += 1;
            if looks < patience {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// A worker's service: takes chunks until it has seen none for a while.
    fn serve(&self) {
        let (outer, serves) = (IN_TASK.replace(true), patience::serve(true));
        self.look();
        self.serving.0.fetch_sub(1, Ordering::SeqCst);
        // For a region that opened after the last look and still counted on this worker.
        self.work(End::Back, false);
        IN_TASK.set(outer);
        patience::serve(serves);
    }

    fn look(&self) {
        let mut since = Instant::now();
        let mut looks = 0;
        loop {
            if self.work(End::Back, false) {
                since = Instant::now();
            }
            looks += 1;
            if looks % LOOKS_PER_CLOCK == 0 {
                if self.closed.load(Ordering::Relaxed) || since.elapsed() > self.look {
                    return;
                }
                if self.crowded {
                    std::thread::yield_now();
                }
            }
            std::hint::spin_loop();
        }
    }
}
