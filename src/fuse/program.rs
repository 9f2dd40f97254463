//! A block program: instructions over places, each a block of elements, and where these come from and go to.

use super::Division;
use super::kernel::{ByRows, Each, Folds, Fusible, Rowwise};
use super::operand::{Operand, strides};
use super::rows::are_short;
use crate::array::{Array, can_be};
use crate::dtype::DType;
use crate::kernels::map::Block;
use crate::kernels::reduce::Axis;
use crate::shape::{self, Dims, Strides};
use std::fmt;
use std::sync::Arc;

/// How an array is laid out.
pub(crate) type Layout = (Dims, Strides, DType);

/// What is folded at a time takes so many bytes at most, which stay in the second-level cache.
const FOLDED: usize = 1 << 19;

/// What a program is made of: an operation, what it is given and what it gives.
pub(crate) struct Source<'a> {
    pub(crate) what: Fusible,
    pub(crate) inputs: &'a [u32],
    pub(crate) output: u32,
}

/// What is to be known of the values by their numbers.
pub(crate) trait Values {
    /// How a value is laid out.
    fn layout(&self, value: u32) -> &Layout;
    /// The value, if it is always the same.
    fn constant(&self, value: u32) -> Option<&Array>;
    /// Whether it is needed when the program has been done.
    fn is_wanted(&self, value: u32) -> bool;
    /// The value whose elements it shows in the same order: itself, if it shows no other.
    fn shown(&self, value: u32) -> u32;
}

/// What is done to a block.
pub(super) enum What {
    /// A kernel for its elements.
    Elements(Arc<dyn Block + Send>),
    /// A kernel for what its rows have one of.
    Rows(Arc<dyn Block + Send>),
    /// Something for whole rows.
    Whole(Arc<dyn ByRows>),
    /// Each row is reduced.
    Fold(Folds),
    /// What rows have one of is there for each of their elements, which has so many bytes.
    Spread(usize),
}

/// One step on blocks.
pub(super) struct Instruction {
    pub(super) what: What,
    pub(super) inputs: [u16; 3],
    pub(super) count: usize,
    pub(super) out: u16,
}

/// How an operand gets to a place.
pub(super) enum How {
    /// It lies in order.
    Flat,
    /// It has an element for each row, in order.
    Rows,
    /// It is a number of the program: so many of it are at hand.
    Constant(Array),
    /// It is one element, so many of which are written to the register at this offset.
    Single(usize),
    /// It is read block by block, if need be by way of the register at this offset.
    Packed(Operand, usize),
}

pub(super) struct Reading {
    pub(super) layout: Layout,
    pub(super) how: How,
    /// Whether it is brought into order first.
    pub(super) copied: bool,
}

pub(super) struct Written {
    pub(super) dtype: DType,
    pub(super) place: u16,
    /// The operand whose memory it may take, and the offset of the register that it is computed in then.
    pub(super) takes: Option<(usize, usize)>,
    /// The shape, if it has an element for each row.
    pub(super) of_rows: Option<Dims>,
}

/// A place in a buffer that is folded.
#[derive(Clone, Copy)]
pub(super) struct Folded {
    pub(super) place: u16,
    pub(super) offset: usize,
    /// The bytes of an element.
    pub(super) size: usize,
    /// Whether it has room for a batch, or for a step of one.
    pub(super) is_whole: bool,
}

/// What a fold reads.
pub(super) enum Folding {
    /// A buffer.
    Buffer(Folded),
    /// A result.
    Result(usize),
}

pub(super) struct Fold {
    pub(super) folds: Folds,
    pub(super) of: Folding,
    pub(super) axis: Axis,
    pub(super) shape: Dims,
}

/// Several operations as one.
pub(crate) struct Program {
    pub(super) shape: Dims,
    pub(super) size: usize,
    /// Elements of a block at most.
    pub(super) block: usize,
    /// Blocks end at multiples of it.
    pub(super) cut: usize,
    /// How long rows are, where something is done by rows; all blocks have whole ones then.
    pub(super) row: Option<usize>,
    /// What an element costs.
    pub(super) nanos: f64,
    pub(super) operands: Vec<Reading>,
    pub(super) places: usize,
    /// The places in registers, and their offsets.
    pub(super) registers: Vec<(u16, usize)>,
    pub(super) buffers: Vec<Folded>,
    pub(super) instructions: Vec<Instruction>,
    pub(super) results: Vec<Written>,
    pub(super) folds: Vec<Fold>,
    /// How the elements are folded.
    pub(super) division: Option<Division>,
    /// How many bytes registers and buffers take.
    pub(super) scratch: usize,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, shape) = (self.instructions.len() + self.folds.len(), shape::show(&self.shape));
        write!(f, "{n} operations on {shape}, in blocks of {}, {} bytes", self.block, self.scratch)
    }
}

impl Each {
    /// Whether it is as quickly done as its result is read.
    pub(crate) fn is_cheap(&self) -> bool {
        self.nanos <= 0.5
    }

    /// Whether the kernel computes a result with this layout of operands with those.
    pub(crate) fn fits<'a>(
        &self,
        mut inputs: impl ExactSizeIterator<Item = &'a Layout>,
        out: &Layout,
    ) -> bool {
        let shape = &out.0;
        inputs.len() == self.inputs.len()
            && shape::checked_size(shape).is_some_and(|n| n > 0)
            && out.2 == self.out
            && shape::is_row_major(shape, &out.1)
            && self.inputs.iter().all(|&dtype| {
                inputs.next().is_some_and(|x| can_be(x.2, dtype) && strides(&x.0, &x.1, shape).is_some())
            })
    }
}

impl Rowwise {
    /// Whether the kernel computes a result with this layout of operands with those.
    pub(crate) fn fits<'a>(
        &self,
        mut inputs: impl ExactSizeIterator<Item = &'a Layout>,
        out: &Layout,
    ) -> bool {
        let (shape, strides, dtype) = out;
        inputs.len() == self.inputs
            && *dtype == self.dtype
            && shape::is_row_major(shape, strides)
            && shape.last().is_some_and(|&n| are_short(n))
            && shape::size(shape) > 0
            && inputs.all(|x| x.0 == *shape && x.2 == self.dtype)
    }
}

impl Folds {
    /// The axis that is reduced of an input with this layout to a result with that one, if it can be done piece by piece.
    pub(crate) fn axis(&self, input: &Layout, out: &Layout) -> Option<Axis> {
        let (shape, first) = (&input.0, *self.axes.first()?);
        let last = first + self.axes.len();
        let adjacent = self.axes.iter().zip(first..).all(|(&axis, i)| axis == i) && last <= shape.len();
        if !adjacent || input.2 != self.input || out.2 != self.out {
            return None;
        }
        let [outer, n, inner] = [&shape[..first], &shape[first..last], &shape[last..]].map(shape::size);
        let axis = Axis { outer, n, inner };
        let fits = axis.size() > 0 && axis.piece() * inner * self.input.size() <= FOLDED;
        (fits && shape::size(&out.0) == axis.places() && shape::is_row_major(&out.0, &out.1)).then_some(axis)
    }
}
