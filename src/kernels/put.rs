//! Writing a contiguous array into a strided place, and rows by number: the opposites of reading a view.

use super::dispatch::Shared;
use crate::team;

/// Elements per task.
const CHUNK: usize = 1 << 15;

/// Copies `x`, row-major of `shape`, to where `strides` (in elements) lead from `out`.
///
/// # Safety
/// `x` must be readable for the elements of `shape`, `out` writable at every place that shape and strides reach; they
/// must not overlap.
pub unsafe fn put<T: Copy>(shape: &[usize], x: *const T, out: *mut T, strides: &[isize]) {
    let (Some((&(mut n), mut lead)), Some(&step)) = (shape.split_last(), strides.last()) else {
        // SAFETY: one element.
        return unsafe { *out = *x };
    };
    // Axes that follow on each other at both sides are one.
    while let [rest @ .., last] = lead
        && strides[rest.len()] == n as isize * step
    {
        (n, lead) = (n * last, rest);
    }
    let rows: usize = lead.iter().product();
    let (x, out, group) = (Shared(x.cast_mut()), Shared(out), (CHUNK / n.max(1)).max(1));
    team::run(rows.div_ceil(group), rows * (n + 8) / 4, |task| {
        for row in task * group..rows.min((task + 1) * group) {
            let (mut rest, mut at) = (row, 0);
            for (&n, &s) in lead.iter().zip(strides).rev() {
                at += (rest % n) as isize * s;
                rest /= n;
            }
            // SAFETY: a row of `x`, and the places of its elements, which are this task's own.
            unsafe {
                let (from, to) = (x.at(row * n), out.at(0).offset(at));
                if step == 1 {
                    std::ptr::copy_nonoverlapping(from, to, n);
                } else {
                    for i in 0..n {
                        *to.offset(i as isize * step) = *from.add(i);
                    }
                }
            }
        }
    });
}

/// `out[o, i, ..] = x[o, rows[i], ..]` for `outer` matrices of `of` rows of `width` elements.
///
/// # Safety
/// Every row number must be below `of`; `x` must be readable for `outer * of * width` elements and `out` writable for
/// `outer * rows.len() * width`; they must not overlap.
pub unsafe fn gather<T: Copy>(outer: usize, rows: &[i64], of: usize, width: usize, x: *const T, out: *mut T) {
    let (x, out, n) = (Shared(x.cast_mut()), Shared(out), rows.len());
    let group = (CHUNK / width.max(1)).max(1);
    team::run((outer * n).div_ceil(group), outer * n * (width + 8) / 4, |task| {
        let (first, last) = (task * group, (outer * n).min((task + 1) * group));
        let (mut o, mut i) = (first / n, first % n);
        for to in first..last {
            // SAFETY: a row of `x`, and a row of `out` of this task's own.
            unsafe {
                let (from, to) = (x.at((o * of + rows[i] as usize) * width), out.at(to * width));
                if width == 1 {
                    *to = *from;
                } else {
                    std::ptr::copy_nonoverlapping(from, to, width);
                }
            };
            i += 1;
            if i == n {
                (o, i) = (o + 1, 0);
            }
        }
    });
}
