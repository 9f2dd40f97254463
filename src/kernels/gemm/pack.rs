//! Copying a part of an operand into a panel, in the order in which the micro-kernel reads it.
#![expect(
    clippy::needless_range_loop,
    reason = "the loops count registers, which they unroll over several arrays"
)]

use super::simd::{Simd, prefetch};

/// The most lanes of any register.
const MOST_LANES: usize = 16;

/// Rows that are asked for ahead of their copying: rows of a wide matrix are on pages that no hardware foresees.
const AHEAD: isize = 16;

/// One panel: `dst[d * width + i] = src[i * across + d * along]` for `i < count` and `d < depth`.
///
/// What lies between `count` and `width` is unspecified.
#[derive(Debug)]
pub struct Pack<T> {
    /// Rows of A or columns of B.
    pub count: usize,
    /// Terms of each sum.
    pub depth: usize,
    /// The first element.
    pub src: *const T,
    /// Elements between rows of A or columns of B.
    pub across: isize,
    /// Elements between terms.
    pub along: isize,
    /// The panel: `depth * width` elements.
    pub dst: *mut T,
    /// A multiple of the register, at least `count`.
    pub width: usize,
}

/// Packs one panel.
///
/// # Safety
/// The instruction set of `S` must be enabled and the pointers of `p` valid for what is read and written.
#[inline(always)]
pub(super) unsafe fn pack<S: Simd>(p: &Pack<S::Elem>) {
    // SAFETY: the instruction set is enabled and the panel valid, as this function asks.
    unsafe {
        if p.across == 1 {
            copy::<S>(p);
        } else if p.along == 1 {
            transpose::<S>(p);
        } else {
            gather(p);
        }
    }
}

#[inline(always)]
unsafe fn copy<S: Simd>(p: &Pack<S::Elem>) {
    // SAFETY: the instruction set is enabled and the panel valid, as `pack` asks; the last register of a row is masked.
    unsafe {
        let full = p.count / S::LANES;
        let rest = p.count % S::LANES;
        let mask = S::first(rest);
        let (mut src, mut dst) = (p.src, p.dst);
        for _ in 0..p.depth {
            let ahead = src.wrapping_offset(AHEAD * p.along);
            for v in 0..p.count.div_ceil(S::LANES) {
                prefetch(ahead.wrapping_add(v * S::LANES));
            }
            for v in 0..full {
                S::load(src.add(v * S::LANES)).store(dst.add(v * S::LANES));
            }
            if rest > 0 {
                S::load_some(src.add(full * S::LANES), mask).store(dst.add(full * S::LANES));
            }
            src = src.wrapping_offset(p.along);
            dst = dst.wrapping_add(p.width);
        }
    }
}

#[inline(always)]
unsafe fn transpose<S: Simd>(p: &Pack<S::Elem>) {
    // SAFETY: the instruction set is enabled and the panel valid, as `pack` asks; blocks at the edge load and store
    // only what is inside.
    unsafe {
        for i in (0..p.count).step_by(S::LANES) {
            let rows = (p.count - i).min(S::LANES);
            let src = p.src.offset(i as isize * p.across);
            for d in (0..p.depth).step_by(S::LANES) {
                let cols = (p.depth - d).min(S::LANES);
                let (src, dst) = (src.add(d), p.dst.add(d * p.width + i));
                if rows == S::LANES && cols == S::LANES {
                    block::<S, true>(src, p.across, rows, cols, dst, p.width);
                } else {
                    block::<S, false>(src, p.across, rows, cols, dst, p.width);
                }
            }
        }
    }
}

/// Transposes a block of at most a register each way. Zipping row `i` with row `i + LANES / 2` turns the bits of the
/// address, row then column, by one place; after as many rounds as a row number has bits, row and column have changed
/// places.
#[inline(always)]
unsafe fn block<S: Simd, const FULL: bool>(
    src: *const S::Elem,
    across: isize,
    rows: usize,
    cols: usize,
    dst: *mut S::Elem,
    width: usize,
) {
    // SAFETY: the instruction set is enabled, and `rows` and `cols` of the block are inside of the panel, as
    // `transpose` sees to.
    unsafe {
        let mask = S::first(cols);
        let mut now = [S::zero(); MOST_LANES];
        for i in 0..S::LANES {
            let row = src.wrapping_offset(i as isize * across);
            prefetch(row.wrapping_add(S::LANES));
            if FULL {
                now[i] = S::load(row);
            } else if i < rows {
                now[i] = S::load_some(row, mask);
            }
        }
        for _ in 0..S::LANES.trailing_zeros() {
            let mut next = now;
            for i in 0..S::LANES / 2 {
                (next[2 * i], next[2 * i + 1]) = now[i].zip(now[i + S::LANES / 2]);
            }
            now = next;
        }
        for i in 0..S::LANES {
            if FULL || i < cols {
                now[i].store(dst.add(i * width));
            }
        }
    }
}

unsafe fn gather<T: Copy>(p: &Pack<T>) {
    for d in 0..p.depth {
        for i in 0..p.count {
            // SAFETY: element `i` of row `d` is in the source and in the panel, which are valid, as `pack` asks.
            unsafe {
                *p.dst.add(d * p.width + i) = *p.src.offset(i as isize * p.across + d as isize * p.along)
            };
        }
    }
}
