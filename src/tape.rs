//! The tape: a list of what was computed, written while a [`Scope`] is open and walked backwards by `gradient`.
//!
//! A [`Tensor`] names its place on a tape by number, so entries hold no references to each other: nothing recurses when
//! a long tape is walked or dropped. Outside a scope nothing is recorded. A scope opened inside another writes on the
//! same tape, which is what makes a gradient differentiable.

mod after;
mod apply;
mod capture;
mod capturing;
mod convert;
mod current;
mod known;
mod later;
mod observed;
mod operation;
mod parameters;
mod parts;
mod plan;
pub mod profile;
mod replay;
mod shown;
mod threads;
mod trace;
mod trainable;

use crate::array::Array;
use crate::dtype::{DType, Element};
use crate::error::Result;
use crate::shape::Dims;
use current::SPARE;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::fmt;

pub use apply::{again, apply, apply_beside, cast, compute, record};
pub(crate) use apply::{compute_beside, compute_into, in_single};
pub use capture::{Capture, Compute, Kind, Layout, Step as Captured};
#[cfg(feature = "python")]
pub(crate) use capturing::say_where;
pub use capturing::{Capturing, derive, foreign, is_captured, is_written, looked_at, made, met, refuse};
#[cfg(feature = "python")]
pub(crate) use current::{Open, is_left_out, is_plain, is_watching};
pub use current::{Paused, Scope, is_recorded, is_recording, is_training};
pub(crate) use known::readers;
pub use known::{Known, Reader};
pub use operation::{Context, Differentiable, Grads, Keeps, Operation};
pub use parameters::{Parameter, Parameters, Value, parameter};
pub(crate) use parameters::{choice, fields, parameters};
pub use plan::Fate;
pub use replay::{Registers, Replay, Stop, is_laid};
#[cfg(feature = "python")]
pub(crate) use threads::is_anothers;
pub(crate) use trace::Step;
pub use trace::Trace;
pub use trainable::Trainable;

/// The operations of this module, by their names in files.
pub(crate) const READERS: [&[Reader]; 2] = [apply::READERS, current::READERS];

/// A place on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    tape: u64,
    node: u32,
}

impl Place {
    /// The tape that it is on.
    #[cfg(feature = "python")]
    pub(crate) fn tape(self) -> u64 {
        self.tape
    }
    /// The line of that tape.
    #[cfg(feature = "python")]
    pub(crate) fn node(self) -> u32 {
        self.node
    }
    /// Stands for a line that another thread could not write: what it computed from a variable of this open tape.
    #[cfg(feature = "python")]
    pub(crate) fn elsewhere(tape: u64) -> Place {
        Place { tape, node: ELSEWHERE }
    }
}

/// An array and its place on a tape, if what computed it was recorded.
#[derive(Clone)]
pub struct Tensor {
    array: Array,
    place: Option<Place>,
}

impl From<Array> for Tensor {
    #[inline]
    fn from(array: Array) -> Self {
        Tensor { array, place: None }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.array)
    }
}

impl fmt::Display for Tensor {
    /// The values in rows. A precision, as in `{:.2}`, is that of each number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.array, f)
    }
}

impl Tensor {
    /// The values.
    #[inline]
    pub fn array(&self) -> &Array {
        &self.array
    }
    /// The values, for an owner of the tensor.
    #[inline]
    pub fn into_array(self) -> Array {
        self.array
    }
    /// The values, to be changed: the tensor is on no tape then.
    #[inline]
    #[cfg(feature = "python")]
    pub(crate) fn array_mut(&mut self) -> &mut Array {
        self.place = None;
        &mut self.array
    }
    /// The lengths of the axes.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        self.array.shape()
    }
    /// The number of axes.
    #[inline]
    pub fn ndim(&self) -> usize {
        self.array.ndim()
    }
    /// The number of elements.
    #[inline]
    pub fn size(&self) -> usize {
        self.array.size()
    }
    /// The element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.array.dtype()
    }
    /// The only element, as a float. What is computed of it is not recorded.
    pub fn item(&self) -> Result<f64> {
        self.array.item()
    }
    /// The elements in row-major order, converted to `T`. What is computed of them is not recorded.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.array.to_vec()
    }
    /// The same values at another place of a tape, which must be one of that shape and type.
    #[inline]
    pub(crate) fn at(&self, place: Option<Place>) -> Tensor {
        Tensor { array: self.array.clone(), place }
    }
    /// Where it is on a tape.
    #[inline]
    pub fn place(&self) -> Option<Place> {
        self.place
    }
    #[inline]
    fn node_on(&self, tape: u64) -> Option<u32> {
        self.place.filter(|p| p.tape == tape).map(|p| p.node)
    }
}

const UNTRACKED: u32 = u32::MAX;
const ELSEWHERE: u32 = u32::MAX - 1;

/// One line of a tape.
pub(crate) struct Entry {
    /// `None` for a variable, where the walk ends.
    pub(crate) op: Option<Box<dyn Differentiable>>,
    inputs: SmallVec<[u32; 4]>,
    kept: Vec<Tensor>,
    beside: Vec<Array>,
    keeps: Keeps,
    pub(crate) shape: Dims,
    pub(crate) dtype: DType,
}

impl Entry {
    /// What remains of an entry that the walk has taken.
    fn spent() -> Entry {
        let (inputs, kept, beside, shape) = (SmallVec::new(), Vec::new(), Vec::new(), Dims::new());
        Entry { op: None, inputs, kept, beside, keeps: Keeps::Nothing, shape, dtype: DType::F32 }
    }
}

/// A list of what was computed, in order.
pub(crate) struct Tape {
    id: u64,
    entries: RefCell<Vec<Entry>>,
}

impl Tape {
    fn write(
        &self,
        op: Box<dyn Differentiable>,
        inputs: &[&Tensor],
        value: Array,
        beside: Vec<Array>,
    ) -> Tensor {
        let keeps = op.keeps();
        let mut kept = Vec::new();
        if matches!(keeps, Keeps::Inputs | Keeps::Both) {
            kept.reserve_exact(inputs.len() + 1);
            kept.extend(inputs.iter().map(|&t| t.clone()));
        } else if keeps == Keeps::Rest {
            kept.extend(inputs.iter().skip(1).map(|&t| t.clone()));
        } else if keeps == Keeps::Constants {
            kept.extend(inputs.iter().filter(|t| !t.dtype().is_float()).map(|&t| t.clone()));
        }
        let inputs = inputs.iter().map(|t| t.node_on(self.id).unwrap_or(UNTRACKED)).collect();
        let (shape, dtype) = (Dims::from_slice(value.shape()), value.dtype());
        let mut entries = self.entries.borrow_mut();
        let y = Tensor { array: value, place: Some(Place { tape: self.id, node: entries.len() as u32 }) };
        if matches!(keeps, Keeps::Output | Keeps::Both) {
            kept.push(y.clone());
        }
        entries.push(Entry { op: Some(op), inputs, kept, beside, keeps, shape, dtype });
        y
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        let mut entries = self.entries.take();
        entries.clear();
        if entries.capacity() <= 1 << 12 {
            let _ = SPARE.try_with(|s| s.set(entries));
        }
    }
}
