//! What was seen of a program as it ran: where its values were, and how long its lines took.

use super::profile;
use crate::array::Array;
use smallvec::SmallVec;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Where a value of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// In memory of its own.
    Own,
    /// In that of an input, which is gone.
    Over(usize),
    /// In that of an input, which it shows in another way.
    View(usize),
}

/// What was seen of the runs during the last profile, or of the first run.
#[derive(Default)]
pub(super) struct Observed {
    /// The profile.
    number: u64,
    /// How often it was done then.
    pub(super) runs: u64,
    /// How long the lines took in all.
    pub(super) times: Vec<Duration>,
    /// Where the values of each line were.
    pub(super) homes: Vec<SmallVec<[Home; 2]>>,
    /// The most bytes that its own values had at a time.
    pub(super) peak: usize,
}

/// A run that is looked at.
pub(super) struct Look {
    /// Whether its times count.
    is_timed: bool,
    /// The blocks of what is not its own.
    others: HashSet<usize>,
    times: Vec<Duration>,
    homes: Vec<SmallVec<[Home; 2]>>,
    peak: usize,
    /// When it began to wait for somebody else.
    waits: Option<Instant>,
}

/// A number of bytes for people.
pub(super) fn show_bytes(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

impl Look {
    /// Begins to look, where there is so far nothing of the program's own.
    pub(super) fn new<'a>(lines: usize, others: impl Iterator<Item = &'a Array>) -> Look {
        let others = others.map(|x| x.block().0).collect();
        let (times, homes) = (vec![Duration::ZERO; lines], vec![SmallVec::new(); lines]);
        Look { is_timed: profile::is_profiled(), others, times, homes, peak: 0, waits: None }
    }

    pub(super) fn is_timed(&self) -> bool {
        self.is_timed
    }

    /// To be told of a line that has been done: how long it took, the blocks that were there meanwhile, and where what it has
    /// made is.
    pub(super) fn line(
        &mut self,
        at: usize,
        took: Duration,
        blocks: impl Iterator<Item = (usize, usize)>,
        homes: SmallVec<[Home; 2]>,
    ) {
        self.times[at] += took;
        let mut seen = HashSet::new();
        let own = blocks.filter(|(block, _)| !self.others.contains(block) && seen.insert(*block));
        self.peak = self.peak.max(own.map(|(_, bytes)| bytes).sum());
        self.homes[at] = homes;
    }

    /// Somebody else does a line.
    pub(super) fn wait(&mut self) {
        self.waits = Some(Instant::now());
    }

    /// What somebody else has made is not its own.
    pub(super) fn is_given(&mut self, x: &Array) {
        self.others.insert(x.block().0);
    }

    /// The program goes on after the line that somebody else has done.
    pub(super) fn goes_on(&mut self, at: usize) {
        if let Some(since) = self.waits.take() {
            self.times[at] += since.elapsed();
        }
    }
}

impl Observed {
    /// Takes a run that has come to its end.
    pub(super) fn take(&mut self, look: Look) {
        let number = if look.is_timed { profile::number() } else { 0 };
        if number != self.number || self.times.is_empty() {
            (self.number, self.runs, self.times) = (number, 0, vec![Duration::ZERO; look.times.len()]);
        }
        self.runs += u64::from(look.is_timed);
        self.times.iter_mut().zip(&look.times).for_each(|(all, own)| *all += *own);
        (self.homes, self.peak) = (look.homes, look.peak);
    }
}
