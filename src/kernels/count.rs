//! How often numbers are there, and between which edges.

use super::cost::rowwise;
use super::number::Float;
use crate::memory::filled;
use crate::memory::unwritten::{Unwritten, fill_with};
use crate::team::{self, Pieces};

/// Elements per task.
const CHUNK: usize = 1 << 14;
/// Of how many numbers each part of the elements has counts of its own.
const FEW: usize = 1 << 12;
/// Parts that have.
const PARTS: usize = 16;

/// Adds to `counts[i]` how often `i` is in `x`. Says whether all of `x` are numbers of counts; others are left out.
pub fn counts(x: &[i64], counts: &mut [i64]) -> bool {
    let n = counts.len();
    let parts = if n <= FEW { x.len().div_ceil(CHUNK).clamp(1, PARTS) } else { 1 };
    let part = x.len().div_ceil(parts).max(1);
    // The last of each part's is for what is no number of a count.
    let mut partial: Vec<i64> = filled(parts * (n + 1), 0);
    team::each(Pieces::of(&mut partial, n + 1), rowwise(1, x.len(), 0.7), |task, counts| {
        for &i in x.iter().skip(task * part).take(part) {
            counts[(i as u64).min(n as u64) as usize] += 1;
        }
    });
    let mut outside = 0;
    for partial in partial.chunks_exact(n + 1) {
        counts.iter_mut().zip(partial).for_each(|(to, &count)| *to += count);
        outside += partial[n];
    }
    outside == 0
}

/// The number of the bin between `edges`, which do not decrease, of each element: 1 for the first, 0 for what is below it or
/// NaN, and one more than there are for what is above the last. A bin has its lower edge, the last both.
///
/// # Panics
/// Where there are fewer than two edges, or `out` has not as many elements as `x`.
pub fn bins<'a, T: Float + Into<f64>>(x: &[T], edges: &[T], out: &'a mut Unwritten<i64>) -> &'a mut [i64] {
    let (low, high, n) = (edges[0], edges[edges.len() - 1], edges.len() - 1);
    assert!(x.len() == out.len(), "bins: {} elements and {} results", x.len(), out.len());
    // Where edges are even a product is the bin, or one next to it.
    let per = n as f64 / (high.into() - low.into());
    let from_low = |x: T| (x.into() - low.into()) * per;
    let are_even = edges.iter().enumerate().all(|(i, &edge)| (from_low(edge) - i as f64).abs() <= 0.5);
    team::fill(Pieces::of(out, CHUNK), rowwise(1, x.len(), if are_even { 2.0 } else { 20.0 }), |task, out| {
        let x = &x[task * CHUNK..];
        fill_with(out, |i| {
            let x = x[i];
            if x >= high {
                return (n + usize::from(x > high)) as i64;
            }
            if x < low || x.is_nan() {
                return 0;
            }
            if !are_even {
                return edges.partition_point(|&edge| edge <= x) as i64;
            }
            let mut at = (from_low(x) as usize).min(n - 1);
            while x < edges[at] {
                at -= 1;
            }
            while x >= edges[at + 1] {
                at += 1;
            }
            at as i64 + 1
        })
    })
}
