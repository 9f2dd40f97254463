//! Views: the same elements with another shape, in another order, or some of them. Nothing is copied where strides will do.

use super::Array;
use crate::dtype::each;
use crate::error::{Error, Result};
use crate::shape::{self, Dims, Strides};
use smallvec::SmallVec;

/// Part of an axis: `length` elements from `start`, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first element.
    pub start: usize,
    /// How far apart the elements are; negative runs backwards.
    pub step: isize,
    /// How many there are.
    pub length: usize,
}

impl Range {
    /// A whole axis.
    pub fn all(length: usize) -> Range {
        Range { start: 0, step: 1, length }
    }

    /// Whether all of it lies on an axis of `n` elements.
    pub(crate) fn fits(self, n: usize) -> bool {
        let Some(further) = self.length.checked_sub(1) else { return true };
        let last = isize::try_from(further)
            .ok()
            .and_then(|k| k.checked_mul(if further > 0 { self.step } else { 0 }))
            .and_then(|far| self.start.checked_add_signed(far));
        self.start < n && last.is_some_and(|last| last < n)
    }
}

impl Array {
    /// The same buffer seen with another shape and strides, `offset` elements further on.
    ///
    /// Every element that they reach must be one that this array reaches; the callers are the view operations below.
    fn view(&self, offset: isize, shape: Dims, strides: Strides) -> Array {
        let start = self.start.wrapping_offset(offset * self.dtype.size() as isize);
        let row_major = shape::is_row_major(&shape, &strides);
        Array { buffer: self.buffer.clone(), start, shape, strides, dtype: self.dtype, row_major }
    }

    /// The same elements at these distances from each other, if no distance is much longer than all elements.
    pub fn laid(&self, strides: &[isize]) -> Result<Array> {
        let axes = || self.shape.iter().zip(strides).filter(|&(&n, _)| n != 1);
        if strides.len() != self.ndim() {
            return Err(Error::Shape(format!(
                "laid: {strides:?} are no strides of shape {}",
                shape::show(&self.shape)
            )));
        }
        let is_so = self.size() == 0 || axes().map(|(_, s)| s).eq(axes_of(&self.shape, &self.strides));
        if is_so {
            return Ok(self.view(0, self.shape.clone(), Strides::from_slice(strides)));
        }
        let (start, end) = span(&self.shape, strides).ok_or_else(|| too_far(strides))?;
        let from = self.contiguous()?;
        let mut out = Array::filled("laid", &[start + end + 1], 0.0, self.dtype)?;
        each!(self.dtype, moved: T => {
            let (from, to) = (from.values::<T>("laid")?, out.values_mut::<T>("laid")?);
            for (i, &x) in from.iter().enumerate() {
                to[start.wrapping_add_signed(shape::offset(i, &self.shape, strides))] = x;
            }
        });
        Ok(out.view(start as isize, self.shape.clone(), Strides::from_slice(strides)))
    }

    /// The elements in row-major order with another shape of the same size; a view where the strides allow.
    pub fn reshape(&self, shape: &[usize]) -> Result<Array> {
        if shape::checked_size(shape) != Some(self.size()) {
            let (from, to) = (shape::show(&self.shape), shape::show(shape));
            let n = self.size();
            return Err(Error::Shape(format!(
                "reshape: {n} elements of shape {from} do not fill shape {to}"
            )));
        }
        if let Some(strides) = self.reshaped_strides(shape) {
            return Ok(self.view(0, Dims::from_slice(shape), strides));
        }
        self.copy()?.reshape(shape)
    }

    /// Strides that read the elements in the same order with another shape, if there are any.
    fn reshaped_strides(&self, shape: &[usize]) -> Option<Strides> {
        if self.row_major {
            return Some(shape::row_major(shape));
        }
        // Walk both shapes from the back, a group of axes of equal size at a time; a group must be evenly strided.
        let old: Vec<(usize, isize)> =
            self.shape.iter().copied().zip(self.strides.iter().copied()).filter(|&(n, _)| n != 1).collect();
        let mut strides = Strides::from_elem(0, shape.len());
        let (mut i, mut j) = (old.len(), shape.len());
        while i > 0 {
            i -= 1;
            let (mut have, mut want, step) = (old[i].0, 1, old[i].1);
            let mut next = step * have as isize;
            loop {
                if want == have {
                    break;
                } else if want < have {
                    j = j.checked_sub(1)?;
                    strides[j] = step * want as isize;
                    want *= shape[j];
                } else {
                    i = i.checked_sub(1)?;
                    if old[i].1 != next {
                        return None;
                    }
                    have *= old[i].0;
                    next = step * have as isize;
                }
            }
        }
        Some(strides)
    }

    /// The axes in another order, which names each once.
    pub fn permute(&self, order: &[usize]) -> Result<Array> {
        let mut seen = SmallVec::<[bool; 8]>::from_elem(false, self.ndim());
        for &i in order {
            if let Some(seen) = seen.get_mut(i) {
                *seen = true;
            }
        }
        if order.len() != self.ndim() || seen.contains(&false) {
            let n = self.ndim();
            return Err(Error::Value(format!("permute: axes {order:?} do not name each of {n} axes once")));
        }
        let shape = order.iter().map(|&i| self.shape[i]).collect();
        let strides = order.iter().map(|&i| self.strides[i]).collect();
        Ok(self.view(0, shape, strides))
    }

    /// Repeated without copying to a shape that it broadcasts to.
    pub fn broadcast_to(&self, target: &[usize]) -> Result<Array> {
        let fits = shape::broadcast("broadcast_to", &self.shape, target).is_ok_and(|s| s[..] == *target);
        if !fits || target.len() < self.ndim() {
            let (from, to) = (shape::show(&self.shape), shape::show(target));
            return Err(Error::Shape(format!("broadcast_to: shape {from} does not broadcast to {to}")));
        }
        if shape::checked_size(target).is_none() {
            return Err(Error::Memory { op: "broadcast_to", shape: target.to_vec(), dtype: self.dtype });
        }
        let strides = shape::broadcast_strides(&self.shape, &self.strides, target);
        Ok(self.view(0, Dims::from_slice(target), strides))
    }

    /// Along each axis `length` elements from `start`, `step` apart.
    pub fn slice(&self, ranges: &[Range]) -> Result<Array> {
        let (offset, strides) = self.ranges(ranges)?;
        Ok(self.view(offset, ranges.iter().map(|r| r.length).collect(), strides))
    }

    /// Where in memory order the elements in ranges of a row-major array are: the number of the first, and their strides.
    pub(crate) fn within(&self, ranges: &[Range]) -> Result<(usize, Strides)> {
        let (offset, strides) = self.ranges(ranges)?;
        if !self.row_major || offset < 0 {
            return Err(Error::Unsupported("put: the elements do not lie in order".into()));
        }
        Ok((offset as usize, strides))
    }

    /// How far on the first element in ranges is, and their strides.
    fn ranges(&self, ranges: &[Range]) -> Result<(isize, Strides)> {
        let fits = ranges.len() == self.ndim() && ranges.iter().zip(&self.shape).all(|(r, &n)| r.fits(n));
        if !fits {
            let shape = shape::show(&self.shape);
            return Err(Error::Index(format!("slice: {ranges:?} leave an array of shape {shape}")));
        }
        let empty = ranges.iter().any(|r| r.length == 0);
        let steps = ranges.iter().zip(&self.strides);
        let offset = if empty { 0 } else { steps.clone().map(|(r, &s)| r.start as isize * s).sum() };
        // The step of a single element goes nowhere, and may be too long to multiply.
        Ok((offset, steps.map(|(r, &s)| if r.length > 1 { r.step * s } else { s }).collect()))
    }

    /// The diagonal of two different axes `i` and `j`, as a new last axis.
    pub fn diagonal(&self, i: usize, j: usize) -> Result<Array> {
        if i == j || i >= self.ndim() || j >= self.ndim() {
            let n = self.ndim();
            return Err(Error::Index(format!("diagonal: {i} and {j} are not two of {n} axes")));
        }
        let keep = |&k: &usize| k != i && k != j;
        let mut shape: Dims = (0..self.ndim()).filter(keep).map(|k| self.shape[k]).collect();
        let mut strides: Strides = (0..self.ndim()).filter(keep).map(|k| self.strides[k]).collect();
        shape.push(self.shape[i].min(self.shape[j]));
        strides.push(self.strides[i] + self.strides[j]);
        Ok(self.view(0, shape, strides))
    }
}

/// How far strides lead below and above the first element, if that is not much further than all elements are long.
pub(crate) fn span(shape: &[usize], strides: &[isize]) -> Option<(usize, usize)> {
    let (mut low, mut high) = (0usize, 0usize);
    for (&n, &stride) in shape.iter().zip(strides) {
        let reach = n.saturating_sub(1).checked_mul(stride.unsigned_abs())?;
        let end = if stride < 0 { &mut low } else { &mut high };
        *end = end.checked_add(reach)?;
    }
    let is_near = low.checked_add(high)? / 256 <= shape::size(shape);
    is_near.then_some((low, high))
}

/// The strides of axes of more than one element.
fn axes_of<'a>(shape: &'a [usize], strides: &'a [isize]) -> impl Iterator<Item = &'a isize> {
    shape.iter().zip(strides).filter(|&(&n, _)| n != 1).map(|(_, stride)| stride)
}

#[cold]
fn too_far(strides: &[isize]) -> Error {
    Error::Value(format!("laid: elements {strides:?} from each other are too far apart"))
}
