//! The team: every chunk once, whatever the other threads do.

use oxiflux::team::{self, run, set_threads, threads};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The number of threads is one for the whole process, so tests that set it take turns.
static TURN: Mutex<()> = Mutex::new(());

fn with_threads<R>(n: usize, f: impl FnOnce() -> R) -> R {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let before = threads();
    set_threads(n);
    let result = catch_unwind(AssertUnwindSafe(f));
    set_threads(before);
    result.unwrap_or_else(|e| std::panic::resume_unwind(e))
}

/// An estimate that is always worth sharing.
const LONG: usize = usize::MAX;

fn each_once(chunks: usize) {
    let counts: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
    run(chunks, LONG, |i| {
        counts[i].fetch_add(1, SeqCst);
    });
    assert!(counts.iter().all(|c| c.load(SeqCst) == 1), "{chunks} chunks");
}

#[test]
fn every_chunk_runs_exactly_once() {
    for n in [1, 2, 3, 8] {
        with_threads(n, || {
            for round in 0..2000 {
                each_once(round % 70);
            }
        });
    }
}

#[test]
fn late_workers_meet_only_live_tasks() {
    // Regions of uneven chunks whose data is gone right after: a straggler that ran an old task would count in it.
    with_threads(4, || {
        for round in 0..20_000u64 {
            let sum = AtomicUsize::new(0);
            let chunks = 2 + round as usize % 5;
            run(chunks, LONG, |i| {
                if (round + i as u64).is_multiple_of(64) {
                    std::thread::yield_now();
                }
                sum.fetch_add(i + 1, SeqCst);
            });
            assert_eq!(sum.into_inner(), chunks * (chunks + 1) / 2);
        }
    });
}

#[test]
fn a_worker_takes_part() {
    with_threads(2, || {
        let caller = std::thread::current().id();
        let helped = AtomicBool::new(false);
        let start = Instant::now();
        while !helped.load(SeqCst) && start.elapsed() < Duration::from_secs(20) {
            run(8, LONG, |_| {
                std::thread::sleep(Duration::from_micros(200));
                helped.fetch_or(std::thread::current().id() != caller, SeqCst);
            });
        }
        assert!(helped.load(SeqCst));
    });
}

#[test]
fn a_worker_returns_after_a_pause() {
    with_threads(2, || {
        for _ in 0..20 {
            each_once(16);
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

#[test]
fn short_work_and_one_thread_stay_on_the_caller_in_order() {
    for (n, nanos) in [(2, team::WORTH_SHARING - 1), (1, LONG)] {
        with_threads(n, || {
            let caller = std::thread::current().id();
            let seen = Mutex::new(Vec::new());
            run(50, nanos, |i| {
                assert_eq!(std::thread::current().id(), caller);
                seen.lock().expect("no panic").push(i);
            });
            assert_eq!(seen.into_inner().expect("no panic"), (0..50).collect::<Vec<_>>());
        });
    }
}

#[test]
fn a_nested_region_runs_serially() {
    with_threads(3, || {
        let total = AtomicUsize::new(0);
        run(20, LONG, |_| {
            let outer = std::thread::current().id();
            run(20, LONG, |_| {
                assert_eq!(std::thread::current().id(), outer);
                total.fetch_add(1, SeqCst);
            });
        });
        assert_eq!(total.into_inner(), 400);
    });
}

#[test]
fn several_callers_at_once_are_all_right() {
    with_threads(3, || {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..3000).for_each(|round| each_once(round % 20)));
            }
        });
    });
}

#[test]
fn threads_may_be_set_while_others_run() {
    with_threads(2, || {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..300 {
                    set_threads(1 + round % 5);
                    std::thread::sleep(Duration::from_micros(100));
                }
                stop.store(true, SeqCst);
            });
            while !stop.load(SeqCst) {
                each_once(16);
            }
        });
    });
}

#[test]
fn zero_threads_means_one() {
    with_threads(0, || assert_eq!(threads(), 1));
}

#[test]
fn a_panic_reaches_the_caller_after_the_region_and_the_team_goes_on() {
    for n in [1, 2, 4] {
        with_threads(n, || {
            for bad in [0, 7, 15] {
                let done = AtomicUsize::new(0);
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    run(16, LONG, |i| {
                        if i == bad {
                            std::panic::panic_any(bad);
                        }
                        std::thread::sleep(Duration::from_micros(50));
                        done.fetch_add(1, SeqCst);
                    });
                }));
                let payload = caught.expect_err("the panic arrives");
                assert_eq!(payload.downcast_ref(), Some(&bad));
                if n > 1 {
                    assert_eq!(done.into_inner(), 15);
                }
                each_once(16);
            }
        });
    }
}

#[test]
fn more_threads_than_processors_do_not_collapse() {
    let many = 4 * std::thread::available_parallelism().map_or(1, |n| n.get());
    let work = || {
        let start = Instant::now();
        for _ in 0..200 {
            run(32, LONG, |i| {
                let mut x = i as u64;
                for _ in 0..5_000 {
                    x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                }
            });
        }
        start.elapsed()
    };
    let alone = with_threads(1, work);
    let crowded = with_threads(many, work);
    assert!(crowded < alone * 4, "{many} threads took {crowded:?}, one thread {alone:?}");
}

#[cfg(unix)]
mod fork {
    use super::*;

    /// Runs `f` in a forked child and fails unless it succeeds within ten seconds.
    fn in_child(f: impl FnOnce()) {
        // SAFETY: the child only runs `f` and leaves without unwinding into the parent's frames.
        match unsafe { libc::fork() } {
            0 => {
                let code = i32::from(catch_unwind(AssertUnwindSafe(f)).is_err());
                // SAFETY: ends the child at once, without the exit handlers of the parent's test harness.
                unsafe { libc::_exit(code) };
            }
            child => {
                assert!(child > 0, "fork failed");
                let start = Instant::now();
                loop {
                    let mut status = 0;
                    // SAFETY: `child` is a child of this process and `status` is writable.
                    let ended = unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) };
                    if ended == child {
                        assert_eq!(status, 0, "the child failed");
                        return;
                    }
                    if start.elapsed() > Duration::from_secs(10) {
                        // SAFETY: `child` is a child of this process that has not been waited for.
                        unsafe { libc::kill(child, libc::SIGKILL) };
                        panic!("the child hangs");
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }

    fn helped() -> bool {
        let caller = std::thread::current().id();
        let helped = AtomicBool::new(false);
        let start = Instant::now();
        while !helped.load(SeqCst) && start.elapsed() < Duration::from_secs(5) {
            run(8, LONG, |_| {
                std::thread::sleep(Duration::from_micros(200));
                helped.fetch_or(std::thread::current().id() != caller, SeqCst);
            });
        }
        helped.into_inner()
    }

    #[test]
    fn a_child_has_a_team_of_its_own() {
        with_threads(2, || {
            for _ in 0..5 {
                each_once(16);
                in_child(|| {
                    (0..500).for_each(|_| each_once(16));
                    assert!(helped());
                });
                each_once(16);
            }
        });
    }

    #[test]
    fn a_child_forked_during_a_region_of_another_thread_does_not_hang() {
        with_threads(3, || {
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(SeqCst) {
                        run(6, LONG, |_| std::thread::sleep(Duration::from_micros(100)));
                    }
                });
                for _ in 0..10 {
                    std::thread::sleep(Duration::from_millis(1));
                    in_child(|| {
                        (0..100).for_each(|_| each_once(16));
                        assert!(helped());
                    });
                }
                stop.store(true, SeqCst);
            });
            each_once(16);
        });
    }

    #[test]
    fn a_grandchild_works_too() {
        with_threads(2, || {
            each_once(16);
            in_child(|| {
                each_once(16);
                in_child(|| each_once(16));
                each_once(16);
            });
        });
    }
}
