//! The walk over the operands of an element-wise kernel: by rows where they are long, several at a time where not.

use super::copy::gather;
use super::layout::{Layout, Odometer};
use super::tiles::Tiling;
use crate::isa::Isa;
use crate::shape::is_row_major;
use crate::team;
use std::mem::MaybeUninit;

/// A kernel whose element types are forgotten, so that the walk is compiled once.
pub(crate) trait Block: Sync {
    /// # Safety
    /// There must be `n` elements of the kernel's types at each input and room for as many at `out`, none shared.
    unsafe fn run(&self, isa: Isa, inputs: &[*const u8], out: *mut u8, n: usize);
}

/// An input: its elements' size in bytes, its strides in elements.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) data: *const u8,
    pub(crate) size: usize,
    pub(crate) strides: &'a [isize],
}

/// The size of a buffer that an operand is packed into; four of them leave room in a first-level cache.
pub(super) const BUFFER: usize = 4096;

/// Rows shorter than this are packed several to a block.
const SHORT: usize = 128;

/// What a piece of work for one thread takes at least, if there is more than one; its elements at most, and what they are a
/// multiple of: so that each piece begins where a cache line does if the array does.
const CHUNK_NANOS: f64 = 5000.0;
const CHUNK_ELEMENTS: usize = 32 * 1024;
const CHUNK_STEP: usize = 1024;

#[repr(align(64))]
pub(super) struct Buffer(pub(super) [MaybeUninit<u8>; BUFFER]);

impl Buffer {
    pub(super) const EMPTY: Buffer = Buffer([MaybeUninit::uninit(); BUFFER]);
}

/// A kernel and what it is applied to.
pub(super) struct Walk<'a, const N: usize> {
    kernel: &'a dyn Block,
    isa: Isa,
    pub(super) layout: Layout<N>,
    pub(super) inputs: [Input<'a>; N],
    out: *mut u8,
    out_size: usize,
    /// Whether the output is computed into a buffer first, since it overlaps an input.
    staged: bool,
    /// Elements that fit every buffer.
    pub(super) block: usize,
}

// SAFETY: the pointers are read and written within a chunk only, and no two chunks write to the same place.
unsafe impl<const N: usize> Sync for Walk<'_, N> {}

/// Calls of at most this many elements take the short way when their operands are contiguous.
pub(crate) const SMALL: usize = 4096;

/// Applies `kernel`, whose elements have the sizes that are said, to `inputs`.
///
/// # Safety
/// As for the public functions of this module's parent.
pub(crate) unsafe fn run<const N: usize>(
    kernel: &dyn Block,
    isa: Isa,
    nanos: f64,
    shape: &[usize],
    inputs: [Input<'_>; N],
    out: *mut u8,
    out_size: usize,
) {
    let n: usize = shape.iter().product();
    let apart = |x: &Input<'_>| {
        let (x, out) = ((x.data.addr(), n * x.size), (out.addr(), n * out_size));
        x.0 + x.1 <= out.0 || out.0 + out.1 <= x.0
    };
    let simple = n <= SMALL && inputs.iter().all(|x| is_row_major(shape, x.strides) && apart(x));
    // SAFETY: the operands reach as far as the caller says; for the short way they are distinct and contiguous, as was just
    // found.
    unsafe {
        if simple {
            kernel.run(isa, &inputs.map(|x| x.data), out, n);
        } else {
            drive(kernel, isa, nanos, shape, inputs, out, out_size);
        }
    }
}

/// [`run`] for many elements, or elements in any order.
///
/// # Safety
/// As for that.
unsafe fn drive<const N: usize>(
    kernel: &dyn Block,
    isa: Isa,
    nanos: f64,
    shape: &[usize],
    inputs: [Input<'_>; N],
    out: *mut u8,
    out_size: usize,
) {
    let total: usize = shape.iter().product();
    if total == 0 {
        return;
    }
    let layout = Layout::new(shape, inputs.map(|x| x.strides));
    let staged = (0..N).any(|i| overlap(&layout, i, inputs[i], out, total * out_size));
    let largest = inputs.iter().map(|x| x.size).fold(out_size.max(1), usize::max);
    let (inner, _) = layout.inner();
    let block = BUFFER / largest;
    let short = inner < SHORT.min(block) && layout.shape.len() > 1;
    let walk = Walk { kernel, isa, layout, inputs, out, out_size, staged, block };
    let cost = (total as f64 * nanos) as usize;
    if !short
        && block >= SHORT
        && let Some(tiling) = Tiling::of(&walk)
    {
        // SAFETY: the inputs can be read wherever the layout leads and the output written, as `drive` asks; pieces are
        // of places of their own.
        return team::run(tiling.pieces(), cost, |i| unsafe { tiling.run(&walk, i) });
    }
    let mut chunk = ((CHUNK_NANOS / nanos) as usize).clamp(1, CHUNK_ELEMENTS).next_multiple_of(CHUNK_STEP);
    if short {
        chunk = chunk.next_multiple_of(block / inner * inner);
    }
    team::run(total.div_ceil(chunk), cost, |i| {
        let (start, end) = (i * chunk, total.min((i + 1) * chunk));
        // SAFETY: the inputs can be read wherever the layout leads and the output written, as `drive` asks; chunks are
        // of places of their own.
        unsafe { if short { walk.short_rows(start, end) } else { walk.long_rows(start, end) } }
    });
}

/// Whether the bytes that the input reaches and those of the output meet.
fn overlap<const N: usize>(layout: &Layout<N>, i: usize, x: Input<'_>, out: *mut u8, bytes: usize) -> bool {
    let (mut first, mut last) = (0, 0);
    for (&n, strides) in layout.shape.iter().zip(&layout.strides) {
        let reach = (n - 1) as isize * strides[i];
        first += reach.min(0);
        last += reach.max(0);
    }
    let start = x.data.wrapping_offset(first * x.size as isize).addr();
    let end = x.data.wrapping_offset((last + 1) * x.size as isize).addr();
    start < out.addr() + bytes && out.addr() < end
}

impl<const N: usize> Walk<'_, N> {
    /// # Safety
    /// The element must be within the input.
    pub(super) unsafe fn at(&self, i: usize, offset: isize) -> *const u8 {
        // SAFETY: the place is within the input, as this function asks.
        unsafe { self.inputs[i].data.offset(offset * self.inputs[i].size as isize) }
    }

    /// Runs the kernel for the output's elements from `start` on.
    ///
    /// # Safety
    /// As for [`Block::run`], but that inputs may overlap the output if it is staged.
    pub(super) unsafe fn run(&self, inputs: [*const u8; N], start: usize, n: usize, stage: &mut Buffer) {
        // SAFETY: the inputs have `n` elements and the output has room for as many from `start` on, as this function
        // asks; a staged block fits the buffer.
        unsafe {
            let out = self.out.add(start * self.out_size);
            if self.staged {
                let stage = stage.0.as_mut_ptr().cast();
                self.kernel.run(self.isa, &inputs, stage, n);
                out.copy_from_nonoverlapping(stage, n * self.out_size);
            } else {
                self.kernel.run(self.isa, &inputs, out, n);
            }
        }
    }

    /// Computes `start..end` of the output in pieces of one row each.
    ///
    /// # Safety
    /// As for [`drive`].
    unsafe fn long_rows(&self, start: usize, end: usize) {
        let mut buffers = [const { Buffer::EMPTY }; N];
        let mut stage = Buffer::EMPTY;
        let (inner, strides) = self.layout.inner();
        let last = self.layout.shape.len() - 1;
        let mut row = Odometer::new(&self.layout.shape[..last], &self.layout.strides[..last], start / inner);
        let direct = !self.staged && strides.iter().all(|&s| s == 1);
        let longest = if direct { usize::MAX } else { self.block };
        // For an operand that is the same along a row: where the value came from that fills its buffer.
        let mut filled = [None; N];
        let (mut position, mut column) = (start, start % inner);
        while position < end {
            let n = longest.min(inner - column).min(end - position);
            let mut pointers = [std::ptr::null(); N];
            for i in 0..N {
                // SAFETY: the place is within the row, hence within the operand; a packed piece fits its buffer.
                unsafe {
                    let offset = row.offsets[i] + column as isize * strides[i];
                    let (source, buffer) = (self.at(i, offset), buffers[i].0.as_mut_ptr().cast::<u8>());
                    if strides[i] == 1 {
                        pointers[i] = source;
                        continue;
                    }
                    pointers[i] = buffer;
                    if strides[i] == 0 {
                        if filled[i] == Some(offset) {
                            continue;
                        }
                        filled[i] = Some(offset);
                    }
                    let n = if strides[i] == 0 { longest.min(inner) } else { n };
                    gather(self.inputs[i].size, source, [0, strides[i]], [1, n], buffer, n);
                }
            }
            // SAFETY: each pointer is at `n` elements of the piece, in the input or packed, and the chunk's places are
            // this task's alone.
            unsafe { self.run(pointers, position, n, &mut stage) };
            position += n;
            column += n;
            if column == inner {
                column = 0;
                row.advance(1);
            }
        }
    }

    /// Computes `start..end` of the output in pieces of several rows; `start` is the first of a row and of a piece.
    ///
    /// # Safety
    /// As for [`drive`].
    unsafe fn short_rows(&self, start: usize, end: usize) {
        let mut buffers = [const { Buffer::EMPTY }; N];
        let mut stage = Buffer::EMPTY;
        let (inner, strides) = self.layout.inner();
        let last = self.layout.shape.len() - 1;
        let (outer_shape, outer_strides) = (&self.layout.shape[..last], &self.layout.strides[..last]);
        let mut row = Odometer::new(outer_shape, outer_strides, start / inner);
        let rows = self.block / inner;
        let flat: [bool; N] = std::array::from_fn(|i| self.flat(i));
        let periodic: [bool; N] = std::array::from_fn(|i| outer_strides.iter().all(|s| s[i] == 0));
        let mut position = start;
        while position < end {
            let rows = rows.min((end - position) / inner);
            let mut done = 0;
            while done < rows {
                let group = row.left().min(rows - done);
                for i in 0..N {
                    if flat[i] || periodic[i] && position > start {
                        continue;
                    }
                    // SAFETY: these are rows of the operand, and no more than fit the buffer.
                    unsafe {
                        let size = self.inputs[i].size;
                        let target = buffers[i].0.as_mut_ptr().cast::<u8>().add(done * inner * size);
                        let steps = [outer_strides[last - 1][i], strides[i]];
                        gather(size, self.at(i, row.offsets[i]), steps, [group, inner], target, inner);
                    }
                }
                row.advance(group);
                done += group;
            }
            let mut pointers = [std::ptr::null(); N];
            for i in 0..N {
                let packed = buffers[i].0.as_ptr().cast();
                // SAFETY: a flat operand has an element for each of the output's.
                pointers[i] = if flat[i] { unsafe { self.at(i, position as isize) } } else { packed };
            }
            // SAFETY: each pointer is at the elements of these rows, in the input or packed, and the chunk's places are
            // this task's alone.
            unsafe { self.run(pointers, position, rows * inner, &mut stage) };
            position += rows * inner;
        }
    }

    /// Whether the operand's elements lie as the output's do.
    fn flat(&self, i: usize) -> bool {
        let mut expected = 1;
        self.layout.shape.iter().zip(&self.layout.strides).rev().all(|(&n, strides)| {
            let next = strides[i] == expected;
            expected *= n as isize;
            next
        })
    }
}
