//! The walk where an operand is transposed: by tiles, so that a cache line of it is used up while it is at hand.

use super::copy::gather;
use super::drive::{Buffer, Walk};
use super::layout::Odometer;
use smallvec::SmallVec;

/// Rows of a tile: as many elements as a cache line has single floats.
const ROWS: usize = 16;

/// Columns that are one piece of work, as [`ROWS`] of them.
const COLUMNS: usize = 1024;

/// A matrix of the two innermost axes, divided among the threads.
pub(super) struct Tiling<const N: usize> {
    /// The axes outside of the matrix, then pieces of rows, then pieces of columns.
    shape: SmallVec<[usize; 6]>,
    strides: SmallVec<[[isize; N]; 6]>,
}

impl<const N: usize> Tiling<N> {
    /// The tiling, if there is an operand that is denser along the last axis but one.
    pub(super) fn of(walk: &Walk<'_, N>) -> Option<Self> {
        let layout = &walk.layout;
        let last = layout.shape.len() - 1;
        let outer = last.checked_sub(1)?;
        let transposed = (0..N).any(|i| {
            let (down, along) =
                (layout.strides[outer][i].unsigned_abs(), layout.strides[last][i].unsigned_abs());
            0 < down && down < along
        });
        if !transposed || layout.shape[outer] < ROWS / 2 {
            return None;
        }
        let mut tiling = Tiling { shape: layout.shape.clone(), strides: layout.strides.clone() };
        for (axis, piece) in [(outer, ROWS), (last, COLUMNS)] {
            tiling.shape[axis] = layout.shape[axis].div_ceil(piece);
            tiling.strides[axis] = layout.strides[axis].map(|s| s * piece as isize);
        }
        Some(tiling)
    }

    /// How many pieces of work there are.
    pub(super) fn pieces(&self) -> usize {
        self.shape.iter().product()
    }

    /// Computes one of them.
    ///
    /// # Safety
    /// As for [`super::drive::drive`].
    pub(super) unsafe fn run(&self, walk: &Walk<'_, N>, piece: usize) {
        let mut buffers = [const { Buffer::EMPTY }; N];
        let mut stage = Buffer::EMPTY;
        let place = Odometer::new(&self.shape, &self.strides, piece);
        let last = self.shape.len() - 1;
        let (height, width) = (walk.layout.shape[last - 1], walk.layout.shape[last]);
        let (down, along) = (walk.layout.strides[last - 1], walk.layout.strides[last]);
        let (row_piece, column_piece) = place.tail();
        let (top, left) = (row_piece * ROWS, column_piece * COLUMNS);
        let matrix = piece / (self.shape[last - 1] * self.shape[last]);
        let rows = ROWS.min(height - top);
        let right = width.min(left + COLUMNS);
        let mut column = left;
        while column < right {
            let columns = (walk.block / ROWS).min(right - column);
            let corner: [isize; N] =
                std::array::from_fn(|i| place.offsets[i] + (column - left) as isize * along[i]);
            for i in 0..N {
                if along[i] != 1 {
                    let (size, buffer) = (walk.inputs[i].size, buffers[i].0.as_mut_ptr().cast());
                    // SAFETY: the tile is within the operand and fits the buffer.
                    unsafe {
                        let steps = [down[i], along[i]];
                        gather(size, walk.at(i, corner[i]), steps, [rows, columns], buffer, columns);
                    }
                }
            }
            for r in 0..rows {
                // SAFETY: the row is within the operand or packed in its buffer, and its places are this piece's alone.
                unsafe {
                    let pointers = std::array::from_fn(|i| match along[i] {
                        1 => walk.at(i, corner[i] + r as isize * down[i]),
                        _ => buffers[i].0.as_ptr().cast::<u8>().add(r * columns * walk.inputs[i].size),
                    });
                    walk.run(pointers, (matrix * height + top + r) * width + column, columns, &mut stage);
                }
            }
            column += columns;
        }
    }
}
