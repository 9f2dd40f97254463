//! The micro-kernel: one tile of C in registers.
#![expect(
    clippy::needless_range_loop,
    reason = "the loops count registers, which they unroll over several arrays"
)]

use super::simd::{Simd, prefetch};

/// Rows of B that are asked for ahead of their use when B is read in place.
const AHEAD: isize = 8;

/// The sums of a product in one part.
pub(in crate::kernels) const WHOLE: *const [isize] = &[0];

/// One tile: `C = relu(A B [+ C] [+ bias])`.
#[derive(Debug)]
pub struct Tile<T> {
    /// Terms of each part of the sums.
    pub depth: usize,
    /// How many elements after `a` the columns of A begin for each part of the sums; the rows of B go on.
    pub parts: *const [isize],
    /// The rows of A, by the layout of the kernel.
    pub a: *const T,
    /// Elements between columns (`Access::Panel`) or rows (`Access::Rows`) of A.
    pub a_stride: isize,
    /// Rows of contiguous columns of B.
    pub b: *const T,
    /// Elements between rows of B.
    pub b_stride: isize,
    /// The tile of C.
    pub c: *mut T,
    /// Elements between rows of C.
    pub c_stride: usize,
    /// Columns of the tile.
    pub cols: usize,
    /// Whether to add to C.
    pub accumulate: bool,
    /// One value for each column, or null.
    pub bias: *const T,
    /// Whether to end with a relu.
    pub relu: bool,
}

/// Computes a tile of `M` rows and `NV` registers. With `MASKED`, the last register is partly outside; with `ROWS`, A is
/// row-major in place.
///
/// # Safety
/// The instruction set of `S` must be enabled, the pointers of `t` valid for the tile, and C not read or written by others.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, const M: usize, const NV: usize, const MASKED: bool, const ROWS: bool>(
    t: &Tile<S::Elem>,
) {
    // SAFETY: the instruction set is enabled and the tile valid, as this function asks; each access below stays inside
    // the `M` rows and `cols` columns of the tile, since the last register of a row is masked when it passes them.
    // Prefetched addresses need not be valid.
    unsafe {
        let last = S::first(t.cols - (NV - 1) * S::LANES);
        macro_rules! load {
            ($p:expr, $v:expr) => {
                if MASKED && $v == NV - 1 {
                    S::load_some($p.add($v * S::LANES), last)
                } else {
                    S::load($p.add($v * S::LANES))
                }
            };
        }
        for r in 0..M {
            for v in 0..NV {
                prefetch(t.c.wrapping_add(r * t.c_stride + v * S::LANES));
            }
        }
        let mut acc = [[S::zero(); NV]; M];
        let mut b = t.b;
        for &part in &*t.parts {
            let mut a = t.a.wrapping_offset(part);
            for _ in 0..t.depth {
                let mut row = [S::zero(); NV];
                for v in 0..NV {
                    row[v] = load!(b, v);
                    prefetch(b.wrapping_offset(AHEAD * t.b_stride).wrapping_add(v * S::LANES));
                }
                if !ROWS {
                    prefetch(a.wrapping_offset(AHEAD * t.a_stride));
                }
                for r in 0..M {
                    let x = S::splat(if ROWS { *a.offset(r as isize * t.a_stride) } else { *a.add(r) });
                    for v in 0..NV {
                        acc[r][v] = x.mul_add(row[v], acc[r][v]);
                    }
                }
                a = if ROWS { a.wrapping_add(1) } else { a.wrapping_offset(t.a_stride) };
                b = b.wrapping_offset(t.b_stride);
            }
        }
        if t.accumulate {
            for r in 0..M {
                for v in 0..NV {
                    acc[r][v] = acc[r][v].add(load!(t.c.add(r * t.c_stride), v));
                }
            }
        }
        if !t.bias.is_null() {
            for v in 0..NV {
                let bias = load!(t.bias, v);
                for r in 0..M {
                    acc[r][v] = acc[r][v].add(bias);
                }
            }
        }
        if t.relu {
            for r in 0..M {
                for v in 0..NV {
                    acc[r][v] = acc[r][v].relu();
                }
            }
        }
        for r in 0..M {
            for v in 0..NV {
                let c = t.c.add(r * t.c_stride + v * S::LANES);
                if MASKED && v == NV - 1 { acc[r][v].store_some(c, last) } else { acc[r][v].store(c) }
            }
        }
    }
}
