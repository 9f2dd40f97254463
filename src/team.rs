//! A serial stand-in.
/// Runs all.
pub fn run(chunks: usize, _nanos: usize, task: impl Fn(usize) + Sync) {
    (0..chunks).for_each(task);
}
