//! Products of matrices within a convolution, on the thread that needs them.

use crate::kernels::gemm::Scalar;
use crate::kernels::gemm::product::part;
use crate::kernels::gemm::table::{Access, Kernels};
use crate::kernels::gemm::tile::{Tile, WHOLE};

/// Terms of a sum that are added up in registers: few, because a longer sum in a row loses more.
const DEPTH: usize = 64;

/// `C = A B [+ C]` of size `[rows, terms, columns]`, where `b` finds the rows of B from some column on, and how many
/// elements apart they are.
///
/// # Safety
/// A, by its layout, and B must be readable, C writable and nobody else use it meanwhile.
pub(super) unsafe fn multiply<T: Scalar>(
    kernels: &Kernels<T>,
    layout: Access,
    [rows, terms, columns]: [usize; 3],
    (a, a_pitch): (*const T, usize),
    b: impl Fn(usize) -> (*const T, usize),
    (c, c_pitch): (*mut T, usize),
    accumulate: bool,
) {
    let parts = terms.div_ceil(DEPTH);
    for first in (0..columns).step_by(kernels.cols()) {
        let cols = kernels.cols().min(columns - first);
        let (b, b_pitch) = b(first);
        let height = if cols <= kernels.lanes { 2 * kernels.rows } else { kernels.rows };
        let count = rows.div_ceil(height);
        for (p, terms) in (0..parts).map(|p| (p, part(terms, parts, p))) {
            for rows in (0..count).map(|i| part(rows, count, i)) {
                let at = match layout {
                    Access::Rows => rows.start * a_pitch + terms.start,
                    Access::Panel => rows.start + terms.start * a_pitch,
                };
                let tile = Tile {
                    depth: terms.len(),
                    parts: WHOLE,
                    a: a.wrapping_add(at),
                    a_stride: a_pitch as isize,
                    b: b.wrapping_add(terms.start * b_pitch),
                    b_stride: b_pitch as isize,
                    c: c.wrapping_add(rows.start * c_pitch + first),
                    c_stride: c_pitch,
                    cols,
                    accumulate: accumulate || p > 0,
                    bias: std::ptr::null(),
                    relu: false,
                };
                // SAFETY: the tile is of A, of B and of C, as this function asks; `isa` chose kernels that this
                // processor has.
                unsafe { kernels.tile(layout, rows.len(), cols)(&tile) };
            }
        }
    }
}
