//! Keeping woken workers off the processor of the caller that wakes them.
//!
//! On a virtual machine the kernel takes a halted processor for one that the host has taken away, so it wakes a worker on
//! the waker's own processor, where it waits for milliseconds behind the very work that it should share.

/// The workers' threads and the processor that they avoid.
#[derive(Debug, Default)]
pub(super) struct Affinity {
    #[cfg(target_os = "linux")]
    workers: std::sync::Mutex<Vec<libc::pid_t>>,
    /// The number of the avoided processor plus one; zero for none.
    #[cfg(target_os = "linux")]
    avoided: std::sync::atomic::AtomicUsize,
}

#[cfg(not(target_os = "linux"))]
impl Affinity {
    pub(super) fn enter(&self) {}

    pub(super) fn await_workers(&self, _workers: usize) {}

    pub(super) fn avoid_caller(&self) {}
}

#[cfg(target_os = "linux")]
mod linux {
    use super::Affinity;
    use std::sync::PoisonError;
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::{Duration, Instant};

    /// How long a new team waits for its workers, once.
    const PATIENCE: Duration = Duration::from_millis(10);

    impl Affinity {
        /// Called by each worker as its thread starts.
        pub(in crate::team) fn enter(&self) {
            // SAFETY: has no preconditions.
            let thread = unsafe { libc::gettid() };
            self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            self.avoided.store(0, Relaxed);
        }

        /// Waits a while for the threads of the workers to start, so that all of them are known.
        pub(in crate::team) fn await_workers(&self, workers: usize) {
            let start = Instant::now();
            let started = || self.workers.lock().unwrap_or_else(PoisonError::into_inner).len();
            while started() < workers && start.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
        }

        /// Keeps the workers off the processor of the caller, which leads the team.
        #[inline]
        pub(in crate::team) fn avoid_caller(&self) {
            // SAFETY: has no preconditions.
            let Ok(cpu) = usize::try_from(unsafe { libc::sched_getcpu() }) else { return };
            if self.avoided.load(Relaxed) != cpu + 1 {
                self.avoided.store(cpu + 1, Relaxed);
                self.avoid(cpu);
            }
        }

        /// Lets the workers run wherever the caller may, except on `cpu`. If that leaves nothing, or the system refuses,
        /// the workers stay as they are: this only ever makes a region faster.
        #[cold]
        fn avoid(&self, cpu: usize) {
            if cpu >= libc::CPU_SETSIZE as usize {
                return;
            }
            // SAFETY: a set of processors is plain bits, for which zero is valid; the calls get its true size, and `cpu`
            // is within it.
            unsafe {
                let mut allowed: libc::cpu_set_t = std::mem::zeroed();
                if libc::sched_getaffinity(0, size_of_val(&allowed), &mut allowed) != 0 {
                    return;
                }
                libc::CPU_CLR(cpu, &mut allowed);
                if libc::CPU_COUNT(&allowed) == 0 {
                    return;
                }
                for &worker in self.workers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    libc::sched_setaffinity(worker, size_of_val(&allowed), &allowed);
                }
            }
        }
    }
}
