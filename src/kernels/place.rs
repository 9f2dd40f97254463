//! Writing a contiguous array into a strided place, and rows by number: the opposites of reading a view.

use crate::team;

/// Elements per task.
const CHUNK: usize = 1 << 15;

/// A pointer that tasks share; they keep to elements of their own.
struct Shared<T>(*mut T);
// SAFETY: see `Shared`.
unsafe impl<T> Sync for Shared<T> {}
impl<T> Shared<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

/// Copies `x`, row-major of `shape`, to where `strides` (in elements) lead from `out`.
///
/// # Safety
/// `x` must be readable for the elements of `shape`, `out` writable at every place that shape and strides reach; they
/// must not overlap.
pub unsafe fn place<T: Copy>(shape: &[usize], x: *const T, out: *mut T, strides: &[isize]) {
    let Some((&n, lead)) = shape.split_last() else {
        // SAFETY: one element.
        return unsafe { *out = *x };
    };
    let step = strides[shape.len() - 1];
    let rows: usize = lead.iter().product();
    for row in 0..rows {
        let (mut rest, mut at) = (row, 0);
        for (&n, &s) in lead.iter().zip(strides).rev() {
            at += (rest % n) as isize * s;
            rest /= n;
        }
        // SAFETY: a row of `x`, and the places of its elements.
        unsafe {
            let (from, to) = (x.add(row * n), out.offset(at));
            if step == 1 {
                std::ptr::copy_nonoverlapping(from, to, n);
            } else {
                for i in 0..n {
                    *to.offset(i as isize * step) = *from.add(i);
                }
            }
        }
    }
}

/// `out[i, ..] = x[rows[i], ..]` for rows of `width` elements.
///
/// # Safety
/// Every row number must be a row of `x`; `out` must be writable for `rows.len() * width` elements.
pub unsafe fn gather<T: Copy>(rows: &[i64], width: usize, x: *const T, out: *mut T) {
    let (x, out) = (Shared(x.cast_mut()), Shared(out));
    let group = (CHUNK / width.max(1)).max(1);
    team::run(rows.len().div_ceil(group), rows.len() * width / 4, |task| {
        for (i, &row) in rows.iter().enumerate().skip(task * group).take(group) {
            // SAFETY: a row of `x`, and a row of `out` of this task's own.
            unsafe { std::ptr::copy_nonoverlapping(x.get().add(row as usize * width), out.get().add(i * width), width) };
        }
    });
}

/// `out[rows[i], ..] += x[i, ..]`, in order of `i`, so that rows named twice always add up the same way.
///
/// # Safety
/// As for [`gather`], with `x` and `out` exchanged; they must not overlap.
pub unsafe fn scatter_add<T: Copy + std::ops::AddAssign>(rows: &[i64], width: usize, x: *const T, out: *mut T) {
    for (i, &row) in rows.iter().enumerate() {
        // SAFETY: a row of each.
        unsafe {
            let (from, to) = (x.add(i * width), out.add(row as usize * width));
            for j in 0..width {
                *to.add(j) += *from.add(j);
            }
        }
    }
}
